"""What has to be solved together: identifiers tied by standing evidence, also by what is held."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from dataclasses import replace as with_
from datetime import datetime, timedelta

from scrm.contract import Handle
from scrm.db import Conn
from scrm.identity.rules.policy import Policy
from scrm.identity.rules.solving import is_busy, is_crowded, is_generic
from scrm.identity.rules.values import Edge, Vertex
from scrm.identity.shelf import Shelf, is_calm
from scrm.identity.store import evidence, spoken
from scrm.identity.store.nodes import Known


@dataclass(slots=True, kw_only=True)
class Fresh:
    """Made by this transaction: nobody else knows these identifiers, so all their evidence is at hand.

    `changed` are older ones as they will be once it is written, `names` what nodes are called since when.
    """

    nodes: dict[int, Known] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    changed: dict[int, Known] = field(default_factory=dict)
    names: dict[int, tuple[datetime, Handle]] = field(default_factory=dict)
    #: Those on which too many families and devices hang since now, or no more.
    crossing: set[int] = field(default_factory=set)
    #: Older ones that began earlier than was known.
    earlier: set[int] = field(default_factory=set)
    #: What was read before, and nobody else has written since.
    shelf: Shelf = field(default_factory=Shelf)

    async def learn(self, conn: Conn, wanted: Iterable[int]) -> dict[int, Known]:
        """Some nodes as they will be."""
        ends = set(wanted)
        found = {n: k for n in ends if (k := self.nodes.get(n) or self.changed.get(n))}
        return found | await self.shelf.learn(conn, ends - found.keys())

    def shelve(self) -> None:
        """What was made by this transaction touches nothing but what it brought."""
        self.shelf.put(self.nodes.keys(), self.edges)
        self.shelf.known |= self.nodes | self.changed
        self.shelf.owned |= self.nodes.keys()

    def change(self, known: Known, vertex: Vertex) -> None:
        """It will be so."""
        self.changed[known.node_id] = with_(known, vertex=vertex)
        if is_busy(known.vertex) != is_busy(vertex):
            self.crossing.add(known.node_id)
        if known.vertex.order != vertex.order:
            self.earlier.add(known.node_id)


@dataclass(slots=True, kw_only=True)
class Around:
    """Identifiers with the evidence between them; of a generic one only those that matter."""

    known: dict[int, Known] = field(default_factory=dict)
    edges: dict[int, Edge] = field(default_factory=dict)
    #: Whose groups are closed here; the others were only looked at.
    inside: set[int] = field(default_factory=set)
    #: More people than one family stand behind them.
    generic: set[int] = field(default_factory=set)
    #: The value says nothing: not read at all.
    shut: set[int] = field(default_factory=set)

    def ties(self, edge: Edge) -> bool:
        """Whether it makes its ends one group: on a generic identifier only a human's word does."""
        return self.asks(edge) and (edge.human or not (edge.a in self.generic or edge.b in self.generic))

    def asks(self, edge: Edge) -> bool:
        """Whether a solver is to judge it: not what touches a value nobody reads, but for saying so."""
        if edge.a not in self.inside or edge.b not in self.inside:
            return False
        return edge.a not in self.shut and edge.b not in self.shut

    def groups(self) -> list[tuple[set[int], list[Edge]]]:
        """Closed groups, each with all evidence that touches it."""
        root = {n: n for n in self.inside}
        for e in self.edges.values():
            if self.ties(e):
                root[_root(root, e.a)] = _root(root, e.b)
        members: dict[int, set[int]] = defaultdict(set)
        for n in root:
            members[_root(root, n)].add(n)
        mine: dict[int, dict[int, Edge]] = defaultdict(dict)
        for e in self.edges.values():
            if self.asks(e):
                for n in (e.a, e.b):
                    if n not in self.generic or self.ties(e):
                        mine[_root(root, n)][e.evidence_id] = e
        return [(group, list(mine[r].values())) for r, group in members.items()]


def _root(root: dict[int, int], n: int) -> int:
    while root[n] != n:
        root[n] = root[root[n]]
        n = root[n]
    return n


async def around(conn: Conn, policy: Policy, start: Collection[int], fresh: Fresh) -> Around:
    """The closed groups of these identifiers."""
    found, wanted, near = Around(), set(start), _by_node(fresh.edges)
    while wanted:
        found.inside |= wanted
        await _learn(conn, policy, found, wanted, fresh)
        read = {n for n in wanted if _is_read(policy, found, n)}
        older = read - fresh.nodes.keys()
        mine = {n: list(near.get(n, ())) for n in read - older}
        told = {n for n in older if found.known[n].vertex.degree}
        _share_out(mine, await _near(conn, policy, told, found, fresh), told)
        # Of a crowded one only what humans said.
        crowded = wanted - read - found.shut
        _share_out(mine, await evidence.said(conn, crowded), crowded)
        edges = {e.evidence_id: e for some in mine.values() for e in some}
        found.edges |= edges
        await _learn(conn, policy, found, {n for e in edges.values() for n in (e.a, e.b)}, fresh)
        reached = {o for n, some in mine.items() for o in _reached(policy, found, n, some)}
        wanted = reached - found.inside
    return found


async def _near(
    conn: Conn, policy: Policy, wanted: Collection[int], around: Around, fresh: Fresh
) -> list[Edge]:
    await fresh.shelf.read(conn, [n for n in wanted if is_calm(policy, around.known[n])])
    found, missing = fresh.shelf.split(wanted, "same_person", "not_same_person")
    found |= {e.evidence_id: e for e in await evidence.near(conn, missing)}
    return list(found.values())


def _is_read(policy: Policy, found: Around, n: int) -> bool:
    """Whether its evidence is looked at; that of a crowded one once more when it has just become so."""
    known = found.known[n]
    if known.state == "blocked":
        found.shut.add(n)
        return False
    if is_crowded(policy, known.vertex):
        found.generic.add(n)
        return known.state != "generic"
    return True


def _share_out(mine: dict[int, list[Edge]], edges: Iterable[Edge], among: Collection[int]) -> None:
    for e in edges:
        for n in (e.a, e.b):
            if n in among:
                mine.setdefault(n, []).append(e)


def _reached(policy: Policy, found: Around, n: int, edges: Collection[Edge]) -> set[int]:
    """Whose groups must be closed with it: all it ties; if it is generic since now, all it tied."""
    known = found.known[n]
    others = {e.evidence_id: found.known[e.b if e.a == n else e.a] for e in edges}
    if n not in found.generic:
        partners = [others[e.evidence_id].vertex for e in edges if not e.human]
        if is_generic(policy, known.vertex, partners):
            found.generic.add(n)
    settled = n in found.generic and known.state == "generic"
    return {others[e.evidence_id].node_id for e in edges if e.human or not settled}


def _by_node(edges: Iterable[Edge]) -> Mapping[int, list[Edge]]:
    found: dict[int, list[Edge]] = defaultdict(list)
    for e in edges:
        if e.cls in ("same_person", "not_same_person"):
            found[e.a].append(e)
            found[e.b].append(e)
    return found


async def _learn(conn: Conn, policy: Policy, found: Around, ends: Collection[int], fresh: Fresh) -> None:
    wanted = set(ends) - found.known.keys()
    known = await fresh.learn(conn, wanted)
    words = await spoken.of(conn, [n for n, k in known.items() if policy.kind(k.kind).max_names])
    for n, k in known.items():
        silence = timedelta(days=policy.kind(k.kind).epoch_gap_days)
        gaps = tuple(g for g in k.vertex.gaps if silence and g[1] - g[0] > silence)
        if gaps != k.vertex.gaps or n in words:
            k = with_(k, vertex=with_(k.vertex, gaps=gaps, names=words.get(n, ())))
        found.known[n] = k
