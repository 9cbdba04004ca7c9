"""Screens of a household: the sidebar's strip, the merge sheet, parts people play, `/households/{id}`."""
