"""The pages of SOPs: all of them by trade, one in the editor, two versions side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web

from scrm.db import Conn
from scrm.errors import NotFound
from scrm.playbook.library import service as shelves
from scrm.playbook.library.diff import diff
from scrm.playbook.scripts import TRADES
from scrm.playbook.sops import versions
from scrm.playbook.sops.store import runs
from scrm.playbook.sops.store import versions as store
from scrm.playbook.sops.store.versions import Head, Version
from scrm.playbook.sops.values import Plan
from scrm.web.flows import sheet as sheets
from scrm.web.flows import views as v
from scrm.web.flows.editing import Page, editor, state_of
from scrm.web.flows.room import BASE, Room, speaker, stock
from scrm.web.flows.sheet import Sheet
from scrm.web.flows.words import text_of
from scrm.web.pages import page

SAVED: Mapping[str, str] = {
    "draft": "草稿已存下，新老客户都还不受影响。",
    "keep": "已发布：新开始的走这一版，在走的还按原来的走完。",
    "migrate": "已发布：新开始的和在走的都换到这一版。",
    "on": "已打开，符合条件的客户会自动开始。",
    "off": "已暂停：不再开始新的，在走的会走完。",
    "end": "已结束：不再开始新的，在走的都停下了。",
    "stop": "这一家已停下。",
}
SENTENCES = tuple(SAVED.values())


async def home(request: web.Request) -> web.Response:
    room = Room(request=request)
    async with room.house.db.read(room.tenant_id) as conn:
        view = v.HomeView(trades=await _by_trade(conn, room), may_run=room.runs, saved=saved(room))
    return page(request, "flows/home.html", view=view)


def saved(room: Room) -> str:
    text = SAVED.get(room.request.query.get("saved", ""))
    return room.say(text) if text else ""


async def _by_trade(conn: Conn, room: Room) -> tuple[tuple[str, tuple[v.Row, ...]], ...]:
    """The company's trades, and others as far as something of theirs is on."""
    heads, drafts = await store.heads(conn), await store.drafts(conn)
    counted = await runs.counts(conn)
    plans = await versions.of(conn, {(h.code, h.live_version or drafts.get(h.code, 0)) for h in heads})
    mine = await shelves.trades(conn)
    found: dict[str, list[v.Row]] = {trade: [] for trade in mine}
    for head in heads:
        going = sum(n for (_, state), n in counted.get(head.code, {}).items() if state == "running")
        if head.trade in found or head.state == "on" or going:
            number = head.live_version or drafts.get(head.code, 0)
            plan = plans.get((head.code, number))
            row = _row(room, head, plan, going, drafts.get(head.code, 0))
            found.setdefault(head.trade, []).append(row)
    return tuple((room.say(TRADES.get(trade, trade)), tuple(rows)) for trade, rows in found.items())


def _row(room: Room, head: Head, plan: Plan | None, going: int, draft: int) -> v.Row:
    return v.Row(
        code=head.code,
        href=f"{BASE}/{head.code}",
        title=plan.title if plan else head.code,
        about=plan.about if plan else "",
        state=state_of(room, head),
        version=head.live_version,
        draft=draft if draft > head.live_version else 0,
        running=going,
        changed_at=head.changed_at,
    )


# -- one of them -------------------------------------------------------------------------------------------
async def new(request: web.Request) -> web.Response:
    room = Room(request=request)
    async with room.house.db.read(room.tenant_id) as conn:
        have = await stock(conn, room)
        trade = request.query.get("trade", "")
        made = sheets.fresh(trade if trade in have.trades else have.trades[0])
        view = await editor(conn, room, made, have, Page())
    return page(request, "flows/editor.html", view=view)


async def one(request: web.Request) -> web.Response:
    """The youngest draft, else what is in force; or the version that is asked for."""
    room, code = Room(request=request), request.match_info["sop"]
    async with room.house.db.read(room.tenant_id) as conn:
        known = await store.versions(conn, code)
        head = await store.head(conn, code)
        if head is None or not known:
            raise NotFound(versions.NO_SOP)
        chosen = _chosen(known, head, request.query.get("version", ""))
        view = await editor(conn, room, sheet_of(chosen, head.trade), await stock(conn, room), _page(room))
    return page(request, "flows/editor.html", view=view)


def _page(room: Room) -> Page:
    return Page(saved=saved(room), open=room.request.query.get("step", "")[:60])


def _chosen(known: Sequence[Version], head: Head, asked: str) -> Version:
    number = int(asked) if asked.isdecimal() and len(asked) < 9 else 0
    if number:
        found = next((one for one in known if one.version == number), None)
        if found is None:
            raise NotFound(versions.NO_VERSION)
        return found
    draft = known[0] if known[0].state == "draft" else None
    return draft or next((one for one in known if one.version == head.live_version), known[0])


def sheet_of(version: Version, trade: str) -> Sheet:
    plan = versions.read(version.content, version.code, version.version)
    note = version.note if version.state == "draft" else ""
    return sheets.of(plan, trade=trade, version=version.version, digest=version.digest, note=note)


async def compare(request: web.Request) -> web.Response:
    """As one reads them, by words."""
    room, code = Room(request=request), request.match_info["sop"]
    async with room.house.db.read(room.tenant_id) as conn:
        head, known = await store.head(conn, code), await store.versions(conn, code)
        if head is None or not known:
            raise NotFound(versions.NO_SOP)
        numbers = sorted(one.version for one in known)
        a, b = _two(request, numbers)
        have, plans = await stock(conn, room), await versions.of(conn, [(code, a), (code, b)])
    if len(plans) < len({a, b}):
        raise NotFound(versions.NO_VERSION)
    old, young = plans[code, a], plans[code, b]
    texts = [text_of(plan, speaker(room, have, head.trade, plan)) for plan in (old, young)]
    view = v.DiffView(
        base=f"{BASE}/{code}", title=young.title, a=a, b=b, pieces=diff(*texts), versions=tuple(numbers)
    )
    return page(request, "flows/compare.html", view=view)


def _two(request: web.Request, numbers: Sequence[int]) -> tuple[int, int]:
    """What the address asks for, else the two newest."""
    asked = [request.query.get(name, "") for name in ("a", "b")]
    found = [int(text) for text in asked if text.isdecimal() and len(text) < 9]
    if len(found) == 2:
        return found[0], found[1]
    return (numbers[-2] if len(numbers) > 1 else numbers[-1]), numbers[-1]
