"""`/inbox/ringing`: whose telephone rings now: the colleague's who is called, else the team's."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from scrm.db import utcnow
from scrm.errors import Unsealable
from scrm.identity import store as identity
from scrm.staff import store as staff
from scrm.staff.rules import Policy, masked, scope
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations, events
from scrm.timeline.store.events import Stored
from scrm.timeline.store.ringing import ringing
from scrm.web import views
from scrm.web.house import actor, house
from scrm.web.pages import page
from scrm.web.present import Desk
from scrm.web.routes import Route

_PHONE = "ph"


async def fragment(request: web.Request) -> web.Response:
    found = house(request)
    async with found.db.read(actor(request).tenant_id) as conn:
        desk = Desk(house=found, conn=conn, actor=actor(request), now=utcnow())
        shown = await rings(desk)
    return page(request, "inbox/ringing.html", rings=shown)


async def rings(desk: Desk) -> tuple[views.Ring, ...]:
    """Newest first. Nobody else's telephone, and nothing of customers they may not see but that they call."""
    phones = {
        p.account.account_id: p.team_id
        for p in desk.house.directory.all(desk.actor.tenant_id)
        if p.plug.ICON == _PHONE
    }
    ours = [e for e in await ringing(desk.conn, phones, now=desk.now) if _for(desk, e, phones[e.account_id])]
    talks = {
        t.conversation_id: t
        for e in ours
        if e.conversation_id and (t := await conversations.of_id(desk.conn, e.conversation_id))
    }
    seen = await conversations.visible_nodes(
        desk.conn, scope(desk.actor), {t.node_id for t in talks.values()}
    )
    return tuple([await _ring(desk, e, talks.get(e.conversation_id or 0), seen) for e in ours])


def _for(desk: Desk, e: Stored, team_id: int | None) -> bool:
    """Theirs when they are called; the team's while nobody knows who is."""
    if e.staff_id is not None:
        return e.staff_id == desk.actor.staff_id
    return team_id is None or team_id == desk.actor.team_id


async def _ring(desk: Desk, e: Stored, talk: Talk | None, seen: set[int]) -> views.Ring:
    mine = e.staff_id is not None and e.staff_id == desk.actor.staff_id
    ident = desk.conn.vault.public("ring", e.conversation_id or e.event_id)
    if talk is None:
        return views.Ring(id=ident, name=desk.say("号码未显示"), mine=mine)
    shown = await _number(desk, talk)
    if talk.node_id not in seen:
        return views.Ring(
            id=ident, name=desk.say("客户"), number=shown, owner=await _owner(desk, talk), mine=mine
        )
    named = (await identity.names(desk.conn, [talk.node_id])).get(talk.node_id, "")
    return views.Ring(
        id=ident,
        name=named,
        number=shown,
        href=f"/inbox/{desk.cid(talk)}",
        new=not named and not await _before(desk, e, talk),
        mine=mine,
    )


async def _number(desk: Desk, talk: Talk) -> str:
    """As this person may see it; "" for somebody who was erased."""
    try:
        found = (await identity.handles(desk.conn, [talk.node_id])).get(talk.node_id)
    except Unsealable:
        return ""
    return masked(desk.actor, found.value.removeprefix("+86")) if found else ""


async def _owner(desk: Desk, talk: Talk) -> str:
    members: dict[int, staff.Member] = await staff.members(desk.conn, [talk.rep_id] if talk.rep_id else [])
    member = members.get(talk.rep_id or 0)
    return member.name if member else desk.say("同事")


async def _before(desk: Desk, e: Stored, talk: Talk) -> Sequence[Stored]:
    """Something we had with this person before the call."""
    person = (await identity.persons_of(desk.conn, [talk.node_id])).get(talk.node_id)
    spans = await identity.intervals(desk.conn, person) if person else []
    return await events.page(desk.conn, spans, before=e.place, limit=1)


ROUTES = (Route(method="GET", path="/inbox/ringing", handler=fragment, policy=Policy.TALK),)
