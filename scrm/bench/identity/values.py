"""What the benchmark of identity exchanges: a stream of events, the truth about them, what was decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scrm.identity.rules.reading import Ident, Relation
from scrm.identity.rules.reading import Seen as Event

__all__ = ["Assignment", "Event", "Ident", "Relation", "Slot", "Stream", "Truth"]

#: Event id -> (person, household), as somebody decided.
Assignment = Mapping[str, tuple[str, str]]
#: (household, role, person), least evidence first within a role.
Slot = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Whose event it really was. `role` is what the person was in it; None = nothing."""

    id: str
    person: str
    household: str
    role: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Events in order of time, and the truth of each by its id."""

    events: tuple[Event, ...]
    truth: Mapping[str, Truth]
    #: Why an event is hard, by event id: `recycled`, `store_tablet`, `wrong_relation` ...
    dirt: Mapping[str, str] = field(default_factory=dict)
