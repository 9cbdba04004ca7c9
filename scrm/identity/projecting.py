"""Persons and what became of evidence, derived again where something was touched; differences are written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from scrm.db import Conn
from scrm.identity import aftermath, closure, devices, homes, telling
from scrm.identity.aftermath import Turned
from scrm.identity.closure import Around, Fresh
from scrm.identity.rules import Node, name_node
from scrm.identity.rules.policy import Policy
from scrm.identity.rules.solving import derived, solve
from scrm.identity.rules.values import Edge, Span, Verdict
from scrm.identity.store import log, nodes, persons, standings
from scrm.identity.store.log import Deed
from scrm.identity.store.nodes import Known
from scrm.identity.telling import Cause

_AN_EVENT = Cause()


@dataclass(slots=True, kw_only=True)
class Dirty:
    """Nodes something happened to."""

    #: Their evidence about persons, or what decides about them.
    persons: set[int] = field(default_factory=set)
    #: Their evidence about families.
    kin: set[int] = field(default_factory=set)
    #: Weak identifiers, and whoever was seen with them.
    devices: set[int] = field(default_factory=set)
    #: They have a name since now.
    named: set[int] = field(default_factory=set)
    #: Evidence that stands no longer.
    gone: set[int] = field(default_factory=set)

    @property
    def nodes(self) -> set[int]:
        return self.persons | self.kin | self.devices | self.named

    def touch(self, edges: Iterable[Edge]) -> None:
        """This evidence came, went, or says something else now."""
        for e in edges:
            if e.cls in ("same_person", "not_same_person"):
                self.persons |= {e.a, e.b}
            elif e.cls == "uses":
                self.devices |= {e.a, e.b}
            else:
                self.kin |= {e.a, e.b}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    persons: frozenset[int] = frozenset()
    households: frozenset[int] = frozenset()
    #: Telephones that have another owner since now.
    recycled: frozenset[int] = frozenset()
    #: What was written to the log, or would be.
    deeds: tuple[Deed, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Solved:
    """What the evidence says now, and what was projected until now."""

    spans: dict[int, tuple[Span, ...]] = field(default_factory=dict)
    before: dict[int, tuple[Span, ...]] = field(default_factory=dict)
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    generic: set[int] = field(default_factory=set)
    recycled: set[int] = field(default_factory=set)
    #: Nodes of which more stand behind than was known, or fewer.
    states: dict[int, str] = field(default_factory=dict)
    #: Whose household may be another because a device is everybody's now.
    beside: set[int] = field(default_factory=set)
    #: Identifiers that are somebody else's since now.
    moved: dict[int, tuple[Span, ...]] = field(default_factory=dict)

    def compare(self) -> None:
        """Find out what moved."""
        self.moved = {n: s for n, s in self.spans.items() if self.before.get(n) != s}

    @property
    def touched(self) -> set[int]:
        """Persons who have other identifiers since now, also those who are no more."""
        mine = [s for n, now in self.moved.items() for s in (*now, *self.before.get(n, ()))]
        return {s.person_id for s in mine}


async def project(
    conn: Conn,
    policy: Policy,
    dirty: Dirty,
    *,
    fresh: Fresh | None = None,
    cause: Cause = _AN_EVENT,
    seen: Collection[int] = (),
    now: datetime,
    write: bool = True,
    locked: bool = True,
) -> Changed:
    """Bring everything up to date. The caller holds the lock of identity.

    Not `locked` only when all that is dirty is fresh and no evidence is new: then there is nothing to tell.
    `seen` are nodes the caller is going to touch afterwards: all are held in one order.
    """
    fresh = fresh or Fresh()
    fresh.shelve()
    around, solved = await _solved(conn, policy, dirty, fresh)
    if write:
        await _place(conn, solved, around)
        fresh.shelf.own(solved.moved)
        await _revise(conn, solved.states, fresh, seen)
    else:
        fresh.shelf.suppose(solved.moved)
    people = await _people(conn, dirty, solved, fresh, write=write)
    deeds = telling.persons(solved.before, solved.spans, cause)
    deeds += telling.states(solved.states, cause)
    new_owners = solved.recycled & solved.moved.keys()
    deeds += telling.recycled(new_owners, solved.spans, cause)
    deeds += await _judge(conn, solved.verdicts, dirty, solved, fresh, cause, write=write)
    moved = await _homes(conn, policy, dirty, around, solved, fresh, write=write)
    deeds += telling.households(moved.before, moved.after, cause)
    deeds += telling.holds(moved.was, moved.now, moved.was.keys() - moved.now.keys(), cause)
    young = dirty.nodes <= fresh.nodes.keys()
    if not locked:
        deeds = []  # the order of the log would be anybody's
    turned = Turned(persons=frozenset(people), households=moved.changed, recycled=frozenset(new_owners))
    if write:
        await log.write(conn, deeds, version=policy.version, now=now)
    if write and not young:
        await aftermath.due(conn, turned, now=now)
    return Changed(
        persons=turned.persons,
        households=turned.households,
        recycled=turned.recycled,
        deeds=tuple(deeds),
    )


# -- deciding ----------------------------------------------------------------------------------------------
async def _solved(conn: Conn, policy: Policy, dirty: Dirty, fresh: Fresh) -> tuple[Around, _Solved]:
    around = await closure.around(conn, policy, dirty.persons, fresh)
    solved = _solve(policy, around)
    for n, known in fresh.nodes.items():
        if n not in solved.spans and not policy.kind(known.kind).place:
            solved.spans[n] = (Span(person_id=known.vertex.birth_id),)
    solved.before = await fresh.shelf.spans_of(conn, solved.spans.keys() - fresh.nodes.keys())
    solved.compare()
    solved.states = _states(around, solved)
    used = {n for e in fresh.edges if e.cls == "uses" for n in (e.a, e.b)}
    young = fresh.nodes.keys() - used
    seeds = (dirty.devices | solved.moved.keys() | solved.states.keys() | fresh.crossing) - young
    if seeds:
        facets = await devices.attach(
            conn, policy, seeds, around, fresh, spans=solved.spans, states=solved.states
        )
        missing = solved.spans.keys() - solved.before.keys() - fresh.nodes.keys()
        solved.before |= await fresh.shelf.spans_of(conn, missing)
        solved.compare()
        solved.beside = facets.released
    return around, solved


def _solve(policy: Policy, around: Around) -> _Solved:
    solved = _Solved(generic=around.generic & around.inside)
    for members, edges in around.groups():
        vertices = {n: around.known[n].vertex for n in (*members, *(n for e in edges for n in (e.a, e.b)))}
        found = solve(policy, vertices, edges, frozenset(around.generic & vertices.keys()))
        solved.spans |= {n: s for n, s in found.spans.items() if n in members}
        solved.verdicts |= found.verdicts
        solved.recycled |= found.recycled & members
    for e in around.edges.values():
        if e.evidence_id not in solved.verdicts and {e.a, e.b} & around.shut:
            solved.verdicts[e.evidence_id] = _shut(around, e)
    for i, v in solved.verdicts.items():
        if len(v.by) > 1:
            solved.verdicts[i] = replace(v, by=tuple(sorted(v.by)))
    return solved


def _shut(around: Around, edge: Edge) -> Verdict:
    by = tuple(n for n in (edge.a, edge.b) if n in around.shut)
    return Verdict(standing="generic", why="blocked", by=by)


def _states(around: Around, solved: _Solved) -> dict[int, str]:
    changed = {}
    for n in around.inside:
        known = around.known[n]
        state = "generic" if n in solved.generic else "active"
        if known.state not in ("blocked", state):
            changed[n] = state
    return changed


async def _homes(
    conn: Conn, policy: Policy, dirty: Dirty, around: Around, solved: _Solved, fresh: Fresh, *, write: bool
) -> homes.Moved:
    known = fresh.shelf.known | fresh.nodes | fresh.changed | around.known
    seeds = await _home_seeds(conn, dirty, solved, fresh, known)
    at_hand = {n: _with_state(k, solved.states.get(n)) for n, k in known.items()}
    moved = await homes.project(
        conn,
        policy,
        seeds,
        dirty.gone,
        fresh.crossing,
        known=at_hand,
        spans=solved.spans,
        shelf=fresh.shelf,
        write=write,
    )
    if write or not moved.before:
        return moved
    # Of a trial only who is there already is told: whoever would be made by it has no household yet.
    there = await persons.rows_of(conn, moved.before.keys())
    return replace(moved, before={p: h for p, h in moved.before.items() if p in there})


async def _home_seeds(
    conn: Conn, dirty: Dirty, solved: _Solved, fresh: Fresh, known: Mapping[int, Known]
) -> set[int]:
    """Persons whose household may be another."""
    tied = {n for e in fresh.edges if e.cls not in ("same_person", "not_same_person") for n in (e.a, e.b)}
    young = fresh.nodes.keys() - tied
    mine = (dirty.persons | solved.moved.keys() | solved.states.keys()) - young
    # Where neither family nor device hangs, nothing follows for a household unless it is called after it.
    mine = {n for n in mine if n in fresh.earlier or n not in known or known[n].vertex.kin}
    near = dirty.kin | dirty.devices | solved.beside | fresh.crossing
    spans = {n: solved.spans[n] for n in mine | near if n in solved.spans}
    spans |= await fresh.shelf.spans_of(conn, (mine | near) - spans.keys())
    old = [s for n in mine for s in solved.before.get(n, ())]
    crowd = {n for n in mine & solved.generic if n not in solved.states and n not in solved.moved}
    now = [s for n, found in spans.items() if n not in crowd for s in found]
    return {s.person_id for s in (*old, *now)}


def _with_state(known: Known, state: str | None) -> Known:
    return known if state is None else replace(known, state=state)


# -- writing -----------------------------------------------------------------------------------------------
async def _place(conn: Conn, solved: _Solved, around: Around) -> None:
    moved = solved.moved
    await persons.set_spans(conn, moved, stale=moved.keys() & solved.before.keys())
    aliases: dict[int, tuple[int, int]] = {}
    for n in solved.recycled:
        birth = around.known[n].vertex.birth_id
        aliases |= {derived(birth, i): (n, i) for i in range(1, len(solved.spans[n]))}
    await persons.set_aliases(conn, aliases)


async def _revise(conn: Conn, states: Mapping[int, str], fresh: Fresh, seen: Collection[int]) -> None:
    """Columns of nodes, all held in one order first."""
    await nodes.hold(conn, fresh.changed.keys() | states.keys() | fresh.names.keys() | set(seen))
    revised = [replace(k, state=states.get(n, k.state)) for n, k in sorted(fresh.changed.items())]
    await nodes.revise(conn, revised)
    await nodes.set_states(conn, {n: s for n, s in states.items() if n not in fresh.changed})
    await nodes.set_names(conn, fresh.names)


async def _judge(
    conn: Conn,
    edges: Collection[int],
    dirty: Dirty,
    solved: _Solved,
    fresh: Fresh,
    cause: Cause,
    *,
    write: bool,
) -> list[Deed]:
    """What became of the evidence; tells what is held since now, and what no more."""
    new = {e.evidence_id for e in fresh.edges if e.a in fresh.nodes and e.b in fresh.nodes}
    before = await standings.standings(conn, set(edges) - new)
    now = {i: v for i, v in solved.verdicts.items() if v.standing != "accepted"}
    changed = {i: v for i, v in now.items() if before.get(i) != v}
    gone = before.keys() - now.keys()
    if write:
        await standings.set_standings(conn, changed, gone=gone | dirty.gone)
    return telling.holds(before, changed, gone, cause)


async def _people(conn: Conn, dirty: Dirty, solved: _Solved, fresh: Fresh, *, write: bool) -> set[int]:
    """Rows of persons that have other identifiers, or another first one, or another name.

    Who has just come and is known by one identifier did not change.
    """
    touched = solved.touched
    again = (dirty.persons | dirty.named) - fresh.nodes.keys()
    spans = {n: solved.spans[n] for n in again if n in solved.spans}
    spans |= await fresh.shelf.spans_of(conn, again - spans.keys())
    concerned = touched | {s.person_id for found in spans.values() for s in found}
    if not write:
        return touched
    young = _of_fresh(concerned, solved, fresh)
    older = concerned - young.keys()
    there = await persons.rows_of(conn, older)
    fresh.shelf.held |= young
    held = await fresh.shelf.held_by(conn, concerned)
    known = await fresh.learn(conn, {n for mine in held.values() for n, _ in mine})
    facts = {n: _candidate(k, named=k.named or n in fresh.names) for n, k in known.items()}
    rows = [row for p, mine in held.items() if (row := _row(p, mine, facts)) != there.get(p)]
    await persons.set_rows(conn, rows, gone=there.keys() - held.keys())
    single = {k.vertex.birth_id for k in fresh.nodes.values()} & {p for p, m in held.items() if len(m) == 1}
    return (touched & held.keys() | {r.person_id for r in rows}) - single


def _of_fresh(wanted: Iterable[int], solved: _Solved, fresh: Fresh) -> dict[int, list[tuple[int, Span]]]:
    """Persons of nobody but identifiers that this transaction made."""
    # Of whom such a one founded; a device that somebody older has is not all they have.
    young = set(wanted) & {k.vertex.birth_id for k in fresh.nodes.values()}
    found: dict[int, list[tuple[int, Span]]] = defaultdict(list)
    for n, spans in solved.spans.items():
        for s in spans:
            if s.person_id in young:
                found[s.person_id].append((n, s))
    return {p: mine for p, mine in found.items() if all(n in fresh.nodes for n, _ in mine)}


def _candidate(known: Known, *, named: bool) -> Node:
    v = known.vertex
    return Node(
        node_id=v.node_id,
        kind=v.kind,
        birth_id=v.birth_id,
        first_at=v.first_at,
        first_key=v.first_key,
        named=named,
    )


def _row(person_id: int, mine: Sequence[tuple[int, Span]], facts: Mapping[int, Node]) -> persons.Row:
    begins = [max(facts[n].first_at, s.from_at) if s.from_at else facts[n].first_at for n, s in mine]
    # A telephone's name is that of whoever has it today.
    today = [facts[n] for n, s in mine if s.until_at is None]
    return persons.Row(person_id=person_id, first_at=min(begins), name_node_id=name_node(today))
