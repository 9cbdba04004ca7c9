"""The same stream through the product: `identity.resolve` against the same upserts raw, and one by one."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

import sqlalchemy as sa

from scrm.app import TENANT
from scrm.bench import bound
from scrm.bench.ground import quantile
from scrm.bench.identity.ours import BATCH
from scrm.bench.identity.speed import Speeds
from scrm.bench.identity.values import Event, Ident
from scrm.bench.site import Site, service, site
from scrm.contract import Handle, Link
from scrm.db import Database, utcnow
from scrm.identity.rules import Address, address
from scrm.identity.rules.policy import Policy
from scrm.identity.rules.reading import Reader
from scrm.identity.service import Sighting, resolve


async def measure(
    policy: Policy, events: Sequence[Event], *, database: str = "", singles: int = 500
) -> Speeds:
    """On SQLite, or on an empty PostgreSQL database; the last events (a fifth at most) one by one."""
    sightings = _sightings(policy, events)
    few = max(1, min(singles, len(events) // 5))
    bulk, alone = sightings[:-few], sightings[-few:]
    name = "postgresql" if database else "sqlite"
    async with site(database) as place, service(place) as one:
        before = await asyncio.to_thread(bound.counts, place)
        touched = _Touched()
        took = await _resolved(one.house.db, bulk, touched)
        again = await asyncio.to_thread(touched.again, place)
        added, ways = await bound.raw_inserts(place, before, batches=len(touched.nodes), again=again)
        each = await _each(one.house.db, alone)
    raw = min(ways.values())
    return {
        f"{name}_events": len(bulk),
        f"{name}_rows_written": added,
        f"{name}_events_s": round(len(bulk) / took),
        f"{name}_raw_events_s": round(len(bulk) / raw),
        f"{name}_ratio": round(raw / took, 3),
        f"{name}_single_p50_ms": round(quantile(each, 0.5) * 1e3, 2),
        f"{name}_single_p99_ms": round(quantile(each, 0.99) * 1e3, 2),
    }


def _sightings(policy: Policy, events: Sequence[Event]) -> list[Sighting]:
    """As a connector would say it: who took part, and what ties them."""
    reader, made = Reader(policy), []
    for number, event in enumerate(events, 1):
        reading = reader.read(event)
        shown = [*reading.actors, *reading.weak, *([reading.account] if reading.account else [])]
        persons = [_link(a, b, rule, strength) for a, b, rule, strength in reading.persons]
        families = [_link(a, b, rule, strength, family=True) for a, b, rule, strength in reading.families]
        made.append(
            Sighting(
                event_id=number,
                at=event.at,
                key=event.id,
                handles=[_handle(i, event.name if i in reading.actors[:1] else "") for i in shown],
                links=[*persons, *families],
                rep=event.rep,
            )
        )
    return made


def _handle(ident: Ident, name: str = "") -> Handle:
    return Handle(kind=ident.kind, scope=ident.scope, value=ident.value, name=name)


def _link(a: Ident, b: Ident, rule: str, strength: int, *, family: bool = False) -> Link:
    link = Link(a=_handle(a), b=_handle(b), rule=rule, strength=strength)
    return replace(link, kind="same_household") if family else link


@dataclass(slots=True)
class _Touched:
    """What each batch wrote, new or again: the bound upserts the same."""

    nodes: list[set[int]] = field(default_factory=list)
    pairs: list[set[tuple[int, int]]] = field(default_factory=list)

    def note(self, batch: Sequence[Sighting], known: Mapping[Address, int]) -> None:
        pairs = {(known[address(li.a)], known[address(li.b)]) for s in batch for li in s.links}
        for s in batch:
            first, *others = [known[address(h)] for h in s.handles] or [0]
            pairs |= {(first, other) for other in others}
        self.nodes.append(set(known.values()))
        self.pairs.append({(min(pair), max(pair)) for pair in pairs})

    def again(self, place: Site) -> bound.Again:
        """By table the ids of the rows; blocking."""
        look = sa.text("SELECT node_a, node_b, evidence_id FROM evidence ORDER BY evidence_id")
        rows: dict[tuple[int, int], list[int]] = defaultdict(list)
        for a, b, evidence_id in place.ask(lambda sync: sync.execute(look).all()):
            rows[a, b].append(evidence_id)
        evidence = [{i for pair in pairs for i in rows.get(pair, ())} for pairs in self.pairs]
        return {"node": self.nodes, "evidence": evidence}


async def _resolved(db: Database, sightings: Sequence[Sighting], touched: _Touched) -> float:
    """Seconds, a durable transaction a batch."""
    took = 0.0
    for start in range(0, len(sightings), BATCH):
        batch = sightings[start : start + BATCH]
        began = perf_counter()
        async with db.begin(TENANT) as conn:
            found = await resolve(conn, batch, utcnow())
        took += perf_counter() - began
        touched.note(batch, found.nodes)
    return took


async def _each(db: Database, sightings: Sequence[Sighting]) -> list[float]:
    """Seconds of every event in a transaction of its own, commit excluded."""
    times = []
    for sighting in sightings:
        async with db.begin(TENANT) as conn:
            began = perf_counter()
            await resolve(conn, [sighting], utcnow())
            times.append(perf_counter() - began)
    return times
