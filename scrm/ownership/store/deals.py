"""SQL of deals: paid orders as the order book has them, and signed contracts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import deal, order, refund
from scrm.seal import new_id

#: Money has come in for these.
PAID = ("paid", "delivered", "closed")
_MOST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    deal_id: int
    source: str
    account_id: int
    number: str
    line: str
    node_id: int
    payer_id: int | None
    learner_id: int | None
    event_id: int
    at: datetime
    amount: int
    policy_version: int

    @property
    def nodes(self) -> list[int]:
        return [n for n in (self.node_id, self.payer_id, self.learner_id) if n is not None]


_KEPT = [deal.c[name] for name in Kept.__slots__]


async def put(conn: Conn, one: Kept) -> None:
    """Made once; later it is told anew what it is about. Its time is the earliest, its policy the first."""
    row = {name: getattr(one, name) for name in Kept.__slots__}
    await conn.upsert(
        deal,
        [{"tenant_id": conn.tenant_id, **row}],
        key=["tenant_id", "account_id", "source", "number"],
        change=_told_anew,
    )


def _told_anew(new: Any) -> dict[str, Any]:
    c = deal.c
    values: dict[str, Any] = {
        name: new[name] for name in ("line", "node_id", "payer_id", "learner_id", "event_id", "amount")
    }
    return values | {"at": sa.case((new.at < c.at, new.at), else_=c.at)}


async def order_as_deal(
    conn: Conn, account_id: int, number: str, *, at: datetime, policy_version: int
) -> Kept | None:
    """What the order book says, paid `at` by this event; None = nothing was paid, or by nobody we know."""
    c = order.c
    stmt = sa.select(order).where(
        c.tenant_id == conn.tenant_id, c.account_id == account_id, c.number == number
    )
    row = await conn.row(stmt)
    if row is None or row.buyer_id is None:
        return None
    paid = row.paid or (row.total if row.status in PAID else 0)
    known = await of_number(conn, account_id, "order", number)
    if not paid and known is None:
        return None
    given_back = await _refunded(conn, account_id, number)
    return Kept(
        deal_id=known.deal_id if known else new_id(),
        source="order",
        account_id=account_id,
        number=number,
        line=row.business_line,
        node_id=row.buyer_id,
        payer_id=row.payer_id,
        learner_id=row.learner_id,
        event_id=row.event_id,
        at=at,
        amount=0 if row.status == "cancelled" else max(paid - given_back, 0),
        policy_version=policy_version,
    )


async def _refunded(conn: Conn, account_id: int, number: str) -> int:
    c = refund.c
    stmt = sa.select(sa.func.sum(c.amount)).where(
        c.tenant_id == conn.tenant_id,
        c.account_id == account_id,
        c.order_number == number,
        c.status == "done",
    )
    return int(await conn.scalar(stmt) or 0)


async def of_number(conn: Conn, account_id: int, source: str, number: str) -> Kept | None:
    c = deal.c
    return await _one(conn, c.account_id == account_id, c.source == source, c.number == number)


async def get(conn: Conn, deal_id: int) -> Kept | None:
    return await _one(conn, deal.c.deal_id == deal_id)


async def by_ids(conn: Conn, deal_ids: Collection[int]) -> dict[int, Kept]:
    c = deal.c
    stmt = sa.select(*_KEPT).where(c.tenant_id == conn.tenant_id, c.deal_id.in_(deal_ids))
    return {r.deal_id: Kept(**r._mapping) for r in await conn.rows(stmt)} if deal_ids else {}


async def _one(conn: Conn, *which: sa.ColumnElement[bool]) -> Kept | None:
    row = await conn.row(sa.select(*_KEPT).where(deal.c.tenant_id == conn.tenant_id, *which))
    return Kept(**row._mapping) if row else None


async def of_nodes(conn: Conn, node_ids: Collection[int], *, since: datetime | None = None) -> list[Kept]:
    """In the order of their ids: the order in which deals are held everywhere."""
    c = deal.c
    theirs = sa.or_(c.node_id.in_(node_ids), c.payer_id.in_(node_ids), c.learner_id.in_(node_ids))
    stmt = sa.select(*_KEPT).where(c.tenant_id == conn.tenant_id, theirs)
    if since is not None:
        stmt = stmt.where(c.at >= since)
    rows = await conn.rows(stmt.order_by(c.deal_id).limit(_MOST)) if node_ids else []
    return [Kept(**r._mapping) for r in rows]


async def made_since(conn: Conn, since: datetime) -> list[Kept]:
    """In the order of their ids."""
    c = deal.c
    stmt = sa.select(*_KEPT).where(c.tenant_id == conn.tenant_id, c.at >= since)
    return [Kept(**r._mapping) for r in await conn.rows(stmt.order_by(c.deal_id).limit(_MOST))]


async def newest_at(conn: Conn) -> datetime | None:
    """When the latest deal was made; None = there is none at all."""
    c = deal.c
    stmt = sa.select(c.at).where(c.tenant_id == conn.tenant_id).order_by(c.at.desc()).limit(1)
    found: datetime | None = await conn.scalar(stmt)
    return found
