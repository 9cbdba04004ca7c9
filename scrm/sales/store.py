"""SQL of products, prices, orders and refunds; of several versions of one thing the highest stays."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.sales.rules import Price, Product
from scrm.schema import order, order_line, price, product, refund
from scrm.seal import new_id

_Change = Callable[[Any], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    product_code: str
    name: str
    quantity: int
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order as its newest version says; amounts in fen."""

    order_id: int
    account_id: int
    number: str
    version: int
    at: datetime
    status: str
    business_line: str
    event_id: int
    buyer_id: int | None
    payer_id: int | None
    learner_id: int | None
    total: int
    paid: int
    coupon: str
    placed_at: datetime


def _newest(table: sa.Table, taken: Sequence[str], **always: Callable[[Any], Any]) -> _Change:
    """Take over a row's columns where the new version is not older; the same version: by its time."""

    def change(new: Any) -> dict[str, Any]:
        c = table.c
        newer = sa.or_(new.version > c.version, sa.and_(new.version == c.version, new.at >= c.at))
        values = {name: sa.case((newer, new[name]), else_=c[name]) for name in taken}
        return values | {name: make(new) for name, make in always.items()}

    return change


def _columns(table: sa.Table, *kept: str) -> list[str]:
    return [c.name for c in table.c if c.name != "tenant_id" and c.name not in kept]


def _earlier(new: Any) -> Any:
    return sa.case((new.placed_at < order.c.placed_at, new.placed_at), else_=order.c.placed_at)


_PRODUCT = _newest(product, _columns(product, "product_id", "code"))
_PRICE = _newest(price, _columns(price, "price_id", "code"))
_ORDER = _newest(order, _columns(order, "order_id", "account_id", "number", "placed_at"), placed_at=_earlier)
_REFUND = _newest(refund, _columns(refund, "refund_id", "account_id", "number"))


# -- catalog -----------------------------------------------------------------------------------------------
async def put_product(conn: Conn, one: Product) -> None:
    row = {name: getattr(one, name) for name in Product.__slots__} | {"tenant_id": conn.tenant_id}
    await conn.upsert(
        product, [row | {"on_sale": int(one.on_sale)}], key=["tenant_id", "code"], change=_PRODUCT
    )


async def put_price(conn: Conn, one: Price) -> None:
    row = {name: getattr(one, name) for name in Price.__slots__} | {"tenant_id": conn.tenant_id}
    await conn.upsert(price, [row], key=["tenant_id", "code"], change=_PRICE)


async def products(
    conn: Conn, *, before: int | None = None, limit: int, on_sale: bool | None = None
) -> list[Product]:
    """Newest first, at most `limit`, below the product `before`."""
    c = product.c
    stmt = sa.select(product).where(c.tenant_id == conn.tenant_id)
    if before is not None:
        stmt = stmt.where(c.product_id < before)
    if on_sale is not None:
        stmt = stmt.where(c.on_sale == int(on_sale))
    return [_product(r) for r in await conn.rows(stmt.order_by(c.product_id.desc()).limit(limit))]


async def product_of(conn: Conn, code: str) -> Product | None:
    c = product.c
    row = await conn.row(sa.select(product).where(c.tenant_id == conn.tenant_id, c.code == code))
    return _product(row) if row else None


def _product(row: Any) -> Product:
    values = {name: getattr(row, name) for name in Product.__slots__}
    return Product(**values | {"on_sale": bool(row.on_sale)})


async def prices(conn: Conn, codes: Collection[str], *, limit: int = 500) -> dict[str, list[Price]]:
    """Of each product, the latest to begin first."""
    c = price.c
    stmt = sa.select(price).where(c.tenant_id == conn.tenant_id, c.product_code.in_(codes))
    found: dict[str, list[Price]] = {code: [] for code in codes}
    rows = await conn.rows(stmt.order_by(c.starts_at.desc(), c.price_id.desc()).limit(limit)) if codes else []
    for r in rows:
        found[r.product_code].append(Price(**{name: getattr(r, name) for name in Price.__slots__}))
    return found


# -- orders ------------------------------------------------------------------------------------------------
async def put_order(conn: Conn, one: Order, lines: Sequence[Line]) -> None:
    """The order, and its lines when this is the newest version."""
    row = {name: getattr(one, name) for name in Order.__slots__} | {"tenant_id": conn.tenant_id}
    await conn.upsert(order, [row], key=["tenant_id", "account_id", "number"], change=_ORDER)
    held = await order_of(conn, one.account_id, one.number)
    if held is None or held.event_id != one.event_id:
        return
    t = order_line.c
    await conn.run(sa.delete(order_line).where(t.tenant_id == conn.tenant_id, t.order_id == held.order_id))
    rows = [
        {"tenant_id": conn.tenant_id, "order_id": held.order_id, "n": n}
        | {name: getattr(line, name) for name in Line.__slots__}
        for n, line in enumerate(lines)
    ]
    await conn.insert(order_line, rows)


async def order_of(conn: Conn, account_id: int, number: str) -> Order | None:
    c = order.c
    stmt = sa.select(order).where(
        c.tenant_id == conn.tenant_id, c.account_id == account_id, c.number == number
    )
    row = await conn.row(stmt)
    return _order(row) if row else None


async def orders(
    conn: Conn, *, before: int | None, limit: int, account_ids: Collection[int] | None = None
) -> list[Order]:
    """Newest first, at most `limit`, below the order `before`; of these accounts, None = of all."""
    c = order.c
    stmt = sa.select(order).where(c.tenant_id == conn.tenant_id)
    if account_ids is not None:
        stmt = stmt.where(c.account_id.in_(account_ids))
    if before is not None:
        stmt = stmt.where(c.order_id < before)
    return [_order(r) for r in await conn.rows(stmt.order_by(c.order_id.desc()).limit(limit))]


def _order(row: Any) -> Order:
    return Order(**{name: getattr(row, name) for name in Order.__slots__})


async def lines(conn: Conn, order_ids: Collection[int]) -> dict[int, list[Line]]:
    t = order_line.c
    stmt = sa.select(order_line).where(t.tenant_id == conn.tenant_id, t.order_id.in_(order_ids))
    found: dict[int, list[Line]] = {}
    for r in await conn.rows(stmt.order_by(t.order_id, t.n)) if order_ids else []:
        found.setdefault(r.order_id, []).append(Line(**{name: getattr(r, name) for name in Line.__slots__}))
    return found


async def coupons(conn: Conn, node_ids: Collection[int]) -> set[str]:
    """Codes that standing orders of these buyers used."""
    c = order.c
    stmt = sa.select(c.coupon).where(
        c.tenant_id == conn.tenant_id,
        c.buyer_id.in_(sorted(node_ids)),
        c.coupon != "",
        c.status != "cancelled",
    )
    rows = await conn.rows(stmt.distinct().order_by(c.coupon).limit(200)) if node_ids else []
    return {r.coupon for r in rows}


async def put_refund(conn: Conn, row: Mapping[str, Any]) -> None:
    full = {"tenant_id": conn.tenant_id, "refund_id": new_id(), **row}
    await conn.upsert(refund, [full], key=["tenant_id", "account_id", "number"], change=_REFUND)


async def refunded(conn: Conn, orders_: Collection[Order]) -> dict[int, int]:
    """Fen given back by order id; a refund that came before its order counts too."""
    c = refund.c
    stmt = (
        sa.select(c.account_id, c.order_number, sa.func.sum(c.amount).label("amount"))
        .where(
            c.tenant_id == conn.tenant_id,
            c.account_id.in_({o.account_id for o in orders_}),
            c.order_number.in_({o.number for o in orders_}),
            c.status == "done",
        )
        .group_by(c.account_id, c.order_number)
    )
    sums = {(r.account_id, r.order_number): int(r.amount) for r in await conn.rows(stmt)} if orders_ else {}
    return {o.order_id: sums.get((o.account_id, o.number), 0) for o in orders_}
