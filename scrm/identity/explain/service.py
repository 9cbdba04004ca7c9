"""`why` two are one, `why` not, and `how` a person came to be: bounded looks at the evidence around them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from scrm.db import Conn
from scrm.errors import NotFound
from scrm.identity import store as persons
from scrm.identity.explain import rules, store
from scrm.identity.explain.rules import Block, Graph, Moment, Piece, Spot
from scrm.identity.explain.words import Known
from scrm.staff import store as staff

#: How far a look for "why not" goes from each side, and how many identifiers it takes along.
_ROUNDS, _FRONTIER = 3, 96
#: Kinds of which one person has one value per scope, where nobody says otherwise.
EXCLUSIVE = frozenset(
    {"wechat_unionid", "wecom_external", "wechat_openid", "wecom_openid", "id_card", "learner", "app_user"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What somebody asks about. A household goes by the id of any of its members."""

    kind: Literal["person", "node", "household"]
    ident: int


def person(ident: int) -> Subject:
    return Subject(kind="person", ident=ident)


def node(ident: int) -> Subject:
    return Subject(kind="node", ident=ident)


def household(ident: int) -> Subject:
    return Subject(kind="household", ident=ident)


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """What ties what was asked about, or what keeps it apart."""

    #: person: all of it is one person; household: one family, several persons; apart: neither.
    tie: Literal["person", "household", "apart"]
    #: The evidence, in the order it leads from one to the other; of one subject the nearest first.
    steps: tuple[Piece, ...] = ()
    #: Why it is not one person (one family, where households were asked about), what decides first.
    blocks: tuple[Block, ...] = ()
    #: The identifier it starts from.
    origin: int | None = None
    #: Persons it is about.
    persons: tuple[int, ...] = ()
    known: Known


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    person_id: int
    moments: tuple[Moment, ...]
    known: Known


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    nodes: frozenset[int]
    persons: frozenset[int]


async def why(
    conn: Conn,
    a: Subject,
    b: Subject | None = None,
    *,
    exclusive: Collection[str] = EXCLUSIVE,
    device_uses: int = 3,
) -> Why:
    """Raises `NotFound` for what we have never seen."""
    left = await _side(conn, a)
    if b is None:
        return await _alone(conn, a, left, device_uses)
    right = await _side(conn, b)
    graph = await _graph(conn, left.persons | right.persons, left.nodes | right.nodes)
    for person_id in sorted(left.persons & right.persons):
        found = _path(rules.within(graph, person_id), left, right, {person_id})
        if found is not None:
            return await _why(conn, "person", found, persons=(person_id,))
    graph = await _wider(conn, graph)
    families = "household" in (a.kind, b.kind)
    apart = "not_same_household" if families else "not_same_person"
    blocks = rules.blocks(graph, left.nodes, right.nodes, exclusive=exclusive, apart=apart)
    home, kin = await _kinship(conn, left, right, device_uses)
    if kin is not None:
        return await _why(conn, "household", kin, () if families else blocks, persons=home)
    return await _why(conn, "apart", (), blocks, persons=tuple(sorted(left.persons | right.persons)))


async def _kinship(
    conn: Conn, left: _Side, right: _Side, device_uses: int
) -> tuple[tuple[int, ...], list[Piece] | None]:
    """The household that both are of, and the chain of evidence through it."""
    homes = await store.homes(conn, left.persons | right.persons)
    shared = {homes[p] for p in left.persons} & {homes[p] for p in right.persons}
    family = [m for home in sorted(shared) for m in await store.members(conn, home)]
    if not family:
        return (), None
    graph = await _graph(conn, {*family, *left.persons, *right.persons}, left.nodes | right.nodes)
    steps = rules.across(graph, family, device_uses=device_uses)
    return tuple(family), _path(steps, left, right, set(family))


def _path(steps: rules.Steps, left: _Side, right: _Side, allowed: set[int]) -> list[Piece] | None:
    roots = {(n, p) for n in left.nodes for p in left.persons & allowed}
    goals = {(n, p) for n in right.nodes for p in right.persons & allowed}
    if roots < goals or goals < roots:  # how it hangs together with the rest
        roots, goals = min(roots, goals, key=len), roots ^ goals
    return [] if roots & goals else rules.path(steps, roots, goals)


async def _alone(conn: Conn, a: Subject, side: _Side, device_uses: int) -> Why:
    """One subject: all that holds it together, from its oldest identifier."""
    family = sorted(side.persons)
    graph = await _graph(conn, family, side.nodes)
    if a.kind == "household":
        steps, tie = rules.across(graph, family, device_uses=device_uses), "household"
    else:
        steps, tie = rules.within(graph, family[0]) if family else {}, "person"
    spots = [(n, p) for p in family for n in graph.persons.get(p, ()) if n in graph.nodes]
    if a.kind == "node":
        spots = [s for s in spots if s[0] == a.ident] or spots
    root: Spot | None = min(spots, key=lambda s: (graph.nodes[s[0]].first_at, s), default=None)
    found = rules.reached(steps, root) if root else []
    kind: Literal["person", "household"] = "household" if tie == "household" else "person"
    return await _why(conn, kind, found, origin=root[0] if root else None, persons=tuple(family))


async def how(conn: Conn, person_id: int) -> How:
    """A person's story, oldest first. Raises `NotFound` for an id that was never a person's."""
    side = await _side(conn, person(person_id))
    (now,) = side.persons
    graph = await _graph(conn, [now], side.nodes)
    moments = rules.story(graph, now)
    pieces = [m.piece for m in moments if m.piece is not None]
    known = await _known(conn, side.nodes, pieces, ())
    return How(person_id=now, moments=tuple(moments), known=known)


# -- what is fetched -----------------------------------------------------------------------------------------
async def _side(conn: Conn, subject: Subject) -> _Side:
    if subject.kind == "node":
        owners = (await store.owners_ever(conn, [subject.ident])).get(subject.ident, [])
        if not owners and subject.ident not in (await store.dots(conn, [subject.ident]))[0]:
            raise NotFound
        return _Side(nodes=frozenset({subject.ident}), persons=frozenset(owners))
    now = await persons.person_now(conn, subject.ident)
    if now is None:
        raise NotFound
    ids = {now}
    if subject.kind == "household":
        ids = set(await store.members(conn, (await store.homes(conn, [now]))[now]))
    nodes = await store.nodes_ever(conn, ids)
    return _Side(nodes=frozenset().union(*nodes.values()), persons=frozenset(ids))


async def _graph(conn: Conn, person_ids: Collection[int], more: Collection[int] = ()) -> Graph:
    owned = await store.nodes_ever(conn, person_ids)
    mine = set(more).union(*owned.values())
    dots, degrees = await store.dots(conn, mine)
    return Graph(nodes=dots, persons=owned, pieces=await store.pieces(conn, mine, degrees))


async def _wider(conn: Conn, graph: Graph) -> Graph:
    """With the evidence a few steps further, so that what stopped a chain in the middle is found."""
    nodes, pieces = dict(graph.nodes), {p.evidence_id: p for p in graph.pieces}
    for _ in range(_ROUNDS):
        met = {n for p in pieces.values() for n in (p.a, p.b)} - nodes.keys()
        dots, degrees = await store.dots(conn, sorted(met)[:_FRONTIER])
        if not dots:
            break
        nodes |= dots
        strong = {n for p in pieces.values() if p.cls == "same_person" for n in (p.a, p.b)}
        # What many people use leads everywhere: it is where a chain ends, not where one goes on.
        on = [n for n, dot in dots.items() if dot.state == "active" and n in strong]
        pieces |= {p.evidence_id: p for p in await store.pieces(conn, on, degrees)}
    return Graph(nodes=nodes, persons=graph.persons, pieces=[pieces[i] for i in sorted(pieces)])


async def _why(
    conn: Conn,
    tie: Literal["person", "household", "apart"],
    steps: Collection[Piece],
    blocks: Collection[Block] = (),
    *,
    origin: int | None = None,
    persons: tuple[int, ...] = (),
) -> Why:
    nodes = {origin} if origin is not None else set()
    known = await _known(conn, nodes, [*steps, *(b.piece for b in blocks if b.piece)], blocks)
    return Why(tie=tie, steps=tuple(steps), blocks=tuple(blocks), origin=origin, persons=persons, known=known)


async def _known(
    conn: Conn, nodes: Collection[int], pieces: Collection[Piece], blocks: Collection[Block]
) -> Known:
    """What sentences about these need."""
    wanted = {*nodes, *(n for p in pieces for n in (p.a, p.b)), *(n for b in blocks for n in b.nodes)}
    people = {i for p in pieces for i in (p.actor_id, p.retracted_by) if i}
    members = await staff.members(conn, sorted(people))
    shared = {b.nodes[0] for b in blocks if b.reason == "generic" and b.nodes}
    return Known(
        opened=await store.opened(conn, wanted),
        events=await store.cited(conn, {p.first_event_id for p in pieces if p.first_event_id}),
        staff={i: m.name for i, m in members.items()},
        users={n: await store.users(conn, n) for n in sorted(shared)},
    )


async def told_of(conn: Conn, pieces: Collection[Piece]) -> Known:
    """What sentences about any evidence need."""
    return await _known(conn, (), pieces, ())
