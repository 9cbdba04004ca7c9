"""`/lead/ownership`: who waits for a word, the claims of both sides, and the word itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal, InvalidOperation

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.errors import BadInput
from scrm.ledger.store import audit
from scrm.live import Change
from scrm.ownership import deciding
from scrm.ownership.rules.values import WHOLE, Share, claimant
from scrm.web.house import actor, house
from scrm.web.lead import dealing, listing
from scrm.web.lead.asking import by, cursor, deal_of, fields, saying, told
from scrm.web.lead.dealing import Dealing
from scrm.web.lead.named import known_as
from scrm.web.lead.views import ListView
from scrm.web.pages import page, see_other

_TABS = ("waiting", "late", "signals", "all")


async def listed(request: web.Request) -> web.Response:
    found, who, now, say = house(request), actor(request), utcnow(), saying(request)
    tab = request.query.get("tab", "waiting")
    async with found.db.read(who.tenant_id) as conn:
        view = await _listed(request, conn, tab if tab in _TABS else "waiting", say=say, now=now)
        if view.tab not in ("waiting", "late") or "before" in request.query:
            late = await listing.late(conn, who, say=say, now=now)
            view = replace(view, late=late.late)
    return page(request, "lead/list.html", view=replace(view, done="done" in request.query))


async def _listed(
    request: web.Request, conn: Conn, tab: str, *, say: Callable[[str], str], now: datetime
) -> ListView:
    who = actor(request)
    if tab == "late":
        return await listing.late(conn, who, say=say, now=now)
    if tab == "signals":
        return await listing.suspected(conn, who, before=cursor(conn, request, "claim"), say=say)
    before = cursor(conn, request, "ruling")
    if tab == "all":
        base = "/lead/ownership"
        return await listing.rulings_of(conn, who, before=before, say=say, now=now, base=base, tab=tab)
    return await listing.waiting(conn, who, before=before, say=say, now=now)


async def show(request: web.Request) -> web.Response:
    async with house(request).db.begin(actor(request).tenant_id) as conn:
        one = await deal_of(conn, request)
        await audit(
            conn, actor(request).label, "ruling.read", now=utcnow(), subject=f"deal:{one.deal.deal_id}"
        )
        return await _shown(request, conn, one)


async def _shown(
    request: web.Request,
    conn: Conn,
    one: Dealing,
    *,
    supposed: Sequence[Share] | None = None,
    fault: str = "",
    said: Mapping[str, str] | None = None,
) -> web.Response:
    view = await dealing.view(conn, one, actor(request), say=saying(request), now=utcnow(), supposed=supposed)
    view = replace(view, fault=fault, said=said or {})
    return page(request, "lead/deal.html", status=400 if fault else 200, view=view)


async def decide(request: web.Request) -> web.Response:
    """`look` shows what a decision would do; `award`, `agree` and `keep` decide."""
    found, who, form = house(request), actor(request), await fields(request)
    what = form.get("what", "")
    try:
        async with found.db.begin(who.tenant_id) as conn:
            one = await deal_of(conn, request)
            shares = await _shares(conn, one, form) if what in ("look", "award") else []
            if what == "look":
                return await _shown(request, conn, one, supposed=deciding.checked(shares), said=form)
            if what not in ("award", "agree", "keep"):
                raise BadInput("请选择判给谁、同意还是维持。")
            # Of this deal and no other: whether the reader may decide was asked of this one.
            known = {conn.vault.public("ruling", r.ruling_id): r.ruling_id for r in one.history}
            if form.get("ruling", "") not in known:
                raise BadInput("这笔成交已有新的判定，请看过最新的再决定。")
            await deciding.decide(
                conn,
                known[form["ruling"]],
                agree=what != "keep",
                why=form.get("why", ""),
                by=by(request),
                now=utcnow(),
                shares=shares,
            )
            changes = [Change(topic=f"node:{n}", ident=n, version=1) for n in set(one.deal.nodes)]
            conn.after_commit(lambda: found.live.publish(who.tenant_id, changes))
    except BadInput as wrong:
        async with found.db.read(who.tenant_id) as conn:
            one = await deal_of(conn, request)
            return await _shown(request, conn, one, fault=told(request, wrong), said=form)
    return see_other("/lead/ownership?done=1")


async def _shares(conn: Conn, one: Dealing, form: Mapping[str, str]) -> list[Share]:
    """Raises `BadInput`. What is empty is nothing; everybody named in the form is of this deal."""
    found = []
    for name, text in form.items():
        if not name.startswith("share."):
            continue
        bp = _basis_points(text)
        who = known_as(name.removeprefix("share."), one.named, one.labels)
        if bp and who is None:
            raise BadInput("这里有不属于这笔成交的人，请刷新页面。")
        if bp and who is not None:
            found.append(Share(by=who, bp=bp))
    if form.get("other", "").strip() and (bp := _basis_points(form.get("other_share", ""))):
        label = await dealing.claimant_of(conn, form["other"])
        if not label:
            raise BadInput("没有这个登录名的同事。")
        found.append(Share(by=claimant(label), bp=bp))
    return found


def _basis_points(text: str) -> int:
    """Of a percentage. Raises `BadInput`."""
    clean = text.strip().removesuffix("%").strip()
    if not clean:
        return 0
    try:
        bp = Decimal(clean) * 100
        if not 0 <= bp <= WHOLE or bp != bp.to_integral_value():
            raise InvalidOperation
    except InvalidOperation:
        raise BadInput("份额请填 0 到 100 的百分比，最多两位小数。") from None
    return int(bp)
