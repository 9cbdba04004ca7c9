"""Promises: prices, discounts, gifts, deadlines and guarantees our side offers, and what comes of them."""
