"""SQL of the spool: the inbox's own tables in a local file, and the way from there into the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.errors import Unsealable
from scrm.inbox import Item
from scrm.schema import data_key, inbox, seen
from scrm.seal import DataKey, close
from scrm.spool.rules import Depth

#: An account's key of a day seals nothing after that day; the day after is for clocks that differ.
_KEY_DAYS = timedelta(days=3)
_KEYS = 1000
#: As the inbox writes it: a row that waits for nothing does not wait for a clock either.
_AT_ONCE = datetime.fromtimestamp(0, UTC)


async def oldest(conn: Conn, *, now: datetime, limit: int) -> list[Item]:
    """Rows to forward in the order they were acknowledged; a payload that does not open is None."""
    c = inbox.c
    columns = (c.inbox_id, c.account_id, c.source_key, c.lane, c.rank, c.attempts, c.payload, c.received_at)
    stmt = sa.select(*columns).where(c.tenant_id == conn.tenant_id, c.state == "new", c.next_at <= now)
    rows = await conn.rows(stmt.order_by(c.inbox_id).limit(limit))
    return [Item(**(dict(r._mapping) | {"payload": await _opened(conn, r)})) for r in rows]


async def _opened(conn: Conn, row: Any) -> bytes | None:
    try:
        return await conn.unseal(row.payload, "inbox", row.inbox_id, "payload")
    except Unsealable:
        return None


async def deliver(conn: Conn, sealing: Sequence[tuple[Item, DataKey]]) -> int:
    """Into the database as if they had come there at once: same ids, ranks and times; how many were new.

    The ids keep a conversation's order also against rows that come in directly from now on.
    """
    wanted = sorted(sealing, key=lambda one: (one[0].account_id, one[0].source_key))
    keys = [
        {
            "tenant_id": conn.tenant_id,
            "account_id": item.account_id,
            "source_key": item.source_key,
            "inbox_id": item.inbox_id,
        }
        for item, _ in wanted
    ]
    won = {r.inbox_id for r in await conn.insert_new(seen, keys, seen.c.inbox_id)}
    rows = [
        named
        | {
            "lane": item.lane,
            "rank": item.rank,
            "payload": close(key, item.payload or b"", "inbox", item.inbox_id, "payload"),
            "received_at": item.received_at,
            "next_at": _AT_ONCE,
        }
        for named, (item, key) in zip(keys, wanted, strict=True)
        if item.inbox_id in won
    ]
    await conn.insert(inbox, rows)
    return len(won)


async def drop(conn: Conn, items: Sequence[Item]) -> None:
    """They are in the database now. Their source keys go too: it is the database that remembers for ever."""
    idents = [i.inbox_id for i in items]
    for table in (seen, inbox):
        c = table.c
        await conn.run(sa.delete(table).where(c.tenant_id == conn.tenant_id, c.inbox_id.in_(idents)))


async def depth(conn: Conn) -> Depth:
    c = inbox.c
    mine = c.tenant_id == conn.tenant_id
    stmt = sa.select(c.state, sa.func.count().label("rows")).where(mine).group_by(c.state)
    found = {r.state: r.rows for r in await conn.rows(stmt)}
    first = sa.select(c.received_at).where(mine, c.state == "new").order_by(c.inbox_id).limit(1)
    return Depth(
        waiting=found.get("new", 0),
        stuck=found.get("quarantined", 0),
        oldest_at=await conn.scalar(first) if found else None,
    )


async def stale_keys(conn: Conn, *, now: datetime) -> Mapping[int, bytes | None]:
    """Data keys to change: wrapped anew with the current master key; None = nothing needs it any more."""
    c, rows = data_key.c, sa.exists().where(inbox.c.tenant_id == conn.tenant_id)
    stmt = sa.select(c.key_id, c.owner, c.wrapped, c.created_at, rows.label("needed"))
    found: dict[int, bytes | None] = {}
    for r in await conn.rows(stmt.where(c.tenant_id == conn.tenant_id).order_by(c.key_id).limit(_KEYS)):
        if not r.needed and r.created_at < now - _KEY_DAYS:
            found[r.key_id] = None
            continue
        with suppress(Unsealable):
            if wrapped := conn.vault.rewrapped(r.key_id, r.owner, r.wrapped):
                found[r.key_id] = wrapped
    return found


async def renew_keys(conn: Conn, stale: Mapping[int, bytes | None]) -> None:
    c = data_key.c
    for key_id, wrapped in stale.items():
        this = (c.tenant_id == conn.tenant_id, c.key_id == key_id)
        if wrapped is None:
            await conn.run(sa.delete(data_key).where(*this))
        else:
            await conn.run(sa.update(data_key).where(*this).values(wrapped=wrapped))
