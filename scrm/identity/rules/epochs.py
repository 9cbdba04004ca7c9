"""Identifiers that change hands: silences, and whether somebody else spoke after one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scrm.identity.rules import names
from scrm.identity.rules.values import Edge, Vertex

Gap = tuple[datetime, datetime]


def seen_at(
    first: datetime, last: datetime, gaps: Sequence[Gap], at: datetime, silence: timedelta
) -> tuple[datetime, datetime, tuple[Gap, ...]]:
    """(first, last, gaps) once it was also seen at `at`; the same whatever the order of the calls."""
    if at < first:
        return at, last, ((at, first), *gaps) if first - at > silence else tuple(gaps)
    if at > last:
        return first, at, (*gaps, (last, at)) if at - last > silence else tuple(gaps)
    for i, (begin, end) in enumerate(gaps):
        if begin < at < end:
            left = ((begin, at),) if at - begin > silence else ()
            right = ((at, end),) if end - at > silence else ()
            return first, last, (*gaps[:i], *left, *right, *gaps[i + 1 :])
    return first, last, tuple(gaps)


@dataclass(slots=True)
class _Side:
    """Who showed themselves between two silences, or over several."""

    partners: set[int]
    names: set[str]


#: (partner) -> (its group without this identifier, the exclusive values of that group by kind and scope)
Group = Callable[[int], tuple[Hashable, dict[tuple[str, str], set[int]]]]


def starts(vertex: Vertex, edges: Sequence[Edge], group: Group) -> list[datetime]:
    """When a new owner began, oldest first; [] = always the same owner, as far as anybody said."""
    begins = [end for _, end in vertex.gaps]
    sides = [_Side(set(), set()) for _ in range(len(begins) + 1)]
    for edge in edges:
        partner = edge.b if edge.a == vertex.node_id else edge.a
        for i in range(_part(begins, edge.first_at), _part(begins, edge.last_at) + 1):
            sides[i].partners.add(partner)
    for said in vertex.names:
        for i in range(_part(begins, said.first_at), _part(begins, said.last_at) + 1):
            sides[i].names.add(said.name)
    found, owner = [], sides[0]
    for begin, side in zip(begins, sides[1:], strict=True):
        if _is_another(owner, side, group):
            found.append(begin)
            owner = side
        else:
            owner = _Side(owner.partners | side.partners, owner.names | side.names)
    return found


def _part(begins: Sequence[datetime], at: datetime) -> int:
    return sum(at >= begin for begin in begins)


def _is_another(owner: _Side, side: _Side, group: Group) -> bool:
    """Somebody who contradicts the owner, and nobody who is the owner still."""
    old, new = [group(p) for p in owner.partners], [group(p) for p in side.partners]
    if {g for g, _ in old} & {g for g, _ in new}:
        return False
    if any(_clash(a, b) for _, a in old for _, b in new):
        return True
    before, after = names.accounts(owner.names), names.accounts(side.names)
    if before and after and before.isdisjoint(after):
        # One number opens one account: whoever opens another one with it is another.
        return True
    return names.all_differ(owner.names, side.names)


def _clash(a: dict[tuple[str, str], set[int]], b: dict[tuple[str, str], set[int]]) -> bool:
    """Two values of a kind of which a person has one."""
    return any(a[k].isdisjoint(b[k]) for k in a.keys() & b.keys())
