"""Households, derived again for every person something happened to: a graph of its own above identity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import combinations
from typing import Literal

import structlog

from scrm.db import Conn
from scrm.identity import devices
from scrm.identity.closure import Fresh
from scrm.identity.rules import families, weak
from scrm.identity.rules.families import Tie
from scrm.identity.rules.policy import Policy
from scrm.identity.rules.solving import is_busy, is_crowded
from scrm.identity.rules.values import Edge, Span, Verdict
from scrm.identity.shelf import Shelf
from scrm.identity.store import evidence, households, standings
from scrm.identity.store.nodes import Known

log = structlog.get_logger()
#: Persons that are looked at together beside those asked about, and for each of those: a web of wrong ties
#: beyond that is cut where it is.
_MOST, _EACH = 512, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Household by person before and after, where that differs."""

    before: Mapping[int, int] = field(default_factory=dict)
    after: Mapping[int, int] = field(default_factory=dict)
    #: What became of evidence about families.
    was: Mapping[int, Verdict] = field(default_factory=dict)
    now: Mapping[int, Verdict] = field(default_factory=dict)

    @property
    def changed(self) -> frozenset[int]:
        return frozenset({*self.before.values(), *self.after.values()})


@dataclass(slots=True, kw_only=True)
class _Web:
    """Persons with their identifiers and what ties them."""

    shelf: Shelf
    held: dict[int, list[tuple[int, Span]]] = field(default_factory=dict)
    known: dict[int, Known] = field(default_factory=dict)
    spans: dict[int, tuple[Span, ...]] = field(default_factory=dict)
    kin: dict[int, Edge] = field(default_factory=dict)
    devices: set[int] = field(default_factory=set)
    ties: dict[int, Tie] = field(default_factory=dict)

    def order(self, one: tuple[int, Tie]) -> list[tuple[datetime, str, int]]:
        """By what was tied: of two ties between the same persons the same one is needed every time."""
        edge = self.kin.get(one[0])
        ends = (edge.a, edge.b) if edge else (-one[0] // 8,)
        return sorted(self.known[n].vertex.order for n in ends)


async def project(
    conn: Conn,
    policy: Policy,
    seeds: Collection[int],
    gone_evidence: Collection[int],
    crossing: Collection[int] = (),
    *,
    known: Mapping[int, Known],
    spans: Mapping[int, tuple[Span, ...]],
    shelf: Shelf,
    write: bool = True,
) -> Moved:
    """Households of these persons, and of all whom they have to do with.

    `crossing` are nodes on which too many families and devices hang since now, or no more. `known` and
    `spans` are as they have just been written (or would be): they are not read again.
    """
    if not seeds and not gone_evidence:
        return Moved()
    was = await households.around(conn, seeds)
    beside = set(was)
    web = _Web(known=dict(known), spans={n: s for n, s in spans.items() if n in known}, shelf=shelf)
    shelf.known |= known
    await _spread(conn, policy, web, set(seeds) | beside, crossing)
    was |= await households.households_of(conn, web.held.keys() - beside - set(seeds))
    ties = [t for _, t in sorted(web.ties.items(), key=web.order) if t.a in web.held and t.b in web.held]
    found = families.households(policy, _orders(policy, web), ties, _holders(web))
    sizes: dict[int, int] = defaultdict(int)
    for h in found.of.values():
        sizes[h] += 1
    now = {p: h for p, h in found.of.items() if sizes[h] > 1}
    changed = {p: h for p, h in now.items() if was.get(p) != h}
    gone = was.keys() - now.keys()
    if write:
        await households.set_members(conn, changed, gone=gone)
    before, after = await _judge(conn, web, found.verdicts, gone_evidence, write=write)
    homes = {h for p in (*changed, *gone) for h in (was.get(p, p), now.get(p, p))}
    concerned = {p for p in (*web.held, *gone) if {was.get(p, p), now.get(p, p)} & homes}
    return Moved(
        before={p: was.get(p, p) for p in concerned},
        after={p: now.get(p, p) for p in concerned if p in web.held},
        was=before,
        now=after,
    )


def _holders(web: _Web) -> set[int]:
    """Persons with an account."""
    return {p for p, mine in web.held.items() if any(web.known[n].kind == families.ACCOUNT for n, _ in mine)}


async def _judge(
    conn: Conn, web: _Web, found: Mapping[int, Verdict], gone_evidence: Collection[int], *, write: bool
) -> tuple[dict[int, Verdict], dict[int, Verdict]]:
    """What became of evidence about families: (before, now), where it differs."""
    verdicts = {
        i: replace(v, by=tuple(sorted(v.by))) if len(v.by) > 1 else v for i, v in found.items() if i > 0
    }
    for i, e in web.kin.items():
        if i not in verdicts:
            by = tuple(n for n in (e.a, e.b) if web.known[n].state != "active")
            busy = tuple(n for n in (e.a, e.b) if is_busy(web.known[n].vertex))
            verdicts[i] = Verdict(standing="generic", by=by) if by else Verdict(standing="capped", by=busy)
    was = await standings.standings(conn, verdicts.keys() | set(gone_evidence))
    now = {i: v for i, v in verdicts.items() if v.standing != "accepted"}
    changed = {i: v for i, v in now.items() if was.get(i) != v}
    gone = was.keys() - now.keys()
    if write:
        await standings.set_standings(conn, changed, gone=gone)
    return {i: was[i] for i in (*changed, *gone) if i in was}, changed


# -- who has to do with whom -------------------------------------------------------------------------------
async def _spread(
    conn: Conn, policy: Policy, web: _Web, seeds: Collection[int], crossing: Collection[int]
) -> None:
    wanted, shelf = set(seeds), web.shelf
    asked: set[int] = set()
    most = _MOST + _EACH * len(wanted)
    while wanted and len(asked) < most:
        asked |= wanted
        held = await shelf.held_by(conn, wanted)
        web.held |= held
        await _learn(conn, web, {n for mine in held.values() for n, _ in mine})
        mine = {n for nodes_of in held.values() for n, _ in nodes_of}
        open_ones = {n for n in mine if not is_crowded(policy, web.known[n].vertex)}
        busy = {n for n in open_ones if is_busy(web.known[n].vertex) and n not in crossing}
        await shelf.read(conn, {n for n in open_ones - busy if not is_busy(web.known[n].vertex)})
        shelved, missing = shelf.split(open_ones - busy, "same_household", "not_same_household", "uses")
        edges = [*shelved.values(), *await evidence.kin_and_used(conn, missing)]
        edges += await evidence.said_of_kin(conn, busy)
        await _learn(conn, web, {n for e in edges for n in (e.a, e.b)})
        met = _tie(web, [e for e in edges if e.cls != "uses"])
        met |= await _share(conn, policy, web, [e for e in edges if e.cls == "uses"])
        wanted = met - asked
    if wanted:
        log.warning("web of families cut", persons=len(asked), beyond=len(wanted))


async def _learn(conn: Conn, web: _Web, wanted: Iterable[int]) -> None:
    ends = set(wanted)
    web.known |= await web.shelf.learn(conn, ends - web.known.keys())
    web.spans |= await web.shelf.spans_of(conn, ends - web.spans.keys())


def _tie(web: _Web, edges: Iterable[Edge]) -> set[int]:
    """Whom it ties, by whose each identifier was when it was said."""
    met = set()
    for e in edges:
        web.kin[e.evidence_id] = e
        if any(web.known[n].state != "active" or n not in web.spans for n in (e.a, e.b)):
            continue
        a, b = (next(s.person_id for s in web.spans[n] if s.covers(e.first_at)) for n in (e.a, e.b))
        met |= {a, b}
        if not e.human and any(is_busy(web.known[n].vertex) for n in (e.a, e.b)):
            continue  # too much of it was said of one of them
        cls: Literal["same_household", "not_same_household"] = (
            "not_same_household" if e.cls == "not_same_household" else "same_household"
        )
        web.ties[e.evidence_id] = Tie(
            evidence_id=e.evidence_id,
            a=a,
            b=b,
            cls=cls,
            rule=e.rule,
            strength=e.strength,
            first_at=e.first_at,
            last_at=e.last_at,
            key=e.key,
            origin=e.origin,
            n=e.n,
        )
    return met


async def _share(conn: Conn, policy: Policy, web: _Web, edges: Iterable[Edge]) -> set[int]:
    """Whom a device of the home ties."""
    found = {n for e in edges for n in (e.a, e.b) if devices.is_weak(policy, web.known[n])} - web.devices
    web.devices |= found
    if not found:
        return set()
    there = Fresh(shelf=web.shelf)
    used = await devices.uses(conn, policy, found, there, known=web.known, spans=web.spans, states={})
    met: set[int] = set()
    for d in sorted(found):
        known = web.known[d]
        if known.state == "active" and known.kind != "masked_phone":
            together = weak.shared(policy, known.vertex, used.of(policy, d))
            met |= set(together)
            for i, (a, b) in enumerate(combinations(together, 2)):
                web.ties[-d * 8 - i] = _home(policy, known, -d * 8 - i, a, b)
    return met


def _home(policy: Policy, known: Known, ident: int, a: int, b: int) -> Tie:
    v = known.vertex
    return Tie(
        evidence_id=ident,
        a=a,
        b=b,
        rule="device.shared",
        strength=40,
        n=policy.device_uses,
        first_at=v.first_at,
        last_at=v.last_at,
        key=v.first_key,
    )


def _orders(policy: Policy, web: _Web) -> dict[int, tuple[object, str, int]]:
    """When each person began: by what is theirs for sure, not by a device they were seen with."""
    found: dict[int, tuple[object, str, int]] = {}
    for p, mine in web.held.items():
        orders = []
        for n, span in mine:
            v = web.known[n].vertex
            if policy.kind(v.kind).merge or p == v.birth_id:
                orders.append((span.from_at or v.first_at, v.first_key, v.birth_id))
        found[p] = min(orders)
    return found
