"""`/lead/handover`: choose a rep's customers, edit the briefs, send, and see what the platform made of it."""

from __future__ import annotations

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.deeds import service as deeds
from scrm.errors import BadInput, NotFound
from scrm.identity import store as identity
from scrm.live import Change
from scrm.ownership import handing
from scrm.ownership.rules import handover as rules
from scrm.ownership.store import handover as store
from scrm.ownership.store.handover import Handover
from scrm.staff import store as staff
from scrm.staff.store import Member
from scrm.timeline.hands import Moved
from scrm.web.house import actor, house
from scrm.web.lead.asking import by, cursor, fields, saying, told
from scrm.web.pages import page, see_other
from scrm.web.passing import views as v
from scrm.web.passing.telling import handed_row, handed_view

_PAGE = 20
_HIDDEN = "没有这张交接单，或者不是你们小组的。"


async def _team(conn: Conn, request: web.Request) -> dict[int, Member]:
    """Everybody of the lead's team, also those who left, by name."""
    ours = actor(request).team_id
    found = [m for m in await staff.all_members(conn) if ours is not None and m.team_id == ours]
    return {
        m.staff_id: m for m in sorted(found, key=lambda m: (m.name, m.staff_id)) if m.role in ("rep", "lead")
    }


async def listed(request: web.Request) -> web.Response:
    return await _listed(request)


async def _listed(request: web.Request, *, fault: str = "", giver: str = "") -> web.Response:
    who, say = actor(request), saying(request)
    giver = giver or request.query.get("from", "")
    async with house(request).db.read(who.tenant_id) as conn:
        team = await _team(conn, request)
        chosen = team.get(conn.vault.private("staff", giver)) if giver else None
        before = cursor(conn, request, "handover")
        found = await store.page(conn, by=list(team), before=before, limit=_PAGE + 1)
        view = v.HandoverView(
            rows=tuple([await handed_row(conn, one, say) for one in found[:_PAGE]]),
            givers=tuple(_choice(conn, m, say("已离职")) for m in team.values()),
            takers=tuple(
                _choice(conn, m, "") for m in team.values() if m.state == "active" and m is not chosen
            ),
            giver=conn.vault.public("staff", chosen.staff_id) if chosen else "",
            gone=chosen is not None and chosen.state != "active",
            customers=await _customers(conn, chosen, say("未命名客户")) if chosen else (),
            before=conn.vault.public("handover", found[_PAGE - 1].handover_id) if len(found) > _PAGE else "",
            fault=fault,
        )
    return page(request, "passing/handovers.html", status=400 if fault else 200, view=view)


def _choice(conn: Conn, one: Member, gone: str) -> v.Choice:
    note = "" if one.state == "active" else gone
    return v.Choice(id=conn.vault.public("staff", one.staff_id), name=one.name, note=note)


async def _customers(conn: Conn, one: Member, unnamed: str) -> tuple[v.Choice, ...]:
    found = await handing.customers_of(conn, one.staff_id)
    names = await identity.names(conn, [c.node_id for c in found])
    return tuple(
        v.Choice(
            id=conn.vault.public("node", c.node_id),
            name=names.get(c.node_id, "") or unnamed,
            note=max(c.talks, key=lambda t: t.last_at).last_at.strftime("%Y-%m-%d"),
        )
        for c in found
    )


async def draft(request: web.Request) -> web.Response:
    who, form = actor(request), await fields(request)
    try:
        async with house(request).db.begin(who.tenant_id) as conn:
            team = await _team(conn, request)
            pair = [conn.vault.private("staff", form.get(k, "")) for k in ("from", "to") if form.get(k)]
            if len(pair) != 2 or not set(pair) <= team.keys():
                raise BadInput("请选择本组的原同事和接替同事。")
            chosen = [n.removeprefix("c.") for n in form if n.startswith("c.")]
            one = await handing.draft(
                conn,
                from_id=pair[0],
                to_id=pair[1],
                sort=form.get("sort", ""),
                node_ids=[conn.vault.private("node", c) for c in chosen],
                by=by(request),
                now=utcnow(),
            )
            public = conn.vault.public("handover", one.handover_id)
    except BadInput as wrong:
        return await _listed(request, fault=told(request, wrong), giver=form.get("from", ""))
    return see_other(f"/lead/handover/{public}")


async def _of(conn: Conn, request: web.Request) -> Handover:
    """Raises `NotFound` also for one of another team."""
    found = await store.get(conn, conn.vault.private("handover", request.match_info["handover"]))
    if found is None or not {found.from_id, found.to_id} <= (await _team(conn, request)).keys():
        raise NotFound(_HIDDEN)
    return found


async def show(request: web.Request) -> web.Response:
    return await _shown(request)


async def _shown(request: web.Request, *, fault: str = "") -> web.Response:
    async with house(request).db.read(actor(request).tenant_id) as conn:
        one = await _of(conn, request)
        view = await handed_view(conn, one, saying(request), fault=fault)
    return page(request, "passing/handover.html", status=400 if fault else 200, view=view)


async def act(request: web.Request) -> web.Response:
    """`save` keeps the briefs, `send` keeps them and hands over, `undo` takes it back."""
    found, who, form = house(request), actor(request), await fields(request)
    what = form.get("what", "")
    try:
        async with found.db.begin(who.tenant_id) as conn:
            one = await _of(conn, request)
            moved: list[Moved] = []
            if what in ("save", "send"):
                await _keep(conn, request, one, form)
            if what == "send":
                accounts = [
                    p for p in found.directory.all(who.tenant_id) if deeds.does(p, rules.DEEDS[one.sort])
                ]
                moved = await handing.send(conn, one.handover_id, accounts, by=by(request), now=utcnow())
            elif what == "undo":
                moved = await handing.undo(conn, one.handover_id, by=by(request), now=utcnow())
            elif what != "save":
                raise BadInput("请选择保存、发出还是撤销。")
            changes: list[Change] = [change for m in moved for change in m.changes]
            conn.after_commit(lambda: found.live.publish(who.tenant_id, changes))
    except BadInput as wrong:
        return await _shown(request, fault=told(request, wrong))
    return see_other(f"/lead/handover/{request.match_info['handover']}")


async def _keep(conn: Conn, request: web.Request, one: Handover, form: dict[str, str]) -> None:
    for customer in await store.customers(conn, one.handover_id):
        text = form.get(f"b.{conn.vault.public('node', customer.node_id)}")
        if text is not None and text.replace("\r\n", "\n").strip() != customer.brief:
            await handing.edit(conn, one, customer.node_id, text, by=by(request), now=utcnow())
