"""SQL of promises: kept once per place in a message, found by the addresses they were said to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import promise
from scrm.seal import new_id

State = Literal["live", "kept", "withdrawn", "replaced", "expired", "void"]
_p = promise.c
_MOST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One promise of record; `share` in ten-thousandths of the price, amounts in fen."""

    promise_id: int
    source: str
    event_id: int | None
    n: int
    account_id: int | None
    conversation_id: int | None
    node_id: int
    staff_id: int | None
    kind: str
    share: int | None
    fen: int | None
    min_fen: int | None
    text: str
    quote: str
    product_code: str
    product: str
    made_at: datetime
    until_at: datetime | None
    state: State
    closed_at: datetime | None
    closed_by: int | None
    why: str
    changed: int


async def add(conn: Conn, rows: Sequence[Row]) -> set[int]:
    """The ids of those that are new."""
    values = [
        {name: getattr(r, name) for name in Row.__slots__} | {"tenant_id": conn.tenant_id} for r in rows
    ]
    return {r.promise_id for r in await conn.insert_new(promise, values, _p.promise_id)}


async def live(conn: Conn, node_ids: Collection[int], *, now: datetime, limit: int = _MOST) -> list[Row]:
    """What stands towards these addresses, the newest first."""
    if not node_ids:
        return []
    stmt = sa.select(promise).where(
        _p.tenant_id == conn.tenant_id,
        _p.node_id.in_(node_ids),
        _p.state == "live",
        sa.or_(_p.until_at.is_(None), _p.until_at > now),
    )
    return [_of(r) for r in await conn.rows(stmt.order_by(_p.promise_id.desc()).limit(limit))]


async def of_nodes(conn: Conn, node_ids: Collection[int], *, limit: int = 50) -> list[Row]:
    """Every promise to these addresses, whatever became of it, the newest first."""
    if not node_ids:
        return []
    stmt = sa.select(promise).where(_p.tenant_id == conn.tenant_id, _p.node_id.in_(node_ids))
    return [_of(r) for r in await conn.rows(stmt.order_by(_p.promise_id.desc()).limit(limit))]


async def some(conn: Conn, promise_ids: Collection[int]) -> list[Row]:
    """These, whatever became of them."""
    stmt = sa.select(promise).where(_p.tenant_id == conn.tenant_id, _p.promise_id.in_(promise_ids))
    return [_of(r) for r in await conn.rows(stmt.order_by(_p.promise_id))] if promise_ids else []


async def of_events(conn: Conn, event_ids: Collection[int]) -> list[Row]:
    """What these messages promised, in their order."""
    stmt = sa.select(promise).where(_p.tenant_id == conn.tenant_id, _p.event_id.in_(event_ids))
    return [_of(r) for r in await conn.rows(stmt.order_by(_p.event_id, _p.n))] if event_ids else []


async def said_lately(conn: Conn, node_ids: Collection[int], *, since: datetime, limit: int) -> list[Row]:
    """Of what these addresses were told from then on, the newest first; what was taken back is left out."""
    if not node_ids:
        return []
    stmt = sa.select(promise).where(
        _p.tenant_id == conn.tenant_id,
        _p.node_id.in_(node_ids),
        _p.made_at >= since,
        _p.event_id.is_not(None),
        _p.state != "void",
    )
    return [_of(r) for r in await conn.rows(stmt.order_by(_p.promise_id.desc()).limit(limit))]


async def version(conn: Conn, node_ids: Collection[int]) -> int:
    """Changes whenever a promise to one of these addresses is made or ends; 0 = there never was one."""
    if not node_ids:
        return 0
    newest = sa.select(sa.func.max(_p.changed)).where(
        _p.tenant_id == conn.tenant_id, _p.node_id.in_(node_ids)
    )
    return int(await conn.scalar(newest) or 0)


async def get(conn: Conn, promise_id: int) -> Row | None:
    row = await conn.row(
        sa.select(promise).where(_p.tenant_id == conn.tenant_id, _p.promise_id == promise_id)
    )
    return _of(row) if row else None


async def close(
    conn: Conn,
    promise_ids: Collection[int],
    state: State,
    *,
    why: str,
    by: int | None = None,
    now: datetime,
    among: Sequence[State] = ("live",),
) -> int:
    """Those that stood and now do not; how many."""
    if not promise_ids:
        return 0
    stmt = sa.update(promise).where(
        _p.tenant_id == conn.tenant_id, _p.promise_id.in_(promise_ids), _p.state.in_(among)
    )
    return await conn.run(stmt.values(state=state, why=why, closed_by=by, closed_at=now, changed=new_id()))


async def reopen(conn: Conn, promise_ids: Collection[int]) -> int:
    """What had taken their place is gone."""
    if not promise_ids:
        return 0
    stmt = sa.update(promise).where(
        _p.tenant_id == conn.tenant_id, _p.promise_id.in_(promise_ids), _p.state == "replaced"
    )
    return await conn.run(stmt.values(state="live", why="", closed_at=None, changed=new_id()))


async def open_of_node(conn: Conn, node_id: int) -> list[Row]:
    """Live and replaced ones of an address, held for this transaction, the newest first."""
    stmt = sa.select(promise).where(
        _p.tenant_id == conn.tenant_id, _p.node_id == node_id, _p.state.in_(("live", "replaced"))
    )
    newest = stmt.order_by(_p.promise_id.desc()).limit(_MOST)
    return [_of(r) for r in await conn.rows(newest.with_for_update())]


async def run_out(conn: Conn, *, now: datetime, limit: int) -> list[Row]:
    """Live ones whose last day is over, the oldest first."""
    stmt = sa.select(promise).where(_p.tenant_id == conn.tenant_id, _p.state == "live", _p.until_at <= now)
    return [_of(r) for r in await conn.rows(stmt.order_by(_p.until_at, _p.promise_id).limit(limit))]


async def ending(conn: Conn, *, since: datetime, until: datetime, after: int, limit: int) -> list[Row]:
    """Live ones that end in that time, in the order of their ids from `after` on."""
    stmt = sa.select(promise).where(
        _p.tenant_id == conn.tenant_id,
        _p.state == "live",
        _p.until_at > since,
        _p.until_at <= until,
        _p.promise_id > after,
    )
    return [_of(r) for r in await conn.rows(stmt.order_by(_p.promise_id).limit(limit))]


async def page(
    conn: Conn, *, node_ids: Collection[int] | None, state: str, before: int | None, limit: int
) -> list[Row]:
    """Newest first, at most `limit`, below the promise `before`; to these addresses, None = to all."""
    stmt = sa.select(promise).where(_p.tenant_id == conn.tenant_id)
    if node_ids is not None:
        stmt = stmt.where(_p.node_id.in_(node_ids))
    if state:
        stmt = stmt.where(_p.state == state)
    if before is not None:
        stmt = stmt.where(_p.promise_id < before)
    return [_of(r) for r in await conn.rows(stmt.order_by(_p.promise_id.desc()).limit(limit))]


async def forget(conn: Conn, node_ids: Collection[int]) -> set[int]:
    """No words of these are left, figures stay; which promises they were."""
    if not node_ids:
        return set()
    theirs = (_p.tenant_id == conn.tenant_id, _p.node_id.in_(node_ids))
    rows = await conn.rows(sa.select(_p.promise_id).where(*theirs))
    await conn.run(sa.update(promise).where(*theirs).values(text="", quote="", why="", changed=new_id()))
    return {r.promise_id for r in rows}


def _of(row: Any) -> Row:
    return Row(**{name: getattr(row, name) for name in Row.__slots__})
