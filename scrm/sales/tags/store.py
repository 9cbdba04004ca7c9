"""SQL of tags."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import tag

_t = tag.c


async def add(
    conn: Conn, node_id: int, names: Collection[str], *, source: str, by: int | None, now: datetime
) -> list[str]:
    """Those that were not there yet."""
    rows = [
        {
            "tenant_id": conn.tenant_id,
            "node_id": node_id,
            "name": name,
            "source": source,
            "by_id": by,
            "at": now,
        }
        for name in sorted(set(names))
    ]
    return [r.name for r in await conn.insert_new(tag, rows, _t.name)]


async def remove(conn: Conn, node_ids: Collection[int], name: str) -> int:
    """From every address of a family; from how many."""
    stmt = sa.delete(tag).where(_t.tenant_id == conn.tenant_id, _t.node_id.in_(node_ids), _t.name == name)
    return await conn.run(stmt) if node_ids else 0


async def forget(conn: Conn, node_ids: Collection[int]) -> None:
    stmt = sa.delete(tag).where(_t.tenant_id == conn.tenant_id, _t.node_id.in_(node_ids))
    if node_ids:
        await conn.run(stmt)


async def of_nodes(conn: Conn, node_ids: Collection[int], *, limit: int = 500) -> dict[str, datetime]:
    """The tags of a family, each with when it was put there first."""
    stmt = (
        sa.select(_t.name, sa.func.min(_t.at).label("at"))
        .where(_t.tenant_id == conn.tenant_id, _t.node_id.in_(node_ids))
        .group_by(_t.name)
        .order_by(_t.name)
        .limit(limit)
    )
    return {r.name: r.at for r in await conn.rows(stmt)} if node_ids else {}


async def of_each(conn: Conn, node_ids: Collection[int], *, limit: int = 5_000) -> dict[int, list[str]]:
    """The tags of each of many addresses."""
    stmt = sa.select(_t.node_id, _t.name).where(_t.tenant_id == conn.tenant_id, _t.node_id.in_(node_ids))
    found: dict[int, list[str]] = {}
    for r in await conn.rows(stmt.order_by(_t.node_id, _t.name).limit(limit)) if node_ids else []:
        found.setdefault(r.node_id, []).append(r.name)
    return found


async def known(conn: Conn, *, limit: int) -> list[str]:
    """What tags are called here, those that many have first."""
    stmt = (
        sa.select(_t.name)
        .where(_t.tenant_id == conn.tenant_id)
        .group_by(_t.name)
        .order_by(sa.func.count().desc(), _t.name)
        .limit(limit)
    )
    return [r.name for r in await conn.rows(stmt)]
