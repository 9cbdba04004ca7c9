"""What an item of the timeline may bring besides its words, as values for a template."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

#: How something that comes with an item is shown.
Shape = Literal["image", "sound", "film", "file", "card", "place", "contact", "record", "call", "order"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One message of a merged record; records may hold records."""

    text: str
    who: str = ""
    at: datetime | None = None
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """What comes with an item besides its words."""

    shape: Shape
    title: str = ""
    #: A description, an address; of a recording: what was said in it.
    text: str = ""
    #: A file of ours, or the page a card leads to.
    href: str = ""
    #: Length and size, coordinates.
    facts: tuple[str, ...] = ()
    #: Where it leads to, or why it is not here.
    note: str = ""
    #: What a call or an order consists of.
    rows: tuple[tuple[str, str], ...] = ()
    items: tuple[Line, ...] = ()
    #: The event and the number of the file that may be asked for once more.
    again: tuple[str, int] | None = None
    waiting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What an edited message said before."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Something a timeline can be narrowed down to."""

    key: str
    name: str
