"""React, sales: what orders and other events mean for opportunities and coupons."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from scrm.campaigns.coupons import service as coupons
from scrm.db import Conn
from scrm.live import Change
from scrm.sales import service as sales
from scrm.sales.opportunities import hearing
from scrm.sales.opportunities.hearing import Heard
from scrm.timeline.store.events import Stored


async def heed(
    conn: Conn,
    records: Sequence[sales.Told],
    heard: Sequence[Stored],
    *,
    opens: Collection[str],
    now: datetime,
) -> list[Change]:
    """After the orders were recorded. What changed was told on timelines, too: react must look again."""
    orders = {
        told.event_id: order
        for told in records
        if (order := await hearing.order_told(conn, told.account_id, told.body)) is not None
    }
    used = [
        coupons.Used(code=code, number=orders[told.event_id].number, event_id=told.event_id)
        for told in records
        if told.event_id in orders and orders[told.event_id].status in coupons.REDEEMS
        if (code := coupons.code_of(told.body))
    ]
    await coupons.redeem(conn, used, now=now)
    told_of = [
        Heard(
            event_id=e.event_id,
            account_id=e.account_id,
            node_id=e.node_id,
            kind=e.kind,
            direction=e.direction,
            order=orders.get(e.event_id),
        )
        for e in heard
        if e.node_id is not None and hearing.matters(e.kind, e.direction, opens)
    ]
    moved = await hearing.heed(conn, told_of, opens=opens, now=now) if told_of else []
    return [
        Change(topic=f"node:{one.node_id}", ident=one.opportunity_id, version=one.version) for one in moved
    ]
