"""scrm: one timeline per customer household, and what to say next."""
