"""What a decision would do before anybody takes it: who would be whose, and what hangs on that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from scrm.db import Conn
from scrm.errors import NotFound
from scrm.identity import closure, versions
from scrm.identity.closure import Around, Fresh
from scrm.identity.rules.policy import Policy
from scrm.identity.rules.solving import solve
from scrm.identity.rules.values import Edge, Span
from scrm.identity.store import households, nodes, persons
from scrm.identity.store.effects import Effects, effects

Decision = Literal["same_person", "not_same_person", "same_household", "not_same_household"]
_IF = -1
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    cls: Decision
    #: Nodes of each person as it is, and as it would be.
    before: Mapping[int, Sequence[int]]
    after: Mapping[int, Sequence[int]]
    #: Nodes that would be somebody else's.
    moves: tuple[int, ...] = ()
    #: What hangs on those, and on everybody concerned.
    moving: Effects = field(default_factory=Effects)
    all: Effects = field(default_factory=Effects)
    #: Persons of each household as it is, and as it would be at the most.
    homes_before: Mapping[int, Sequence[int]] = field(default_factory=dict)
    homes_after: Mapping[int, Sequence[int]] = field(default_factory=dict)
    #: Why it would come to nothing: `cap`, `not_same`; "" = it would work.
    stopped: str = ""


async def preview(
    conn: Conn, a_person: int, b_person: int, cls: Decision, *, pair: tuple[int, int] | None = None
) -> Preview:
    """Of two persons, or of two nodes of one (`pair`). Changes nothing. Raises `NotFound`."""
    policy = await versions.current(conn)
    a, b = pair or (await _first(conn, a_person), await _first(conn, b_person))
    homes = await _homes(conn, [a_person, b_person])
    if cls in ("same_household", "not_same_household"):
        mine = await persons.nodes_of(conn, {a_person, b_person})
        before = _by_person({n: (Span(person_id=p),) for n, p in mine.items()})
        after = _joined(homes, a_person, b_person) if cls == "same_household" else homes
        return Preview(
            cls=cls,
            before=before,
            after=before,
            all=await effects(conn, mine),
            homes_before=homes,
            homes_after=after,
            stopped="cap" if any(len(m) > policy.household_cap for m in after.values()) else "",
        )
    around = await closure.around(conn, policy, {a, b}, Fresh())
    now, stopped = _supposed(policy, around, _edge(a, b, cls))
    was = await persons.spans_of(conn, now.keys())
    moves = tuple(sorted(n for n in now if was.get(n) != now[n]))
    touched = {s.person_id for n in {*moves, a, b} for s in (*was.get(n, ()), *now[n])}
    before = {p: n for p, n in _by_person(was).items() if p in touched}
    after_all = {p: n for p, n in _by_person(now).items() if p in touched}
    return Preview(
        cls=cls,
        before=before,
        after=after_all,
        moves=moves,
        moving=await effects(conn, moves),
        all=await effects(conn, {n for mine in before.values() for n in mine}),
        homes_before=homes,
        homes_after=_joined(homes, a_person, b_person) if not stopped and cls == "same_person" else homes,
        stopped=stopped,
    )


async def _first(conn: Conn, person_id: int) -> int:
    """The identifier that founded a person, or the first they have today."""
    mine = await persons.nodes_of(conn, [person_id])
    known = await nodes.by_id(conn, mine)
    if not known:
        raise NotFound
    return min(known.values(), key=lambda k: (k.state != "active", k.vertex.order)).node_id


def _edge(a: int, b: int, cls: Decision) -> Edge:
    return Edge(
        evidence_id=_IF,
        a=min(a, b),
        b=max(a, b),
        cls=cls,
        rule="human",
        strength=100,
        first_at=_LATEST,
        last_at=_LATEST,
        origin="admin",
    )


def _supposed(policy: Policy, around: Around, edge: Edge) -> tuple[dict[int, tuple[Span, ...]], str]:
    """Whose everything would be with this one piece of evidence more."""
    around.edges[edge.evidence_id] = edge
    spans: dict[int, tuple[Span, ...]] = {}
    stopped = ""
    for members, edges in around.groups():
        vertices = {n: around.known[n].vertex for n in (*members, *(n for e in edges for n in (e.a, e.b)))}
        found = solve(policy, vertices, edges, frozenset(around.generic & vertices.keys()))
        spans |= {n: s for n, s in found.spans.items() if n in members}
        verdict = found.verdicts.get(edge.evidence_id)
        if verdict is not None and verdict.standing not in ("accepted", "implied"):
            stopped = verdict.why or verdict.standing
    return spans, stopped


def _by_person(spans: Mapping[int, Sequence[Span]]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for n, mine in sorted(spans.items()):
        for p in sorted({s.person_id for s in mine}):
            found[p].append(n)
    return dict(found)


async def _homes(conn: Conn, person_ids: Sequence[int]) -> dict[int, list[int]]:
    of = await households.households_of(conn, person_ids)
    known = await households.members(conn, of.values())
    return {**known, **{p: [p] for p in person_ids if p not in of}}


def _joined(homes: Mapping[int, Sequence[int]], a: int, b: int) -> dict[int, list[int]]:
    both = [h for h, members in homes.items() if a in members or b in members]
    everybody = sorted({p for h in both for p in homes[h]})
    return {min(both): everybody}
