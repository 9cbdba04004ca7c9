"""Households: persons whom evidence of one family ties, never more than a family has. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from scrm.identity.rules.policy import Policy
from scrm.identity.rules.values import Origin, Standing, Verdict

#: A tie said so often joins also what was a family before.
REPEATED = 2
#: Said with as much strength it is no slip, though said once: both were there and signed.
SIGNED = 84
#: What a family buys by.
ACCOUNT = "app_user"
_HUMAN = frozenset({"rep", "admin"})
#: So many identifiers' owners together are a family already: what was said only once is no reason to make
#: one of two such families.
_FAMILY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """Evidence that two persons are of one family, or are not. `a` and `b` are persons."""

    evidence_id: int
    a: int
    b: int
    cls: Literal["same_household", "not_same_household"] = "same_household"
    rule: str = ""
    strength: int = 50
    first_at: datetime
    last_at: datetime
    key: str = ""
    origin: Origin = "auto"
    #: How often it was said.
    n: int = 1

    @property
    def human(self) -> bool:
        return self.origin in _HUMAN


@dataclass(frozen=True, slots=True, kw_only=True)
class Homes:
    """Household of every person asked about, and what became of each tie."""

    of: Mapping[int, int]
    verdicts: Mapping[int, Verdict]


def households(
    policy: Policy, persons: Mapping[int, Any], ties: Sequence[Tie], holders: Set[int] = frozenset()
) -> Homes:
    """`persons` maps each to their order; a household is called after the first of its persons.

    `holders` are those with an account: a family buys by one.
    """
    enemies, friends, verdicts = _sorted_out(ties)
    union = _Union(policy, persons, enemies, verdicts, holders)
    doubted = [t for t in sorted(friends, key=lambda t: _rank(policy, persons, t)) if not union.take(t)]
    union.weigh(doubted)
    of: dict[int, int] = {}
    for members in union.inside.values():
        first = min(members, key=lambda p: (persons[p], p))
        of |= dict.fromkeys(members, first)
    return Homes(of=of, verdicts=verdicts)


class _Union:
    """Families that grow; what was said once does not make one of two."""

    def __init__(
        self,
        policy: Policy,
        persons: Iterable[int],
        enemies: Mapping[int, Mapping[int, int]],
        verdicts: dict[int, Verdict],
        holders: Set[int],
    ) -> None:
        self.policy, self.enemies, self.verdicts = policy, enemies, verdicts
        self.root = {p: p for p in persons}
        #: Families with an account, by their root.
        self.holding = set(self.root.keys() & holders)
        self.inside: dict[int, list[int]] = {p: [p] for p in self.root}

    def take(self, tie: Tie) -> bool:
        """Join what it ties as far as that may be. False = it may be a slip: look again at the end."""
        a, b = _find(self.root, tie.a), _find(self.root, tie.b)
        once = not tie.human and tie.n < REPEATED and tie.strength < SIGNED
        if a != b and once and self._are_two(a, b):
            return False
        self._join(tie, a, b)
        return True

    def _are_two(self, a: int, b: int) -> bool:
        """Whether both are families by themselves: by their size, or by an account of their own."""
        least = min(len(self.inside[a]), len(self.inside[b]))
        return least >= _FAMILY or (least > 1 and a in self.holding and b in self.holding)

    def weigh(self, doubted: Iterable[Tie]) -> None:
        """Two families are one if at least two things say so."""
        between: dict[tuple[int, int], list[Tie]] = defaultdict(list)
        for tie in doubted:
            a, b = sorted((_find(self.root, tie.a), _find(self.root, tie.b)))
            between[a, b].append(tie)
        for said in between.values():
            for tie in said:
                a, b = _find(self.root, tie.a), _find(self.root, tie.b)
                if a != b and len({t.key for t in said}) < 2:
                    self.verdicts[tie.evidence_id] = Verdict(standing="held", why="family")
                else:
                    self._join(tie, a, b)

    def _join(self, tie: Tie, a: int, b: int) -> None:
        standing, why, by = _judged(self.policy, self.inside, self.enemies, a, b)
        self.verdicts[tie.evidence_id] = Verdict(standing=standing, why=why, by=by)
        if standing == "accepted":
            few, many = sorted((a, b), key=lambda r: (len(self.inside[r]), r))
            self.root[few] = many
            self.inside[many] += self.inside.pop(few)
            if few in self.holding:
                self.holding.add(many)


def _rank(policy: Policy, persons: Mapping[int, Any], tie: Tie) -> tuple[Any, ...]:
    a, b = sorted((persons[tie.a], persons[tie.b]))
    once = tie.n < REPEATED
    return (
        not tie.human,
        once,
        -policy.strength(tie.rule, tie.strength),
        tie.first_at,
        tie.key,
        a,
        b,
        tie.rule,
    )


def _judged(
    policy: Policy,
    inside: Mapping[int, list[int]],
    enemies: Mapping[int, Mapping[int, int]],
    a: int,
    b: int,
) -> tuple[Standing, str, tuple[int, ...]]:
    if a == b:
        return "implied", "", ()
    theirs = set(inside[b])
    for person in inside[a]:
        for enemy, evidence_id in enemies.get(person, {}).items():
            if enemy in theirs:
                return "overruled", "not_same", (evidence_id,)
    if len(inside[a]) + len(inside[b]) > policy.household_cap:
        return "capped", "cap", ()
    return "accepted", "", ()


def _sorted_out(
    ties: Sequence[Tie],
) -> tuple[dict[int, dict[int, int]], list[Tie], dict[int, Verdict]]:
    """Who must not meet, what may tie, and what a later human word has taken back."""
    last: dict[tuple[int, int], Tie] = {}
    for t in ties:
        if t.human:
            pair = (min(t.a, t.b), max(t.a, t.b))
            before = last.get(pair)
            if before is None or _said(t) > _said(before):
                last[pair] = t
    enemies: dict[int, dict[int, int]] = defaultdict(dict)
    friends, verdicts = [], {}
    for t in ties:
        final = last.get((min(t.a, t.b), max(t.a, t.b)))
        if final is not None and final.cls != t.cls:
            verdicts[t.evidence_id] = Verdict(standing="overruled", why="human", by=(final.evidence_id,))
        elif t.cls == "not_same_household":
            enemies[t.a][t.b] = enemies[t.b][t.a] = t.evidence_id
            verdicts[t.evidence_id] = Verdict(standing="accepted")
        elif t.a == t.b:
            verdicts[t.evidence_id] = Verdict(standing="implied")
        else:
            friends.append(t)
    return enemies, friends, verdicts


def _said(tie: Tie) -> tuple[datetime, bool, str]:
    """At the very same time the cautious word stands."""
    return (tie.last_at, tie.cls == "not_same_household", tie.rule)


def _find(root: dict[int, int], p: int) -> int:
    while root[p] != p:
        root[p] = root[root[p]]
        p = root[p]
    return p
