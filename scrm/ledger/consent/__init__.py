"""What a customer agreed to and what they asked us to stop: only ever added to."""
