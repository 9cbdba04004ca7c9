"""Works about who is who: trying a policy, judging everything anew, counting, and taking evidence back."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from scrm.db import Conn, utcnow
from scrm.identity import decisions, policies, rebuild, stats
from scrm.identity import store as identity
from scrm.identity.decisions import Actor
from scrm.identity.reworking import COUNT, DRY_RUN, REINSTATE, RESOLVE, REVERT, Found, mark, which_of
from scrm.identity.store import reverting
from scrm.ledger.store import audit
from scrm.live import Change
from scrm.ownership import service as ownership
from scrm.worker.errands import Premises
from scrm.works import Slice, Work

#: Identifiers whose screens are told at a time.
_TOLD = 200


async def dry_run(on: Premises, tenant_id: int, work: Work) -> Slice:
    """What `payload["policy"]` would change; nothing is written."""
    found = Found.of(work.place)
    policy = policies.parse(dict(work.payload["policy"]), where="identity.yaml")
    async with on.db.read(tenant_id) as conn:
        piece = await rebuild.some(conn, after=found.after, policy=policy, write=False, now=utcnow())
        total = await reverting.nodes(conn) if work.total is None else None
    found.after = piece.last
    found.take(piece.deeds)
    return Slice(done=piece.nodes, place=found.place, total=total, ended=piece.over)


async def resolve(on: Premises, tenant_id: int, work: Work) -> Slice:
    """Everything judged anew by the policy in force; deals and screens follow."""
    async with on.db.begin(tenant_id) as conn:
        now = utcnow()
        piece = await rebuild.some(conn, after=int(work.place or 0), now=now)
        total = await reverting.nodes(conn) if work.total is None else None
        await _tell(on, conn, piece.persons, piece.households, now=now)
    return Slice(
        done=piece.nodes, fresh=len(piece.deeds), place=str(piece.last), total=total, ended=piece.over
    )


async def _tell(
    on: Premises, conn: Conn, persons: frozenset[int], households: frozenset[int], *, now: datetime
) -> None:
    await ownership.touched(conn, persons, households, now=now)
    nodes = sorted(await identity.nodes_of(conn, persons))[:_TOLD]
    changes = [Change(topic=f"node:{n}", ident=n, version=1) for n in nodes]
    conn.after_commit(partial(on.live.publish, conn.tenant_id, changes))


async def count(on: Premises, tenant_id: int, _work: Work) -> Slice:
    """The figures, kept for the page."""
    async with on.db.read(tenant_id) as conn:
        report = await stats.measure(conn, utcnow())
    async with on.db.begin(tenant_id) as conn:
        await stats.keep(conn, report)
    return Slice(done=sum(k.values for k in report.kinds), ended=True)


# -- taking back in bulk -----------------------------------------------------------------------------------
def _by(work: Work) -> Actor:
    return Actor(origin="admin", staff_id=work.staff_id)


async def revert(on: Premises, tenant_id: int, work: Work) -> Slice:
    """Some more of what fits, oldest first."""
    why = f"{work.payload['why']} {mark(work.job_id)}"
    async with on.db.begin(tenant_id) as conn:
        now = utcnow()
        done = await decisions.revert(conn, which_of(work.payload), by=_by(work), why=why, now=now)
        await _tell(on, conn, done.persons, done.households, now=now)
    return Slice(done=len(done.evidence_ids), place=str(work.done), ended=not done.more)


async def reinstate(on: Premises, tenant_id: int, work: Work) -> Slice:
    """What the work `payload["of"]` took back stands again."""
    async with on.db.begin(tenant_id) as conn:
        now = utcnow()
        ids = await reverting.taken_back(conn, mark(int(work.payload["of"])), limit=decisions.AT_ONCE)
        done = await decisions.reinstate(conn, ids, by=_by(work), why="撤销批量撤回", now=now)
        await _tell(on, conn, done.persons, done.households, now=now)
        await audit(conn, _by(work).label, "identity.reinstated", now=now, subject=f"job:{work.job_id}")
    return Slice(done=len(done.evidence_ids), place=str(work.done), ended=len(ids) < decisions.AT_ONCE)


KINDS = {DRY_RUN: dry_run, RESOLVE: resolve, COUNT: count, REVERT: revert, REINSTATE: reinstate}
