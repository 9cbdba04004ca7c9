"""SQL of the policy's versions; the highest is in force."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import ownership_policy


async def body_of(conn: Conn, version: int | None = None) -> str | None:
    """Of this version; None = of the highest."""
    c = ownership_policy.c
    stmt = sa.select(c.body).where(c.tenant_id == conn.tenant_id)
    if version is not None:
        stmt = stmt.where(c.version == version)
    found: str | None = await conn.scalar(stmt.order_by(c.version.desc()).limit(1))
    return found


async def put(
    conn: Conn, version: int, body: str, *, at: datetime, actor_id: int | None = None, note: str = ""
) -> bool:
    """Whether nobody else had made this version."""
    row = {"version": version, "at": at, "actor_id": actor_id, "body": body, "note": note}
    made = await conn.insert_new(
        ownership_policy, [{"tenant_id": conn.tenant_id, **row}], ownership_policy.c.version
    )
    return bool(made)


async def page(conn: Conn, *, limit: int) -> Sequence[Any]:
    """Newest first: version, at, actor_id, note."""
    c = ownership_policy.c
    stmt = sa.select(c.version, c.at, c.actor_id, c.note).where(c.tenant_id == conn.tenant_id)
    return await conn.rows(stmt.order_by(c.version.desc()).limit(limit))
