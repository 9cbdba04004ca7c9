"""Who takes what: presence and capacity of our people, and why a conversation went to whom."""
