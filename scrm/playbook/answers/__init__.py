"""What may be said by itself, on which account and when: the setting, and what was decided here over it."""
