"""Our engine on a stream: where it puts every event, and who holds which role."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scrm.bench.identity.values import Assignment, Event, Slot
from scrm.identity.rules.memory import Engine
from scrm.identity.rules.placing import Place
from scrm.identity.rules.policy import Policy
from scrm.identity.rules.roles import Act, roles

#: Events taken in at once, as settling does.
BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What came out of a stream."""

    engine: Engine
    places: dict[str, Place]
    slots: tuple[Slot, ...]

    @property
    def assigned(self) -> Assignment:
        return {key: (p.person, p.household) for key, p in self.places.items()}


def decide(policy: Policy, events: Sequence[Event], *, batch: int = BATCH) -> Decided:
    """All of it, with the roles."""
    engine = fed(policy, events, batch=batch)
    places = engine.assign()
    return Decided(engine=engine, places=places, slots=tuple(held(events, places)))


def fed(policy: Policy, events: Sequence[Event], *, batch: int = BATCH) -> Engine:
    engine = Engine(policy)
    for start in range(0, len(events), batch):
        engine.see(events[start : start + batch])
    return engine


def held(events: Sequence[Event], places: dict[str, Place]) -> Iterable[Slot]:
    """Roles household by household; those who hold one least surely come first."""
    acts: dict[str, list[Act]] = defaultdict(list)
    for e in events:
        place = places[e.id]
        act = Act(person=place.person, type=e.type, at=e.at, key=e.id, slot=e.slot, named=place.named)
        acts[place.household].append(act)
    for household in sorted(acts):
        for role, persons in roles(acts[household]).items():
            yield from ((household, role, person) for person in persons)


def partition(assigned: Assignment) -> dict[str, tuple[str, str]]:
    """The same without names: each cluster is called after the first of its events."""
    persons: dict[str, str] = {}
    homes: dict[str, str] = {}
    for key in sorted(assigned):
        person, home = assigned[key]
        persons.setdefault(person, key)
        homes.setdefault(home, key)
    return {key: (persons[p], homes[h]) for key, (p, h) in assigned.items()}
