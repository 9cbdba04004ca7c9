"""`/mkt/coupons`: batches of coupons, new ones, stopping them."""

from __future__ import annotations

from datetime import datetime, timedelta

from aiohttp import web

from scrm.campaigns.coupons import rules, service, store
from scrm.campaigns.coupons.rules import Batch, Kind
from scrm.db import utcnow
from scrm.errors import BadInput, ScrmError
from scrm.ledger.store import audit
from scrm.sales import rules as selling
from scrm.sales import store as catalog
from scrm.seal import new_id
from scrm.web.catalog import time_of
from scrm.web.house import actor, house
from scrm.web.pages import form_of, locale, page, see_other
from scrm.web.reading import Reading
from scrm.web.render import ZONE
from scrm.web.sale.sheet import products
from scrm.web.selling import BatchesView, BatchRow

_PAGE = 50
NO_SUCH = "没有这个商品，请先在“商品与价格”里添加。"
NO_TIME = "请填写失效时间。"
NO_NUMBER = "折扣请填 1 到 9.9 之间的数，库存和每家限领请填整数。"
SOON, OVER = "将生效", "已过期"


async def show(request: web.Request) -> web.Response:
    return await _shown(request)


async def _shown(request: web.Request, problem: str = "", status: int = 200) -> web.Response:
    found, who, now = house(request), actor(request), utcnow()
    async with found.db.read(who.tenant_id) as conn:
        desk = Reading(house=found, conn=conn, actor=who, now=now)
        cursor = request.query.get("before", "")
        before = conn.vault.private("coupon_batch", cursor) if cursor else None
        some = await store.batches(conn, before=before, limit=_PAGE + 1)
        counts = await store.counts(conn, [b.batch_id for b in some[:_PAGE]])
        choice = await products(desk)
        older = conn.vault.public("coupon_batch", some[_PAGE - 1].batch_id) if len(some) > _PAGE else ""
    local = now.astimezone(ZONE)
    last = (local.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    names = {p.key: p.name for p in choice}
    view = BatchesView(
        rows=tuple(_row(desk, b, counts[b.batch_id], names) for b in some[:_PAGE]),
        before=older,
        problem=found.renderer.say(locale(who), problem) if problem else "",
        products=choice,
        today=f"{local:%Y-%m-%dT%H:%M}",
        month_end=f"{last:%Y-%m-%d}T23:59",
    )
    return page(request, "mkt/coupons.html", status=status, batches=view)


def _row(desk: Reading, batch: Batch, counts: dict[str, int], names: dict[str, str]) -> BatchRow:
    state, tone = _state(batch, desk.now)
    return BatchRow(
        id=desk.conn.vault.public("coupon_batch", batch.batch_id),
        code=batch.code,
        name=batch.name,
        worth=rules.worth(batch),
        product=names.get(batch.product_code, batch.product_code) or desk.say("全部商品"),
        starts_at=batch.starts_at,
        ends_at=batch.ends_at,
        stock=batch.stock,
        limit=batch.per_household,
        issued=sum(n for state, n in counts.items() if state != "withdrawn"),
        redeemed=counts.get("redeemed", 0),
        open=batch.state == "open",
        state=desk.say(state),
        tone=tone,
    )


def _state(batch: Batch, now: datetime) -> tuple[str, str]:
    if batch.state != "open":
        return rules.STATES["stopped"], "warn"
    if now >= batch.ends_at:
        return OVER, ""
    return (SOON, "brand") if now < batch.starts_at else (rules.STATES["open"], "ok")


async def save(request: web.Request) -> web.Response:
    form = {k: str(v).strip() for k, v in (await form_of(request)).items()}
    who, now = actor(request), utcnow()
    try:
        batch = _batch(form, who.staff_id, now)
        async with house(request).db.begin(who.tenant_id) as conn:
            if batch.product_code and await catalog.product_of(conn, batch.product_code) is None:
                raise BadInput(NO_SUCH)
            await service.save_batch(conn, batch)
            await audit(conn, who.label, "coupon.batch", now=now, subject=batch.code)
    except ScrmError as wrong:
        return await _shown(request, wrong.sentence, wrong.status)
    return see_other("/mkt/coupons")


def _batch(form: dict[str, str], by_id: int | None, now: datetime) -> Batch:
    kind: Kind = "discount" if form.get("kind") == "discount" else "off"
    value, ends_at = form.get("value", ""), time_of(form.get("ends", ""))
    if ends_at is None:
        raise BadInput(NO_TIME)
    return Batch(
        batch_id=new_id(),
        code=form.get("code", "").upper(),
        name=form.get("name", ""),
        kind=kind,
        fen=selling.fen(value) if kind == "off" else None,
        share=_share(value) if kind == "discount" else None,
        min_fen=selling.fen(form["least"]) if form.get("least") else None,
        product_code=form.get("product", ""),
        stock=_count(form.get("stock", "")),
        per_household=_count(form.get("limit", "")),
        starts_at=time_of(form.get("starts", "")) or now,
        ends_at=ends_at,
        state="open",
        by_id=by_id,
        created_at=now,
    )


def _share(text: str) -> int:
    """8.5 as people say 8.5 折: 8500 ten-thousandths. Raises `BadInput`."""
    whole, _, part = text.strip().partition(".")
    if not (whole + part).isascii() or not (whole + part).isdigit() or len(whole) != 1 or len(part) > 2:
        raise BadInput(NO_NUMBER)
    return int(f"{whole}{part:0<3}")


def _count(text: str) -> int:
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise BadInput(NO_NUMBER)
    return int(text)


async def turn(request: web.Request) -> web.Response:
    """Stops a batch or goes on with it."""
    form = {k: str(v) for k, v in (await form_of(request)).items()}
    who, now = actor(request), utcnow()
    async with house(request).db.begin(who.tenant_id) as conn:
        ident = conn.vault.private("coupon_batch", request.match_info["batch"])
        await service.set_state(conn, ident, form.get("state", ""))
        await audit(conn, who.label, f"coupon.{form['state']}", now=now, subject=f"batch:{ident}")
    return see_other("/mkt/coupons")
