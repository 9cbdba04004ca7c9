"""What the batch companion would ask about a stream: how often it is right, how much recall it gives back."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from scrm.bench.identity.metrics import clusters
from scrm.bench.identity.values import Stream
from scrm.identity.match.proposing import Proposed, find
from scrm.identity.rules.placing import Place
from scrm.identity.rules.policy import Policy
from tests.identity.match.stream import records_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """`recovered`: of the pairs of events that are one person and were not found, those a yes would join."""

    persons: int
    asked: int
    precision: float
    recovered: float
    #: Persons that proposals connect, at most.
    largest: int
    families: int
    family_precision: float


def proposals_on(policy: Policy, stream: Stream, places: Mapping[str, Place]) -> Figures:
    """Ask about what an engine left apart, and let the truth answer. Raises `BadConfig` without the extra."""
    named = {key: (p.person, p.household) for key, p in places.items() if p.named}
    records, names = records_of(policy, stream.events, named)
    found = find(records, policy, apart={})
    truth = _mostly(stream, named)
    one = [p for p in found.proposed if p.cls == "same_person"]
    family = [p for p in found.proposed if p.cls == "same_household"]

    def right(p: Proposed, of: int) -> bool:
        return truth[names[p.a.person_id - 1]][of] == truth[names[p.b.person_id - 1]][of]

    yes = [(names[p.a.person_id - 1], names[p.b.person_id - 1]) for p in one if right(p, 0)]
    joined = _joined(yes)
    before = clusters([(stream.truth[k].person, p.person) for k, p in places.items()]).recall
    after = clusters(
        [(stream.truth[k].person, joined.get(p.person, p.person)) for k, p in places.items()]
    ).recall
    every = _joined([(str(p.a.person_id), str(p.b.person_id)) for p in one])
    return Figures(
        persons=len(records),
        asked=len(one),
        precision=len(yes) / len(one) if one else 1.0,
        recovered=(after - before) / (1 - before) if before < 1 else 0.0,
        largest=max(Counter(every.values()).values(), default=1),
        families=len(family),
        family_precision=sum(right(p, 1) for p in family) / len(family) if family else 1.0,
    )


def _mostly(stream: Stream, named: Mapping[str, tuple[str, str]]) -> Mapping[str, tuple[str, str]]:
    """Who most events of each found person really are."""
    met: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for key, (person, _) in named.items():
        truth = stream.truth[key]
        met[person][truth.person, truth.household] += 1
    return {person: min(c, key=lambda t: (-c[t], t)) for person, c in met.items()}


def _joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """The first of each group, by member."""
    groups: dict[str, set[str]] = {}
    for a, b in pairs:
        group = groups.get(a, {a}) | groups.get(b, {b})
        groups |= dict.fromkeys(group, group)
    return {name: min(group) for name, group in groups.items()}
