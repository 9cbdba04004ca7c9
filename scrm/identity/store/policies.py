"""SQL of the versions of the kind policy; the highest is in force, none = the shipped one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import identity_policy

_p = identity_policy.c
_CURRENT = (
    sa.select(_p.version, _p.body)
    .where(_p.tenant_id == sa.bindparam("tenant"))
    .order_by(_p.version.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    version: int
    at: datetime
    actor_id: int | None
    note: str
    body: str


async def current(conn: Conn) -> tuple[int, str] | None:
    """(version, body) of what is in force; None = nobody changed what ships."""
    row = await conn.row(_CURRENT, {"tenant": conn.tenant_id})
    return (row.version, row.body) if row else None


async def add(conn: Conn, version: Version) -> None:
    """Fails when somebody wrote that version meanwhile."""
    row = {
        "tenant_id": conn.tenant_id,
        "version": version.version,
        "at": version.at,
        "actor_id": version.actor_id,
        "note": version.note,
        "body": version.body,
    }
    await conn.insert(identity_policy, [row])


async def history(conn: Conn, *, limit: int) -> list[Version]:
    """Newest first."""
    stmt = sa.select(_p.version, _p.at, _p.actor_id, _p.note, _p.body).where(_p.tenant_id == conn.tenant_id)
    return [Version(**r._mapping) for r in await conn.rows(stmt.order_by(_p.version.desc()).limit(limit))]
