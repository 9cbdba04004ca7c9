"""What pages about who is who are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from scrm.web.admin.views import JobRow
from scrm.web.views import Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRow:
    """One kind of identifier as the policy has it."""

    name: str
    title: str
    strength: int
    #: merges | counted | place
    use: Literal["merges", "counted", "place"]
    exclusive: int
    max_persons: int
    max_names: int
    epoch_gap_days: int
    blocked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    version: int
    at: datetime | None
    who: str
    note: str
    now: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One thing that would change, in a sentence."""

    what: str
    tone: Tone
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What a policy would do, as far as it was worked out."""

    job: JobRow
    counts: tuple[tuple[str, int], ...] = ()
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyView:
    version: int
    kinds: tuple[KindRow, ...]
    limits: tuple[tuple[str, int], ...]
    versions: tuple[VersionRow, ...]
    body: str
    note: str = ""
    #: What would be different in the table, in sentences; None = nothing was asked.
    changes: tuple[str, ...] | None = None
    run: DryRun | None = None
    #: The re-solving that follows an adoption.
    jobs: tuple[JobRow, ...] = ()
    fault: str = ""
    saved: bool = False
    #: Somebody works on the text.
    editing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedRow:
    value: str
    persons: int
    generic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KindFigures:
    title: str
    values: int
    persons: int
    per_person: str
    most: int
    shared: int
    generic: int
    blocked: int
    top: tuple[SharedRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    size: str
    n: int
    #: Per mille of the longest.
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsView:
    at: datetime | None
    persons: int = 0
    biggest: int = 0
    kinds: tuple[KindFigures, ...] = ()
    sizes: tuple[Bar, ...] = ()
    homes: tuple[Bar, ...] = ()
    standings: tuple[tuple[str, int], ...] = ()
    alarms: tuple[str, ...] = ()
    job: JobRow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverted:
    job: JobRow
    what: str
    why: str
    #: May be undone: taken back, and not yet given back.
    undo: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertView:
    said: Mapping[str, str]
    #: So many pieces of evidence fit; None = nothing was asked. More than can be counted at once: `many`.
    count: int | None = None
    many: bool = False
    by_rule: tuple[tuple[str, int], ...] = ()
    done: tuple[Reverted, ...] = ()
    rules: tuple[tuple[str, str], ...] = ()
    fault: str = ""
    before: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonRow:
    text: str
    #: strong | medium | weak | against
    strength: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One of the two somebody asks about."""

    name: str
    fields: tuple[tuple[str, str], ...] = ()
    #: Identifiers: kind and masked value.
    nodes: tuple[tuple[str, str], ...] = ()
    owners: tuple[str, ...] = ()
    family: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    id: str
    title: str
    percent: int
    cls: str
    current: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    id: str
    #: same_person | same_household
    cls: str
    percent: int
    source: str
    a: Party
    b: Party
    reasons: tuple[ReasonRow, ...]
    against: tuple[str, ...]
    #: What follows from a yes.
    effects: tuple[str, ...]
    #: A yes would change nothing, and why.
    stopped: str = ""
    state: str = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    rows: tuple[QueueRow, ...]
    waiting: int = 0
    question: Question | None = None
    #: What was decided just now, and can be undone.
    undo: str = ""
    undone: str = ""
    before: str = ""
    fault: str = ""
