"""The whole engine in memory, in small batches: benchmarks, dry runs, and the measure of the SQL one.

It keeps evidence and what is derived from it; a batch marks what it touched, and only that is solved again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations

from scrm.identity.rules import families, weak
from scrm.identity.rules.epochs import seen_at
from scrm.identity.rules.placing import LENT, Event, Place, Placer, World
from scrm.identity.rules.policy import Kind, Policy
from scrm.identity.rules.reading import Ident, Reader, Reading, Seen
from scrm.identity.rules.solving import crowds, is_busy, is_crowded, is_generic, is_plain, solve
from scrm.identity.rules.values import Class, Edge, Origin, Said, Span, Verdict, Vertex

_WEAK: Class = "uses"
#: Names and marks kept of one identifier; one with more is generic long since.
_WORDS = 96


@dataclass(slots=True)
class Counters:
    """Work done, to show that it is bounded."""

    events: int = 0
    new_evidence: int = 0
    solved: int = 0
    touched: int = 0
    largest: int = 0


class Engine:
    """`see` batches, then ask `assign`, `person`, `household`; `decide` and `retract` as a human would."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.counters = Counters()
        self._reader = Reader(policy)
        self._kinds: dict[str, Kind] = {}
        #: Silence that may mean a new owner, by kind; None = never.
        self._silences: dict[str, timedelta | None] = {}
        self.events: list[Event] = []
        self.vertices: dict[int, Vertex] = {}
        self.edges: dict[int, Edge] = {}
        self.spans: dict[int, tuple[Span, ...]] = {}
        self.verdicts: dict[int, Verdict] = {}
        self.generic: set[int] = set()
        self.recycled: set[int] = set()
        self._ids: dict[Ident, int] = {}
        self._rows: dict[tuple[int, int, str, str], int] = {}
        self._last = 0
        #: Evidence by identifier, one list per class of use: persons, families, devices.
        self._near: dict[int, list[int]] = defaultdict(list)
        self._human: dict[int, list[int]] = defaultdict(list)
        self._kin: dict[int, list[int]] = defaultdict(list)
        self._used: dict[int, list[int]] = defaultdict(list)
        self._dirty: set[int] = set()
        self._known: set[str] = set()
        self._homes: families.Homes | None = None

    # -- in ------------------------------------------------------------------------------------------------
    def see(self, batch: Iterable[Seen]) -> None:
        """Take in a batch and bring everything up to date."""
        for seen in batch:
            if seen.id not in self._known:
                self._known.add(seen.id)
                self._take(seen, self._reader.read(seen))
        self.flush()

    def _take(self, seen: Seen, reading: Reading) -> None:
        self.counters.events += 1
        nodes: dict[Ident, int] = {}
        at, key, account = seen.at, seen.id, reading.account
        for ident in (*reading.actors, *reading.weak, *([account] if account else ())):
            if ident not in nodes:
                nodes[ident] = self._node(ident, seen, len(nodes))
        actors = tuple([nodes[i] for i in reading.actors])
        if reading.marks or reading.name:
            self._spoken_of(reading, nodes, at)
        for a, b, rule, strength in reading.persons:
            self._evidence(nodes[a], nodes[b], "same_person", rule, strength, at, key)
        for a, b, rule, strength in reading.families:
            if b not in nodes:
                nodes[b] = self._node(b, seen, len(nodes))
            self._evidence(nodes[a], nodes[b], "same_household", rule, strength, at, key)
        devices = tuple([nodes[i] for i in reading.weak])
        for device in devices if actors else ():
            self._evidence(device, actors[0], _WEAK, "device", 0, at, key)
        self.events.append(
            Event(
                key,
                at,
                seen.type,
                seen.slot,
                actors,
                devices,
                nodes[account] if account else None,
                reading.name,
                seen.rep,
                reading.blind,
                bool(actors) and all([i.kind in LENT for i in reading.actors]),
            )
        )

    def _node(self, ident: Ident, seen: Seen, place: int) -> int:
        found, at = self._ids.get(ident), seen.at
        if found is None:
            found = self._ids[ident] = len(self._ids) + 1
            self.vertices[found] = Vertex(
                node_id=found,
                kind=ident.kind,
                scope=ident.scope,
                birth_id=found,
                first_at=at,
                first_key=_key(seen, place),
                last_at=at,
            )
            self.spans[found] = (Span(person_id=found),)
            return found
        vertex = self.vertices[found]
        last = vertex.last_at
        silence = self._silence(vertex.kind)
        if at >= last and at > vertex.first_at and (silence is None or at - last <= silence):
            vertex.last_at = at  # the common case: seen again
            return found
        if at <= vertex.first_at and (at, _key(seen, place)) < (vertex.first_at, vertex.first_key):
            self._dirty.add(found)
            vertex.first_key = _key(seen, place)
        if vertex.first_at <= at <= last and not vertex.gaps:
            return found
        if silence is not None:
            self._silent(vertex, at, silence)
        else:
            vertex.first_at = min(vertex.first_at, at)
        return found

    def _silence(self, kind: str) -> timedelta | None:
        if kind not in self._silences:
            days = self._kind(kind).epoch_gap_days
            self._silences[kind] = timedelta(days=days) if days else None
        return self._silences[kind]

    def _silent(self, vertex: Vertex, at: datetime, silence: timedelta) -> None:
        before = vertex.gaps
        vertex.first_at, vertex.last_at, vertex.gaps = seen_at(
            vertex.first_at, vertex.last_at, before, at, silence
        )
        if vertex.gaps != before:
            self._dirty.add(vertex.node_id)

    def _kind(self, name: str) -> Kind:
        found = self._kinds.get(name)
        if found is None:
            found = self._kinds[name] = self.policy.kind(name)
        return found

    def _spoken_of(self, reading: Reading, nodes: Mapping[Ident, int], at: datetime) -> None:
        words = (reading.name, *reading.marks) if reading.name else reading.marks
        for ident in reading.actors:
            if self._kind(ident.kind).max_names:
                self._named(nodes[ident], words, at)

    def _named(self, node_id: int, words: Iterable[str], at: datetime) -> None:
        """Remember what it was shown with, as far as its kind counts that."""
        vertex = self.vertices[node_id]
        for word in words:
            for i, said in enumerate(vertex.names):
                if said.name == word:
                    if not said.first_at <= at <= said.last_at:
                        self._widen(vertex, i, at)
                    break
            else:
                if len(vertex.names) < _WORDS:
                    vertex.names = (*vertex.names, Said(name=word, first_at=at, last_at=at))
                    self._dirty.add(node_id)

    def _widen(self, vertex: Vertex, i: int, at: datetime) -> None:
        said = vertex.names[i]
        wider = Said(name=said.name, first_at=min(said.first_at, at), last_at=max(said.last_at, at))
        vertex.names = (*vertex.names[:i], wider, *vertex.names[i + 1 :])
        if vertex.gaps:
            self._dirty.add(vertex.node_id)

    def _evidence(
        self,
        a: int,
        b: int,
        cls: Class,
        rule: str,
        strength: int,
        at: datetime,
        key: str,
        origin: Origin = "auto",
    ) -> int:
        if a == b:
            return 0
        a, b = (a, b) if a < b else (b, a)
        known = self._rows.get((a, b, cls, rule))
        if known is not None:
            edge = self.edges[known]
            edge.n += 1
            older = at <= edge.first_at and (at, key) < (edge.first_at, edge.key)
            if older or (edge.human and at > edge.last_at):
                self._touch(edge)
            if at > edge.last_at:
                edge.last_at = at
            if older:
                edge.first_at, edge.key, edge.strength = at, key, strength
            elif cls == _WEAK or cls == "same_household":
                self._homes = None
            if self.vertices[a].gaps or self.vertices[b].gaps:
                self._touch(edge)
            return known
        self._last += 1
        ident = self._rows[a, b, cls, rule] = self._last
        self.edges[ident] = Edge(
            evidence_id=ident,
            a=a,
            b=b,
            cls=cls,
            rule=rule,
            strength=strength,
            first_at=at,
            last_at=at,
            key=key,
            origin=origin,
        )
        self._place(ident)
        self.counters.new_evidence += 1
        return ident

    def _place(self, ident: int) -> None:
        edge = self.edges[ident]
        index = self._index(edge.cls)
        human = edge.human and index is self._near
        for n in (edge.a, edge.b):
            index[n].append(ident)
            if human:
                self._human[n].append(ident)
            self._count(n, edge.cls, 1)
        self._touch(edge)

    def _count(self, n: int, cls: Class, more: int) -> None:
        vertex = self.vertices[n]
        if crowds(cls, self._kind(vertex.kind).merge):
            vertex.degree += more
        else:
            vertex.kin += more

    def _index(self, cls: Class) -> dict[int, list[int]]:
        if cls in ("same_person", "not_same_person"):
            return self._near
        return self._used if cls == _WEAK else self._kin

    def _touch(self, edge: Edge) -> None:
        self._homes = None
        if edge.cls in ("same_person", "not_same_person"):
            self._dirty |= {edge.a, edge.b}

    # -- what humans say -----------------------------------------------------------------------------------
    def decide(self, a: int, b: int, cls: Class, at: datetime, *, rule: str = "human") -> int:
        """A human's word about two identifiers; its evidence id."""
        ident = self._evidence(a, b, cls, rule, 100, at, f"decision|{at.isoformat()}", origin="admin")
        self.flush()
        return ident

    def retract(self, evidence_id: int) -> None:
        """As if this evidence had never been; what was seen stays seen."""
        edge = self.edges.pop(evidence_id)
        del self._rows[edge.a, edge.b, edge.cls, edge.rule]
        self.verdicts.pop(evidence_id, None)
        index = self._index(edge.cls)
        for n in (edge.a, edge.b):
            index[n].remove(evidence_id)
            if edge.human and index is self._near:
                self._human[n].remove(evidence_id)
            self._count(n, edge.cls, -1)
        self._touch(edge)
        self.flush()

    # -- solving -------------------------------------------------------------------------------------------
    def flush(self) -> None:
        """Solve again whatever was touched."""
        if self._dirty:
            self._homes = None
        while self._dirty:
            start = self._dirty.pop()
            nodes, edges, generic = self._closure(start)
            self._dirty -= nodes
            self.counters.solved += 1
            self.counters.touched += len(nodes)
            self.counters.largest = max(self.counters.largest, len(nodes))
            self._solve(nodes, edges, generic)

    def _closure(self, start: int) -> tuple[set[int], set[int], frozenset[int]]:
        """Everything tied to it by standing evidence, also held; what is generic ties by a human's word."""
        nodes, edges, generic, frontier = {start}, set[int](), set[int](), [start]
        while frontier:
            n = frontier.pop()
            mine: Iterable[int] = self._near.get(n, ())
            if self._is_generic(n):
                generic.add(n)
                mine = self._human.get(n, ())
            for i in mine:
                edges.add(i)
                edge = self.edges[i]
                other = edge.b if edge.a == n else edge.a
                if other not in nodes:
                    nodes.add(other)
                    frontier.append(other)
        return nodes, edges, frozenset(generic)

    def _is_generic(self, n: int) -> bool:
        vertex = self.vertices[n]
        if is_crowded(self.policy, vertex):
            return True
        near = self._near.get(n, ())
        if is_plain(self._kind(vertex.kind), vertex, len(near)):
            return False
        mine = (self.edges[i] for i in near)
        partners = [self.vertices[e.b if e.a == n else e.a] for e in mine if not e.human]
        return is_generic(self.policy, vertex, partners)

    def _solve(self, nodes: set[int], edges: set[int], generic: frozenset[int]) -> None:
        vertices = {n: self.vertices[n] for n in nodes}
        found = solve(self.policy, vertices, [self.edges[i] for i in edges], generic)
        self.spans |= found.spans
        self.verdicts |= found.verdicts
        self.recycled = (self.recycled - nodes) | found.recycled
        for n in nodes:
            if (n in generic) != (n in self.generic):
                self._crossed(n)

    def _crossed(self, n: int) -> None:
        """It became generic, or is no more: whoever hangs on it must be looked at again."""
        self.generic ^= {n}
        for i in self._near.get(n, ()):
            edge = self.edges[i]
            self._dirty |= {edge.a, edge.b} - {n}

    # -- out -----------------------------------------------------------------------------------------------
    def node(self, ident: Ident) -> int | None:
        return self._ids.get(ident)

    def idents(self) -> Mapping[Ident, int]:
        """Every identifier met, normalised, and its node."""
        return self._ids

    def person(self, node_id: int, at: datetime | None = None) -> int:
        """Whose it is at a time; None = today."""
        spans = self.spans[node_id]
        if at is None or len(spans) == 1:
            return spans[-1].person_id
        return next(s.person_id for s in spans if s.covers(at))

    def uses(self, node_id: int) -> list[weak.Use]:
        """Who was seen with a weak identifier."""
        found = []
        if is_crowded(self.policy, self.vertices[node_id]):
            return []
        for i in sorted(self._used.get(node_id, ())):
            edge = self.edges[i]
            other = edge.b if edge.a == node_id else edge.a
            if other in self.generic or is_busy(self.vertices[other]):
                continue
            learner = self.vertices[other].kind == "learner"
            found.append(weak.Use(person_id=self.person(other, edge.first_at), n=edge.n, learner=learner))
        return found

    def households(self) -> families.Homes:
        """Household of every person."""
        if self._homes is None:
            holders = self._having(families.ACCOUNT)
            self._homes = families.households(self.policy, self._orders(), self._ties(), holders)
        return self._homes

    def _having(self, kind: str) -> set[int]:
        """Persons with an identifier of the kind."""
        return {s.person_id for n, v in self.vertices.items() if v.kind == kind for s in self.spans[n]}

    def _orders(self) -> dict[int, tuple[datetime, str, int]]:
        """When each person began."""
        first: dict[int, tuple[datetime, str, int]] = {}
        for n, spans in self.spans.items():
            vertex = self.vertices[n]
            for span in spans:
                order = (span.from_at or vertex.first_at, vertex.first_key, vertex.birth_id)
                if span.person_id not in first or order < first[span.person_id]:
                    first[span.person_id] = order
        return first

    def _ties(self) -> list[families.Tie]:
        kin = [self.edges[i] for i in {i for ids in self._kin.values() for i in ids}]
        vertices = self.vertices
        # Of two ties between the same persons the same one is needed every time.
        kin.sort(key=lambda e: sorted((vertices[e.a].order, vertices[e.b].order)))
        ties = [
            self._tie(edge)
            for edge in kin
            if edge.a not in self.generic and edge.b not in self.generic and not self._is_idle(edge)
        ]
        for n in sorted(self._used):
            ties += self._home_device(n)
        return ties

    def _is_idle(self, edge: Edge) -> bool:
        """Whether nothing follows from it because too much of its kind was said of one end."""
        return not edge.human and any(is_busy(self.vertices[n]) for n in (edge.a, edge.b))

    def _tie(self, edge: Edge) -> families.Tie:
        return families.Tie(
            evidence_id=edge.evidence_id,
            a=self.person(edge.a, edge.first_at),
            b=self.person(edge.b, edge.first_at),
            cls="not_same_household" if edge.cls == "not_same_household" else "same_household",
            rule=edge.rule,
            strength=edge.strength,
            first_at=edge.first_at,
            last_at=edge.last_at,
            key=edge.key,
            origin=edge.origin,
            n=edge.n,
        )

    def _home_device(self, n: int) -> list[families.Tie]:
        vertex = self.vertices[n]
        if vertex.kind == "masked_phone":
            return []
        persons = weak.shared(self.policy, vertex, self.uses(n))
        at = vertex.first_at
        return [
            families.Tie(
                evidence_id=-n * 8 - i,
                a=one,
                b=other,
                rule="device.shared",
                strength=40,
                n=self.policy.device_uses,
                first_at=at,
                last_at=vertex.last_at,
                key=vertex.first_key,
            )
            for i, (one, other) in enumerate(combinations(persons, 2))
        ]

    def assign(self) -> dict[str, Place]:
        """Person and household of every event; whom nobody can be named for is somebody of their own."""
        self.flush()
        world = World(
            person=self.person,
            homes=self.households().of,
            uses={n: uses for n in self._used if (uses := self.uses(n))},
            generic=self.generic,
            public=lambda n: is_crowded(self.policy, self.vertices[n]),
            children=self._having("learner"),
        )
        placer = Placer(world, self.events)
        return {e.id: placer.place(e) for e in self.events}


def _key(seen: Seen, place: int) -> str:
    """Orders what happened at the same time."""
    return f"{seen.id}|{place:03}"
