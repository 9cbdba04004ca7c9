"""`/inbox`: the rep's desktop: queue, conversation with composer, the sidebar's fragment on the right."""

from __future__ import annotations

from dataclasses import replace
from typing import cast, get_args

from aiohttp import web

from scrm.contract import Visits
from scrm.db import Conn, utcnow
from scrm.desk.tasks import store as tasks
from scrm.live import WE_TYPE, Change
from scrm.staff.rules import Policy, scope
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations, visits
from scrm.timeline.store.events import Place
from scrm.web import views
from scrm.web.hands import away, hands_of
from scrm.web.house import actor, house
from scrm.web.offering import offer
from scrm.web.pages import page, place_in, see_other, talk_of
from scrm.web.present import Desk
from scrm.web.ringing import rings
from scrm.web.routes import Route
from scrm.web.todo import present as todo


async def home(_request: web.Request) -> web.Response:
    return see_other("/inbox")


async def queue_page(request: web.Request) -> web.Response:
    found = house(request)
    async with found.db.read(actor(request).tenant_id) as conn:
        desk = Desk(house=found, conn=conn, actor=actor(request), now=utcnow())
        view = views.InboxView(queue=await _queue(request, desk), rings=await rings(desk))
    return page(request, "inbox/page.html", inbox=view)


async def queue(request: web.Request) -> web.Response:
    found = house(request)
    async with found.db.read(actor(request).tenant_id) as conn:
        desk = Desk(house=found, conn=conn, actor=actor(request), now=utcnow())
        view = await _queue(request, desk, current=request.query.get("current", ""))
    return page(request, "inbox/queue.html", queue=view)


async def conversation_page(request: web.Request) -> web.Response:
    """Opening a conversation reads it."""
    found = house(request)
    async with found.db.begin(actor(request).tenant_id) as conn:
        talk = await talk_of(conn, request)
        await _read(request, conn, talk)
    await offer(found, actor(request).tenant_id, talk)
    async with found.db.read(actor(request).tenant_id) as conn:
        desk = Desk(house=found, conn=conn, actor=actor(request), now=utcnow())
        before = place_in(conn.vault, request.query.get("before", ""))
        view = views.InboxView(
            queue=await _queue(request, desk, current=desk.cid(talk)),
            conversation=await _conversation(desk, talk, before),
            customer=await desk.customer(talk, task=request.query.get("task", "")),
            rings=await rings(desk),
        )
    return page(request, "inbox/page.html", inbox=view)


async def bubbles(request: web.Request) -> web.Response:
    found = house(request)
    async with found.db.read(actor(request).tenant_id) as conn:
        desk = Desk(house=found, conn=conn, actor=actor(request), now=utcnow())
        talk = await talk_of(conn, request)
        before = place_in(conn.vault, request.query.get("before", ""))
        view = await _conversation(desk, talk, before)
        unread = not before and await visits.unread(conn, talk.conversation_id)
    if unread:
        # It is before the rep's eyes: a page out of sight does not ask.
        async with found.db.begin(actor(request).tenant_id) as conn:
            await _read(request, conn, talk)
    return page(request, "inbox/conversation.html", conversation=view)


async def _read(request: web.Request, conn: Conn, talk: Talk) -> None:
    """Read by us; visitors of our own chat see that."""
    found = house(request)
    await conversations.mark_read(conn, talk.conversation_id, now=utcnow())
    if isinstance(found.directory.by_id(talk.account_id).plug, Visits):
        change = Change(topic=f"node:{talk.node_id}", ident=talk.conversation_id, version=talk.version)
        conn.after_commit(lambda: found.live.publish(conn.tenant_id, [change]))


async def typing(request: web.Request) -> web.Response:
    """We are writing; the visitor sees it, nobody keeps it."""
    found, who = house(request), actor(request)
    async with found.db.read(who.tenant_id) as conn:
        talk = await talk_of(conn, request)
    found.live.publish(who.tenant_id, [Change(topic=f"typing:{talk.node_id}", ident=WE_TYPE, version=1)])
    return web.Response(status=204)


async def _queue(request: web.Request, desk: Desk, *, current: str = "") -> views.QueueView:
    asked = request.query.get("filter", "")
    which = cast(views.QueueFilter, asked if asked in get_args(views.QueueFilter) else "all")
    board = None
    if which == "tasks":
        board = await todo.board(desk, todo.mine(desk.actor), place="inbox", url="/inbox/queue?filter=tasks")
    return views.QueueView(
        rows=() if which == "tasks" else await desk.queue(which),
        board=board,
        filter=which,
        counts=await _counts(desk.conn, desk),
        current=current,
        topics=desk.queue_topics(),
        away=await away(desk),
    )


async def _conversation(desk: Desk, talk: Talk, before: Place | None) -> views.ConversationView:
    return replace(await desk.conversation(talk, before=before), hands=await hands_of(desk, talk))


async def _counts(conn: Conn, desk: Desk) -> dict[views.QueueFilter, int]:
    mine = await tasks.counts(conn, todo.mine(desk.actor), now=desk.now)
    return {
        "waiting": await conversations.waiting_count(conn, scope(desk.actor), now=desk.now),
        "tasks": sum(mine.values()),
    }


ROUTES = (
    Route(method="GET", path="/", handler=home, policy=Policy.PUBLIC),
    Route(method="GET", path="/inbox", handler=queue_page, policy=Policy.TALK),
    Route(method="GET", path="/inbox/queue", handler=queue, policy=Policy.TALK),
    Route(method="GET", path="/inbox/{cid}", handler=conversation_page, policy=Policy.TALK),
    Route(method="GET", path="/inbox/{cid}/bubbles", handler=bubbles, policy=Policy.TALK),
    Route(method="POST", path="/inbox/{cid}/typing", handler=typing, policy=Policy.TALK),
)
