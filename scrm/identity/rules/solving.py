"""Who is one person: the strongest evidence first, as long as no rule is broken; blind to arrival order.

What it is asked about is a closed group: with an identifier all standing evidence that touches it, also what
is held, and the identifiers at its other end; of a generic one (`is_generic`) only what a human said.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from scrm.identity.rules import epochs, names
from scrm.identity.rules.policy import Kind, Policy
from scrm.identity.rules.values import Edge, Solution, Span, Standing, Verdict, Vertex

#: More standing evidence than this on an identifier that may be shared makes it generic, unread.
DEGREE_CAP = 32
#: More than this on any other: far beyond what one person has, so it is not read either.
DEGREE_MOST = 256
#: More evidence about families and devices than this on one identifier: by rules it ties no family.
KIN_CAP = 128
#: An identifier in one of its owners' hands: (node, how manieth owner).
_Spot = tuple[int, int]
_Slot = tuple[str, str]
_ACCEPTED, _IMPLIED = Verdict(standing="accepted"), Verdict(standing="implied")


def solve(
    policy: Policy,
    vertices: Mapping[int, Vertex],
    edges: Sequence[Edge],
    generic: frozenset[int] = frozenset(),
) -> Solution:
    """Whose each identifier is and when, and what became of each piece of evidence.

    `generic` names those among them that are; their evidence need not be complete.
    """
    believed = [e for e in edges if e.human or policy.strength(e.rule, e.strength) > 0]
    quick = None if generic else _all_one(policy, vertices, believed)
    found = quick or _Group(policy, vertices, believed, generic).solved()
    if len(believed) == len(edges):
        return found
    disbelieved = {e.evidence_id: Verdict(standing="held", why="rule") for e in edges if e not in believed}
    return replace(found, verdicts={**found.verdicts, **disbelieved})


def _all_one(policy: Policy, vertices: Mapping[int, Vertex], edges: Sequence[Edge]) -> Solution | None:
    """The common case: nothing contradicts anything. None = look closely."""
    if len(vertices) > policy.person_cap or any(e.cls != "same_person" for e in edges):
        return None
    slots: dict[_Slot, int] = {}
    for v in vertices.values():
        if v.gaps:
            return None
        if (kind := policy.kind(v.kind)).exclusive:
            slot = (v.kind, v.scope)
            slots[slot] = slots.get(slot, 0) + 1
            if slots[slot] > kind.exclusive:
                return None
    groups, used = _joined(policy, vertices, edges)
    verdicts = {e.evidence_id: _ACCEPTED if e.evidence_id in used else _IMPLIED for e in edges}
    spans: dict[int, tuple[Span, ...]] = {}
    for group in groups:
        first = min((vertices[n] for n in group), key=_order)
        spans |= dict.fromkeys(group, (Span(person_id=first.birth_id),))
    return Solution(spans=spans, verdicts=verdicts)


def _order(vertex: Vertex) -> tuple[datetime, str, int]:
    return vertex.order


def _rank(policy: Policy, vertices: Mapping[int, Vertex]) -> Callable[[Edge], tuple[Any, ...]]:
    """Order of trying: humans, then by strength, then the older; the rest only breaks ties."""

    def key(e: Edge) -> tuple[Any, ...]:
        a, b = sorted((vertices[e.a].order, vertices[e.b].order))
        return (not e.human, -policy.strength(e.rule, e.strength), e.first_at, e.key, a, b, e.rule)

    return key


def _joined(
    policy: Policy, vertices: Mapping[int, Vertex], edges: Sequence[Edge]
) -> tuple[list[list[int]], set[int]]:
    """Groups of what is connected, and the evidence that connected it."""
    root, used = _united(vertices, edges)
    if len(used) < len(edges):
        # Only in a circle does it depend on the order which piece was needed.
        root, used = _united(vertices, sorted(edges, key=_rank(policy, vertices)))
    groups = defaultdict(list)
    for n in vertices:
        groups[_find(root, n)].append(n)
    return list(groups.values()), used


def _united(vertices: Iterable[int], edges: Iterable[Edge]) -> tuple[dict[int, int], set[int]]:
    root, used = {n: n for n in vertices}, set()
    for e in edges:
        a, b = _find(root, e.a), _find(root, e.b)
        if a != b:
            root[a] = b
            used.add(e.evidence_id)
    return root, used


def _find(root: dict[int, int], n: int) -> int:
    while root[n] != n:
        root[n] = root[root[n]]
        n = root[n]
    return n


def derived(birth_id: int, epoch: int) -> int:
    """The person a later owner of an identifier founds."""
    if not epoch:
        return birth_id
    digest = hashlib.blake2b(f"{birth_id}|{epoch}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1 or 1


def is_crowded(policy: Policy, vertex: Vertex) -> bool:
    """Whether so much evidence touches it that nobody need read it."""
    return vertex.degree > (DEGREE_CAP if policy.kind(vertex.kind).max_persons else DEGREE_MOST)


def is_busy(vertex: Vertex) -> bool:
    """Whether so many families and devices hang on it that it says nothing about either."""
    return vertex.kin > KIN_CAP


def crowds(cls: str, merge: bool) -> bool:
    """Whether evidence of a class adds to an identifier's degree, else to its kin; uses crowd the device."""
    return not merge if cls == "uses" else cls in ("same_person", "not_same_person")


def is_plain(kind: Kind, vertex: Vertex, ties: int) -> bool:
    """Whether so few names and ties were seen that no partner need be looked at: it is not generic."""
    return not vertex.names and (ties <= kind.max_persons or not kind.max_persons)


def is_generic(policy: Policy, vertex: Vertex, partners: Sequence[Vertex]) -> bool:
    """Whether more people than one family stand behind it. `partners`: what rules, not humans, tie to it."""
    kind = policy.kind(vertex.kind)
    if is_crowded(policy, vertex):
        return True
    if len(vertex.names) > kind.max_names > 0:
        if names.distinct(s.name for s in vertex.names) > kind.max_names:
            return True
    if kind.max_reps and len(vertex.names) > 1 and not partners and _is_nobodys(vertex, kind.max_reps):
        return True
    if not len(partners) > kind.max_persons > 0:
        return False
    values: dict[_Slot, set[int]] = defaultdict(set)
    for p in partners:
        if policy.kind(p.kind).exclusive:
            values[p.kind, p.scope].add(p.node_id)
    return any(len(found) > kind.max_persons for found in values.values())


def _is_nobodys(vertex: Vertex, most: int) -> bool:
    """Many of ours saw it, and it never showed a name, another identifier or an account: a switchboard."""
    said = [s.name for s in vertex.names]
    if names.accounts(said) or not names.passed_round(said, most):
        return False
    # One name among ever so many of ours is one caller of the many.
    return names.distinct(said) != 1 or names.seen_by(said) > 2 * most


class _Group:
    """One closed group being solved."""

    def __init__(
        self,
        policy: Policy,
        vertices: Mapping[int, Vertex],
        edges: Sequence[Edge],
        generic: frozenset[int],
    ) -> None:
        self.policy, self.vertices, self.generic = policy, vertices, generic
        self.verdicts: dict[int, Verdict] = {}
        standing = self._newest(edges)
        self.apart = [e for e in standing if e.cls == "not_same_person"]
        self.edges = sorted(self._usable(standing), key=_rank(policy, vertices))
        self.by_node: dict[int, list[Edge]] = defaultdict(list)
        for e in self.edges:
            self.by_node[e.a].append(e)
            self.by_node[e.b].append(e)
        #: Beginnings of later owners, by node.
        self.starts: dict[int, list[datetime]] = {}

    def _newest(self, edges: Sequence[Edge]) -> list[Edge]:
        """Of what humans said about a pair the newest stands; against a human no rule counts."""
        said: dict[tuple[int, int], Edge] = {}
        for e in edges:
            if e.human:
                before = said.get((e.a, e.b))
                # At the very same time the cautious word stands.
                rank = (e.last_at, e.cls == "not_same_person", e.rule)
                if before is None or rank > (before.last_at, before.cls == "not_same_person", before.rule):
                    said[e.a, e.b] = e
        kept = []
        for e in edges:
            last = said.get((e.a, e.b))
            if last is None or e.cls == last.cls:
                kept.append(e)
            else:
                self.verdicts[e.evidence_id] = Verdict(
                    standing="overruled", why="human", by=(last.evidence_id,)
                )
        return kept

    def _usable(self, standing: Sequence[Edge]) -> list[Edge]:
        """Evidence that ties; on a generic identifier that is only a human's."""
        kept = []
        for e in standing:
            shared = tuple(n for n in (e.a, e.b) if n in self.generic)
            if e.cls == "same_person" and shared and not e.human:
                self.verdicts[e.evidence_id] = Verdict(standing=self._unheard(shared), by=shared)
            elif e.cls == "same_person":
                kept.append(e)
        return kept

    def _unheard(self, shared: Iterable[int]) -> Standing:
        """Several people stand behind it, or merely more evidence than anybody reads."""
        limited = any(self.policy.kind(self.vertices[n].kind).max_persons for n in shared)
        return "generic" if limited else "capped"

    # -- solving -------------------------------------------------------------------------------------------
    def solved(self) -> Solution:
        self._find_owners()
        forest = _Forest(self.policy, self._spots(), self._apart_spots())
        for e in self.edges:
            self.verdicts[e.evidence_id] = forest.take(e, self._spot(e, e.a), self._spot(e, e.b))
        for e in self.apart:
            self.verdicts[e.evidence_id] = _ACCEPTED
        return self._solution(forest)

    def _find_owners(self) -> None:
        """Who had a value before and after a silence, seen without the values that were silent."""
        silent = {n for n, v in self.vertices.items() if v.gaps and self._may_change(v)}
        if not silent:
            return
        forest = _Forest(
            self.policy, {(n, 0): v for n, v in self.vertices.items() if n not in silent}, self._apart_spots()
        )
        for e in self.edges:
            if e.a not in silent and e.b not in silent:
                forest.take(e, (e.a, 0), (e.b, 0))
        for n in sorted(silent, key=lambda n: self.vertices[n].order):
            mine = [e for e in self.by_node[n] if _other(e, n) not in silent]
            found = epochs.starts(self.vertices[n], mine, forest.group)
            if found:
                self.starts[n] = found

    def _may_change(self, vertex: Vertex) -> bool:
        return bool(self.policy.kind(vertex.kind).epoch_gap_days) and vertex.node_id not in self.generic

    def _spots(self) -> dict[_Spot, Vertex]:
        return {
            (n, epoch): v
            for n, v in self.vertices.items()
            for epoch in range(len(self.starts.get(n, ())) + 1)
        }

    def _spot(self, edge: Edge, node_id: int) -> _Spot:
        return (node_id, sum(edge.first_at >= begin for begin in self.starts.get(node_id, ())))

    def _apart_spots(self) -> list[tuple[_Spot, _Spot, int]]:
        """Pairs that must not meet, whoever owned them."""
        return [
            ((e.a, i), (e.b, j), e.evidence_id)
            for e in self.apart
            for i in range(len(self.starts.get(e.a, ())) + 1)
            for j in range(len(self.starts.get(e.b, ())) + 1)
        ]

    def _solution(self, forest: _Forest) -> Solution:
        spans: dict[int, list[Span]] = defaultdict(list)
        for members in forest.members():
            person = min(self._birth(s) for s in members)[1]
            for node_id, epoch in sorted(members):
                begins = self.starts.get(node_id, [])
                spans[node_id].append(
                    Span(
                        person_id=person,
                        from_at=begins[epoch - 1] if epoch else None,
                        until_at=begins[epoch] if epoch < len(begins) else None,
                    )
                )
        whole = {n: tuple(sorted(found, key=_from)) for n, found in spans.items()}
        return Solution(
            spans=whole,
            verdicts=self.verdicts,
            generic=self.generic,
            recycled=frozenset(self.starts),
        )

    def _birth(self, spot: _Spot) -> tuple[tuple[datetime, str, int], int]:
        """When this owner of it came first, and the person that founds."""
        vertex, epoch = self.vertices[spot[0]], spot[1]
        at = self.starts[spot[0]][epoch - 1] if epoch else vertex.first_at
        return ((at, vertex.first_key, vertex.birth_id), derived(vertex.birth_id, epoch))


def _from(span: Span) -> tuple[bool, datetime | None]:
    return (span.from_at is not None, span.from_at)


def _other(edge: Edge, node_id: int) -> int:
    return edge.b if edge.a == node_id else edge.a


class _Forest:
    """Groups that grow as long as no rule is broken."""

    def __init__(
        self,
        policy: Policy,
        spots: Mapping[_Spot, Vertex],
        apart: Iterable[tuple[_Spot, _Spot, int]],
    ) -> None:
        self.policy = policy
        self.root = {s: s for s in spots}
        self.inside: dict[_Spot, list[_Spot]] = {s: [s] for s in spots}
        self.slots: dict[_Spot, dict[_Slot, set[int]]] = {
            s: ({(v.kind, v.scope): {s[0]}} if policy.kind(v.kind).exclusive else {})
            for s, v in spots.items()
        }
        self.enemies: dict[_Spot, dict[_Spot, int]] = defaultdict(dict)
        for a, b, evidence_id in apart:
            if a in spots and b in spots:
                self.enemies[a][b] = evidence_id
                self.enemies[b][a] = evidence_id

    def find(self, spot: _Spot) -> _Spot:
        root = self.root
        while root[spot] != spot:
            root[spot] = root[root[spot]]
            spot = root[spot]
        return spot

    def take(self, edge: Edge, a: _Spot, b: _Spot) -> Verdict:
        """Join what it ties, unless that would break a rule."""
        left, right = self.find(a), self.find(b)
        if left == right:
            return _IMPLIED
        if (against := self._enemy(left, right)) is not None:
            return Verdict(standing="overruled", why="not_same", by=(against,))
        if len(self.inside[left]) + len(self.inside[right]) > self.policy.person_cap:
            return Verdict(standing="capped", why="cap")
        if not edge.human and (clash := self._clash(left, right)) is not None:
            return clash
        self._join(left, right)
        return _ACCEPTED

    def _enemy(self, left: _Spot, right: _Spot) -> int | None:
        few, many = sorted((left, right), key=lambda r: len(self.inside[r]))
        for spot in self.inside[few]:
            for enemy, evidence_id in self.enemies.get(spot, {}).items():
                if self.find(enemy) == many:
                    return evidence_id
        return None

    def _clash(self, left: _Spot, right: _Spot) -> Verdict | None:
        a, b = self.slots[left], self.slots[right]
        for slot in sorted(a.keys() & b.keys()):
            both = a[slot] | b[slot]
            # What a human joined may be joined by the rest of either side, and by nobody else.
            if len(both) > max(self.policy.kind(slot[0]).exclusive, len(a[slot]), len(b[slot])):
                return Verdict(standing="held", why=slot[0], by=tuple(sorted(both)))
        return None

    def _join(self, left: _Spot, right: _Spot) -> None:
        few, many = sorted((left, right), key=lambda r: len(self.inside[r]))
        self.root[few] = many
        self.inside[many] += self.inside.pop(few)
        slots = self.slots[many]
        for slot, values in self.slots.pop(few).items():
            slots[slot] = slots.get(slot, set()) | values

    def group(self, node_id: int) -> tuple[Hashable, dict[_Slot, set[int]]]:
        root = self.find((node_id, 0))
        return root, self.slots[root]

    def members(self) -> list[list[_Spot]]:
        return list(self.inside.values())
