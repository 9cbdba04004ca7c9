"""SQL of whom a date or a silence concerns; every page goes on after the last id of the one before."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from scrm.db import Conn
from scrm.playbook.sops.values import Date
from scrm.schema import conversation, coupon, coupon_batch, opportunity, order, promise, task

_PAID = ("paid", "delivered")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Somebody's date; `ident` names what has it, the page goes on after it."""

    ident: int
    node_id: int
    at: datetime
    conversation_id: int | None = None


async def silent(conn: Conn, since: datetime, until: datetime, *, after: int, limit: int) -> list[Found]:
    """Conversations whose customer spoke last after `since` and not after `until`."""
    c = conversation.c
    stmt = sa.select(c.conversation_id, c.node_id, c.last_in_at).where(
        c.tenant_id == conn.tenant_id,
        c.conversation_id > after,
        c.last_in_at > since,
        c.last_in_at <= until,
    )
    rows = await conn.rows(stmt.order_by(c.conversation_id).limit(limit))
    return [
        Found(ident=r.conversation_id, node_id=r.node_id, at=r.last_in_at, conversation_id=r.conversation_id)
        for r in rows
    ]


async def dated(
    conn: Conn, date: Date, begin: datetime, end: datetime, *, after: int, limit: int
) -> list[Found]:
    """What has this date from `begin` until before `end`; what ends then ends on the day before."""
    ident, node_id, at, talk, which = _of(date, conn.tenant_id)
    ends = date in ("promise_until", "coupon_until")
    within = [at > begin, at <= end] if ends else [at >= begin, at < end]
    stmt = sa.select(
        ident.label("ident"), node_id.label("node_id"), at.label("at"), talk.label("talk")
    ).where(*which, ident > after, *within)
    rows = await conn.rows(stmt.order_by(ident).limit(limit))
    return [
        Found(ident=r.ident, node_id=r.node_id, at=r.at, conversation_id=r.talk)
        for r in rows
        if r.node_id is not None
    ]


def _of(
    date: Date, tenant: int
) -> tuple[
    sa.ColumnElement[int],
    sa.ColumnElement[int],
    sa.ColumnElement[datetime],
    sa.ColumnElement[int | None],
    list[sa.ColumnElement[bool]],
]:
    """Where it stands: id, address, time, conversation, and which rows count."""
    nowhere: sa.ColumnElement[int | None] = sa.null().cast(sa.BigInteger)
    if date == "visit":
        t = task.c
        which = [t.tenant_id == tenant, t.kind == "visit", t.state == "open"]
        return t.task_id, t.node_id, t.due_at, t.conversation_id, which
    if date == "promise_until":
        p = promise.c
        return (
            p.promise_id,
            p.node_id,
            p.until_at,
            p.conversation_id,
            [p.tenant_id == tenant, p.state == "live"],
        )
    if date == "coupon_until":
        c, b = coupon.c, coupon_batch.c
        same = sa.and_(b.tenant_id == c.tenant_id, b.batch_id == c.batch_id)
        return c.coupon_id, c.node_id, b.ends_at, nowhere, [c.tenant_id == tenant, c.state == "issued", same]
    if date == "order_paid":
        o = order.c
        return o.order_id, o.buyer_id, o.placed_at, nowhere, [o.tenant_id == tenant, o.status.in_(_PAID)]
    s = opportunity.c
    which = [s.tenant_id == tenant, s.state == "open"]
    return s.opportunity_id, s.node_id, s.opened_at, nowhere, which


async def bought_at(conn: Conn, node_ids: Collection[int]) -> datetime | None:
    """When an order of any of these was paid last, as far as its newest version says."""
    c = order.c
    stmt = sa.select(sa.func.max(c.at).label("at")).where(
        c.tenant_id == conn.tenant_id, c.buyer_id.in_(node_ids), c.status.in_(_PAID)
    )
    row = await conn.row(stmt) if node_ids else None
    return row.at if row else None
