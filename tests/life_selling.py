"""Sales in a tenant's life: opportunities, tags and coupons, from the first word to the last."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from scrm.campaigns.coupons import service as coupons
from scrm.campaigns.coupons import store as coupon_rows
from scrm.campaigns.coupons.rules import Batch
from scrm.db import Conn, utcnow
from scrm.sales import service as sales
from scrm.sales.opportunities import hearing, service, store
from scrm.sales.opportunities.hearing import Heard, Ordered
from scrm.sales.opportunities.rules import Move
from scrm.sales.opportunities.service import By, Wanted
from scrm.sales.tags import service as tags
from scrm.sales.tags import store as tag_rows
from tests.ground import House, talk_of


async def as_seller(conn: Conn, home: House) -> None:
    """A sale is opened, moved, tagged, sweetened with coupons, won by an order."""
    now, ident = utcnow(), home.account.account_id
    node = (await talk_of(conn, "anna")).node_id
    by, family = By(source="rep", staff_id=1), await service.family(conn, node)
    one = await service.open_one(conn, Wanted(key="k1", node_id=node, account_id=ident), by, now=now)
    await service.open_one(conn, Wanted(key="k2", node_id=node, account_id=ident), by, now=now)
    await service.describe(conn, one.opportunity_id, product_code="p1", product="数学", amount=100)
    await service.move(conn, one.opportunity_id, Move(stage="trial"), by, key="m1", account_id=ident, now=now)
    order = Ordered(number="o9", status="paid", products=("p1",))
    heard = Heard(event_id=9, account_id=ident, node_id=node, kind="event.order.paid", order=order)
    await hearing.heed(conn, [heard], opens=("contact",), now=now)
    await hearing.order_told(conn, ident, {"order": {"id": "o1"}})
    await store.page(conn, state="won", stage="closing", staff_ids=[1], before=1 << 62, limit=9)
    await sales.official(conn, "p1", now)
    whom = tags.Whom(node_id=node, nodes=family, account_id=ident)
    await tags.change(conn, whom, add=["高意向", "同行"], key="t1", now=now)
    await tags.change(conn, whom, remove=["同行"], key="t2", now=now)
    await tag_rows.known(conn, limit=9)
    await _coupons(conn, node, family, ident)


async def _coupons(conn: Conn, node: int, family: list[int], account_id: int) -> None:
    now = utcnow()
    batch = Batch(
        batch_id=1, code="EARLY", name="早鸟券", kind="off", fen=100, share=None, min_fen=None,
        product_code="", stock=9, per_household=2, starts_at=now, ends_at=now + timedelta(days=9),
        state="open", by_id=1, created_at=now,
    )  # fmt: skip
    await coupons.save_batch(conn, batch)
    await coupons.offers(conn, family, now=now)
    for key in ("c1", "c2", "c1"):
        one = await coupons.issue(conn, 1, node, family, key=key, staff_id=1, account_id=account_id, now=now)
    await coupons.redeem(conn, [coupons.Used(code=one.code, number="o9", event_id=9)], now=now)
    await coupon_rows.of_nodes(conn, family, state="issued")
    await coupon_rows.batches(conn, before=1 << 62, limit=9)
    await coupons.set_state(conn, 1, "stopped")


async def behind(conn: Conn, node: int) -> list[Any]:
    """What this connection finds of those sales; each is something to its tenant, empty to a stranger."""
    won = await store.of_nodes(conn, [node])
    batch = await coupon_rows.batch_of(conn, "EARLY")
    return [
        won,
        await store.by_key(conn, "k1"),
        await store.change_of(conn, "m1"),
        await store.get(conn, won[0].opportunity_id, hold=True) if won else None,
        await store.changes(conn, won[0].opportunity_id) if won else [],
        await store.page(conn, state=None, stage="", staff_ids=None, before=None, limit=9),
        await tag_rows.of_nodes(conn, [node]),
        await tag_rows.known(conn, limit=9),
        batch,
        await coupon_rows.batch(conn, 1),
        await coupon_rows.batches(conn),
        await coupon_rows.by_key(conn, "c1"),
        await coupon_rows.of_nodes(conn, [node]),
        (await coupon_rows.counts(conn, [1]))[1],
    ]
