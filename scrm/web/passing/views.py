"""What pages about customers who change hands are made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from scrm.web.views import Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRow:
    id: str
    #: In the list only the first character of the name.
    name: str
    level: str
    why: str
    at: datetime
    #: A warning: until when; the conversation to follow up in.
    falls_at: datetime | None = None
    cid: str = ""
    #: Why the reader may not take them; "" = they may.
    stopped: str = ""
    mine: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A brief that came with a customer."""

    id: str
    name: str
    brief: str
    outcome: str
    tone: Tone = ""
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """A hand-over, in a list or with its customers."""

    id: str
    at: datetime
    sort: str
    state: str
    giver: str
    taker: str
    customers: tuple[Told, ...] = ()
    #: It can be undone: the platform has not begun.
    undoable: bool = False
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    tab: Literal["pool", "warned", "handed"]
    rows: tuple[PoolRow, ...] = ()
    handed: tuple[Handed, ...] = ()
    before: str = ""
    fault: str = ""
    #: Looks of today, and how many there may be.
    looked: int = 0
    looks: int = 0
    done: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    at: datetime
    text: str
    direction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledView:
    """One customer of the pool, opened."""

    row: PoolRow
    lines: tuple[Line, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Somebody or something to choose in a form."""

    id: str
    name: str
    note: str = ""
    chosen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverView:
    rows: tuple[Handed, ...] = ()
    givers: tuple[Choice, ...] = ()
    takers: tuple[Choice, ...] = ()
    #: Of whom customers are chosen; "" = nobody yet.
    giver: str = ""
    gone: bool = False
    customers: tuple[Choice, ...] = ()
    before: str = ""
    fault: str = ""
