"""Backup, restore and changing the master key: what an installation needs to survive its disk."""
