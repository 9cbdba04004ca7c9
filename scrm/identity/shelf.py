"""What one transaction has read of nodes, evidence and whose they are: asked for often, read once."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from scrm.db import Conn
from scrm.identity.rules.policy import Policy
from scrm.identity.rules.solving import is_busy, is_crowded
from scrm.identity.rules.values import Edge, Span
from scrm.identity.store import evidence, nodes, persons
from scrm.identity.store.nodes import Known
from scrm.identity.store.persons import Held


@dataclass(slots=True, kw_only=True)
class Shelf:
    """Filled only while nobody else may change it: under the lock of identity, or of what is all our own."""

    known: dict[int, Known] = field(default_factory=dict)
    #: All standing evidence of the identifiers that are in it.
    edges: dict[int, list[Edge]] = field(default_factory=dict)
    spans: dict[int, tuple[Span, ...]] = field(default_factory=dict)
    #: Identifiers that have an owner in `spans`, or none.
    owned: set[int] = field(default_factory=set)
    #: Identifiers by person, as they are by now.
    held: dict[int, list[tuple[int, Span]]] = field(default_factory=dict)
    #: Whose these would be, of a trial that writes nothing.
    supposed: dict[int, tuple[Span, ...]] = field(default_factory=dict)

    async def learn(self, conn: Conn, wanted: Iterable[int]) -> dict[int, Known]:
        """These nodes, as they were before this transaction changes them."""
        ends = set(wanted)
        if missing := ends - self.known.keys():
            self.known |= await nodes.by_id(conn, missing)
        return {n: self.known[n] for n in ends if n in self.known}

    async def read(self, conn: Conn, wanted: Iterable[int]) -> None:
        """Have all evidence of these: none of them crowded or busy."""
        missing = set(wanted) - self.edges.keys()
        if missing:
            found = await evidence.touching(conn, missing)
            self.put(missing, found)
            await self.learn(conn, {n for e in found for n in (e.a, e.b)})

    def put(self, among: Collection[int], edges: Iterable[Edge]) -> None:
        """This is all evidence of these."""
        self.edges |= {n: [] for n in among}
        for e in edges:
            for n in (e.a, e.b):
                if n in among:
                    self.edges[n].append(e)

    def split(self, wanted: Iterable[int], *classes: str) -> tuple[dict[int, Edge], set[int]]:
        """Evidence of these classes that touches one of these, and those it does not know about."""
        found: dict[int, Edge] = {}
        missing = set()
        for n in wanted:
            if (mine := self.edges.get(n)) is None:
                missing.add(n)
                continue
            for e in mine:
                if e.cls in classes:
                    found[e.evidence_id] = e
        return found, missing

    async def spans_of(self, conn: Conn, wanted: Iterable[int]) -> dict[int, tuple[Span, ...]]:
        """Whose these are, also after this transaction has written it."""
        ends = set(wanted)
        if ends - self.owned:
            # What is near is asked for next.
            missing = (ends | self.known.keys()) - self.owned
            self.owned |= missing
            self.spans |= await persons.spans_of(conn, missing)
        return {n: self.spans[n] for n in ends if n in self.spans}

    def own(self, moved: dict[int, tuple[Span, ...]]) -> None:
        """This has been written."""
        self.spans |= moved
        self.owned |= moved.keys()

    def suppose(self, moved: dict[int, tuple[Span, ...]]) -> None:
        """This would be written, and is not."""
        self.own(moved)
        self.supposed = moved

    def _held_then(self, people: set[int]) -> None:
        for p in people:
            self.held[p] = [(n, s) for n, s in self.held[p] if n not in self.supposed]
        for n, spans in self.supposed.items():
            for s in spans:
                if s.person_id in people:
                    self.held[s.person_id].append((n, s))

    async def held_by(self, conn: Conn, wanted: Iterable[int]) -> dict[int, list[tuple[int, Span]]]:
        """All that these persons have; somebody who has nothing is not there."""
        people = set(wanted)
        if missing := people - self.held.keys():
            self.held |= {p: [] for p in missing}
            for p, found in (await persons.holdings(conn, missing)).items():
                self.held[p] = [(one.known.node_id, one.span) for one in found]
                for one in found:
                    self._see(one)
            if self.supposed:
                self._held_then(missing)
        return {p: mine for p in people if (mine := self.held[p])}

    def _see(self, one: Held) -> None:
        n = one.known.node_id
        self.known.setdefault(n, one.known)
        if one.span.from_at is None and one.span.until_at is None and n not in self.owned:
            self.owned.add(n)  # it never was anybody else's
            self.spans[n] = (one.span,)


def is_calm(policy: Policy, known: Known) -> bool:
    """Whether few enough pieces of evidence touch it to read them all."""
    return not is_crowded(policy, known.vertex) and not is_busy(known.vertex)
