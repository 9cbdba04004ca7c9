"""Who is on the way through an SOP: where they stand, what was done, stopped where somebody asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.errors import BadInput, Forbidden, NotFound
from scrm.ledger.store import audit
from scrm.playbook.sops import service, versions
from scrm.playbook.sops.store import runs
from scrm.playbook.sops.store import versions as store
from scrm.playbook.sops.store.runs import Row, Taken
from scrm.playbook.sops.values import Plan
from scrm.web.cards import Tag, Tone
from scrm.web.flows import views as v
from scrm.web.flows.acts import tell
from scrm.web.flows.room import BASE, Room, named, seen, speaker, stock
from scrm.web.flows.show import saved
from scrm.web.flows.trying import moment
from scrm.web.pages import form_of, page, see_other

STATES: Mapping[str, tuple[str, Tone]] = {
    "running": ("在走", "brand"),
    "met": ("达成目标", "ok"),
    "done": ("走完", ""),
    "stopped": ("停下", "warn"),
    "failed": ("出错停下", "bad"),
}
ALL, NO_RUN, NOT_YOURS = "全部", "没有这一家的记录。", "这一家不归你的小组跟进。"
SENTENCES = (ALL, NO_RUN, NOT_YOURS)
_SHOWN = 30


async def show(request: web.Request) -> web.Response:
    room, code = Room(request=request), request.match_info["sop"]
    state = request.query.get("state", "running")
    if state not in (*STATES, "all"):
        raise BadInput
    async with room.house.db.read(room.tenant_id) as conn:
        head = await store.head(conn, code)
        if head is None:
            raise NotFound(versions.NO_SOP)
        asked = request.query.get("before", "")
        before = conn.vault.private("sop_run", asked) if asked else None
        known = "" if state == "all" else state
        found = await runs.page(conn, code, state=known, before=before, limit=_SHOWN + 1)
        plans = await versions.of(conn, {(code, r.version) for r in found} | {(code, head.live_version)})
        rows = await _rows(conn, room, head.trade, found[:_SHOWN], plans)
        plan = plans.get((code, head.live_version)) or next(iter(plans.values()), None)
        more = conn.vault.public("sop_run", found[_SHOWN - 1].run_id) if len(found) > _SHOWN else ""
    names = {**{key: name for key, (name, _) in STATES.items()}, "all": ALL}
    view = v.RunsView(
        base=f"{BASE}/{code}",
        title=plan.title if plan else code,
        states=tuple((key, room.say(name), key == state) for key, name in names.items()),
        rows=rows,
        state=state,
        next=more,
        saved=saved(room),
    )
    return page(request, "flows/runs.html", view=view)


async def _rows(
    conn: Conn, room: Room, trade: str, found: Sequence[Row], plans: Mapping[tuple[str, int], Plan]
) -> tuple[v.RunRow, ...]:
    have, taken = await stock(conn, room), await runs.steps(conn, [r.run_id for r in found])
    known = await seen(conn, room, [r.node_id for r in found])
    made = []
    for row in found:
        plan = plans.get((row.code, row.version))
        step = plan.step(row.step) if plan else None
        words = speaker(room, have, trade, plan).step(step) if plan and step else ""
        name, href = named(room, known, row.node_id)
        state, tone = STATES[row.state]
        made.append(
            v.RunRow(
                id=conn.vault.public("sop_run", row.run_id),
                name=name,
                href=href,
                version=row.version,
                state=Tag(text=room.say(state), tone=tone),
                step=words if row.state == "running" else "",
                why=room.say(row.why) if row.why else "",
                started_at=row.started_at,
                next_at=row.next_at if row.state == "running" else None,
                may_stop=row.state == "running" and (room.runs or bool(href)),
                taken=tuple(_taken(room, one) for one in taken[row.run_id]),
            )
        )
    return tuple(made)


def _taken(room: Room, one: Taken) -> v.Moment:
    return moment(room, one.kind, one.state, one.at, why=one.why)


async def stop(request: web.Request) -> web.Response:
    """One of them: whoever runs SOPs any, a lead those of their own team."""
    room, code, form = Room(request=request), request.match_info["sop"], await form_of(request)
    now, public = utcnow(), str(form.get("run", ""))
    if not public:
        raise BadInput(NO_RUN)
    async with room.house.db.begin(room.tenant_id) as conn:
        run_id = conn.vault.private("sop_run", public)
        row = await runs.get(conn, run_id)
        if row is None or row.code != code:
            raise NotFound(NO_RUN)
        if not room.runs and row.node_id not in await seen(conn, room, [row.node_id]):
            raise Forbidden(NOT_YOURS)
        cancelled = await service.stop(conn, run_id, str(form.get("why", ""))[:200], now=now)
        await audit(conn, room.who.label, "sop.stop", now=now, subject=f"sop:{code}")
        tell(conn, room, cancelled)
    return see_other(f"{BASE}/{code}/runs?saved=stop")
