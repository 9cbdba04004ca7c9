"""`/inbox/{cid}/...`: take, hand on, release, put off, close, open again; away; a colleague was faster."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.web_request import FileField

from scrm.db import Conn, utcnow
from scrm.desk import rules as desk_rules
from scrm.desk import service as desk_service
from scrm.desk import store as desk_store
from scrm.errors import BadInput, Conflict, Forbidden
from scrm.ledger.store import audit
from scrm.staff import store as staff
from scrm.staff.rules import Policy
from scrm.timeline import hands
from scrm.timeline.hands import Moved
from scrm.timeline.rules import Talk
from scrm.timeline.store import events
from scrm.timeline.store import hands as whose
from scrm.web import views
from scrm.web.house import actor, house
from scrm.web.pages import form_of, page, see_other, talk_of, wants_fragment
from scrm.web.present import Desk
from scrm.web.routes import Route

Form = dict[str, str | FileField]
Verb = Callable[[Conn, Talk, Form, int], Awaitable[Moved]]
_QUEUE = "/inbox?filter=waiting"


# -- verbs -------------------------------------------------------------------------------------------------
async def take(request: web.Request) -> web.Response:
    async def act(conn: Conn, talk: Talk, form: Form, me: int) -> Moved:
        _unmoved(conn, talk, form)
        return await hands.take(conn, talk, by=me, now=await conn.now())

    return await _moved(request, "taken", act, f"/inbox/{request.match_info['cid']}")


async def hand(request: web.Request) -> web.Response:
    """To a colleague or into another team's queue: `to` is `rep:<id>` or `team:<id>`."""

    async def act(conn: Conn, talk: Talk, form: Form, me: int) -> Moved:
        _unmoved(conn, talk, form)
        kind, _, public = str(form.get("to", "")).partition(":")
        if kind not in ("rep", "team") or not public:
            raise BadInput("请选择转给谁。")
        ident, now = conn.vault.private(f"hand-{kind}", public), await conn.now()
        if kind == "team":
            return await hands.hand_to_team(conn, talk, team_id=ident, by=me, now=now)
        return await hands.hand(conn, talk, to=ident, by=me, now=now)

    return await _moved(request, "handed", act, _QUEUE)


async def release(request: web.Request) -> web.Response:
    async def act(conn: Conn, talk: Talk, form: Form, me: int) -> Moved:
        _unmoved(conn, talk, form)
        return await hands.release(conn, talk, by=me, now=await conn.now())

    return await _moved(request, "released", act, _QUEUE)


async def snooze(request: web.Request) -> web.Response:
    async def act(conn: Conn, talk: Talk, form: Form, _me: int) -> Moved:
        if form.get("until") == "now":
            return await hands.wake(conn, talk)
        now = await conn.now()
        until = desk_rules.until(str(form.get("until", "")), str(form.get("at", "")), now)
        return await hands.snooze(conn, talk, until)

    return await _moved(request, "snoozed", act, _QUEUE)


async def close(request: web.Request) -> web.Response:
    async def act(conn: Conn, talk: Talk, _form: Form, _me: int) -> Moved:
        return await hands.close(conn, talk, now=await conn.now())

    return await _moved(request, "closed", act, _QUEUE)


async def reopen(request: web.Request) -> web.Response:
    async def act(conn: Conn, talk: Talk, _form: Form, _me: int) -> Moved:
        return await hands.reopen(conn, talk)

    return await _moved(request, "reopened", act, f"/inbox/{request.match_info['cid']}")


async def presence(request: web.Request) -> web.Response:
    found, who = house(request), actor(request)
    away = (await form_of(request)).get("away") == "1"
    async with found.db.begin(who.tenant_id) as conn:
        await desk_service.set_away(conn, _me(request), away=away, now=await conn.now())
        await audit(conn, who.label, "presence.away" if away else "presence.here", now=utcnow())
    return see_other("/inbox")


async def _moved(request: web.Request, action: str, act: Verb, then: str) -> web.Response:
    """One change to a conversation the asker may see, held meanwhile; whoever shows it looks again."""
    found, who, form = house(request), actor(request), await form_of(request)
    async with found.db.begin(who.tenant_id) as conn:
        talk = await talk_of(conn, request, lock=True)
        moved = await act(conn, talk, form, _me(request))
        subject = f"conversation:{talk.conversation_id}"
        await audit(conn, who.label, f"conversation.{action}", now=utcnow(), subject=subject)
        conn.after_commit(lambda: found.live.publish(who.tenant_id, moved.changes))
    return see_other(then)


def _me(request: web.Request) -> int:
    ident = actor(request).staff_id
    if ident is None:
        raise Forbidden
    return ident


def _unmoved(conn: Conn, talk: Talk, form: Form) -> None:
    """Raises `Conflict` when the page showed somebody else as its rep, or did not say whom."""
    shown = form.get("rep")
    if shown is None:
        raise Conflict(hands.MOVED)
    hands.demand_unmoved(talk, conn.vault.private("hand-rep", str(shown)) if shown else None)


# -- what the page shows -----------------------------------------------------------------------------------
async def hands_of(desk: Desk, talk: Talk) -> views.HandsView:
    conn, vault = desk.conn, desk.conn.vault
    seats = await desk_store.colleagues(conn, talk.team_id)
    loads = await whose.loads(conn, [s.staff_id for s in seats], now=desk.now)
    teams = await desk_store.teams(conn)
    moves = await desk_store.moves(conn, talk.conversation_id, limit=1)
    return views.HandsView(
        rep=vault.public("hand-rep", talk.rep_id) if talk.rep_id else "",
        mine=talk.rep_id is not None and talk.rep_id == desk.actor.staff_id,
        owner=next((s.name for s in seats if s.staff_id == talk.rep_id), ""),
        why=await _why(desk, moves[0], teams) if moves else "",
        why_at=moves[0].at if moves else None,
        ended=talk.state == "closed",
        later=talk.snooze_until if talk.snooze_until and talk.snooze_until > desk.now else None,
        back=talk.snooze_until is not None and talk.snooze_until <= desk.now,
        colleagues=tuple(
            views.Colleague(
                id=f"rep:{vault.public('hand-rep', s.staff_id)}",
                name=s.name,
                note=_note(desk, s, loads.get(s.staff_id, 0)),
            )
            for s in seats
            if s.staff_id not in (talk.rep_id, desk.actor.staff_id)
        ),
        teams=tuple(
            views.Colleague(id=f"team:{vault.public('hand-team', ident)}", name=name)
            for ident, name in teams.items()
            if ident != talk.team_id
        ),
    )


async def away(desk: Desk) -> bool:
    """Whether the asker said they take no conversations."""
    seat = await desk_store.seat(desk.conn, desk.actor.staff_id) if desk.actor.staff_id else None
    return seat is not None and seat.away_at is not None


def _note(desk: Desk, seat: desk_store.Seat, load: int) -> str:
    here = desk_rules.is_online(seat.seen_at, seat.away_at, desk.now)
    word = "在线" if here else "离开" if seat.away_at else "不在线"
    return f"{desk.say(word)} · {load}/{seat.capacity}"


async def _why(desk: Desk, move: desk_store.Move, teams: dict[int, str]) -> str:
    ids = [i for i in (move.from_id, move.to_id, move.by_id) if i is not None]
    people = await staff.members(desk.conn, ids)

    def name(ident: int | None) -> str:
        member = people.get(ident or 0)
        return member.name if member else desk.say("同事")

    return desk.say(
        desk_rules.WHY[move.rule],
        **{"from": name(move.from_id), "to": name(move.to_id), "by": name(move.by_id)},
        team=teams.get(move.team_id or 0, ""),
        **{"load": 0, "capacity": 0, "wait": 0} | dict(move.facts),
    )


async def collided(request: web.Request, event_ids: tuple[int, ...], form: Form) -> web.Response:
    """What the colleague said, and the choice to send all the same; nothing was sent."""
    found, who = house(request), actor(request)
    async with found.db.read(who.tenant_id) as conn:
        desk = Desk(house=found, conn=conn, actor=who, now=utcnow())
        talk = await talk_of(conn, request)
        items = await desk.items(await events.by_ids(conn, event_ids))
        seen = await desk.seen(talk)
    image = form.get("image")
    view = views.CollisionView(
        cid=request.match_info["cid"],
        title=desk.say("同事 {name} 刚刚回复了", name=items[-1].who if items else desk.say("同事")),
        items=items,
        seen=seen,
        text=str(form.get("text", "")),
        key=str(form.get("key", "")) or secrets.token_hex(12),
        suggestion=str(form.get("suggestion", "")),
        image=isinstance(image, FileField) and bool(image.filename),
        files=str(form.get("files", "")),
    )
    name = "inbox/collision.html" if wants_fragment(request) else "inbox/collision_page.html"
    return page(request, name, status=Conflict.status, collision=view)


def _route(verb: str, handler: Callable[[web.Request], Awaitable[web.Response]]) -> Route:
    return Route(method="POST", path=f"/inbox/{{cid}}/{verb}", handler=handler, policy=Policy.TALK)


ROUTES = (
    Route(method="POST", path="/inbox/presence", handler=presence, policy=Policy.TALK),
    _route("take", take),
    _route("hand", hand),
    _route("release", release),
    _route("snooze", snooze),
    _route("close", close),
    _route("reopen", reopen),
)
