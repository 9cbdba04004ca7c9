"""What events say of sales: first contacts and orders open them, lessons, contracts and money move them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from scrm.db import Conn
from scrm.sales import store as sold
from scrm.sales.opportunities import rules, service, store
from scrm.sales.opportunities.rules import Opens, Opportunity
from scrm.sales.opportunities.service import By, Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """An order as its newest version says; `status` refunded = all of it was paid back."""

    number: str
    status: str
    business_line: str = ""
    products: tuple[str, ...] = ()
    product: str = ""
    #: fen
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An event of a customer, and the order it tells of."""

    event_id: int
    account_id: int
    node_id: int
    kind: str
    direction: str = "none"
    order: Ordered | None = None


def matters(kind: str, direction: str, opens: Collection[str]) -> bool:
    """Whether an event can open or move a sale, by its looks."""
    known = kind in rules.EVENTS or kind.startswith(("event.order.", "event.refund.done"))
    return known or rules.opening(kind, direction, opens) is not None


async def heed(
    conn: Conn, heard: Sequence[Heard], *, opens: Collection[str] = (), now: datetime
) -> list[Opportunity]:
    """Sales as they stand after these events. The same events again change nothing."""
    homes = {node: await service.family(conn, node) for node in sorted({h.node_id for h in heard})}
    # Families are held in one order everywhere, or two processes would wait in a circle.
    for name in sorted({service.lock_of(home) for home in homes.values()}):
        await conn.lock(name)
    moved: list[Opportunity | None] = []
    for one in heard:
        moved.append(await _begun(conn, one, homes[one.node_id], opens, now=now))
        moved.append(await _went(conn, one, homes[one.node_id], now=now))
    return [one for one in moved if one is not None and one.moved_at == now]


async def _begun(
    conn: Conn, one: Heard, home: list[int], opens: Collection[str], *, now: datetime
) -> Opportunity | None:
    way = rules.opening(one.kind, one.direction, opens)
    known = await store.of_nodes(conn, home) if way else []
    if way is None or (known and way != "order") or (one.order and await _fitting(conn, one, home)):
        return None
    order = one.order
    wanted = Wanted(
        key=f"order:{one.account_id}:{order.number}" if order else f"{way}:{one.node_id}",
        node_id=one.node_id,
        account_id=one.account_id,
        kind="renewal" if any(o.state == "won" for o in known) else "new",
        business_line=order.business_line if order else "",
        product_code=order.products[0] if order and order.products else "",
        product=order.product[:100] if order else "",
        amount=order.total if order else None,
        stage="closing" if order else "first-contact",
    )
    return await service.open_one(conn, wanted, _by(one, way), now=now)


def _by(one: Heard, way: Opens | None = None) -> By:
    return By(source="order" if one.order or way == "order" else "event", event_id=one.event_id)


async def _went(conn: Conn, one: Heard, home: list[int], *, now: datetime) -> Opportunity | None:
    order = one.order
    to = rules.of_order(order.status) if order else rules.EVENTS.get(one.kind)
    if to is None:
        return None
    found = await _fitting(conn, one, home) if order else await _newest(conn, home)
    if found is None:
        return None
    if order and found.state == "open" and not found.product and order.products:
        await service.describe(
            conn,
            found.opportunity_id,
            product_code=order.products[0],
            product=order.product[:100],
            amount=order.total if found.amount is None else found.amount,
        )
    key = f"order:{one.account_id}:{order.number}:{order.status}" if order else f"event:{one.event_id}"
    return await service.move(
        conn, found.opportunity_id, to, _by(one), key=key, account_id=one.account_id, now=now
    )


async def _newest(conn: Conn, home: list[int]) -> Opportunity | None:
    return next(iter(await store.of_nodes(conn, home, state="open")), None)


async def _fitting(conn: Conn, one: Heard, home: list[int]) -> Opportunity | None:
    """The one this order moved before, else the open one that it is about."""
    order = one.order
    if order is None:
        return None
    for status in ("paid", "delivered", "created"):
        before = await store.change_of(conn, f"order:{one.account_id}:{order.number}:{status}")
        if before is not None:
            return await store.get(conn, before.opportunity_id)
    if opened := await store.by_key(conn, f"order:{one.account_id}:{order.number}"):
        return opened
    if order.status == "refunded":  # whatever it won was before our time: no other sale is lost by it
        return None
    known = await store.of_nodes(conn, home, state="open")
    return rules.fitting(known, business_line=order.business_line, products=order.products)


# -- orders ------------------------------------------------------------------------------------------------
async def order_told(conn: Conn, account_id: int, body: Mapping[str, object]) -> Ordered | None:
    """The order that an event of the order system tells of, as it is kept now; None = none that matters."""
    order, refund = body.get("order"), body.get("refund")
    number = order.get("id") if isinstance(order, Mapping) else None
    if isinstance(refund, Mapping) and refund.get("status") == "done":
        number = refund.get("order")
    kept = await sold.order_of(conn, account_id, str(number)) if number else None
    if kept is None:
        return None
    lines = (await sold.lines(conn, [kept.order_id])).get(kept.order_id, [])
    back = (await sold.refunded(conn, [kept]))[kept.order_id]
    return Ordered(
        number=kept.number,
        status="refunded" if kept.paid and back >= kept.paid else kept.status,
        business_line=kept.business_line,
        products=tuple(dict.fromkeys(line.product_code for line in lines)),
        product=lines[0].name if lines else "",
        total=kept.total,
    )
