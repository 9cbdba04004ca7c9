"""Deeds: what we ask vendors to administer for us, each asked once, with its outcome followed to the end."""
