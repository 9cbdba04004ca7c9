"""SQL of clearances: a rep asks to say exactly these words, their leader answers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import clearance

_c = clearance.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearance:
    """`digest` clears these words and no others; `hits` are pairs of rule and sentence."""

    clearance_id: int
    conversation_id: int
    node_id: int
    staff_id: int
    team_id: int | None
    digest: bytes
    text: str
    hits: Sequence[Sequence[str]]
    why: str
    #: asked | granted | refused
    state: str
    by_id: int | None
    answer: str
    asked_at: datetime
    decided_at: datetime | None
    until_at: datetime | None


async def add(conn: Conn, one: Clearance) -> None:
    row = {name: getattr(one, name) for name in Clearance.__slots__}
    await conn.insert(clearance, [row | {"tenant_id": conn.tenant_id}])


async def get(conn: Conn, clearance_id: int) -> Clearance | None:
    stmt = sa.select(clearance).where(_c.tenant_id == conn.tenant_id, _c.clearance_id == clearance_id)
    row = await conn.row(stmt)
    return _of(row) if row else None


async def decide(
    conn: Conn,
    clearance_id: int,
    state: str,
    *,
    by: int | None,
    answer: str,
    now: datetime,
    until: datetime | None,
) -> bool:
    """False when somebody has answered already."""
    stmt = sa.update(clearance).where(
        _c.tenant_id == conn.tenant_id, _c.clearance_id == clearance_id, _c.state == "asked"
    )
    values = {"state": state, "by_id": by, "answer": answer, "decided_at": now, "until_at": until}
    return bool(await conn.run(stmt.values(**values)))


async def of_talk(conn: Conn, conversation_id: int, *, since: datetime, limit: int = 20) -> list[Clearance]:
    """What was asked for in a conversation since then, the newest first."""
    stmt = sa.select(clearance).where(
        _c.tenant_id == conn.tenant_id, _c.conversation_id == conversation_id, _c.asked_at >= since
    )
    return [_of(r) for r in await conn.rows(stmt.order_by(_c.clearance_id.desc()).limit(limit))]


async def page(
    conn: Conn, *, team_ids: Collection[int | None] | None, state: str, before: int | None, limit: int
) -> list[Clearance]:
    """Newest first, at most `limit`, below the clearance `before`; of these teams, None = of all."""
    stmt = sa.select(clearance).where(_c.tenant_id == conn.tenant_id)
    if team_ids is not None:
        known = [t for t in team_ids if t is not None]
        nobody = _c.team_id.is_(None) if None in team_ids else sa.false()
        stmt = stmt.where(sa.or_(_c.team_id.in_(known), nobody))
    if state:
        stmt = stmt.where(_c.state == state)
    if before is not None:
        stmt = stmt.where(_c.clearance_id < before)
    return [_of(r) for r in await conn.rows(stmt.order_by(_c.clearance_id.desc()).limit(limit))]


async def forget(conn: Conn, node_ids: Collection[int], family: Collection[int]) -> None:
    """No draft to these is left; what a check said to others of the family may name them."""
    theirs = sa.update(clearance).where(_c.tenant_id == conn.tenant_id)
    gone = {"text": "", "hits": [], "why": "", "answer": ""}
    await conn.run(theirs.where(_c.node_id.in_(node_ids)).values(**gone))
    await conn.run(theirs.where(_c.node_id.in_(family)).values(hits=[]))


def _of(row: Any) -> Clearance:
    return Clearance(**{name: getattr(row, name) for name in Clearance.__slots__})
