"""Long works: started once, done in slices by a due row of kind `work`, seen, stopped and taken up again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from scrm import jobs
from scrm.db import Conn
from scrm.schema import job
from scrm.seal import new_id
from scrm.shapes import storable

State = Literal["running", "paused", "done", "failed", "cancelled"]
OPEN: frozenset[State] = frozenset({"running", "paused"})
#: Which states each order applies to, and what it leads to.
_ORDERS: Mapping[str, tuple[frozenset[State], State]] = {
    "pause": (frozenset({"running"}), "paused"),
    "resume": (frozenset({"paused", "failed"}), "running"),
    "cancel": (frozenset({"running", "paused", "failed"}), "cancelled"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    job_id: int
    kind: str
    account_id: int | None
    payload: Mapping[str, Any]
    state: State
    #: How many are done, out of how many (None = nobody knows yet).
    done: int
    total: int | None
    #: Of those done: what we did not have before, what could not be done.
    fresh: int
    failed: int
    #: Where to go on.
    place: str
    error: str
    staff_id: int | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What one turn has done."""

    done: int = 0
    fresh: int = 0
    failed: int = 0
    place: str = ""
    #: None = as it was.
    total: int | None = None
    ended: bool = False


_WORK = [job.c[name] for name in Work.__slots__]


async def start(
    conn: Conn,
    kind: str,
    payload: Mapping[str, Any],
    *,
    account_id: int | None = None,
    total: int | None = None,
    staff_id: int | None = None,
    now: datetime,
) -> int:
    """The work's id; wake the `due` loop after the commit."""
    job_id = new_id()
    row = {
        "tenant_id": conn.tenant_id,
        "job_id": job_id,
        "kind": kind,
        "account_id": account_id,
        "payload": dict(payload),
        "total": total,
        "staff_id": staff_id,
        "created_at": now,
        "updated_at": now,
    }
    await conn.run(sa.insert(job), [row])
    await _due(conn, job_id, account_id)
    return job_id


async def _due(conn: Conn, job_id: int, account_id: int | None) -> None:
    """An account's work waits with its account; every other one belongs to account 0."""
    await jobs.put(conn, "work", str(job_id), account_id or 0, {"job_id": job_id}, at=await conn.now())


async def get(conn: Conn, job_id: int, *, lock: bool = False) -> Work | None:
    stmt = sa.select(*_WORK).where(job.c.tenant_id == conn.tenant_id, job.c.job_id == job_id)
    row = await conn.row(stmt.with_for_update() if lock else stmt)
    return Work(**row._mapping) if row else None


async def page(
    conn: Conn,
    *,
    account_id: int | None = None,
    kinds: Collection[str] = (),
    states: Collection[str] = (),
    before: int | None = None,
    limit: int,
) -> list[Work]:
    """Newest first, at most `limit`, older than the work `before`."""
    c = job.c
    stmt = sa.select(*_WORK).where(c.tenant_id == conn.tenant_id)
    if account_id is not None:
        stmt = stmt.where(c.account_id == account_id)
    if kinds:
        stmt = stmt.where(c.kind.in_(kinds))
    if states:
        stmt = stmt.where(c.state.in_(states))
    if before is not None:
        stmt = stmt.where(c.job_id < before)
    return [Work(**r._mapping) for r in await conn.rows(stmt.order_by(c.job_id.desc()).limit(limit))]


async def order(conn: Conn, job_id: int, what: str, *, now: datetime) -> Work | None:
    """Pause, resume or cancel; the work as it is now, or None when that is not possible (any more)."""
    if what not in _ORDERS:
        return None
    was, state = _ORDERS[what]
    which = sa.and_(job.c.tenant_id == conn.tenant_id, job.c.job_id == job_id, job.c.state.in_(was))
    error = {"error": ""} if what == "resume" else {}
    if not await conn.run(sa.update(job).where(which).values(state=state, updated_at=now, **error)):
        return None
    found = await get(conn, job_id)
    if found is not None and what == "resume":
        await _due(conn, job_id, found.account_id)
    return found


async def advance(
    conn: Conn, job_id: int, made: Slice, *, now: datetime, since: Work | None = None
) -> State | None:
    """Write down what a turn has done; whether it goes on is said by the state it is in by now.

    `since` is the work as the turn found it: another worker that went on meanwhile is not set back.
    """
    held = await get(conn, job_id, lock=True)
    if held is None:
        return None
    if since is not None and (held.place, held.done) != (since.place, since.done):
        return held.state
    state: State = "done" if made.ended and held.state in OPEN else held.state
    change = {
        "done": held.done + made.done,
        "fresh": held.fresh + made.fresh,
        "failed": held.failed + made.failed,
        "place": made.place,
        "total": held.total if made.total is None else made.total,
        "state": state,
        "error": "",
        "updated_at": now,
    }
    which = sa.and_(job.c.tenant_id == conn.tenant_id, job.c.job_id == job_id)
    await conn.run(sa.update(job).where(which).values(change))
    return state


async def fail(conn: Conn, job_id: int, why: str, *, now: datetime) -> None:
    """It stops here; it can be taken up again from where it stopped."""
    which = sa.and_(job.c.tenant_id == conn.tenant_id, job.c.job_id == job_id, job.c.state == "running")
    await conn.run(
        sa.update(job).where(which).values(state="failed", error=storable(why)[:500], updated_at=now)
    )
