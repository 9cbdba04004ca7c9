"""Households, derived again for every person something happened to: a graph of its own above identity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Literal

from scrm.db import Conn
from scrm.identity import devices
from scrm.identity.closure import Fresh
from scrm.identity.rules import families, weak
from scrm.identity.rules.families import Tie
from scrm.identity.rules.policy import Policy
from scrm.identity.rules.solving import is_busy, is_crowded
from scrm.identity.rules.values import Edge, Span, Verdict
from scrm.identity.store import evidence, households, nodes, persons, standings
from scrm.identity.store.nodes import Known

#: Persons that are looked at together: a web of wrong ties beyond that is cut where it is.
_MOST = 512


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

    held: dict[int, list[tuple[int, Span]]] = field(default_factory=dict)
    known: dict[int, Known] = field(default_factory=dict)
    spans: dict[int, tuple[Span, ...]] = field(default_factory=dict)
    kin: dict[int, Edge] = field(default_factory=dict)
    devices: set[int] = field(default_factory=set)
    ties: dict[int, Tie] = field(default_factory=dict)


async def project(
    conn: Conn,
    policy: Policy,
    seeds: Collection[int],
    gone_evidence: Collection[int],
    crossing: Collection[int] = (),
    *,
    known: Mapping[int, Known],
    spans: Mapping[int, tuple[Span, ...]],
) -> Moved:
    """Households of these persons, and of all whom they have to do with.

    `crossing` are nodes on which too many families and devices hang since now, or no more. `known` and
    `spans` are as they have just been written: they are not read again.
    """
    if not seeds and not gone_evidence:
        return Moved()
    was = await households.households_of(conn, seeds)
    beside = {p for mine in (await households.members(conn, was.values())).values() for p in mine}
    web = _Web(known=dict(known), spans={n: s for n, s in spans.items() if n in known})
    await _spread(conn, policy, web, set(seeds) | beside, crossing)
    was |= await households.households_of(conn, (web.held.keys() | beside) - set(seeds))
    ties = [t for t in web.ties.values() if t.a in web.held and t.b in web.held]
    found = families.households(policy, _orders(policy, web), ties)
    sizes: dict[int, int] = defaultdict(int)
    for h in found.of.values():
        sizes[h] += 1
    now = {p: h for p, h in found.of.items() if sizes[h] > 1}
    changed = {p: h for p, h in now.items() if was.get(p) != h}
    gone = was.keys() - now.keys()
    await households.set_members(conn, changed, gone=gone)
    before, after = await _judge(conn, web, found.verdicts, gone_evidence)
    homes = {h for p in (*changed, *gone) for h in (was.get(p, p), now.get(p, p))}
    concerned = {p for p in (*web.held, *gone) if {was.get(p, p), now.get(p, p)} & homes}
    return Moved(
        before={p: was.get(p, p) for p in concerned},
        after={p: now.get(p, p) for p in concerned if p in web.held},
        was=before,
        now=after,
    )


async def _judge(
    conn: Conn, web: _Web, found: Mapping[int, Verdict], gone_evidence: Collection[int]
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
    await standings.set_standings(conn, changed, gone=gone)
    return {i: was[i] for i in (*changed, *gone) if i in was}, changed


# -- who has to do with whom -------------------------------------------------------------------------------
async def _spread(
    conn: Conn, policy: Policy, web: _Web, seeds: Collection[int], crossing: Collection[int]
) -> None:
    wanted = set(seeds)
    asked: set[int] = set()
    while wanted and len(asked) < _MOST:
        asked |= wanted
        held = await persons.held_by(conn, wanted)
        web.held |= held
        await _learn(conn, web, {n for mine in held.values() for n, _ in mine})
        mine = {n for nodes_of in held.values() for n, _ in nodes_of}
        open_ones = {n for n in mine if not is_crowded(policy, web.known[n].vertex)}
        busy = {n for n in open_ones if is_busy(web.known[n].vertex) and n not in crossing}
        edges = await evidence.kin_and_used(conn, open_ones - busy)
        edges += await evidence.said_of_kin(conn, busy)
        await _learn(conn, web, {n for e in edges for n in (e.a, e.b)})
        met = _tie(web, [e for e in edges if e.cls != "uses"])
        met |= await _share(conn, policy, web, [e for e in edges if e.cls == "uses"])
        wanted = met - asked


async def _learn(conn: Conn, web: _Web, wanted: Iterable[int]) -> None:
    ends = set(wanted)
    web.known |= await nodes.by_id(conn, ends - web.known.keys())
    web.spans |= await persons.spans_of(conn, ends - web.spans.keys())


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
    used = await devices.uses(conn, policy, found, Fresh(), known=web.known, spans=web.spans, states={})
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
