"""`/rulings`: what was decided about a rep's own deals, and their appeal against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.errors import BadInput
from scrm.ledger.store import audit
from scrm.live import Change
from scrm.ownership import deciding, versions
from scrm.web.house import actor, house
from scrm.web.lead import dealing, listing
from scrm.web.lead.asking import by, cursor, deal_of, fields, saying, told
from scrm.web.lead.dealing import Dealing
from scrm.web.pages import page, see_other


async def listed(request: web.Request) -> web.Response:
    who, now = actor(request), utcnow()
    async with house(request).db.read(who.tenant_id) as conn:
        before = cursor(conn, request, "ruling")
        view = await listing.rulings_of(
            conn, who, before=before, say=saying(request), now=now, base="/rulings"
        )
    return page(request, "lead/mine.html", view=view)


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
    fault: str = "",
    said: Mapping[str, str] | None = None,
) -> web.Response:
    who, now, say = actor(request), utcnow(), saying(request)
    policy = (await versions.of(conn, one.deal.policy_version)).appeal
    late = now > one.newest.at + timedelta(hours=policy.within_hours)
    asked = one.asked is not None and one.asked.state == "open"
    stopped = say("申诉期已过；有新证据请找主管重新判定。") if late and not asked else ""
    view = await dealing.view(conn, one, who, say=say, now=now)
    view = replace(
        view, decides=False, appeals=not (asked or late), stopped=stopped, fault=fault, said=said or {}
    )
    return page(request, "lead/deal.html", status=400 if fault else 200, view=view, mine=True)


async def appeal(request: web.Request) -> web.Response:
    found, who, form = house(request), actor(request), await fields(request)
    try:
        async with found.db.begin(who.tenant_id) as conn:
            one = await deal_of(conn, request)
            known = {conn.vault.public("ruling", r.ruling_id): r.ruling_id for r in one.history}
            ident = known.get(form.get("ruling", ""))
            if ident is None:
                raise BadInput("这笔成交已有新的判定，请对最新的判定申诉。")
            await deciding.appeal(conn, ident, form.get("text", ""), by=by(request), now=utcnow())
            changes = [Change(topic=f"node:{n}", ident=n, version=1) for n in set(one.deal.nodes)]
            conn.after_commit(lambda: found.live.publish(who.tenant_id, changes))
    except BadInput as wrong:
        async with found.db.read(who.tenant_id) as conn:
            one = await deal_of(conn, request)
            return await _shown(request, conn, one, fault=told(request, wrong), said=form)
    return see_other(f"/rulings/{request.match_info['deal']}")
