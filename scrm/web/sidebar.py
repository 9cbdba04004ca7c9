"""`/s`: the sidebar inside the vendor's app, and the customer fragment that the desktop shows too."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import datetime
from typing import cast, get_args

from aiohttp import web
from aiohttp.web_request import FileField

from scrm.accounts.service import Plugged
from scrm.contract import Enriches, Handle, Shows, Signs
from scrm.db import utcnow
from scrm.errors import Answered, BadInput, ScrmError
from scrm.identity import service as identity
from scrm.identity import store as nodes
from scrm.ledger.store import audit
from scrm.live import Change
from scrm.push import service as push
from scrm.staff.rules import Policy, scope
from scrm.timeline.store import conversations
from scrm.web import bringing, views
from scrm.web.hands import collided
from scrm.web.house import actor, house
from scrm.web.lines import asked
from scrm.web.offering import freshen, offer, used
from scrm.web.pages import form_of, inside, page, see_other, talk_of, wants_fragment
from scrm.web.present import Desk
from scrm.web.routes import Route
from scrm.web.vetting.acts import objected
from scrm.web.vetting.gate import Leave, Objected, demand

_KEY = re.compile(r"[0-9A-Za-z_-]{8,64}")
_LOOKS, _LOOK_S = 10, 0.2
_TABS = get_args(views.Tab)


def in_app(request: web.Request) -> bool:
    """Inside WeCom's own browser, by its documented user agent."""
    return "wxwork" in request.headers.get("User-Agent", "").lower()


async def shell(request: web.Request) -> web.Response:
    """The page before it knows the customer: signatures for exactly this URL, and the rep's conversations."""
    found = house(request)
    async with found.db.read(actor(request).tenant_id) as conn:
        desk = Desk(house=found, conn=conn, actor=actor(request), now=utcnow())
        rows = await desk.queue("mine", limit=30) or await desk.queue("all", limit=30)
        topics = desk.queue_topics()
    view = views.ShellView(conversations=rows, boot=await _boot(request), topics=topics)
    return page(request, "sidebar/shell.html", shell=view)


async def _boot(request: web.Request) -> views.Boot | None:
    """None outside the vendor's app, or when the account cannot sign pages."""
    slug = request.query.get("agent", "")
    if not slug:
        return None
    found = house(request)
    plugged = found.directory.by_slug(slug)
    url = found.settings.url + str(request.rel_url)
    find = f"/s/find?agent={slug}"
    if not isinstance(plugged.plug, Signs):
        return views.Boot(find_url=find)
    try:
        signatures = tuple(await plugged.plug.page(found.context(plugged, utcnow()), url))
    except ScrmError:
        signatures = ()  # the page works without the SDK: it lists conversations and copies
    return views.Boot(signatures=signatures, find_url=find)


async def find(request: web.Request) -> web.Response:
    """The customer the app says it shows. That id is never trusted: it is looked up in the rep's scope."""
    found, who = house(request), actor(request)
    ident = request.query.get("external_userid", "")[:128]
    plugged = found.directory.by_slug(request.query.get("agent", ""))
    ours = plugged.account.tenant_id == who.tenant_id
    if not ident or not ours or not isinstance(plugged.plug, Shows):
        return await _nobody(request, "没有读到当前客户，请从聊天侧边栏打开。")
    handle = plugged.plug.shown(found.context(plugged, utcnow()), ident)
    await _meet(request, plugged, handle)
    async with found.db.read(who.tenant_id) as conn:
        node_id = await identity.find(conn, handle)
        persons = await nodes.persons_of(conn, [node_id] if node_id else [])
        spans = await nodes.intervals(conn, persons[node_id]) if node_id in persons and node_id else []
        theirs = [s.node_id for s in spans]
        talks = await conversations.of_nodes(conn, theirs)
        mine = await conversations.visible_of_nodes(conn, scope(who), theirs)
    if mine:
        talk = min(mine, key=lambda t: t.account_id != plugged.account.account_id)
        await offer(found, who.tenant_id, talk)
        async with found.db.read(who.tenant_id) as conn:
            desk = Desk(house=found, conn=conn, actor=who, now=utcnow(), in_app=in_app(request))
            return page(request, "sidebar/customer.html", customer=await desk.customer(talk))
    why = (
        "这位客户由别的同事跟进，你现在不能查看。"
        if talks
        else "还没有这位客户的记录，或者你不是他的跟进人。"
    )
    return await _nobody(request, why)


async def _meet(request: web.Request, plugged: Plugged, handle: Handle) -> None:
    """A customer we never heard of: ask the vendor, and wait a moment for the answer."""
    found, tenant_id = house(request), actor(request).tenant_id
    async with found.db.read(tenant_id) as conn:
        if await identity.find(conn, handle) is not None or not isinstance(plugged.plug, Enriches):
            return
    try:
        raws = await plugged.plug.enrich(found.context(plugged, utcnow()), handle)
    except ScrmError:
        return
    await found.inbox.accept(plugged.account, raws, received_at=utcnow())
    for _ in range(_LOOKS):
        await asyncio.sleep(_LOOK_S)
        async with found.db.read(tenant_id) as conn:
            if await identity.find(conn, handle) is not None:
                return


async def _nobody(request: web.Request, sentence: str) -> web.Response:
    found = house(request)
    async with found.db.read(actor(request).tenant_id) as conn:
        desk = Desk(house=found, conn=conn, actor=actor(request), now=utcnow())
        rows = await desk.queue("mine", limit=30)
    return page(
        request, "sidebar/find.html", find=views.FindView(sentence=desk.say(sentence), conversations=rows)
    )


async def customer(request: web.Request) -> web.Response:
    found = house(request)
    asked_for = request.query.get("tab", "")
    tab = cast(views.Tab, asked_for if asked_for in _TABS else "scripts")
    await freshen(request)
    async with found.db.read(actor(request).tenant_id) as conn:
        desk = Desk(house=found, conn=conn, actor=actor(request), now=utcnow(), in_app=in_app(request))
        talk = await talk_of(conn, request)
        line = None
        if tab == "timeline":
            line = await desk.timeline(talk, asked(conn.vault, request.query))
        edit, task, quote = (request.query.get(name, "") for name in ("edit", "task", "quote"))
        view = await desk.customer(talk, tab=tab, timeline=line, edit=edit, task=task, quote=quote)
    if wants_fragment(request):
        return page(request, "sidebar/customer.html", customer=view)
    return page(request, "sidebar/page.html", customer=view, boot=await _boot(request))


async def timeline(request: web.Request) -> web.Response:
    found = house(request)
    async with found.db.read(actor(request).tenant_id) as conn:
        desk = Desk(house=found, conn=conn, actor=actor(request), now=utcnow())
        talk = await talk_of(conn, request)
        view = await desk.timeline(talk, asked(conn.vault, request.query))
    return page(request, "sidebar/timeline.html", timeline=view)


async def send(request: web.Request) -> web.Response:
    """Say it through the channel, or (with `outcome`) record what the rep sent inside the app."""
    found, who, now = house(request), actor(request), utcnow()
    form = await form_of(request)
    word = _word(form, who.staff_id)
    try:
        said = await _said(request, form, word)
    except Answered as faster:
        return await collided(request, faster.event_ids, form)
    except Objected as wrong:
        return await objected(request, wrong, form)
    if not wants_fragment(request):
        back = request.headers.get("Referer", "").partition(request.host)[2]
        return see_other(inside(back, f"/s/c/{request.match_info['cid']}"))
    async with found.db.read(who.tenant_id) as conn:
        desk = Desk(house=found, conn=conn, actor=who, now=now)
        item = await desk.sent(said.event_ids[0])
    return page(request, "sidebar/sent.html", item=item)


async def _said(request: web.Request, form: dict[str, str | FileField], word: push.Word) -> push.Said:
    found, who, now = house(request), actor(request), utcnow()
    outcome = form.get("outcome")
    by_hand = outcome is not None or request.path.endswith("/sent")
    async with found.db.begin(who.tenant_id) as conn:
        talk = await talk_of(conn, request)
        plugged = found.directory.by_id(talk.account_id)
        word = replace(word, files=await bringing.read(conn, str(form.get("files", ""))))
        if by_hand:
            said = await push.record(conn, plugged, talk, word, certain=outcome != "unknown", now=now)
        else:
            await demand(conn, found, who, talk, word, _leave(form), now=now)
            said = await push.say(conn, plugged, talk, word, manners=found.manners, now=now)
        public = str(form.get("suggestion", ""))
        event_id = said.event_ids[0]
        await used(conn, found, talk, public, event_id=event_id, staff_id=who.staff_id, now=now)
        subject = f"conversation:{talk.conversation_id}"
        await audit(conn, who.label, "push.recorded" if by_hand else "push.queued", now=now, subject=subject)
        changes = [Change(topic=f"node:{talk.node_id}", ident=e, version=1) for e in said.event_ids]
        changes.append(
            Change(topic=f"team:{talk.team_id or 0}", ident=talk.conversation_id, version=talk.version)
        )
        conn.after_commit(lambda: found.live.publish(conn.tenant_id, changes))
        conn.after_commit(found.wake_send)
        conn.after_commit(found.wake_react)
    return said


def _leave(form: dict[str, str | FileField]) -> Leave:
    return Leave(token=str(form.get("verdict", ""))[:200], confirmed=bool(form.get("confirm")))


def _word(form: dict[str, str | FileField], staff_id: int | None) -> push.Word:
    key, image = str(form.get("key", "")), form.get("image")
    if not _KEY.fullmatch(key):
        raise BadInput("缺少发送编号，请刷新页面后重试。")
    media = None
    if isinstance(image, FileField) and image.filename:
        media = push.sniffed(image.filename, image.file.read())
    # Browsers post line ends as CRLF; the customer gets what the rep saw.
    text = str(form.get("text", "")).replace("\r\n", "\n")
    seen = str(form.get("seen", ""))
    return push.Word(key=key, text=text, media=media, staff_id=staff_id, seen=seen, at=_at(form))


def _at(form: dict[str, str | FileField]) -> datetime | None:
    """The time that was chosen instead of now."""
    text = str(form.get("at", ""))
    try:
        at = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise BadInput("时间看不懂，请重新选择。") from None
    if at is not None and at.tzinfo is None:
        raise BadInput("时间看不懂，请重新选择。")
    return at


ROUTES = (
    Route(method="GET", path="/s", handler=shell, policy=Policy.TALK),
    Route(method="GET", path="/s/find", handler=find, policy=Policy.TALK),
    Route(method="GET", path="/s/c/{cid}", handler=customer, policy=Policy.TALK),
    Route(method="GET", path="/s/c/{cid}/timeline", handler=timeline, policy=Policy.TALK),
    Route(method="POST", path="/s/c/{cid}/send", handler=send, policy=Policy.TALK),
    Route(method="POST", path="/s/c/{cid}/sent", handler=send, policy=Policy.TALK),
)
