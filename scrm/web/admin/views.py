"""What admin pages are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from scrm.contract import Need
from scrm.web.views import Icon, Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    label: str
    value: str
    hint: str = ""
    tone: Tone = ""
    href: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A sentence with a colour, and where to do something about it."""

    text: str
    tone: Tone = ""
    href: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeView:
    tiles: tuple[Tile, ...]
    troubles: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    name: str
    moved_at: datetime
    #: How far behind the platform, in words; "" = nobody can know.
    behind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    slug: str
    name: str
    #: What the channel is called, and how screens mark it.
    channel: str
    icon: Icon
    state: Literal["running", "draining", "paused"]
    #: running well, or wanting somebody's attention.
    level: Literal["ok", "warn", "bad"]
    callback_url: str
    last_at: datetime | None
    #: How long the oldest row waits, in words; "" = nothing waits.
    lag: str
    waiting: int
    rate: tuple[int, ...]
    errors: int
    quarantined: int
    unsent: int
    unclear: int
    streams: tuple[Stream, ...] = ()
    #: How far behind the platform we are, in words; "" = nobody can know.
    behind: str = ""
    token_until: datetime | None = None
    quotas: Mapping[str, str] | None = None
    troubles: tuple[Line, ...] = ()
    #: Asked for, got, missing; None where nobody can know.
    asked: int | None = None
    got: int = 0
    missing: int = 0
    counted_at: datetime | None = None
    holes: int = 0

    @property
    def received(self) -> int:
        return sum(self.rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardsView:
    cards: tuple[Card, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One field of the settings form. A secret's value never leaves the server."""

    need: Need
    value: str = ""
    #: A secret that is set.
    held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    key: str
    title: str
    icon: Icon


@dataclass(frozen=True, slots=True, kw_only=True)
class FormView:
    channel: Channel
    settings: tuple[Setting, ...]
    name: str = ""
    slug: str = ""
    max_age_s: int = 600
    faults: tuple[str, ...] = ()
    readme: str = ""
    #: Where the set-up page lies.
    readme_path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewView:
    channels: tuple[Channel, ...]
    form: FormView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    id: str
    title: str
    account: str
    state: Literal["running", "paused", "done", "failed", "cancelled"]
    done: int
    total: int | None
    fresh: int
    failed: int
    error: str
    created_at: datetime
    updated_at: datetime

    @property
    def percent(self) -> int | None:
        if self.total is None:
            return 100 if self.state == "done" else None
        return 100 if not self.total else min(100, self.done * 100 // self.total)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorView:
    card: Card
    form: FormView
    #: What the self-test found; None = not asked for.
    findings: tuple[Line, ...] | None = None
    #: Streams that can be asked for in full, and the jobs that did.
    stocks: tuple[tuple[str, str], ...] = ()
    jobs: tuple[JobRow, ...] = ()
    synced: bool = False
    #: Written in a configuration file, which wins at the next start.
    from_file: bool = False
    saved: bool = False
    #: The platform can be asked to do things for us.
    deeds: bool = False
    #: It takes lists somebody exported.
    lists: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of a list. `kept` False = it was only looked at."""

    kept: bool
    lines: int
    good: int
    fresh: int
    known: int
    bad: int
    #: Line numbers and what is wrong with them, the first few.
    faults: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportView:
    slug: str
    name: str
    result: Imported | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Days in a row that are alike, both ends included."""

    first: date
    last: date
    kind: Literal["workday", "holiday"]
    name: str
    #: Written by an admin, not shipped.
    ours: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarView:
    years: tuple[tuple[int, tuple[Stretch, ...]], ...]
    today: date
    business_hours: str
    quiet_hours: str
    fault: str = ""
    saved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadRow:
    id: str
    account: str
    stage: str
    error: str
    first_at: datetime
    last_at: datetime
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadView:
    rows: tuple[DeadRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterRow:
    id: str
    received_at: datetime
    attempts: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassView:
    row: DeadRow
    letters: tuple[LetterRow, ...]
    before: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRow:
    number: int
    pointer: str
    shown: str
    #: The value itself, not a description of what is hidden.
    plain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterView:
    id: str
    account: str
    state: str
    stage: str
    error: str
    note: str
    mended: bool
    received_at: datetime
    attempts: int
    #: None = cannot be opened any more.
    fields: tuple[FieldRow, ...] | None
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsentRow:
    id: str
    account: str
    kind: str
    state: str
    error: str
    code: str
    created_at: datetime
    again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsentView:
    state: Literal["dead", "unknown"]
    rows: tuple[UnsentRow, ...]
    counts: Mapping[str, int]
    before: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsView:
    rows: tuple[JobRow, ...]
    before: str = ""
