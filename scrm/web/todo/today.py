"""`/s/today` and `/lead/today`: one's own day, and the team's."""

from __future__ import annotations

from dataclasses import replace

from aiohttp import web

from scrm.db import utcnow
from scrm.desk import rules as desk_rules
from scrm.desk import store as desk_store
from scrm.desk.tasks import store
from scrm.desk.tasks.store import Whose
from scrm.errors import NotFound
from scrm.staff import store as staff
from scrm.web.boards import RepRow, TeamView
from scrm.web.house import actor, house
from scrm.web.pages import page, topic, wants_fragment
from scrm.web.reading import Reading
from scrm.web.todo import present

_UNKNOWN = "没有这位同事，或者不在你的小组。"


async def mine(request: web.Request) -> web.Response:
    found, who = house(request), actor(request)
    async with found.db.read(who.tenant_id) as conn:
        desk = Reading(house=found, conn=conn, actor=who, now=utcnow())
        topics = (topic(conn.vault, "rep", who.staff_id),) if who.staff_id else ()
        view = await present.board(desk, present.mine(who), place="sidebar", url="/s/today", topics=topics)
    name = "todo/board.html" if wants_fragment(request) else "todo/today.html"
    return page(request, name, board=view)


async def team(request: web.Request) -> web.Response:
    found, who = house(request), actor(request)
    asked = request.query.get("rep", "")
    async with found.db.read(who.tenant_id) as conn:
        desk = Reading(house=found, conn=conn, actor=who, now=utcnow())
        view = await _team(desk, asked)
    return page(request, "todo/team.html" if wants_fragment(request) else "todo/lead.html", team=view)


async def _team(desk: Reading, asked: str) -> TeamView:
    who, vault = desk.actor, desk.conn.vault
    everybody = present.whose(who)
    # A leader without a team has only what is their own.
    seats = await desk_store.colleagues(desk.conn, who.team_id) if who.team_id is not None else []
    chosen = vault.private("hand-rep", asked) if asked else None
    if chosen is not None and not await _ours(desk, chosen):
        raise NotFound(_UNKNOWN)
    url = f"/lead/today?rep={asked}" if asked else "/lead/today"
    shown = Whose(staff_id=chosen) if chosen else everybody
    stuck = await store.put_off(desk.conn, everybody)
    view = await present.board(
        desk, shown, place="inbox", url=url, topics=_topics(desk), owners=chosen is None
    )
    known = await staff.members(desk.conn, [chosen] if chosen else [])
    colleagues = tuple((vault.public("hand-rep", s.staff_id), s.name) for s in seats)
    return TeamView(
        reps=await _reps(desk, seats, chosen),
        board=replace(view, colleagues=colleagues),
        whose=known[chosen].name if chosen else "",
        stuck=await present.rows_of(desk, stuck, place="inbox", owners=True),
    )


def _topics(desk: Reading) -> tuple[str, ...]:
    """What moves the team's boards."""
    teams = sorted({desk.actor.team_id or 0, 0})
    return tuple(topic(desk.conn.vault, "team", ident) for ident in teams)


async def _ours(desk: Reading, staff_id: int) -> bool:
    """Of the leader's own team, also who is not at work any more."""
    team_id = desk.actor.team_id
    return team_id is not None and (await store.teams(desk.conn, [staff_id])).get(staff_id) == team_id


async def _reps(desk: Reading, seats: list[desk_store.Seat], chosen: int | None) -> tuple[RepRow, ...]:
    team_id, vault = desk.actor.team_id, desk.conn.vault
    if team_id is None:
        return ()
    counted = await store.counts_by_rep(desk.conn, team_id, now=desk.now)
    done = await store.done_by_rep(desk.conn, team_id, present.day_begins(desk.now))
    # Who left the company or the floor may still have something to do: it is not to be forgotten.
    gone = sorted({i for i in (*counted, *done) if i is not None} - {s.staff_id for s in seats})
    names = {s.staff_id: (s.name, _state(desk, s)) for s in seats}
    names |= {i: (m.name, desk.say("不在线")) for i, m in (await staff.members(desk.conn, gone)).items()}
    rows = [
        RepRow(
            id=vault.public("hand-rep", ident),
            name=name,
            state=state,
            open=counted.get(ident, (0, 0))[0],
            late=counted.get(ident, (0, 0))[1],
            done=done.get(ident, 0),
            href=f"/lead/today?rep={vault.public('hand-rep', ident)}",
            current=ident == chosen,
        )
        for ident, (name, state) in names.items()
    ]
    nobodys, late = counted.get(None, (0, 0))
    if nobodys:
        name = desk.say("未分配")
        rows.append(RepRow(id="nobody", name=name, state="", open=nobodys, late=late, done=0, href=""))
    return tuple(rows)


def _state(desk: Reading, seat: desk_store.Seat) -> str:
    here = desk_rules.is_online(seat.seen_at, seat.away_at, desk.now)
    return desk.say("在线" if here else "离开" if seat.away_at else "不在线")
