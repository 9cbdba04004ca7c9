"""The API's catalog and orders: what is sold, for how much, and what was bought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.errors import NotFound
from scrm.sales import rules, store
from scrm.staff.rules import Policy, scope
from scrm.timeline.store import conversations
from scrm.web.api.endpoint import PAGED, Endpoint, Query, audited, before_of, limit_of
from scrm.web.api.resources import Page
from scrm.web.house import House, actor, house


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """`amount` in fen, from `starts_at` until before `ends_at` (null = until further notice)."""

    price_list: str
    amount: int
    starts_at: datetime
    ends_at: datetime | None
    #: It is what this price list asks now.
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    id: str
    #: The order system's own id.
    code: str
    name: str
    business_line: str
    unit: str
    on_sale: bool
    #: The latest to begin first.
    prices: list[Price]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    product: str
    name: str
    quantity: int
    #: Fen.
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order as its newest version says; amounts in fen."""

    id: str
    account: str
    number: str
    status: str
    business_line: str
    placed_at: datetime
    at: datetime
    total: int
    paid: int
    refunded: int
    coupon: str
    items: list[OrderLine]
    #: Nodes of who bought, who paid and who uses it; null = the order does not say.
    buyer_node_id: str | None
    payer_node_id: str | None
    learner_node_id: str | None


async def list_products(request: web.Request) -> Page[Product]:
    who, limit = actor(request), limit_of(request)
    async with house(request).db.read(who.tenant_id) as conn:
        before = before_of(conn, request, "product")
        page = await store.products(conn, before=before, limit=limit + 1)
        prices = await store.prices(conn, [p.code for p in page[:limit]])
        cursor = conn.vault.public("product", page[limit - 1].product_id) if len(page) > limit else None
        items = [_product(conn, p, prices[p.code]) for p in page[:limit]]
    return Page(items=items, next_cursor=cursor)


def _product(conn: Conn, one: rules.Product, prices: Sequence[rules.Price]) -> Product:
    now = {p.price_id for p in rules.current(prices, utcnow())}
    shown = [
        Price(
            price_list=p.price_list,
            amount=p.amount,
            starts_at=p.starts_at,
            ends_at=p.ends_at,
            current=p.price_id in now,
        )
        for p in prices
    ]
    return Product(
        id=conn.vault.public("product", one.product_id),
        code=one.code,
        name=one.name,
        business_line=one.business_line,
        unit=one.unit,
        on_sale=one.on_sale,
        prices=shown,
    )


async def list_orders(request: web.Request) -> Page[Order]:
    """Of customers the asker may see; a page may be shorter than asked for and still not the last."""
    found, who, limit = house(request), actor(request), limit_of(request)
    await audited(request, "api.orders.read")
    async with found.db.read(who.tenant_id) as conn:
        before, accounts = before_of(conn, request, "order"), _accounts(request)
        page = await store.orders(conn, before=before, limit=limit + 1, account_ids=accounts)
        mine = page[:limit]
        if not scope(who).everything:
            buyers = [o.buyer_id for o in mine if o.buyer_id]
            visible = await conversations.visible_nodes(conn, scope(who), buyers)
            mine = [o for o in mine if o.buyer_id in visible]
        lines = await store.lines(conn, [o.order_id for o in mine])
        refunded = await store.refunded(conn, mine)
        cursor = conn.vault.public("order", page[limit - 1].order_id) if len(page) > limit else None
        items = [_order(found, conn, o, lines.get(o.order_id, []), refunded[o.order_id]) for o in mine]
    return Page(items=items, next_cursor=cursor)


def _accounts(request: web.Request) -> list[int] | None:
    slug = request.query.get("account")
    if not slug:
        return None
    plugged = house(request).directory.by_slug(slug)
    if plugged.account.tenant_id != actor(request).tenant_id:
        raise NotFound
    return [plugged.account.account_id]


def _order(found: House, conn: Conn, one: store.Order, lines: Sequence[store.Line], refunded: int) -> Order:
    def node(ident: int | None) -> str | None:
        return None if ident is None else conn.vault.public("node", ident)

    return Order(
        id=conn.vault.public("order", one.order_id),
        account=found.directory.by_id(one.account_id).account.slug,
        number=one.number,
        status=one.status,
        business_line=one.business_line,
        placed_at=one.placed_at,
        at=one.at,
        total=one.total,
        paid=one.paid,
        refunded=refunded,
        coupon=one.coupon,
        items=[
            OrderLine(product=i.product_code, name=i.name, quantity=i.quantity, amount=i.amount)
            for i in lines
        ],
        buyer_node_id=node(one.buyer_id),
        payer_node_id=node(one.payer_id),
        learner_node_id=node(one.learner_id),
    )


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="GET",
        path="/products",
        summary="Products with their prices, newest first",
        policy=Policy.API_DATA,
        answer=Page[Product],
        handler=list_products,
        queries=PAGED,
    ),
    Endpoint(
        method="GET",
        path="/orders",
        summary="Orders as their newest versions say, newest first",
        policy=Policy.API_DATA,
        answer=Page[Order],
        handler=list_orders,
        queries=(Query(name="account", about="Slug of one account; all of them when not given"), *PAGED),
    ),
)
