"""Devices and other weak identifiers: theirs who alone use them, else a facet of their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from scrm.db import Conn
from scrm.identity.closure import Around, Fresh
from scrm.identity.rules import weak
from scrm.identity.rules.policy import Policy
from scrm.identity.rules.solving import is_busy, is_crowded
from scrm.identity.rules.values import Edge, Span
from scrm.identity.shelf import is_calm
from scrm.identity.store import evidence
from scrm.identity.store.nodes import Known


@dataclass(slots=True, kw_only=True)
class Uses:
    """Weak identifiers with everybody who was seen with them."""

    known: dict[int, Known] = field(default_factory=dict)
    edges: dict[int, list[Edge]] = field(default_factory=lambda: defaultdict(list))
    spans: dict[int, tuple[Span, ...]] = field(default_factory=dict)
    #: Nodes that stand for nobody.
    nobody: set[int] = field(default_factory=set)
    #: Who was seen with one that has just become everybody's, or is no more.
    released: set[int] = field(default_factory=set)

    def of(self, policy: Policy, device: int) -> list[weak.Use]:
        found = []
        for e in sorted(self.edges.get(device, ()), key=lambda e: e.evidence_id):
            anchor = e.b if e.a == device else e.a
            known = self.known.get(anchor)
            if known is None or anchor in self.nobody or not policy.kind(known.kind).merge:
                continue
            if is_busy(known.vertex):
                continue
            person = next(s.person_id for s in self.spans[anchor] if s.covers(e.first_at))
            found.append(weak.Use(person_id=person, n=e.n, learner=known.kind == "learner"))
        return found


def is_weak(policy: Policy, known: Known) -> bool:
    return not policy.kind(known.kind).merge


async def uses(
    conn: Conn,
    policy: Policy,
    devices: Collection[int],
    fresh: Fresh,
    *,
    known: Mapping[int, Known],
    spans: Mapping[int, tuple[Span, ...]],
    states: Mapping[int, str],
) -> Uses:
    """Everybody who was seen with these, unless too many were."""
    found = Uses(known=dict(known))
    await _learn(conn, found, devices, fresh)
    open_ones = [d for d in devices if not is_crowded(policy, found.known[d].vertex)]
    mine = set(open_ones)
    for e in await _edges(conn, policy, open_ones, found.known, fresh):
        for d in (e.a, e.b):
            if d in mine:
                found.edges[d].append(e)
    ends = {n for edges in found.edges.values() for e in edges for n in (e.a, e.b)}
    await _learn(conn, found, ends, fresh)
    found.spans = {n: spans[n] for n in ends if n in spans}
    found.spans |= await fresh.shelf.spans_of(conn, ends - found.spans.keys())
    state = {n: states.get(n, found.known[n].state) for n in ends}
    found.nobody = {n for n in ends if state[n] != "active" or n not in found.spans}
    return found


async def _learn(conn: Conn, found: Uses, wanted: Iterable[int], fresh: Fresh) -> None:
    missing = set(wanted) - found.known.keys()
    found.known |= await fresh.learn(conn, missing)


async def _edges(
    conn: Conn, policy: Policy, wanted: Collection[int], known: Mapping[int, Known], fresh: Fresh
) -> list[Edge]:
    shelf = fresh.shelf
    await shelf.read(conn, [n for n in wanted if is_calm(policy, known[n])])
    found, missing = shelf.split(wanted, "uses")
    found |= {e.evidence_id: e for e in await evidence.used(conn, missing)}
    return list(found.values())


async def attach(
    conn: Conn,
    policy: Policy,
    seeds: set[int],
    around: Around,
    fresh: Fresh,
    *,
    spans: dict[int, tuple[Span, ...]],
    states: dict[int, str],
) -> Uses:
    """Whose each weak identifier is that one of these is, or was seen with."""
    near = Uses(known=dict(around.known))
    await _learn(conn, near, seeds, fresh)
    # What hangs on a crowded one is nobody's, as before: it is not looked at again, nor where nothing hangs.
    told = {n for n in seeds if _is_told(policy, near.known[n], fresh)}
    touching = await _edges(conn, policy, seeds - told, near.known, fresh)
    await _learn(conn, near, {n for e in touching for n in (e.a, e.b)}, fresh)
    devices = {
        n
        for n in {n for e in touching for n in (e.a, e.b)} | seeds
        if is_weak(policy, near.known[n]) and not policy.kind(near.known[n].kind).place
    }
    crossing = {d for d in devices if _is_public(policy, near.known[d]) != (near.known[d].state == "generic")}
    found = await uses(conn, policy, devices, fresh, known=near.known, spans=spans, states=states)
    for d in sorted(devices):
        known = near.known[d]
        if known.state != "blocked" and d in crossing:
            states[d] = "generic" if _is_public(policy, known) else "active"
        owner = None if known.state == "blocked" else weak.owner(policy, known.vertex, found.of(policy, d))
        spans[d] = (Span(person_id=owner or known.vertex.birth_id),)
    found.released = {n for e in touching if {e.a, e.b} & crossing for n in (e.a, e.b)} - crossing
    return found


def _is_told(policy: Policy, known: Known, fresh: Fresh) -> bool:
    if not (known.vertex.degree if is_weak(policy, known) else known.vertex.kin):
        return True  # never seen with another
    if is_busy(known.vertex) and known.node_id not in fresh.crossing:
        return True
    return known.state == "generic" and is_crowded(policy, known.vertex)


def _is_public(policy: Policy, known: Known) -> bool:
    return is_crowded(policy, known.vertex)
