"""Tags: words our people put on a customer; what SOPs begin and end with."""
