"""`/pool`: the public pool, warnings about one's own customers, and customers who were handed over to one."""

from __future__ import annotations

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.errors import BadInput, NotFound
from scrm.identity import store as identity
from scrm.ownership import pooling, versions
from scrm.ownership.rules import pool as rules
from scrm.ownership.store import handover as handed
from scrm.ownership.store import pool as store
from scrm.ownership.store.pool import Entry
from scrm.staff import store as staff
from scrm.staff.rules import Actor
from scrm.timeline import hands
from scrm.timeline.store import conversations
from scrm.web.house import actor, house
from scrm.web.lead.asking import by, cursor, fields, saying, told
from scrm.web.pages import page, see_other, talk_of
from scrm.web.passing import views as v
from scrm.web.passing.telling import handed_view

_PAGE = 30
_TABS = ("pool", "warned", "handed")
_HIDDEN = "公海里没有这位客户，或者不在你的小组。"
_LEVELS = {"bought": "已成交", "visited": "到访过", "talked": "聊过", "new": "新"}


async def listed(request: web.Request) -> web.Response:
    return await _listed(request)


async def _listed(request: web.Request, *, fault: str = "") -> web.Response:
    who, tab = actor(request), request.query.get("tab", "pool")
    async with house(request).db.read(who.tenant_id) as conn:
        if tab == "handed":
            view = await _handed(conn, request, who)
        else:
            view = await _entries(conn, request, who, "warned" if tab == "warned" else "pool", fault)
    return page(request, "passing/pool.html", status=400 if fault else 200, view=view)


async def _entries(conn: Conn, request: web.Request, who: Actor, tab: str, fault: str) -> v.PoolView:
    warned = tab == "warned"
    own = who.staff_id if warned and who.role == "rep" else None
    found = await store.page(
        conn,
        "warned" if warned else "in",
        teams=[who.team_id, None],
        from_id=own,
        before=cursor(conn, request, "pool"),
        limit=_PAGE + 1,
    )
    looked = await store.looks(conn, pooling.day_of(utcnow()), who.staff_id or 0)
    return v.PoolView(
        tab="warned" if warned else "pool",
        rows=await _rows(conn, request, who, found[:_PAGE], open_=warned),
        before=conn.vault.public("pool", found[_PAGE - 1].entry_id) if len(found) > _PAGE else "",
        fault=fault,
        looked=len(looked),
        looks=(await versions.current(conn)).pool.views_a_day,
        done=request.query.get("done", ""),
    )


async def _rows(
    conn: Conn, request: web.Request, who: Actor, found: list[Entry], *, open_: bool
) -> tuple[v.PoolRow, ...]:
    say, now = saying(request), utcnow()
    names = await identity.names(conn, [e.node_id for e in found])
    people = await staff.members(conn, [e.from_id for e in found if e.from_id])
    talks = {t.node_id: t for t in await conversations.of_nodes(conn, [e.node_id for e in found])}
    rows = []
    for e in found:
        name, giver = names.get(e.node_id, ""), people[e.from_id].name if e.from_id in people else ""
        refused = await pooling.may_take(conn, e, who.staff_id or 0, now=now) if e.state == "in" else None
        mine = e.from_id == who.staff_id
        rows.append(
            v.PoolRow(
                id=conn.vault.public("pool", e.entry_id),
                name=(name if open_ or not name else f"{name[:1]}**") or say("未命名客户"),
                level=say(_LEVELS.get(e.level, e.level)),
                why=rules.sentence(e.rule, e.facts, giver, say, warned=e.state == "warned"),
                at=e.fell_at or e.warned_at or now,
                falls_at=e.falls_at if e.state == "warned" else None,
                cid=conn.vault.public("conversation", talks[e.node_id].conversation_id)
                if open_ and mine and e.node_id in talks
                else "",
                stopped=refused.sentence(say) if refused else "",
                mine=mine,
            )
        )
    return tuple(rows)


async def _handed(conn: Conn, request: web.Request, who: Actor) -> v.PoolView:
    """What was handed over to the reader, with the briefs."""
    before = cursor(conn, request, "handover")
    found = await handed.page(conn, by=None, to_id=who.staff_id or 0, before=before, limit=6)
    say = saying(request)
    return v.PoolView(
        tab="handed",
        handed=tuple([await handed_view(conn, one, say, to=who) for one in found[:5]]),
        before=conn.vault.public("handover", found[4].handover_id) if len(found) > 5 else "",
    )


# -- one of them ---------------------------------------------------------------------------------------------
async def _entry(conn: Conn, request: web.Request) -> Entry:
    """Raises `NotFound` also for one of another team."""
    found = await store.get(conn, conn.vault.private("pool", request.match_info["entry"]))
    if found is None or found.team_id not in (None, actor(request).team_id):
        raise NotFound(_HIDDEN)
    return found


async def show(request: web.Request) -> web.Response:
    """Opened, and counted against the day."""
    who = actor(request)
    try:
        async with house(request).db.begin(who.tenant_id) as conn:
            entry = await _entry(conn, request)
            if entry.state != "in":
                return see_other("/pool?done=gone")
            await pooling.look(conn, entry, who.staff_id or 0, now=utcnow())
            (row,) = await _rows(conn, request, who, [entry], open_=True)
            return page(
                request, "passing/pooled.html", view=v.PooledView(row=row, lines=await _lines(conn, entry))
            )
    except BadInput as wrong:
        return await _listed(request, fault=told(request, wrong))


async def _lines(conn: Conn, entry: Entry) -> tuple[v.Line, ...]:
    person = (await identity.persons_of(conn, [entry.node_id])).get(entry.node_id)
    nodes = await identity.nodes_of(conn, [person]) if person else {entry.node_id: 0}
    talks = await conversations.of_nodes(conn, nodes)
    return tuple(
        v.Line(at=t.last_at, text=t.last_text, direction=t.last_direction)
        for t in talks[:5]
        if t.rep_id is None
    )


async def take(request: web.Request) -> web.Response:
    found, who = house(request), actor(request)
    try:
        async with found.db.begin(who.tenant_id) as conn:
            entry = await _entry(conn, request)
            moved = await pooling.take(conn, entry.entry_id, by=by(request), now=utcnow())
            changes = [change for one in moved for change in one.changes]
            conn.after_commit(lambda: found.live.publish(who.tenant_id, changes))
            cid = conn.vault.public("conversation", moved[0].after.conversation_id)
    except BadInput as wrong:
        return await _listed(request, fault=told(request, wrong))
    return see_other(f"/inbox/{cid}")


async def give(request: web.Request) -> web.Response:
    """Give up a customer of one's own."""
    found, who, form = house(request), actor(request), await fields(request)
    try:
        async with found.db.begin(who.tenant_id) as conn:
            talk = await talk_of(conn, request, lock=True)
            rule = form.get("why", "")
            moved: list[hands.Moved] = await pooling.give_up(conn, talk, rule, by=by(request), now=utcnow())
            changes = [change for one in moved for change in one.changes]
            conn.after_commit(lambda: found.live.publish(who.tenant_id, changes))
    except BadInput as wrong:
        return await _listed(request, fault=told(request, wrong))
    return see_other("/pool?tab=warned&done=given")
