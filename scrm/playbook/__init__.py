"""What to say to a customer: the script library, rendering and ranking."""
