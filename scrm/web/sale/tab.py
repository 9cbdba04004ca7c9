"""`/s/c/{cid}/coupons`: what this family may be given, why not otherwise, and giving it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from aiohttp import web

from scrm import situations
from scrm.campaigns.coupons import rules, service, store
from scrm.campaigns.coupons.rules import Batch
from scrm.db import utcnow
from scrm.errors import Conflict
from scrm.ledger.store import audit
from scrm.playbook.situation import Kept
from scrm.push import service as push
from scrm.sales import store as catalog
from scrm.sales.opportunities.service import family
from scrm.timeline.rules import Talk
from scrm.web.house import actor, house
from scrm.web.pages import form_of, inside, page, see_other, talk_of, topic
from scrm.web.reading import Reading
from scrm.web.sale.sheet import key_of, tell
from scrm.web.selling import CouponRow, CouponsView, HeldRow
from scrm.web.undone import with_done
from scrm.web.vetting.gate import Leave, demand

_HELD = 10
SAYING = "{name}：{worth}，用到 {until} 为止。券码 {code}，下单时报给我们就能用。"
SAME, LESS = "与答应过的一致", "比答应过的少，报价仍按答应的报"


async def show(request: web.Request) -> web.Response:
    found, who = house(request), actor(request)
    async with found.db.read(who.tenant_id) as conn:
        desk = Reading(house=found, conn=conn, actor=who, now=utcnow())
        view = await coupons(desk, await talk_of(conn, request))
    return page(request, "sidebar/coupons.html", coupons=view)


async def coupons(desk: Reading, talk: Talk) -> CouponsView:
    home = await family(desk.conn, talk.node_id)
    offers = await service.offers(desk.conn, home, now=desk.now)
    promised = await situations.promised(desk.conn, home, desk.now)
    names = await _products(desk, [o.batch for o in offers])
    plugged = desk.plugged(talk)
    verdict = await push.check(desk.conn, plugged, talk, in_app=desk.in_app, now=desk.now)
    return CouponsView(
        cid=desk.cid(talk),
        name=(await desk.names([talk.node_id]))[talk.node_id],
        rows=tuple(_row(desk, one, promised, names) for one in offers),
        held=await _held(desk, home),
        copies=verdict.way != "api",
        topics=tuple(topic(desk.conn.vault, "node", n) for n in home[:20]),
    )


async def _products(desk: Reading, batches: Sequence[Batch]) -> dict[str, str]:
    codes = sorted({b.product_code for b in batches if b.product_code})
    known = [await catalog.product_of(desk.conn, code) for code in codes]
    return {p.code: p.name for p in known if p is not None}


def _row(desk: Reading, one: service.Offer, promised: Sequence[Kept], names: dict[str, str]) -> CouponRow:
    batch = one.batch
    match, tone = ("", "") if one.why_not else _match(batch, promised)
    return CouponRow(
        id=desk.conn.vault.public("coupon_batch", batch.batch_id),
        name=batch.name,
        worth=rules.worth(batch, short=True),
        least=batch.min_fen or 0,
        product=names.get(batch.product_code, batch.product_code) or desk.say("全部商品"),
        until=rules.last_day(batch),
        left=one.left,
        limit=batch.per_household,
        why_not=one.why_not,
        match=desk.say(match) if match else "",
        match_tone=tone,
        key=secrets.token_hex(12),
    )


def _match(batch: Batch, promised: Sequence[Kept]) -> tuple[str, str]:
    """How it stands to what this family was promised, as far as the two can be compared."""
    for one in promised:
        if one.product_code and batch.product_code and one.product_code != batch.product_code:
            continue
        if batch.kind == "discount" and one.kind == "discount" and one.share and batch.share:
            return (SAME, "ok") if batch.share <= one.share else (LESS, "warn")
        if batch.kind == "off" and one.kind == "off" and one.fen and batch.fen:
            return (SAME, "ok") if batch.fen >= one.fen else (LESS, "warn")
    return "", ""


async def _held(desk: Reading, home: Sequence[int]) -> tuple[HeldRow, ...]:
    found = (await store.of_nodes(desk.conn, home))[:_HELD]
    batches = {b: await store.batch(desk.conn, b) for b in sorted({c.batch_id for c in found})}
    names = await desk.names([c.node_id for c in found])
    rows = []
    for one in found:
        batch = batches[one.batch_id]
        if batch is None:
            continue
        over = one.state == "issued" and batch.ends_at <= desk.now
        word, tone = _STATES["over" if over else one.state]
        usable = one.state == "issued" and not over
        rows.append(
            HeldRow(
                code=one.code,
                name=batch.name,
                worth=rules.worth(batch),
                who=names[one.node_id],
                state=desk.say(word),
                tone=tone,
                until=rules.last_day(batch),
                text=saying(batch, one.code) if usable else "",
            )
        )
    return tuple(rows)


_STATES = {
    "issued": ("未使用", "ok"),
    "redeemed": ("已使用", ""),
    "withdrawn": ("已收回", ""),
    "over": ("已过期", "warn"),
}


def saying(batch: Batch, code: str) -> str:
    """What the customer is told; customers read Chinese, whatever the rep's language."""
    return SAYING.format(name=batch.name, worth=rules.worth(batch), until=rules.last_day(batch), code=code)


# -- giving ------------------------------------------------------------------------------------------------
async def give(request: web.Request) -> web.Response:
    """The coupon and the words that bring it commit together. Where we cannot send, the rep copies them."""
    found, who, now = house(request), actor(request), utcnow()
    form = {k: str(v) for k, v in (await form_of(request)).items()}
    async with found.db.begin(who.tenant_id) as conn:
        desk = Reading(house=found, conn=conn, actor=who, now=now)
        talk = await talk_of(conn, request)
        key = key_of(form)
        batch_id = conn.vault.private("coupon_batch", form.get("batch", ""))
        sent = await _give(desk, talk, batch_id, key, read=form.get("read") == "1")
        await audit(conn, who.label, "coupon.issued", now=now, subject=f"conversation:{talk.conversation_id}")
        tell(desk, talk, talk.conversation_id)
        conn.after_commit(found.wake_send)
    back = request.headers.get("Referer", "").partition(request.host)[2]
    here = f"/s/c/{request.match_info['cid']}"
    where = inside(back, here)
    if where.partition("?")[0] == here:
        where = f"{here}?tab=coupons"
    return see_other(with_done(where, "coupon_sent" if sent else "coupon_kept"))


async def _give(desk: Reading, talk: Talk, batch_id: int, key: str, *, read: bool) -> bool:
    """Whether it goes out by itself. `read` = the rep saw that it is less than was promised.

    Raises `Conflict` where a rule, and `Objected` where the check, forbids it: then nothing is given.
    """
    conn, now = desk.conn, desk.now
    batch = await store.batch(conn, batch_id, hold=True)
    home = await family(conn, talk.node_id)
    one = await service.issue(
        conn,
        batch_id,
        talk.node_id,
        home,
        key=f"rep:{key}",
        staff_id=desk.actor.staff_id,
        account_id=talk.account_id,
        now=now,
    )
    assert batch is not None, "issue has found it"
    plugged, manners = desk.plugged(talk), desk.house.manners
    word = push.Word(
        key=f"coupon-{key}",
        text=saying(batch, one.code),
        staff_id=desk.actor.staff_id,
        purpose="marketing",
    )
    await demand(conn, desk.house, desk.actor, talk, word, Leave(confirmed=read), now=now)
    found = await push.decide(conn, lambda _: plugged, [talk], push.ask_of(word), manners=manners, now=now)
    if found.sends:
        await push.say(conn, plugged, talk, word, manners=manners, now=now)
    elif found.way == "api":
        raise Conflict(found.why)
    return found.sends
