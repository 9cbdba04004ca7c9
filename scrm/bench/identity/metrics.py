"""How right an assignment is: pairs and B-cubed over events, over-merging, and who holds which role."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from scrm.bench.identity.values import Assignment, Slot, Truth

ROLES = ("registrant", "buyer", "payer", "user")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clusters:
    """One clustering of the events against another."""

    precision: float
    recall: float
    f1: float
    b3_precision: float
    b3_recall: float
    b3_f1: float
    #: Of clusters: those with events of several.
    impure: float
    #: Of the true ones: those with an event in an impure cluster.
    hit: float
    #: Most true ones in one cluster.
    biggest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    persons: Clusters
    households: Clusters
    #: Role -> share of true (household, role, person) that were found, pure and right.
    roles: Mapping[str, float]


def score(truth: Mapping[str, Truth], assigned: Assignment, slots: Iterable[Slot]) -> Score:
    """Over the events the truth knows; one that nobody assigned stands alone."""
    known = [(t, assigned.get(key, (f"?{key}", f"?{key}"))) for key, t in truth.items()]
    return Score(
        persons=clusters([(t.person, p) for t, (p, _) in known]),
        households=clusters([(t.household, h) for t, (_, h) in known]),
        roles=_roles(known, slots),
    )


def clusters(pairs: Sequence[tuple[Hashable, Hashable]]) -> Clusters:
    """Of each event: where it belongs, and where it was put."""
    cells = Counter(pairs)
    right, put = Counter(t for t, _ in pairs), Counter(p for _, p in pairs)
    both = sum(map(_choose, cells.values()))
    precision = _share(both, sum(map(_choose, put.values())))
    recall = _share(both, sum(map(_choose, right.values())))
    total = len(pairs) or 1
    b3_precision = sum(n * n / put[p] for (_, p), n in cells.items()) / total
    b3_recall = sum(n * n / right[t] for (t, _), n in cells.items()) / total
    inside: dict[Hashable, set[Hashable]] = defaultdict(set)
    for t, p in cells:
        inside[p].add(t)
    mixed = [members for members in inside.values() if len(members) > 1]
    return Clusters(
        precision=precision,
        recall=recall,
        f1=_harmonic(precision, recall),
        b3_precision=b3_precision,
        b3_recall=b3_recall,
        b3_f1=_harmonic(b3_precision, b3_recall),
        impure=len(mixed) / (len(inside) or 1),
        hit=len({t for members in mixed for t in members}) / (len(right) or 1),
        biggest=max(map(len, inside.values()), default=0),
    )


def _choose(n: int) -> int:
    return n * (n - 1) // 2


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b else 0.0


def _roles(known: Sequence[tuple[Truth, tuple[str, str]]], slots: Iterable[Slot]) -> dict[str, float]:
    """A true slot is found when the household most of its events were put into has a holder of that role
    whose events are all that person's.
    """
    owners: dict[str, set[str]] = defaultdict(set)
    homes: dict[str, Counter[str]] = defaultdict(Counter)
    wanted: set[Slot] = set()
    for t, (person, household) in known:
        owners[person].add(t.person)
        homes[t.household][household] += 1
        if t.role in ROLES:
            wanted.add((t.household, t.role, t.person))
    held: dict[tuple[str, str], set[str]] = defaultdict(set)
    for household, role, person in slots:
        held[household, role].add(person)
    asked: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for household, role, person in wanted:
        asked[role] += 1
        # The same count in two: the one that sorts first, so that equal assignments score equally.
        home = min(homes[household].items(), key=lambda item: (-item[1], item[0]))[0]
        found[role] += any(owners[p] == {person} for p in held[home, role])
    return {role: found[role] / asked[role] for role in ROLES if asked[role]}
