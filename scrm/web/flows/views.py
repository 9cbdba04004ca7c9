"""What the pages of SOPs are made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from scrm.playbook.library.diff import Piece
from scrm.playbook.sops.values import Mark, Start, Step, StepKind, When
from scrm.web.cards import Tag, Tone

#: Key and what it is called.
Options = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One SOP in the list."""

    code: str
    href: str
    title: str
    about: str
    state: Tag
    version: int
    #: A draft younger than what is in force; 0 = none.
    draft: int
    #: Families on their way.
    running: int
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeView:
    #: By trade.
    trades: tuple[tuple[str, tuple[Row, ...]], ...]
    may_run: bool = False
    saved: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that is wrong or odd; `href` leads to the step it is about."""

    text: str
    href: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    n: int
    kind: StepKind
    name: str
    icon: str
    said: str
    step: Step
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    #: Its fields are shown.
    open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LineView:
    """One start, goal or stop."""

    kind: str
    name: str
    said: str
    value: Start | Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What can be chosen from."""

    trades: Options
    stages: Options
    roles: Options
    events: Options
    dates: Options
    tasks: Options
    sends: Options
    tos: Options
    scripts: Options
    coupons: Options
    steps: Options
    starts: Options
    marks: Options
    #: Steps one can go to.
    targets: Options
    variables: Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The whole in sentences, with what is wrong and what is odd."""

    starts: tuple[str, ...]
    when: str
    goal: tuple[str, ...]
    stop: tuple[str, ...]
    steps: tuple[tuple[str, str, str], ...]
    faults: tuple[Note, ...] = ()
    warnings: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One step as it would be taken."""

    at: datetime
    kind: str
    icon: str
    #: By itself, by a colleague, left out.
    state: str
    tone: Tone
    text: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How one family would fare; without a name for those who may not see them."""

    name: str
    href: str
    start: datetime
    moments: tuple[Moment, ...]
    ended_at: datetime | None = None
    ended: str = ""
    why_not: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    title: str
    note: str
    families: tuple[Family, ...] = ()
    more: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    version: int
    state: str
    tone: Tone
    who: str
    source: str
    note: str
    created_at: datetime
    published_at: datetime | None
    running: int
    before: int
    shown: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """Who did what."""

    at: datetime
    who: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """An SOP that is there already."""

    base: str
    state: Tag
    on: bool
    live: int
    #: The version whose words are in the fields.
    shown: int
    running: int
    versions: tuple[VersionRow, ...] = ()
    deeds: tuple[Deed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The head of the editor as it stands."""

    code: str
    trade: str
    title: str
    about: str
    group: str
    priority: int
    again: int
    late: int
    note: str
    version: int
    digest: str
    when: When


@dataclass(frozen=True, slots=True, kw_only=True)
class EditorView:
    form: Form
    head: Head | None
    starts: tuple[LineView, ...]
    goal: tuple[LineView, ...]
    stop: tuple[LineView, ...]
    steps: tuple[StepView, ...]
    choices: Choices
    reading: Reading
    yaml: str
    #: Families a way through it can be tried with, and which one was.
    families: Options
    family: str = ""
    days: int = 30
    tried: Tried | None = None
    may_run: bool = False
    fault: str = ""
    saved: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffView:
    base: str
    title: str
    a: int
    b: int
    pieces: tuple[Piece, ...]
    versions: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    id: str
    name: str
    href: str
    version: int
    state: Tag
    step: str
    why: str
    started_at: datetime
    next_at: datetime | None
    may_stop: bool
    taken: tuple[Moment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsView:
    base: str
    title: str
    states: tuple[tuple[str, str, bool], ...]
    rows: tuple[RunRow, ...]
    state: str = ""
    next: str = ""
    saved: str = ""
