"""SQL of opportunities and their moves; both are found by the nodes they hang on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.sales.opportunities.rules import Opportunity, Source, State
from scrm.schema import opportunity, stage_change

_o = opportunity.c
_MOST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One move, as it was made."""

    change_id: int
    key: str
    opportunity_id: int
    node_id: int
    stage_from: str
    stage_to: str
    state: State
    source: Source
    by_id: int | None
    event_id: int | None
    why: str
    at: datetime


async def start(conn: Conn, one: Opportunity) -> bool:
    """False when its key was opened before."""
    row = {name: getattr(one, name) for name in Opportunity.__slots__} | {"tenant_id": conn.tenant_id}
    return bool(await conn.insert_new(opportunity, [row], _o.opportunity_id))


async def get(conn: Conn, opportunity_id: int, *, hold: bool = False) -> Opportunity | None:
    """With `hold` nobody else moves it until the transaction ends."""
    stmt = sa.select(opportunity).where(_o.tenant_id == conn.tenant_id, _o.opportunity_id == opportunity_id)
    row = await conn.row(stmt.with_for_update() if hold else stmt)
    return _of(row) if row else None


async def by_key(conn: Conn, key: str) -> Opportunity | None:
    row = await conn.row(sa.select(opportunity).where(_o.tenant_id == conn.tenant_id, _o.key == key))
    return _of(row) if row else None


async def of_nodes(
    conn: Conn, node_ids: Collection[int], *, state: State | None = None, limit: int = _MOST
) -> list[Opportunity]:
    """Those that hang on these nodes, the one moved last first."""
    if not node_ids:
        return []
    stmt = sa.select(opportunity).where(_o.tenant_id == conn.tenant_id, _o.node_id.in_(node_ids))
    if state is not None:
        stmt = stmt.where(_o.state == state)
    rows = await conn.rows(stmt.order_by(_o.moved_at.desc(), _o.opportunity_id.desc()).limit(limit))
    return [_of(r) for r in rows]


async def page(
    conn: Conn,
    *,
    state: State | None,
    stage: str,
    staff_ids: Collection[int] | None,
    before: int | None,
    limit: int,
) -> list[Opportunity]:
    """Newest first, at most `limit`, below the opportunity `before`; of these reps, None = of all."""
    stmt = sa.select(opportunity).where(_o.tenant_id == conn.tenant_id)
    if state is not None:
        stmt = stmt.where(_o.state == state)
    if stage:
        stmt = stmt.where(_o.stage == stage)
    if staff_ids is not None:
        stmt = stmt.where(_o.staff_id.in_(staff_ids))
    if before is not None:
        stmt = stmt.where(_o.opportunity_id < before)
    return [_of(r) for r in await conn.rows(stmt.order_by(_o.opportunity_id.desc()).limit(limit))]


async def save(conn: Conn, one: Opportunity) -> None:
    """As it is now; its key, node and birth do not change."""
    kept = ("opportunity_id", "key", "node_id", "opened_at", "version")
    values = {name: getattr(one, name) for name in Opportunity.__slots__ if name not in kept}
    stmt = sa.update(opportunity).where(
        _o.tenant_id == conn.tenant_id, _o.opportunity_id == one.opportunity_id
    )
    await conn.run(stmt.values(**values, version=_o.version + 1))


async def add_change(conn: Conn, one: Change) -> bool:
    """False when its key was written before."""
    row = {name: getattr(one, name) for name in Change.__slots__} | {"tenant_id": conn.tenant_id}
    return bool(await conn.insert_new(stage_change, [row], stage_change.c.change_id))


async def change_of(conn: Conn, key: str) -> Change | None:
    c = stage_change.c
    row = await conn.row(sa.select(stage_change).where(c.tenant_id == conn.tenant_id, c.key == key))
    return Change(**{name: getattr(row, name) for name in Change.__slots__}) if row else None


async def changes(conn: Conn, opportunity_id: int, *, limit: int = 50) -> list[Change]:
    """Newest first."""
    c = stage_change.c
    stmt = sa.select(stage_change).where(c.tenant_id == conn.tenant_id, c.opportunity_id == opportunity_id)
    rows = await conn.rows(stmt.order_by(c.change_id.desc()).limit(limit))
    return [Change(**{name: getattr(r, name) for name in Change.__slots__}) for r in rows]


async def forget(conn: Conn, node_ids: Collection[int]) -> None:
    """What was said when sales moved; stages and figures stay."""
    c = stage_change.c
    stmt = sa.update(stage_change).where(c.tenant_id == conn.tenant_id, c.node_id.in_(node_ids))
    await conn.run(stmt.values(why=""))


def _of(row: Any) -> Opportunity:
    return Opportunity(**{name: getattr(row, name) for name in Opportunity.__slots__})
