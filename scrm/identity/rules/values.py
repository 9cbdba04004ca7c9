"""What identity decides about and what it decides: identifiers, evidence between them, persons over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

#: `uses`: a weak identifier (a device) was seen together with this one; says nothing about who it is.
Class = Literal["same_person", "same_household", "not_same_person", "not_same_household", "uses"]
#: What became of a piece of evidence. `implied`: both are one person by stronger evidence already.
#: `held`: it would break a rule, `by` says which. `overruled`: a human said otherwise. `capped`: too large.
Standing = Literal["accepted", "implied", "held", "overruled", "generic", "capped"]
Origin = Literal["auto", "rep", "admin", "model"]
HUMAN = frozenset({"rep", "admin"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A name an identifier was shown with, normalised (`names.normal`), from when to when."""

    name: str
    first_at: datetime
    last_at: datetime


@dataclass(slots=True, kw_only=True)
class Vertex:
    """One identifier, with what decides. The engine in memory keeps them and writes in them."""

    node_id: int
    kind: str
    scope: str
    #: The person it founds when it comes first.
    birth_id: int
    first_at: datetime
    #: Key of the first event that showed it: orders what happened at the same time.
    first_key: str
    last_at: datetime
    #: Times nobody used it, each longer than the kind's epoch gap, oldest first.
    gaps: tuple[tuple[datetime, datetime], ...] = ()
    names: tuple[Said, ...] = ()
    #: Pieces of evidence about persons that touch it (of a device: uses), also those that were not loaded.
    degree: int = 0
    #: Pieces of evidence about families that touch it, and of devices it was seen with.
    kin: int = 0

    @property
    def order(self) -> tuple[datetime, str, int]:
        """Canonical-first: by when it happened, then by source key. Independent of arrival order."""
        return (self.first_at, self.first_key, self.birth_id)


@dataclass(slots=True, kw_only=True)
class Edge:
    """One row of evidence: `a < b`."""

    evidence_id: int
    a: int
    b: int
    cls: Class
    rule: str
    strength: int
    first_at: datetime
    last_at: datetime
    #: Key of the event that said so first.
    key: str = ""
    n: int = 1
    origin: Origin = "auto"

    @property
    def human(self) -> bool:
        return self.origin in HUMAN


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The identifier belonged to the person from `from_at` until `until_at` (None = from ever, still)."""

    person_id: int
    from_at: datetime | None = None
    until_at: datetime | None = None

    def covers(self, at: datetime) -> bool:
        return (self.from_at is None or self.from_at <= at) and (self.until_at is None or at < self.until_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one piece of evidence, and why."""

    standing: Standing
    #: With `held` and `overruled`: the kind that conflicts, or `not_same` | `cap`.
    why: str = ""
    #: The evidence or the two nodes that stand against it.
    by: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """Of the identifiers asked about: whose they are and when, and what became of the evidence."""

    spans: Mapping[int, tuple[Span, ...]]
    verdicts: Mapping[int, Verdict]
    generic: frozenset[int] = field(default=frozenset())
    #: Identifiers that changed hands (recycled telephones).
    recycled: frozenset[int] = field(default=frozenset())
