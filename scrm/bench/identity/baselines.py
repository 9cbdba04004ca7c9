"""What simpler methods make of the same stream: connected components, a block list, limits like Segment."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from scrm.bench.identity.values import Assignment, Event, Ident

_BLOCKED = re.compile(
    r"1380013800\d|1(\d)\1{9}|(\d)\2{10}|1[3-9]0{9}|[0:-]+|null|none|undefined|unknown|400\d{7}|800\d{7}|0\d{9,11}"
    r"|9774d56d682e549c|02:00:00:00:00:00|00000000-0000-0000-0000-000000000000"
)
#: As documented: most important first; a profile has one of the first kinds, five of the others.
_PRIORITY = (
    "unionid",
    "external_userid",
    "id_card",
    "learner",
    "app_user",
    "openid",
    "phone",
    "email",
    "device",
    "address",
)
_ONE = frozenset({"unionid", "external_userid", "id_card", "learner", "app_user"})
_OTHERS = 5


def says_nothing(ident: Ident) -> bool:
    return ident.kind == "broker" or _BLOCKED.fullmatch(ident.value) is not None


class Sets:
    """Union-find: the plain one everything else is measured against."""

    def __init__(self) -> None:
        self._up: dict[Ident, Ident] = {}

    def root(self, one: Ident) -> Ident:
        up = self._up
        top = up.setdefault(one, one)
        while top != up[top]:
            up[top] = top = up[up[top]]
        return top

    def join(self, a: Ident, b: Ident) -> None:
        a, b = self.root(a), self.root(b)
        if a != b:
            self._up[a] = b


def joined(events: Sequence[Event]) -> Sets:
    """Everything that was ever shown together is one: the bound of speed."""
    sets = Sets()
    for event in events:
        if event.ids:
            first = event.ids[0]
            sets.root(first)
            for other in event.ids[1:]:
                sets.join(first, other)
    return sets


def components(events: Sequence[Event], *, blocked: bool, relations: bool) -> Assignment:
    """Connected components over identifiers: persons and households are the same to them."""
    sets = Sets()
    anchors: dict[str, Ident] = {}
    for event in events:
        shown = [*event.ids, *(r.ident for r in event.relations if relations)]
        kept = [i for i in shown if not (blocked and says_nothing(i))] or [Ident("event", "", event.id)]
        anchors[event.id] = kept[0]
        for other in kept[1:]:
            sets.join(kept[0], other)
        sets.root(kept[0])
    names = {key: str(sets.root(anchor)) for key, anchor in anchors.items()}
    return {key: (name, name) for key, name in names.items()}


@dataclass(slots=True, eq=False)
class _Profile:
    ids: set[Ident] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    events: list[str] = field(default_factory=list)

    def take(self, ident: Ident) -> None:
        if ident not in self.ids:
            self.ids.add(ident)
            self.counts[ident.kind] += 1


def limited(events: Sequence[Event]) -> Assignment:
    """Profiles with limits: an event whose identifiers would break one drops the least important of them."""
    owner: dict[Ident, _Profile] = {}
    for event in events:
        kept = sorted((i for i in event.ids if not says_nothing(i)), key=_rank)
        while kept:
            found = {id(p): p for i in kept if (p := owner.get(i))}
            if _fits(found.values(), kept):
                break
            kept.pop()
        else:
            found = {}
        home = max(found.values(), key=lambda p: len(p.ids), default=None) or _Profile()
        for other in found.values():
            if other is not home:
                _absorb(home, other, owner)
        for ident in kept:
            home.take(ident)
            owner[ident] = home
        home.events.append(event.id)
        if not kept:
            owner[Ident("event", "", event.id)] = home
    profiles = {id(p): p for p in owner.values()}
    return {key: (f"s{n}", f"s{n}") for n, p in enumerate(profiles.values()) for key in p.events}


def _rank(ident: Ident) -> int:
    return _PRIORITY.index(ident.kind) if ident.kind in _PRIORITY else len(_PRIORITY)


def _fits(profiles: object, kept: Sequence[Ident]) -> bool:
    together: dict[str, set[Ident]] = defaultdict(set)
    for ident in (*(i for p in profiles for i in p.ids), *kept):  # type: ignore[attr-defined]
        together[ident.kind].add(ident)
    return all(len(ids) <= (1 if kind in _ONE else _OTHERS) for kind, ids in together.items())


def _absorb(home: _Profile, other: _Profile, owner: dict[Ident, _Profile]) -> None:
    for ident in other.ids:
        home.take(ident)
        owner[ident] = home
    home.events += other.events


BASELINES: Mapping[str, Callable[[Sequence[Event]], Assignment]] = {
    "A connected components": lambda events: components(events, blocked=False, relations=False),
    "A2 A + relations": lambda events: components(events, blocked=False, relations=True),
    "B A + block list": lambda events: components(events, blocked=True, relations=False),
    "B2 B + relations": lambda events: components(events, blocked=True, relations=True),
    "C limits, Segment-like": limited,
}
