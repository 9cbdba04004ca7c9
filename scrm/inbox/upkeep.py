"""Upkeep: what waits and what is quarantined, as an admin sees it, and putting rows back to the start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from scrm.db import Conn
from scrm.inbox.rows import AT_ONCE, BULK
from scrm.schema import cursor, inbox

#: One statement may take seconds only, however much there is to replay.
_AT_A_TIME = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What an admin sees of a row: never its payload."""

    inbox_id: int
    account_id: int
    source_key: str
    state: str
    stage: str
    attempts: int
    error: str
    received_at: datetime


async def counts(conn: Conn) -> dict[str, int]:
    """How many rows are in each state that still needs somebody: new, settled, quarantined."""
    c = inbox.c
    stmt = sa.select(c.state, sa.func.count().label("number")).where(
        c.tenant_id == conn.tenant_id, c.state.in_(["new", "settled", "quarantined"])
    )
    found = {r.state: r.number for r in await conn.rows(stmt.group_by(c.state))}
    return {state: found.get(state, 0) for state in ("new", "settled", "quarantined")}


async def page(conn: Conn, *, state: str, before: int | None, limit: int) -> list[Entry]:
    """Rows in a state, newest first, at most `limit`, older than the row `before`."""
    c = inbox.c
    stmt = sa.select(
        c.inbox_id, c.account_id, c.source_key, c.state, c.stage, c.attempts, c.error, c.received_at
    ).where(c.tenant_id == conn.tenant_id, c.state == state)
    if before is not None:
        stmt = stmt.where(c.inbox_id < before)
    rows = await conn.rows(stmt.order_by(c.inbox_id.desc()).limit(limit))
    return [Entry(**r._mapping) for r in rows]


async def oldest(conn: Conn) -> datetime | None:
    """When the longest-waiting unsettled row arrived; None = nothing waits."""
    c = inbox.c
    stmt = sa.select(c.received_at).where(c.tenant_id == conn.tenant_id, c.state == "new")
    found: datetime | None = await conn.scalar(stmt.order_by(c.inbox_id).limit(1))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits for one account, as far as it was counted."""

    waiting: int
    oldest_at: datetime


#: Rows looked at to see who waits: enough to tell trouble from none, however long the queue.
_COUNTED = 20_000


async def backlog(conn: Conn) -> dict[int, Backlog]:
    """By account, what has arrived and is on no timeline yet."""
    c = inbox.c
    some = sa.select(c.account_id, c.received_at).where(c.tenant_id == conn.tenant_id, c.state == "new")
    rows = some.order_by(c.rank, c.inbox_id).limit(_COUNTED).subquery().c
    stmt = sa.select(rows.account_id, sa.func.count().label("n"), sa.func.min(rows.received_at).label("at"))
    return {
        r.account_id: Backlog(waiting=r.n, oldest_at=r.at)
        for r in await conn.rows(stmt.group_by(rows.account_id))
    }


async def quarantined(conn: Conn, *, since: datetime | None = None) -> dict[int, int]:
    """By account, rows that wait for an admin; of those received since then."""
    c = inbox.c
    stmt = sa.select(c.account_id, sa.func.count().label("n")).where(
        c.tenant_id == conn.tenant_id, c.state == "quarantined"
    )
    if since is not None:
        stmt = stmt.where(c.received_at >= since)
    return {r.account_id: r.n for r in await conn.rows(stmt.group_by(c.account_id))}


async def is_idle(conn: Conn, account_id: int) -> bool:
    """Nothing of the account waits to be settled or reacted to."""
    c = inbox.c
    stmt = sa.select(c.inbox_id).where(
        c.tenant_id == conn.tenant_id, c.state.in_(["new", "settled"]), c.account_id == account_id
    )
    return await conn.row(stmt.limit(1)) is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far a stream has been read."""

    stream: str
    moved_at: datetime


async def cursors(conn: Conn) -> dict[int, list[Cursor]]:
    """By account, the streams that are followed; not those of a long job."""
    c = cursor.c
    stmt = sa.select(c.account_id, c.stream, c.moved_at).where(
        c.tenant_id == conn.tenant_id, c.stream.not_like("job:%")
    )
    found: dict[int, list[Cursor]] = {}
    for r in await conn.rows(stmt.order_by(c.account_id, c.stream).limit(5_000)):
        found.setdefault(r.account_id, []).append(Cursor(stream=r.stream, moved_at=r.moved_at))
    return found


async def replay(conn: Conn, *, inbox_ids: Sequence[int] | None = None, since: datetime | None = None) -> int:
    """Put rows back to the start: the named ones, or all quarantined ones, or everything received `since`."""
    c, moved, last = inbox.c, 0, 0
    states = ["quarantined"] if inbox_ids is None and since is None else ["quarantined", "done"]
    which = [c.tenant_id == conn.tenant_id, c.state.in_(states)]
    which += [] if inbox_ids is None else [c.inbox_id.in_(inbox_ids)]
    which += [] if since is None else [c.received_at >= since]
    start = sa.case((c.stage == "react", "settled"), else_="new")
    back = sa.update(inbox).values(state=start, attempts=0, rank=BULK, error="", stage="", next_at=AT_ONCE)
    while True:
        some = sa.select(c.inbox_id).where(*which, c.inbox_id > last).order_by(c.inbox_id).limit(_AT_A_TIME)
        found = [r.inbox_id for r in await conn.rows(some)]
        if not found:
            return moved
        moved += await conn.run(back.where(*which, c.inbox_id.in_(found)))
        last = found[-1]
