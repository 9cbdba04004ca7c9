"""Which scored pairs are proposed: no contradiction, no chains, any cluster could be one person. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import log2

from scrm.identity.match.records import Record
from scrm.identity.match.scoring import Scored
from scrm.identity.rules import names as naming
from scrm.identity.rules.policy import Policy

#: Persons whom proposals may connect, whatever the weights say.
CLUSTER = 20
#: Whoever goes by more full names than this is several people already.
NAMES = 1
Pair = tuple[int, int]


@dataclass(slots=True)
class _Cluster:
    """Persons that proposals made so far connect, as if all of them were accepted."""

    members: list[int]
    exclusive: Counter[tuple[str, str]] = field(default_factory=Counter)
    values: set[tuple[str, str, str]] = field(default_factory=set)
    size: int = 0


def choose(
    scored: Iterable[Scored],
    records: Mapping[int, Record],
    policy: Policy,
    *,
    apart: Collection[Pair] = frozenset(),
    least_bits: float,
    cap: int = CLUSTER,
) -> list[Scored]:
    """Greedy by weight. `apart`: pairs of persons that somebody or something keeps apart, smaller id first.

    A pair joins two clusters only if no member of one contradicts a member of the other, and at least half
    of the pairs across were found likely by themselves: one doubtful link never makes a chain.
    """
    likely = sorted((s for s in scored if s.bits >= least_bits), key=lambda s: (-s.bits, s.a, s.b))
    near = {(s.a, s.b) for s in likely}
    at: dict[int, _Cluster] = {}
    chosen = []
    for one in likely:
        left = at.setdefault(one.a, _alone(records[one.a]))
        right = at.setdefault(one.b, _alone(records[one.b]))
        if left is right:
            chosen.append(one)
        elif _may_join(left, right, records, policy, apart, near, cap):
            chosen.append(one)
            _join(left, right)
            at |= dict.fromkeys(right.members, left)
    return chosen


def _alone(record: Record) -> _Cluster:
    values = set(record.exclusive)
    counted = Counter((kind, scope) for kind, scope, _ in values)
    return _Cluster(members=[record.person_id], exclusive=counted, values=values, size=record.size)


def _join(left: _Cluster, right: _Cluster) -> None:
    left.members.extend(right.members)
    left.values |= right.values
    left.exclusive = Counter((kind, scope) for kind, scope, _ in left.values)
    left.size += right.size


def _may_join(
    left: _Cluster,
    right: _Cluster,
    records: Mapping[int, Record],
    policy: Policy,
    apart: Collection[Pair],
    near: Collection[Pair],
    cap: int,
) -> bool:
    if len(left.members) + len(right.members) > cap or left.size + right.size > policy.person_cap:
        return False
    counted = Counter((kind, scope) for kind, scope, _ in left.values | right.values)
    if any(n > policy.kind(kind).exclusive > 0 for (kind, _), n in counted.items()):
        return False
    across = [(min(a, b), max(a, b)) for a in left.members for b in right.members]
    if any(pair in apart or contradict(records[pair[0]], records[pair[1]]) for pair in across):
        return False
    return 2 * sum(pair in near for pair in across) >= len(across)


def contradict(a: Record, b: Record) -> bool:
    """Whether these cannot be one person, or were told apart for a reason we know of."""
    if a.learner != b.learner:
        return True
    if set(a.phones) & set(b.phones):
        return True  # one number and yet two persons: it changed hands, or it is everybody's
    if max(naming.distinct(a.names), naming.distinct(b.names)) > NAMES:
        return True
    return naming.all_differ(a.names[:1], b.names[:1])


def homes(
    scored: Iterable[Scored],
    records: Mapping[int, Record],
    policy: Policy,
    *,
    apart: Collection[Pair] = frozenset(),
    least_bits: float,
) -> list[Scored]:
    """The same for families: households as they are count as one, and stay within the cap of a household."""
    likely = sorted((s for s in scored if s.bits >= least_bits), key=lambda s: (-s.bits, s.a, s.b))
    sizes = Counter(r.household for r in records.values() if r.household)
    home = {p: r.household or f"?{p}" for p, r in records.items()}
    joined = {h: h for h in set(home.values())}
    kept: dict[str, list[int]] = {}
    chosen = []
    for one in likely:
        a, b = _root(joined, home[one.a]), _root(joined, home[one.b])
        total = max(1, sizes[a]) + max(1, sizes[b])
        if a == b or total > policy.household_cap or _kept_apart(kept, a, b, one, apart):
            continue
        chosen.append(one)
        joined[b] = a
        sizes[a] = total
        kept[a] = [*kept.get(a, [one.a]), *kept.get(b, [one.b])]
    return chosen


def _kept_apart(kept: Mapping[str, list[int]], a: str, b: str, one: Scored, apart: Collection[Pair]) -> bool:
    left, right = {*kept.get(a, ()), one.a}, {*kept.get(b, ()), one.b}
    return any((min(x, y), max(x, y)) in apart for x in left for y in right)


def _root(joined: dict[str, str], name: str) -> str:
    while joined[name] != name:
        joined[name] = name = joined[joined[name]]
    return name


def rank(value: int, probability: float) -> int:
    """Value x uncertainty: what a human's answer is worth. A coin toss about a good customer comes first."""
    p = min(max(probability, 1e-6), 1 - 1e-6)
    doubt = -(p * log2(p) + (1 - p) * log2(1 - p))
    return round(1000 * (0.05 + doubt) * (1 + log2(1 + max(0, value))))
