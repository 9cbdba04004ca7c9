"""SQL of data keys while the master key changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from scrm.db import Conn
from scrm.errors import Unsealable
from scrm.schema import data_key
from scrm.seal import Vault

_BEFORE = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start < :at "
    "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapped:
    """One batch of data keys: how many rows, how many of them changed or closed to us, and where it ended."""

    rows: int
    changed: int
    closed: int
    after: int


async def tenants(conn: Conn) -> list[int]:
    """Every tenant that has data keys; on a connection that sees all of them."""
    stmt = sa.select(data_key.c.tenant_id).distinct().order_by(data_key.c.tenant_id)
    return [r.tenant_id for r in await conn.rows(stmt)]


async def count(conn: Conn) -> int:
    """How many data keys there are; on a connection that sees all of them."""
    return int(await conn.scalar(sa.select(sa.func.count()).select_from(data_key)) or 0)


async def rewrap(conn: Conn, *, after: int, limit: int) -> Wrapped:
    """Wrap the next data keys with the current master key; rows it wraps already are left alone.

    A row that was destroyed meanwhile stays destroyed: only what we read is replaced.
    """
    changed: list[dict[str, object]] = []
    closed, found = 0, await _batch(conn, after, limit)
    for row in found:
        try:
            wrapped = conn.vault.rewrapped(row.key_id, row.owner, row.wrapped)
        except Unsealable:
            closed += 1
            continue
        if wrapped is not None:
            changed.append({"ident": row.key_id, "old": row.wrapped, "new": wrapped})
    c = data_key.c
    stmt = sa.update(data_key).where(
        c.tenant_id == conn.tenant_id, c.key_id == sa.bindparam("ident"), c.wrapped == sa.bindparam("old")
    )
    await conn.run(stmt.values(wrapped=sa.bindparam("new")), changed)
    end = found[-1].key_id if found else after
    return Wrapped(rows=len(found), changed=len(changed), closed=closed, after=end)


async def check(conn: Conn, vault: Vault, *, after: int, limit: int) -> Wrapped:
    """Like `rewrap`, changing nothing: `changed` counts what another key than this vault's first wraps."""
    found = await _batch(conn, after, limit)
    changed = closed = 0
    for row in found:
        try:
            changed += vault.rewrapped(row.key_id, row.owner, row.wrapped) is not None
        except Unsealable:
            closed += 1
    end = found[-1].key_id if found else after
    return Wrapped(rows=len(found), changed=changed, closed=closed, after=end)


async def _batch(conn: Conn, after: int, limit: int) -> Sequence[sa.Row[tuple[int, str, bytes]]]:
    c = data_key.c
    stmt = sa.select(c.key_id, c.owner, c.wrapped).where(c.tenant_id == conn.tenant_id, c.key_id > after)
    return await conn.rows(stmt.order_by(c.key_id).limit(limit))


async def clock(conn: Conn) -> datetime | None:
    """The server's time, to tell older transactions by; None where one process writes at a time."""
    if not conn.many:
        return None
    found: datetime = await conn.scalar(sa.text("SELECT clock_timestamp()"))
    return found


async def begun_before(conn: Conn, at: datetime) -> int:
    """Transactions that may still commit a data key wrapped before `at`."""
    return int(await conn.scalar(_BEFORE, {"at": at}) or 0)
