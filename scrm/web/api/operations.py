"""The operations of the API: events, persons, conversations, suggestions, pushes, inbox, accounts."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from scrm import inbox as rows
from scrm import outbox
from scrm.db import Conn, utcnow
from scrm.errors import BadInput, NotFound
from scrm.identity import store as identity
from scrm.ledger.store import audit
from scrm.live import Change
from scrm.playbook import store as playbook
from scrm.playbook.service import use
from scrm.push import service as push
from scrm.staff.rules import Policy, scope
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations, events
from scrm.web.api import resources as r
from scrm.web.api.endpoint import (
    CURSOR,
    LIMIT,
    PAGED,
    Act,
    Endpoint,
    Query,
    audited,
    before_of,
    body_of,
    limit_of,
)
from scrm.web.api.reaching import addressed, word_of
from scrm.web.api.show import Shower
from scrm.web.house import actor, house
from scrm.web.pages import place_in, place_out
from scrm.web.vetting.gate import Leave, demand


async def list_events(request: web.Request) -> r.Page[r.Event]:
    found, who, limit = house(request), actor(request), limit_of(request)
    accounts = found.directory.all(who.tenant_id)
    if slug := request.query.get("account"):
        accounts = [found.directory.by_slug(slug)]
        if accounts[0].account.tenant_id != who.tenant_id:
            raise NotFound
    await audited(request, "api.events.read")
    async with found.db.read(who.tenant_id) as conn:
        before = place_in(conn.vault, request.query.get("cursor", ""))
        ids = [p.account.account_id for p in accounts]
        page = await events.of_account(conn, ids, before=before, limit=limit + 1)
        mine = page[:limit]
        if not scope(who).everything:
            visible = await conversations.visible_nodes(
                conn, scope(who), [e.node_id for e in mine if e.node_id]
            )
            mine = [e for e in mine if e.node_id in visible]
        shown = await Shower(house=found, conn=conn, actor=who).events(mine)
        cursor = place_out(conn.vault, page[limit - 1].place) if len(page) > limit else None
    return r.Page(items=shown, next_cursor=cursor)


async def list_persons(request: web.Request) -> r.Page[r.Person]:
    found, who, limit = house(request), actor(request), limit_of(request)
    await audited(request, "api.persons.read")
    async with found.db.read(who.tenant_id) as conn:
        before = before_of(conn, request, "person")
        page = await identity.page(conn, before=before, limit=limit + 1)
        visible = await conversations.visible_persons(conn, scope(who), page[:limit])
        shown = await Shower(house=found, conn=conn, actor=who).persons(
            [p for p in page[:limit] if p in visible]
        )
        cursor = conn.vault.public("person", page[limit - 1]) if len(page) > limit else None
    return r.Page(items=shown, next_cursor=cursor)


async def get_person(request: web.Request) -> r.Person:
    found, who = house(request), actor(request)
    await audited(request, "api.persons.read")
    async with found.db.read(who.tenant_id) as conn:
        shower = Shower(house=found, conn=conn, actor=who)
        return (await shower.persons([await _person(conn, request)], fields=True))[0]


async def person_timeline(request: web.Request) -> r.Page[r.Event]:
    found, who, limit = house(request), actor(request), limit_of(request)
    await audited(request, "api.timeline.read")
    async with found.db.read(who.tenant_id) as conn:
        spans = await identity.intervals(conn, await _person(conn, request))
        before = place_in(conn.vault, request.query.get("cursor", ""))
        page = await events.page(conn, spans, before=before, limit=limit + 1)
        shown = await Shower(house=found, conn=conn, actor=who).events(page[:limit])
        cursor = place_out(conn.vault, page[limit - 1].place) if len(page) > limit else None
    return r.Page(items=shown, next_cursor=cursor)


async def list_conversations(request: web.Request) -> r.Page[r.Conversation]:
    found, who, limit = house(request), actor(request), limit_of(request)
    async with found.db.read(who.tenant_id) as conn:
        place = place_in(conn.vault, request.query.get("cursor", ""))
        before = (place[0], place[2]) if place else None
        page = await conversations.queue(
            conn, scope(who), "all", now=utcnow(), before=before, limit=limit + 1
        )
        talks = [t for t, _ in page[:limit]]
        shown = await Shower(house=found, conn=conn, actor=who).conversations(talks)
        last = (talks[-1].last_at, 0, talks[-1].conversation_id) if len(page) > limit else None
        cursor = place_out(conn.vault, last) if last else None
    return r.Page(items=shown, next_cursor=cursor)


async def list_suggestions(request: web.Request) -> r.Page[r.Suggestion]:
    found, who, limit = house(request), actor(request), limit_of(request)
    async with found.db.read(who.tenant_id) as conn:
        ident = conn.vault.private("conversation", request.query.get("conversation_id", ""))
        talk = await conversations.get(conn, ident, scope(who))
        if talk is None:
            raise NotFound
        before = before_of(conn, request, "suggestion")
        page = await playbook.page(conn, conversation_id=ident, before=before, limit=limit + 1)
        shown = await Shower(house=found, conn=conn, actor=who).suggestions(talk, page[:limit])
        cursor = conn.vault.public("suggestion", page[limit - 1].suggestion_id) if len(page) > limit else None
    return r.Page(items=shown, next_cursor=cursor)


async def list_pushes(request: web.Request) -> r.Page[r.Push]:
    found, who, limit = house(request), actor(request), limit_of(request)
    async with found.db.read(who.tenant_id) as conn:
        before = before_of(conn, request, "push")
        page = await outbox.page(conn, state=request.query.get("state", ""), before=before, limit=limit + 1)
        visible = await conversations.visible_ids(conn, scope(who), [d.conversation_id for d in page[:limit]])
        mine = [d for d in page[:limit] if d.conversation_id in visible]
        shown = [Shower(house=found, conn=conn, actor=who).push(d) for d in mine]
        cursor = conn.vault.public("push", page[limit - 1].outbox_id) if len(page) > limit else None
    return r.Page(items=shown, next_cursor=cursor)


async def create_push(request: web.Request) -> Act:
    found, who, wanted = house(request), actor(request), await body_of(request, r.PushIn)
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        raise BadInput("发送必须带 Idempotency-Key，重复请求才不会发两次。")

    async def act(conn: Conn) -> r.Push:
        word = word_of(wanted, key=f"api:{who.label}:{key}", staff_id=who.staff_id)
        talk, said = await _said(request, conn, wanted, word)
        now = utcnow()
        await use(
            conn,
            talk.conversation_id,
            wanted.suggestion_id or "",
            event_id=said.event_ids[0],
            staff_id=who.staff_id,
            now=now,
        )
        await audit(conn, who.label, "push.queued", now=now, subject=f"conversation:{talk.conversation_id}")
        changes = [Change(topic=f"node:{talk.node_id}", ident=e, version=1) for e in said.event_ids]
        conn.after_commit(lambda: found.live.publish(conn.tenant_id, changes))
        conn.after_commit(found.wake_send)
        conn.after_commit(found.wake_react)
        sent = (await outbox.deliveries(conn, said.event_ids))[said.event_ids[0]]
        return Shower(house=found, conn=conn, actor=who).push(sent)

    return act


async def _said(
    request: web.Request, conn: Conn, wanted: r.PushIn, word: push.Word
) -> tuple[Talk, push.Said]:
    """In the conversation that is named, or wherever the rules reach the person."""
    found, now = house(request), utcnow()
    talks, person_id = await addressed(request, conn, wanted.conversation_id, wanted.person_id)
    leave = Leave(token=wanted.verdict[:200], confirmed=wanted.confirm)
    await demand(conn, found, actor(request), talks[0], word, leave, now=now)
    if person_id is None:
        plugged = found.directory.by_id(talks[0].account_id)
        return talks[0], await push.say(conn, plugged, talks[0], word, manners=found.manners, now=now)
    reached = await push.reach(
        conn,
        found.directory,
        person_id,
        word,
        word.purpose,
        manners=found.manners,
        scope=scope(actor(request)),
        now=now,
    )
    return reached.talk, reached.said


async def list_inbox(request: web.Request) -> r.InboxPage:
    found, who, limit = house(request), actor(request), limit_of(request)
    state = request.query.get("state", "quarantined")
    if state not in ("new", "settled", "done", "quarantined"):
        raise BadInput("state 只能是 new、settled、done 或 quarantined。")
    async with found.db.read(who.tenant_id) as conn:
        page = await rows.page(conn, state=state, before=before_of(conn, request, "inbox"), limit=limit + 1)
        shown = Shower(house=found, conn=conn, actor=who).inbox(page[:limit])
        cursor = conn.vault.public("inbox", page[limit - 1].inbox_id) if len(page) > limit else None
        return r.InboxPage(items=shown, counts=await rows.counts(conn), next_cursor=cursor)


async def replay_inbox(request: web.Request) -> Act:
    found, who, wanted = house(request), actor(request), await body_of(request, r.ReplayIn)
    if not wanted.ids and not wanted.all:
        raise BadInput("请给出 ids，或用 all 重放全部隔离的消息。")

    async def act(conn: Conn) -> r.Replayed:
        ids = [conn.vault.private("inbox", i) for i in wanted.ids] or None
        moved = await rows.replay(conn, inbox_ids=ids)
        await audit(conn, who.label, "inbox.replayed", now=utcnow())
        conn.after_commit(found.inbox.stored)
        return r.Replayed(rows=moved)

    return act


async def _person(conn: Conn, request: web.Request) -> int:
    """The person of the path as of today; an absorbed person's id leads to whoever they are now."""
    ident = await identity.person_now(conn, conn.vault.private("person", request.match_info["id"]))
    if ident is None or not await conversations.visible_persons(conn, scope(actor(request)), [ident]):
        raise NotFound("没有这个人，或者你不能查看。")
    return ident


_ACCOUNT = Query(name="account", about="Slug of one account; all of them when not given")
_STATE = Query(name="state", about="Only rows in this state")
_DATA, _ADMIN = Policy.API_DATA, Policy.API_ADMIN

ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="GET",
        path="/events",
        summary="Events, newest first",
        policy=_DATA,
        answer=r.Page[r.Event],
        handler=list_events,
        queries=(_ACCOUNT, *PAGED),
    ),
    Endpoint(
        method="GET",
        path="/persons",
        summary="Persons, newest first",
        policy=_DATA,
        answer=r.Page[r.Person],
        handler=list_persons,
        queries=PAGED,
    ),
    Endpoint(
        method="GET",
        path="/persons/{id}",
        summary="One person with nodes and the evidence that joins them",
        policy=_DATA,
        answer=r.Person,
        handler=get_person,
    ),
    Endpoint(
        method="GET",
        path="/persons/{id}/timeline",
        summary="A person's events over every channel, newest first",
        policy=_DATA,
        answer=r.Page[r.Event],
        handler=person_timeline,
        queries=PAGED,
    ),
    Endpoint(
        method="GET",
        path="/conversations",
        summary="Conversations, the latest first",
        policy=_DATA,
        answer=r.Page[r.Conversation],
        handler=list_conversations,
        queries=PAGED,
    ),
    Endpoint(
        method="GET",
        path="/suggestions",
        summary="What was suggested in a conversation, newest first",
        policy=_DATA,
        answer=r.Page[r.Suggestion],
        handler=list_suggestions,
        queries=(Query(name="conversation_id", about="The conversation", required=True), *PAGED),
    ),
    Endpoint(
        method="GET",
        path="/pushes",
        summary="What went out, newest first",
        policy=_DATA,
        answer=r.Page[r.Push],
        handler=list_pushes,
        queries=(_STATE, *PAGED),
    ),
    Endpoint(
        method="POST",
        path="/pushes",
        summary="Say something in a conversation, or to a person wherever the rules reach them",
        policy=Policy.API_TALK,
        answer=r.Push,
        handler=create_push,
        body=r.PushIn,
        status=201,
    ),
    Endpoint(
        method="GET",
        path="/inbox",
        summary="What channels told us, by state",
        policy=_ADMIN,
        answer=r.InboxPage,
        handler=list_inbox,
        queries=(_STATE, LIMIT, CURSOR),
    ),
    Endpoint(
        method="POST",
        path="/inbox/replay",
        summary="Put rows back to the start",
        policy=_ADMIN,
        answer=r.Replayed,
        handler=replay_inbox,
        body=r.ReplayIn,
    ),
)
