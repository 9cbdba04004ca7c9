"""A tenant's own shelf: scripts of its trades, overlaid by versions that people wrote and let pass."""
