"""Opportunities: what a household may buy from us, where that stands, and every move it made."""
