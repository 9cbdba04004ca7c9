"""What the screens of a household show: the exact values handed to their templates."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Beside the cells of the members: what waits for a word, and where to go on."""

    home: str
    #: How many candidates wait, and the sheet of the first.
    waiting: int = 0

    @property
    def match(self) -> str:
        return f"{self.home}/match"

    @property
    def roles(self) -> str:
        return f"{self.home}/roles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """What was done just now, and the form that undoes it; without `action` it cannot be undone here."""

    text: str
    action: str = ""
    what: str = ""
    ident: str = ""


# -- the merge sheet ---------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    text: str
    #: strong | medium | weak | against
    strength: str
    #: The strength in a word.
    word: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchView:
    """One question: are these one family, or one person?"""

    home: str
    back: str
    #: "" = nothing waits any more.
    id: str = ""
    title: str = ""
    #: What exactly is asked, in a sentence: family and person are different questions.
    question: str = ""
    #: What "no" is called.
    refuse: str = ""
    name: str = ""
    #: Who looks after them, since when we know them.
    subline: str = ""
    percent: int = 0
    ours: str = ""
    arguments: tuple[Argument, ...] = ()
    consequences: tuple[str, ...] = ()
    #: The reader may decide; else ask for it.
    may: bool = False
    #: Why it would come to nothing.
    stopped: str = ""
    #: Somebody asked for it already.
    asked: str = ""
    #: How many more wait, and the next.
    more: int = 0
    following: str = ""


# -- parts -------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class PartView:
    role: str
    title: str
    since: datetime
    reason: str
    percent: int = 100
    #: A human's word that can be taken back.
    undo: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TalkLink:
    href: str
    name: str
    icon: str
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    text: str
    source: str
    href: str = ""
    #: Of a colleague's correction: who and why, and what takes it back.
    note: str = ""
    undo: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldView:
    name: str
    title: str
    shown: Value
    others: tuple[Value, ...] = ()
    conflicting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberView:
    id: str
    name: str
    #: Relation in a word (妈妈), or "".
    word: str = ""
    first_at: datetime | None = None
    parts: tuple[PartView, ...] = ()
    talks: tuple[TalkLink, ...] = ()
    fields: tuple[FieldView, ...] = ()
    #: The reader may correct what is known of them.
    may: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectView:
    """One field of one member, what is said of it, and the form that says better."""

    home: str
    back: str
    member: str
    name: str
    field: str
    #: (value, title) of every field.
    fields: tuple[tuple[str, str], ...]
    known: FieldView | None = None
    #: What was written before something was wrong with it, and what.
    value: str = ""
    why: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolesView:
    home: str
    back: str
    members: tuple[MemberView, ...]
    #: (value, title) of every part there is.
    roles: tuple[tuple[str, str], ...]


# -- the page ----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A person in the picture."""

    x: int
    y: int
    name: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    x1: int
    y1: int
    x2: int
    y2: int
    label: str
    #: Nobody said what they are to each other.
    loose: bool = False
    #: Middle of the label.
    x: int = 0
    y: int = 0
    width: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    width: int
    height: int
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    #: The same in sentences.
    told: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanView:
    who: str
    since: str
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    kind: str
    value: str
    state: str
    tone: str
    spans: tuple[SpanView, ...]
    seen: str
    #: Of a number that changed hands, in a sentence.
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofView:
    id: str
    text: str
    source: str
    strength: str
    standing: str
    tone: str
    #: Why it does not hold, in a sentence.
    why: str = ""
    href: str = ""
    #: withdraw | reinstate | "": what the reader may do with it.
    act: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryView:
    at: datetime
    text: str
    who: str
    evidence: str = ""
    act: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimView:
    who: str
    kind: str
    at: datetime
    line: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BookView:
    at: datetime
    account: str
    sort: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DealView:
    number: str
    line: str
    at: datetime
    amount: int
    winners: str
    state: str
    tone: str
    reasons: tuple[str, ...]
    rejected: tuple[str, ...]
    entries: tuple[BookView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwningView:
    #: (business line, whose it is today).
    owners: tuple[tuple[str, str], ...] = ()
    #: Lines that are nobody's.
    free: tuple[str, ...] = ()
    claims: tuple[ClaimView, ...] = ()
    deals: tuple[DealView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseholdView:
    home: str
    title: str
    subline: str
    members: tuple[MemberView, ...]
    picture: Picture
    nodes: tuple[NodeView, ...]
    proofs: tuple[ProofView, ...]
    #: More evidence than is shown.
    unshown: int
    history: tuple[EntryView, ...]
    stories: tuple[tuple[str, tuple[str, ...]], ...]
    owning: OwningView = field(default_factory=OwningView)
    waiting: int = 0
    #: Most restrictive word on marketing, in a sentence.
    consent: str = ""
    talk: str = ""
    topics: tuple[str, ...] = ()
