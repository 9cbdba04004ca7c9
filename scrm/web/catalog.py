"""`/catalog`: products and their price lists, for everybody to read, for marketing and admins to change."""

from __future__ import annotations

from datetime import datetime

from aiohttp import web

from scrm.db import utcnow
from scrm.errors import BadInput, ScrmError
from scrm.ledger.store import audit
from scrm.sales import rules, service, store
from scrm.staff.rules import Policy, allows
from scrm.web import views
from scrm.web.house import actor, house
from scrm.web.pages import form_of, locale, page, see_other
from scrm.web.render import ZONE
from scrm.web.routes import Route

_PAGE = 50


async def show(request: web.Request) -> web.Response:
    return await _shown(request)


async def _shown(request: web.Request, problem: str = "", status: int = 200) -> web.Response:
    who, now = actor(request), utcnow()
    async with house(request).db.read(who.tenant_id) as conn:
        cursor = request.query.get("before", "")
        before = conn.vault.private("product", cursor) if cursor else None
        found = await store.products(conn, before=before, limit=_PAGE + 1)
        prices = await store.prices(conn, [p.code for p in found[:_PAGE]])
        older = conn.vault.public("product", found[_PAGE - 1].product_id) if len(found) > _PAGE else ""
    view = views.CatalogView(
        rows=tuple(_row(p, prices[p.code], now) for p in found[:_PAGE]),
        before=older,
        edits=allows(Policy.CATALOG, who),
        problem=house(request).renderer.say(locale(who), problem) if problem else "",
        standard=rules.STANDARD,
        today=f"{now.astimezone(ZONE):%Y-%m-%dT%H:%M}",
    )
    return page(request, "catalog.html", status=status, catalog=view)


def _row(one: rules.Product, prices: list[rules.Price], now: datetime) -> views.ProductRow:
    asked = {p.price_id for p in rules.current(prices, now)}
    shown = [
        views.PriceRow(
            price_list=p.price_list,
            amount=p.amount,
            starts_at=p.starts_at,
            ends_at=p.ends_at,
            now=p.price_id in asked,
            soon=p.starts_at > now,
        )
        for p in prices
    ]
    return views.ProductRow(
        code=one.code,
        name=one.name,
        business_line=one.business_line,
        unit=one.unit,
        on_sale=one.on_sale,
        prices=tuple(shown),
    )


async def save_product(request: web.Request) -> web.Response:
    """A new product, or the next version of a known one."""
    form = {k: str(v) for k, v in (await form_of(request)).items()}
    who, now = actor(request), utcnow()
    try:
        async with house(request).db.begin(who.tenant_id) as conn:
            await service.save_product(
                conn,
                form.get("code", ""),
                name=form.get("name", ""),
                business_line=form.get("business_line", ""),
                unit=form.get("unit", ""),
                on_sale=form.get("on_sale", "") == "on",
                now=now,
            )
            await audit(conn, who.label, "catalog.product", now=now, subject=form.get("code", "")[:64])
    except BadInput as wrong:
        return await _shown(request, wrong.sentence, wrong.status)
    return see_other("/catalog")


async def add_price(request: web.Request) -> web.Response:
    """A price from a time on; what held before stays as history."""
    form = {k: str(v) for k, v in (await form_of(request)).items()}
    who, now, code = actor(request), utcnow(), request.match_info["code"]
    try:
        async with house(request).db.begin(who.tenant_id) as conn:
            await service.add_price(
                conn,
                code,
                price_list=form.get("price_list", ""),
                yuan=form.get("amount", ""),
                starts_at=time_of(form.get("starts", "")) or now,
                ends_at=time_of(form.get("ends", "")),
                now=now,
            )
            await audit(conn, who.label, "catalog.price", now=now, subject=code[:64])
    except ScrmError as wrong:
        return await _shown(request, wrong.sentence, wrong.status)
    return see_other("/catalog")


def time_of(text: str) -> datetime | None:
    """A Shanghai wall time of a form; None when left empty. Raises `BadInput`."""
    if not text.strip():
        return None
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadInput("时间看不懂，请重新选择。") from None
    if not rules.FIRST_YEAR <= at.year <= rules.LAST_YEAR:
        raise BadInput("时间要在 1970 年到 9000 年之间。")
    return at if at.tzinfo else at.replace(tzinfo=ZONE)


ROUTES = (
    Route(method="GET", path="/catalog", handler=show, policy=Policy.SIGNED_IN),
    Route(method="POST", path="/catalog/products", handler=save_product, policy=Policy.CATALOG),
    Route(method="POST", path="/catalog/{code}/prices", handler=add_price, policy=Policy.CATALOG),
)
