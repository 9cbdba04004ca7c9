"""SQL of coupon batches and coupons."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.campaigns.coupons.rules import Batch
from scrm.db import Conn
from scrm.schema import coupon, coupon_batch

_b, _c = coupon_batch.c, coupon.c
_MOST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Coupon:
    coupon_id: int
    key: str
    batch_id: int
    node_id: int
    code: str
    staff_id: int | None
    state: str
    event_id: int | None
    issued_at: datetime
    redeemed_at: datetime | None
    order_number: str


async def add_batch(conn: Conn, one: Batch) -> bool:
    """False when its code is taken."""
    row = {name: getattr(one, name) for name in Batch.__slots__} | {"tenant_id": conn.tenant_id}
    return bool(await conn.insert_new(coupon_batch, [row], _b.batch_id))


async def batch(conn: Conn, batch_id: int, *, hold: bool = False) -> Batch | None:
    """With `hold` nobody else gives one out until the transaction ends."""
    stmt = sa.select(coupon_batch).where(_b.tenant_id == conn.tenant_id, _b.batch_id == batch_id)
    row = await conn.row(stmt.with_for_update() if hold else stmt)
    return _batch(row) if row else None


async def batch_of(conn: Conn, code: str) -> Batch | None:
    row = await conn.row(sa.select(coupon_batch).where(_b.tenant_id == conn.tenant_id, _b.code == code))
    return _batch(row) if row else None


async def batches(
    conn: Conn, *, state: str = "", before: int | None = None, limit: int = _MOST
) -> list[Batch]:
    """Newest first, at most `limit`, below the batch `before`."""
    stmt = sa.select(coupon_batch).where(_b.tenant_id == conn.tenant_id)
    if state:
        stmt = stmt.where(_b.state == state)
    if before is not None:
        stmt = stmt.where(_b.batch_id < before)
    return [_batch(r) for r in await conn.rows(stmt.order_by(_b.batch_id.desc()).limit(limit))]


async def set_state(conn: Conn, batch_id: int, state: str) -> None:
    stmt = sa.update(coupon_batch).where(_b.tenant_id == conn.tenant_id, _b.batch_id == batch_id)
    await conn.run(stmt.values(state=state))


async def add(conn: Conn, one: Coupon) -> bool:
    """False when its key was given before."""
    row = {name: getattr(one, name) for name in Coupon.__slots__} | {"tenant_id": conn.tenant_id}
    return bool(await conn.insert_new(coupon, [row], _c.coupon_id))


async def by_key(conn: Conn, key: str) -> Coupon | None:
    row = await conn.row(sa.select(coupon).where(_c.tenant_id == conn.tenant_id, _c.key == key))
    return _coupon(row) if row else None


async def of_nodes(conn: Conn, node_ids: Collection[int], *, state: str = "") -> list[Coupon]:
    """In these hands, the newest first."""
    if not node_ids:
        return []
    stmt = sa.select(coupon).where(_c.tenant_id == conn.tenant_id, _c.node_id.in_(node_ids))
    if state:
        stmt = stmt.where(_c.state == state)
    return [_coupon(r) for r in await conn.rows(stmt.order_by(_c.coupon_id.desc()).limit(_MOST))]


async def of_codes(conn: Conn, codes: Collection[str]) -> list[Coupon]:
    """Whatever became of them, in the order they were given."""
    stmt = sa.select(coupon).where(_c.tenant_id == conn.tenant_id, _c.code.in_(sorted(codes)[:_MOST]))
    return [_coupon(r) for r in await conn.rows(stmt.order_by(_c.coupon_id))] if codes else []


async def batches_of(conn: Conn, batch_ids: Collection[int]) -> dict[int, Batch]:
    """These, by id."""
    stmt = sa.select(coupon_batch).where(_b.tenant_id == conn.tenant_id, _b.batch_id.in_(sorted(batch_ids)))
    return {r.batch_id: _batch(r) for r in await conn.rows(stmt)} if batch_ids else {}


async def counts(conn: Conn, batch_ids: Collection[int]) -> dict[int, dict[str, int]]:
    """How many coupons of each batch are in each state."""
    found: dict[int, dict[str, int]] = {ident: {} for ident in batch_ids}
    stmt = (
        sa.select(_c.batch_id, _c.state, sa.func.count().label("n"))
        .where(_c.tenant_id == conn.tenant_id, _c.batch_id.in_(batch_ids))
        .group_by(_c.batch_id, _c.state)
    )
    for r in await conn.rows(stmt) if batch_ids else []:
        found[r.batch_id][r.state] = int(r.n)
    return found


async def redeem(
    conn: Conn, code: str, order_number: str, *, event_id: int | None = None, now: datetime
) -> Coupon | None:
    """The coupon of this code, used up by this order now; None when it is unknown or was used before."""
    stmt = sa.update(coupon).where(_c.tenant_id == conn.tenant_id, _c.code == code, _c.state == "issued")
    used = {"redeemed_at": now, "order_number": order_number, "event_id": event_id}
    if not await conn.run(stmt.values(state="redeemed", **used)):
        return None
    row = await conn.row(sa.select(coupon).where(_c.tenant_id == conn.tenant_id, _c.code == code))
    return _coupon(row) if row else None


def _batch(row: Any) -> Batch:
    return Batch(**{name: getattr(row, name) for name in Batch.__slots__})


def _coupon(row: Any) -> Coupon:
    return Coupon(**{name: getattr(row, name) for name in Coupon.__slots__})
