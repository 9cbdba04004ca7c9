"""One run of the batch companion: every person read by the page, scored in a thread, questions written."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic

from scrm.db import Conn, Database, utcnow
from scrm.errors import TooLarge
from scrm.identity import decisions, proposals
from scrm.identity.match import scoring
from scrm.identity.match.choosing import Pair
from scrm.identity.match.model import Cls
from scrm.identity.match.proposing import Found, Proposed, find
from scrm.identity.match.records import Record
from scrm.identity.match.store import proposals as store
from scrm.identity.match.store import records
from scrm.identity.rules.policy import Policy
from scrm.seal import new_id
from scrm.shapes import to_json

#: Persons a page, questions a transaction, pieces of evidence a page, accepted by itself a transaction.
_PAGE, _WRITTEN, _EVIDENCE, _ACCEPTED = 1_000, 500, 5_000, 50
#: About 10 KB of memory each; above it Splink wants another engine.
MOST = 400_000
_CLASSES: Mapping[str, Cls] = {"not_same_person": "same_person", "not_same_household": "same_household"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a run stands: `read` | `same_person` | `same_household` | `write` | `accept`."""

    step: str
    done: int = 0
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What came of it."""

    batch: str
    persons: int
    #: Questions by class, and how many of all were not asked before.
    proposed: Mapping[str, int]
    fresh: int
    #: Open questions of earlier runs that no longer hold.
    withdrawn: int
    accepted: int
    models: tuple[str, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)


async def run(
    db: Database,
    tenant_id: int,
    policy: Policy,
    progress: Callable[[Progress], None] = lambda _: None,
    *,
    accept_bits: float | None = None,
) -> Run:
    """A whole run. Writes questions only, unless the tenant opted in to `accept_bits`.

    Raises `BadConfig` when the extra is not installed, `TooLarge` for more persons than one process takes.
    """
    scoring.demand()
    batch, clock = f"run-{new_id()}", _Clock()
    known = await _read(db, tenant_id, policy, progress)
    apart = await _apart(db, tenant_id, {n: r.person_id for r in known for n in (*r.nodes, r.node_id)})
    clock.lap("read")
    loop = asyncio.get_running_loop()

    def step(name: str) -> None:
        loop.call_soon_threadsafe(progress, Progress(step=name))

    threads = max(1, min(4, os.cpu_count() or 1))
    found = await asyncio.to_thread(find, known, policy, apart=apart, threads=threads, step=step)
    clock.lap("score")
    fresh = await _write(db, tenant_id, batch, found, progress)
    withdrawn = await _withdraw(db, tenant_id, batch)
    clock.lap("write")
    accepted = 0
    if accept_bits is not None:
        accepted = await _accept(db, tenant_id, found, accept_bits, progress)
    made: dict[str, int] = defaultdict(int)
    for one in found.proposed:
        made[one.cls] += 1
    return Run(
        batch=batch,
        persons=len(known),
        proposed=dict(made),
        fresh=fresh,
        withdrawn=withdrawn,
        accepted=accepted,
        models=tuple(m.version for m in found.models),
        seconds=clock.laps,
    )


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._since = monotonic()

    def lap(self, name: str) -> None:
        now = monotonic()
        self.laps[name], self._since = now - self._since, now


async def _read(
    db: Database, tenant_id: int, policy: Policy, progress: Callable[[Progress], None]
) -> list[Record]:
    known: list[Record] = []
    after: int | None = 0
    while after is not None:
        # Each page its own view: a long one would keep the database from tidying up behind us.
        async with db.read(tenant_id) as conn:
            page = await records.page(conn, policy, after=after, limit=_PAGE)
        known.extend(page.records)
        after = page.last
        progress(Progress(step="read", done=len(known)))
        if len(known) > MOST:
            raise TooLarge(f"超过 {MOST} 人，请改用 Spark 或 PostgreSQL 引擎的 Splink。")
    return known


async def _apart(db: Database, tenant_id: int, owner: Mapping[int, int]) -> dict[Cls, set[Pair]]:
    """Pairs of persons that standing evidence keeps apart."""
    found: dict[Cls, set[Pair]] = {"same_person": set(), "same_household": set()}
    after = 0
    while True:
        async with db.read(tenant_id) as conn:
            rows = await records.apart(conn, after=after, limit=_EVIDENCE)
            ends = {n for r in rows for n in (r.node_a, r.node_b)} - owner.keys()
            owners = {**await store.owners(conn, ends), **owner}
        for r in rows:
            a, b = owners.get(r.node_a), owners.get(r.node_b)
            if a is not None and b is not None:
                found[_CLASSES[r.cls]].add((min(a, b), max(a, b)))
        if len(rows) < _EVIDENCE:
            return found
        after = rows[-1].evidence_id


async def _write(
    db: Database, tenant_id: int, batch: str, found: Found, progress: Callable[[Progress], None]
) -> int:
    now, fresh, total = utcnow(), 0, len(found.proposed)
    async with db.begin(tenant_id) as conn:
        for model in found.models:
            await store.keep_model(conn, model.version, to_json(model.settings).decode(), now=now)
    for start in range(0, total, _WRITTEN):
        some = found.proposed[start : start + _WRITTEN]
        async with db.begin(tenant_id) as conn:
            fresh += await store.add(conn, [_new(one, batch) for one in some], now=now)
        progress(Progress(step="write", done=start + len(some), total=total))
    return fresh


def _new(one: Proposed, batch: str) -> store.New:
    return proposals.new(
        one.a.node_id,
        one.b.node_id,
        one.cls,
        one.reasons,
        source="model",
        likely=one.probability,
        value=one.a.value + one.b.value,
        model_version=one.model_version,
        batch=batch,
        weight=round(100 * one.bits),
        sides=(one.a.nodes, one.b.nodes),
    )


async def _withdraw(db: Database, tenant_id: int, batch: str) -> int:
    """Questions of earlier runs that this one does not ask any more."""
    total = 0
    for cls in _CLASSES.values():
        while True:
            async with db.begin(tenant_id) as conn:
                gone = await store.stale(conn, batch=batch, source="model", cls=cls, limit=_WRITTEN)
            total += gone
            if gone < _WRITTEN:
                break
    return total


async def _accept(
    db: Database, tenant_id: int, found: Found, least: float, progress: Callable[[Progress], None]
) -> int:
    """The tenant's own wish: what weighs enough and nothing contradicts is linked as the model's doing."""
    sure = [p for p in found.proposed if p.cls == "same_person" and p.bits >= least and not _doubted(p)]
    done = 0
    for start in range(0, len(sure), _ACCEPTED):
        async with db.begin(tenant_id) as conn:
            done += await _accept_some(conn, sure[start : start + _ACCEPTED], now=utcnow())
        progress(Progress(step="accept", done=done, total=len(sure)))
    return done


def _doubted(one: Proposed) -> bool:
    """Whether any reason speaks against it by more than a bit."""
    return any(r.weight <= -100 for r in one.reasons)


async def _accept_some(conn: Conn, some: Sequence[Proposed], *, now: datetime) -> int:
    by, done = decisions.Actor(origin="model", staff_id=None), 0
    for one in some:
        for asked in await proposals.open_for(conn, {one.a.person_id}):
            pair = {one.a.node_id, one.b.node_id}
            if {asked.node_a, asked.node_b} == pair and asked.cls == one.cls:
                await proposals.accept(conn, asked.proposal_id, by=by, now=now)
                done += 1
    return done
