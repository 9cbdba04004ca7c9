"""Records of a stream of events that somebody has put to persons: benches and files, no database. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scrm.identity.match.records import Record, digits, mask_of, masks, of_names
from scrm.identity.rules.policy import Policy
from scrm.identity.rules.reading import Ident, Reader, Seen

#: Of one field of one person, at most.
_MANY = 24


@dataclass(slots=True)
class _Gathered:
    """What the events of one person showed."""

    idents: Counter[Ident] = field(default_factory=Counter)
    weak: Counter[Ident] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)
    reps: Counter[str] = field(default_factory=Counter)
    masks: Counter[str] = field(default_factory=Counter)
    households: Counter[str] = field(default_factory=Counter)
    events: int = 0


def records_of(
    policy: Policy, events: Sequence[Seen], places: Mapping[str, tuple[str, str]]
) -> tuple[list[Record], list[str]]:
    """One record per person of `places` (event id -> person, household), and their names by record id - 1."""
    persons: dict[str, _Gathered] = defaultdict(_Gathered)
    reader = Reader(policy)
    for seen in events:
        if place := places.get(seen.id):
            _gather(reader, seen, persons[place[0]], place[1])
    names = sorted(persons)
    return [_record(policy, i, persons[name]) for i, name in enumerate(names, 1)], names


def _gather(reader: Reader, seen: Seen, person: _Gathered, household: str) -> None:
    reading = reader.read(seen)
    person.events += 1
    person.idents.update(reading.actors)
    person.weak.update(reading.weak)
    person.households[household] += 1
    if reading.name and reading.actors:
        person.names[reading.name] += 1
    if seen.rep:
        person.reps[seen.rep] += 1
    person.masks.update(m for i in seen.ids if i.kind == "phone" and (m := mask_of(i.value)))


def _record(policy: Policy, ident: int, found: _Gathered) -> Record:
    said = of_names(name for name, _ in found.names.most_common())
    own = sorted(found.idents, key=lambda i: (i.kind, i.scope, i.value))
    phones = [digits(i.value) for i in own if i.kind == "phone"]
    hidden = {*found.masks, *(m for p in phones for m in masks(p))}
    return Record(
        person_id=ident,
        node_id=ident,
        names=tuple(said.full),
        surname=said.surname,
        gender=said.gender,
        nicknames=tuple(said.nicknames),
        children=tuple(said.children),
        phones=tuple(phones[:_MANY]),
        masks=tuple(sorted(hidden)[:_MANY]),
        devices=_values(found.weak, "device"),
        addresses=_values(found.weak, "address"),
        reps=tuple(sorted(found.reps)[:_MANY]),
        household=min(found.households, key=lambda h: (-found.households[h], h), default=""),
        exclusive=tuple((i.kind, i.scope, i.value) for i in own if policy.kind(i.kind).exclusive),
        size=len(own),
        learner=any(i.kind == "learner" for i in own),
        value=found.events,
    )


def _values(found: Counter[Ident], kind: str) -> tuple[str, ...]:
    return tuple(sorted(i.value for i in found if i.kind == kind)[:_MANY])
