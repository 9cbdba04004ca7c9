"""Upkeep: what waits and what is quarantined, as an admin sees it, and putting rows back to the start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from scrm.db import Conn
from scrm.inbox.rows import AT_ONCE, BULK
from scrm.schema import inbox

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
