"""SQL of a tenant's own rules on words, by version; and of the packs it works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import check_rule, pack

_r = check_rule.c
_MOST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """One version of a rule; `content` as a pack writes it."""

    code: str
    version: int
    #: draft | live | retired
    state: str
    content: Mapping[str, Any]
    author_id: int | None
    created_at: datetime


async def trades(conn: Conn) -> tuple[str, ...]:
    """The packs of this tenant."""
    stmt = sa.select(pack.c.trade).where(pack.c.tenant_id == conn.tenant_id)
    return tuple(r.trade for r in await conn.rows(stmt.order_by(pack.c.trade).limit(_MOST)))


async def live(conn: Conn) -> list[Own]:
    return await _of_state(conn, "live")


async def every(conn: Conn) -> list[Own]:
    """Drafts and live ones, by code, the newest version first."""
    return [*await _of_state(conn, "live"), *await _of_state(conn, "draft")]


async def _of_state(conn: Conn, state: str) -> list[Own]:
    stmt = sa.select(check_rule).where(_r.tenant_id == conn.tenant_id, _r.state == state)
    rows = await conn.rows(stmt.order_by(_r.code, _r.version.desc()).limit(_MOST))
    return [Own(**{name: getattr(r, name) for name in Own.__slots__}) for r in rows]


async def versions(conn: Conn, code: str) -> int:
    """The highest version of a rule; 0 = there is none."""
    stmt = sa.select(sa.func.max(_r.version)).where(_r.tenant_id == conn.tenant_id, _r.code == code)
    return int(await conn.scalar(stmt) or 0)


async def put(conn: Conn, one: Own) -> None:
    row = {name: getattr(one, name) for name in Own.__slots__} | {"tenant_id": conn.tenant_id}
    await conn.insert(check_rule, [row])


async def turn(conn: Conn, code: str, version: int, *, before: str, state: str) -> bool:
    """False when it is not as it was."""
    stmt = sa.update(check_rule).where(
        _r.tenant_id == conn.tenant_id, _r.code == code, _r.version == version, _r.state == before
    )
    return bool(await conn.run(stmt.values(state=state)))


async def retire(conn: Conn, code: str) -> None:
    """Whatever version of it was in force is no longer."""
    stmt = sa.update(check_rule).where(_r.tenant_id == conn.tenant_id, _r.code == code, _r.state == "live")
    await conn.run(stmt.values(state="retired"))
