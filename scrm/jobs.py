"""Due rows: small jobs that must happen after a time, with the same lease as inbox and outbox."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import due
from scrm.seal import new_id
from scrm.shapes import storable

LEASE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    due_id: int
    kind: str
    key: str
    account_id: int
    payload: Mapping[str, Any]
    version: int
    attempts: int


async def put(
    conn: Conn, kind: str, key: str, account_id: int, payload: Mapping[str, Any], *, at: datetime
) -> None:
    """One row per (kind, key): asking again makes it due earlier, never later, and never twice."""
    await put_all(conn, [(kind, key, account_id, payload)], at=at)


async def put_all(
    conn: Conn, wanted: Sequence[tuple[str, str, int, Mapping[str, Any]]], *, at: datetime
) -> None:
    """The same for many (kind, key, account id, payload)."""
    await put_each(conn, [(one, at) for one in wanted])


async def put_each(
    conn: Conn, wanted: Sequence[tuple[tuple[str, str, int, Mapping[str, Any]], datetime]]
) -> None:
    """The same, each at its own time; in one order, or two processes would wait in a circle."""
    rows = [
        {
            "tenant_id": conn.tenant_id,
            "due_id": new_id(),
            "kind": kind,
            "key": key,
            "account_id": account_id,
            "payload": dict(payload),
            "at": at,
        }
        for (kind, key, account_id, payload), at in sorted(wanted, key=lambda one: one[0][:2])
    ]
    await conn.upsert(due, rows, key=["tenant_id", "kind", "key"], change=_sooner)


async def begin(
    conn: Conn, kind: str, key: str, account_id: int, payload: Mapping[str, Any], *, at: datetime
) -> None:
    """The same, but what is there already stays as it is."""
    row = {"kind": kind, "key": key, "account_id": account_id, "payload": dict(payload), "at": at}
    await conn.insert_new(due, [{"tenant_id": conn.tenant_id, "due_id": new_id(), **row}])


def _sooner(new: Any) -> dict[str, Any]:
    earlier = sa.case((due.c.at < new.at, due.c.at), else_=new.at)
    return {"at": earlier, "payload": new.payload, "version": due.c.version + 1}


async def claim(
    conn: Conn,
    *,
    now: datetime,
    limit: int,
    resting: Sequence[int] = (),
    kind: str = "",
    but: Collection[str] = (),
    running: Collection[int] = (),
) -> list[Due]:
    """Lease what is due, oldest first; one holder at a time per row. What is for `resting` accounts waits.

    With `kind` only those, with `but` all other kinds. `running` are the asker's own, however long they take.
    """
    c = due.c
    free = sa.or_(c.lease_until.is_(None), c.lease_until < now)
    stmt = sa.select(c.due_id, c.kind, c.key, c.account_id, c.payload, c.version, c.attempts).where(
        c.tenant_id == conn.tenant_id, c.at <= now, free
    )
    if resting:
        stmt = stmt.where(c.account_id.not_in(resting))
    if kind:
        stmt = stmt.where(c.kind == kind)
    if but:
        stmt = stmt.where(c.kind.not_in(but))
    if running:
        stmt = stmt.where(c.due_id.not_in(running))
    stmt = stmt.order_by(c.at, c.due_id).limit(limit)
    rows = await conn.rows(stmt.with_for_update(skip_locked=True))
    lease = sa.update(due).where(c.tenant_id == conn.tenant_id, c.due_id.in_([r.due_id for r in rows]))
    if rows:
        await conn.run(lease.values(lease_until=now + LEASE))
    return [Due(**r._mapping) for r in rows]


async def finish(conn: Conn, job: Due, *, again_at: datetime | None = None) -> None:
    """Done: gone, or due again. Asked for meanwhile (its version moved): due again at once."""
    c = due.c
    which = sa.and_(c.tenant_id == conn.tenant_id, c.due_id == job.due_id)
    unmoved = sa.and_(which, c.version == job.version)
    if again_at is None:
        await conn.run(sa.delete(due).where(unmoved))
    else:
        await conn.run(sa.update(due).where(unmoved).values(at=again_at))
    await conn.run(sa.update(due).where(which).values(lease_until=None, attempts=0, error=""))


async def postpone(conn: Conn, job: Due, error: str, *, at: datetime) -> None:
    """It failed: due again at `at`, with the reason kept for the admin."""
    c = due.c
    stmt = sa.update(due).where(c.tenant_id == conn.tenant_id, c.due_id == job.due_id)
    await conn.run(
        stmt.values(at=at, lease_until=None, attempts=job.attempts + 1, error=storable(error)[:500])
    )


async def defer(conn: Conn, job: Due, *, at: datetime) -> None:
    """Begun, and due again only then, also when its holder is longer at it than the lease."""
    c = due.c
    stmt = sa.update(due).where(c.tenant_id == conn.tenant_id, c.due_id == job.due_id)
    await conn.run(stmt.values(at=at))


async def drop(conn: Conn, job: Due) -> None:
    """Given up. Asked for meanwhile, by somebody who saw that it failed: due again at once."""
    await finish(conn, job)


async def next_at(conn: Conn) -> datetime | None:
    """When the earliest row is due."""
    found: datetime | None = await conn.scalar(
        sa.select(due.c.at).where(due.c.tenant_id == conn.tenant_id).order_by(due.c.at).limit(1)
    )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """A job that did not work and will be tried again."""

    kind: str
    attempts: int
    error: str
    at: datetime


async def failing(conn: Conn) -> dict[int, list[Failing]]:
    """By account, what is being tried again, the most stubborn first."""
    c = due.c
    stmt = sa.select(c.account_id, c.kind, c.attempts, c.error, c.at).where(
        c.tenant_id == conn.tenant_id, c.attempts > 0
    )
    found: dict[int, list[Failing]] = {}
    for r in await conn.rows(stmt.order_by(c.attempts.desc(), c.due_id).limit(500)):
        found.setdefault(r.account_id, []).append(
            Failing(kind=r.kind, attempts=r.attempts, error=r.error, at=r.at)
        )
    return found
