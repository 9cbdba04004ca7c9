"""`/s/c/{cid}/unsend` and `/s/c/{cid}/consent`: take back what waits for its time; hear from us again."""

from __future__ import annotations

import secrets

from aiohttp import web

from scrm.errors import BadInput, Forbidden
from scrm.identity import store as identity
from scrm.ledger.consent.rules import ConsentState
from scrm.ledger.store import audit
from scrm.live import Change
from scrm.push import heeding
from scrm.push import service as push
from scrm.staff.rules import Policy
from scrm.timeline.store import events
from scrm.web.house import actor, house
from scrm.web.pages import form_of, inside, see_other, talk_of
from scrm.web.routes import Route

_REASON = 100


async def unsend(request: web.Request) -> web.Response:
    """What was planned in this conversation is not sent."""
    found, who, form = house(request), actor(request), await form_of(request)
    async with found.db.begin(who.tenant_id) as conn:
        talk = await talk_of(conn, request)
        named = str(form.get("event", ""))
        ident = conn.vault.private("event", named) if named else 0
        told = await events.by_ids(conn, [ident])
        if not told or told[0].conversation_id != talk.conversation_id:
            raise BadInput("没有这条消息，请刷新页面。")
        now = await conn.now()
        await push.call_off(conn, ident, now=now)
        subject = f"conversation:{talk.conversation_id}"
        await audit(conn, who.label, "push.called_off", now=now, subject=subject)
        change = Change(topic=f"node:{talk.node_id}", ident=ident, version=2)
        conn.after_commit(lambda: found.live.publish(who.tenant_id, [change]))
    return _back(request)


async def consent(request: web.Request) -> web.Response:
    """A customer who changed their mind: a lead writes it down; anybody may write down that they want out."""
    found, who, form = house(request), actor(request), await form_of(request)
    async with found.db.begin(who.tenant_id) as conn:
        talk, now = await talk_of(conn, request), await conn.now()
        state = _demanded(str(form.get("state", "")), who.role)
        order = heeding.Order(
            key=f"page:{who.label}:{secrets.token_hex(12)}",
            state=state,
            reason=str(form.get("reason", ""))[:_REASON],
            staff_id=who.staff_id,
        )
        person = (await identity.persons_of(conn, [talk.node_id])).get(talk.node_id)
        theirs = await identity.nodes_of(conn, [person]) if person else {}
        for node_id in sorted({talk.node_id, *theirs}):
            await heeding.note(conn, talk.account_id, node_id, order, now=now)
        subject = f"conversation:{talk.conversation_id}"
        await audit(conn, who.label, f"consent.{state}", now=now, subject=subject)
        change = Change(topic=f"node:{talk.node_id}", ident=talk.conversation_id, version=talk.version)
        conn.after_commit(lambda: found.live.publish(who.tenant_id, [change]))
    return _back(request)


def _demanded(state: str, role: str) -> ConsentState:
    """Raises `BadInput` for what is neither, `Forbidden` for what a lead has to decide."""
    if state == "withdrawn":
        return "withdrawn"
    if state != "granted":
        raise BadInput("请选择退订或恢复。")
    if role != "lead":
        raise Forbidden("恢复营销消息要由主管登记。")
    return "granted"


def _back(request: web.Request) -> web.Response:
    back = request.headers.get("Referer", "").partition(request.host)[2]
    return see_other(inside(back, f"/s/c/{request.match_info['cid']}"))


ROUTES = (
    Route(method="POST", path="/s/c/{cid}/unsend", handler=unsend, policy=Policy.TALK),
    Route(method="POST", path="/s/c/{cid}/consent", handler=consent, policy=Policy.TALK),
)
