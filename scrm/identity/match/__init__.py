"""The batch companion: which persons may be one, or one family, scored by Splink; it decides nothing."""
