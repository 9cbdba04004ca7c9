"""Records of orders, refunds and the catalog, written from what the order system said; they never age."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scrm.contract import Handle
from scrm.db import Conn
from scrm.errors import NotFound
from scrm.identity import service as identity
from scrm.sales import rules, store
from scrm.sales.rules import Price, Product
from scrm.sales.store import Line, Order
from scrm.seal import new_id

#: Kinds of events this room keeps records of.
KINDS = ("event.order.", "event.refund.", "event.catalog.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event of the order system with its opened body."""

    event_id: int
    account_id: int
    node_id: int | None
    body: Mapping[str, Any]


async def record(conn: Conn, told: Told) -> None:
    """Keep what it says; an older version that comes later changes nothing."""
    for name, keep in (
        ("order", _keep_order),
        ("refund", _keep_refund),
        ("product", _keep_product),
        ("price", _keep_price),
    ):
        if isinstance(said := told.body.get(name), Mapping):
            await keep(conn, told, said)


async def _keep_order(conn: Conn, told: Told, said: Mapping[str, Any]) -> None:
    others = {who: Handle(kind=a[0], scope=a[1], value=a[2]) for who, a in told.body["others"].items()}
    nodes = {who: await identity.find(conn, handle) for who, handle in sorted(others.items())}
    at = _at(said["at"])
    kept = Order(
        order_id=new_id(),
        account_id=told.account_id,
        number=said["id"],
        version=said["version"],
        at=at,
        status=said["status"],
        business_line=said["business_line"],
        event_id=told.event_id,
        buyer_id=told.node_id,
        payer_id=nodes.get("payer", told.node_id),
        learner_id=nodes.get("learner"),
        total=said["total"],
        paid=said["paid"],
        coupon=(said.get("coupon") or {}).get("code", ""),
        placed_at=at,
    )
    lines = [
        Line(product_code=i["product"], name=i["name"], quantity=i["quantity"], amount=i["amount"])
        for i in said["items"]
    ]
    await store.put_order(conn, kept, lines)


async def _keep_refund(conn: Conn, told: Told, said: Mapping[str, Any]) -> None:
    row = {
        "account_id": told.account_id,
        "number": said["id"],
        "version": said["version"],
        "at": _at(said["at"]),
        "order_number": said["order"],
        "status": said["status"],
        "amount": said["amount"],
        "event_id": told.event_id,
    }
    await store.put_refund(conn, row)


async def _keep_product(conn: Conn, _told: Told, said: Mapping[str, Any]) -> None:
    kept = Product(
        product_id=new_id(),
        code=said["id"],
        version=said["version"],
        at=_at(said["at"]),
        name=said["name"],
        business_line=said["business_line"],
        unit=said["unit"],
        on_sale=said["on_sale"],
    )
    await store.put_product(conn, kept)


async def _keep_price(conn: Conn, _told: Told, said: Mapping[str, Any]) -> None:
    kept = Price(
        price_id=new_id(),
        code=said["id"],
        version=said["version"],
        at=_at(said["at"]),
        product_code=said["product"],
        price_list=said["price_list"],
        amount=said["amount"],
        starts_at=_at(said["starts"]),
        ends_at=_end(said.get("ends")),
    )
    await store.put_price(conn, kept)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _end(text: str | None) -> datetime | None:
    """None = until further notice, for which many systems write the last second of the year 9999."""
    at = _at(text) if text else None
    return at if at is not None and at.year <= rules.LAST_YEAR else None


async def official(conn: Conn, product_code: str, now: datetime) -> int | None:
    """What a product costs today by the standard list, else by the first that has it; fen. None = unknown."""
    listed = rules.current((await store.prices(conn, [product_code]))[product_code], now)
    return listed[0].amount if listed else None


# -- by page -----------------------------------------------------------------------------------------------
async def save_product(
    conn: Conn, code: str, *, name: str, business_line: str, unit: str, on_sale: bool, now: datetime
) -> None:
    """By hand: the next version of what is known. Raises `BadInput`."""
    known = await store.product_of(conn, rules.code(code))
    kept = Product(
        product_id=new_id(),
        code=rules.code(code),
        version=known.version + 1 if known else 0,
        at=now,
        name=rules.name(name),
        business_line=business_line.strip()[:64],
        unit=unit.strip()[:16],
        on_sale=on_sale,
    )
    await store.put_product(conn, kept)


async def add_price(
    conn: Conn,
    code: str,
    *,
    price_list: str,
    yuan: str,
    starts_at: datetime,
    ends_at: datetime | None,
    now: datetime,
) -> None:
    """A price from a time on; what it replaces stays as history. Raises `BadInput` or `NotFound`."""
    rules.validity(starts_at, ends_at)
    if await store.product_of(conn, code) is None:
        raise NotFound("没有这个商品，请先添加。")
    price_id = new_id()
    kept = Price(
        price_id=price_id,
        code=f"page-{price_id:x}",
        version=0,
        at=now,
        product_code=code,
        price_list=price_list.strip()[:64] or rules.STANDARD,
        amount=rules.fen(yuan),
        starts_at=starts_at,
        ends_at=ends_at,
    )
    await store.put_price(conn, kept)
