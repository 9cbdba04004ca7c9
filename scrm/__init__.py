"""scrm: one timeline per customer household, and what to say next."""

__version__ = "0.1.0"
