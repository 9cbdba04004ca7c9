"""Where customers stand, put together from every room that knows something of their households."""

from scrm.situations.facts import facts, zhe
from scrm.situations.homes import Home, homes
from scrm.situations.reading import Around, around, of, promised

__all__ = ["Around", "Home", "around", "facts", "homes", "of", "promised", "zhe"]
