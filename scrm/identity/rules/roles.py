"""Who of a household is what: who registered, who pays, for whom it is, who decides. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Role = Literal["registrant", "buyer", "payer", "user"]
#: How much it shows that somebody decides: those who pay do, those who ask and talk often do.
_DECIDES: Mapping[str, float] = {
    "order": 3.0,
    "contract": 2.5,
    "cosign": 1.0,
    "chat": 1.0,
    "call": 0.8,
    "statement": 0.4,
    "card_forward": 0.3,
    "wecom_add": 0.5,
    "register": 0.6,
    "broker_report": 0.2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something a member of the household did."""

    person: str
    type: str
    at: datetime
    #: Orders what happened at the same time.
    key: str
    slot: str = "unknown"
    #: By an identifier of their own; else they are only thought to have done it.
    named: bool = True


def roles(acts: Iterable[Act]) -> dict[Role, list[str]]:
    """The holders of each role, the one with the least evidence first, the surest last."""
    acts = list(acts)
    found: dict[Role, list[str]] = {
        "registrant": _registrant(acts),
        "payer": _ranked(a for a in acts if a.type == "order"),
        "user": _learners(acts),
        "buyer": _decider(acts),
    }
    return {role: persons for role, persons in found.items() if persons}


def _registrant(acts: Sequence[Act]) -> list[str]:
    """Whoever registered first."""
    mine = [a for a in acts if a.type == "register"]
    return [min(mine, key=lambda a: (a.at, a.key)).person] if mine else []


def _learners(acts: Sequence[Act]) -> list[str]:
    """Those the classes are for; a parent who watches one is no learner while somebody else is."""
    classes = [a for a in acts if a.type == "class"]
    return _ranked([a for a in classes if a.slot == "learner"] or classes)


def _ranked(acts: Iterable[Act]) -> list[str]:
    """By how often they did it; of equals the later beginner is the less sure one."""
    acts = list(acts)
    named = [a for a in acts if a.named] or acts
    count: dict[str, int] = defaultdict(int)
    first: dict[str, tuple[datetime, str]] = {}
    for act in named:
        count[act.person] += 1
        first[act.person] = min(first.get(act.person, (act.at, act.key)), (act.at, act.key))
    late = sorted(count, key=lambda p: first[p], reverse=True)
    return sorted(late, key=lambda p: count[p])


def _decider(acts: Sequence[Act]) -> list[str]:
    """Who talks, asks and pays most; a child decides nothing."""
    children = {a.person for a in acts if a.slot == "learner"}
    score: dict[str, float] = defaultdict(float)
    first: dict[str, tuple[datetime, str]] = {}
    for act in acts:
        weight = _DECIDES.get(act.type, 0.0)
        if weight and act.named and act.person not in children:
            score[act.person] += weight
            first[act.person] = min(first.get(act.person, (act.at, act.key)), (act.at, act.key))
    best = min(score, key=lambda p: (-score[p], first[p]), default=None)
    return [] if best is None else [best]
