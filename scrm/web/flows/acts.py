"""What is done to SOPs: tried, drafted, published, switched on and off, ended."""

from __future__ import annotations

from dataclasses import dataclass, replace

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.desk.tasks import service as tasks
from scrm.errors import BadInput, Conflict, NotFound
from scrm.ledger.store import audit
from scrm.playbook.sops import files, service, versions
from scrm.playbook.sops.store import versions as store
from scrm.playbook.sops.store.versions import Head, Version
from scrm.playbook.sops.versions import Running
from scrm.web.flows import sheet as sheets
from scrm.web.flows import trying
from scrm.web.flows.editing import Page, editor
from scrm.web.flows.fields import Fields
from scrm.web.flows.room import BASE, Room, Stock, stock
from scrm.web.flows.sheet import Sheet
from scrm.web.flows.show import sheet_of
from scrm.web.pages import fields_of, page, see_other, wants_fragment

NO_ACT = "请选择要做什么。"
FIX_FIRST = "还有 {n} 处要改，改好再继续。"
TAKEN = "编号“{code}”已经有流程在用，请换一个。"
NO_TRADE = "请选一个我们在用的行业。"
MEANWHILE = "同事刚存过这一版，先看看他改了什么；再存一次就以你的为准。"
UNCHANGED = "没有改动，已经在用这一版。"
ENDED = "同事结束了整个流程。"
SENTENCES = (NO_ACT, FIX_FIRST, TAKEN, NO_TRADE, MEANWHILE, UNCHANGED, ENDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A form as it came."""

    form: Fields
    sheet: Sheet
    what: str


async def _asked(request: web.Request) -> Asked:
    form = Fields(await fields_of(request))
    return Asked(form=form, sheet=sheets.typed(form), what=form.text("what", 40))


# -- trying ------------------------------------------------------------------------------------------------
async def try_out(request: web.Request) -> web.Response:
    """One line changed, looked over, or gone through; what is typed comes back as it was."""
    room, asked = Room(request=request), await _asked(request)
    form, now = asked.form, utcnow()
    sheet, step = sheets.changed(asked.sheet, asked.what, form)
    at = Page(open=step, days=form.number("days"), family=form.text("family", 80))
    if asked.what in ("dry", "sim"):
        async with room.house.db.begin(room.tenant_id) as conn:
            subject = f"sop_try:{sheet.code if sheet.version else ''}"
            await audit(conn, room.who.label, f"sop.try.{asked.what}", now=now, subject=subject)
    async with room.house.db.read(room.tenant_id) as conn:
        have = await stock(conn, room)
        if asked.what in ("dry", "sim"):
            at = await _tried(conn, room, asked.what, sheet, have, at)
        view = await editor(conn, room, sheet, have, at)
    if wants_fragment(request):
        return page(request, "flows/reading.html", reading=view.reading)
    return page(request, "flows/editor.html", status=400 if at.fault else 200, view=view)


async def _tried(conn: Conn, room: Room, what: str, sheet: Sheet, have: Stock, at: Page) -> Page:
    plan, now = sheet.plan, utcnow()
    try:
        _sound(room, sheet, have)
        if what == "dry":
            made = await trying.against_history(conn, room, plan, at.days, now=now)
        else:
            made = await trying.on_one(conn, room, plan, at.family, now=now)
    except BadInput as wrong:
        return replace(at, fault=room.say(wrong.sentence))
    return replace(at, tried=made)


def _sound(room: Room, sheet: Sheet, have: Stock) -> None:
    """Raises `BadInput` for what cannot work; the page says at each place what it is."""
    wrong = [*sheet.faults, *files.problems(sheet.plan, have.scripts)]
    if wrong:
        raise BadInput(room.say(FIX_FIRST, n=len(wrong)))


# -- written -----------------------------------------------------------------------------------------------
async def create(request: web.Request) -> web.Response:
    room, asked = Room(request=request), await _asked(request)
    return await _kept(room, replace(asked, sheet=replace(asked.sheet, version=0)), "")


async def write(request: web.Request) -> web.Response:
    room, asked, code = Room(request=request), await _asked(request), request.match_info["sop"]
    if asked.what in ("on", "off", "end"):
        return await _switched(room, code, asked.what)
    return await _kept(room, replace(asked, sheet=replace(asked.sheet, code=code)), code)


async def _kept(room: Room, asked: Asked, code: str) -> web.Response:
    """Saved as a draft, and put in force when that was asked for."""
    if asked.what not in ("save", "publish"):
        raise BadInput(NO_ACT)
    running: Running = "migrate" if asked.form.text("running", 10) == "migrate" else "keep"
    sheet = asked.sheet
    try:
        async with room.house.db.begin(room.tenant_id) as conn:
            have = await stock(conn, room)
            head = await store.head(conn, code, hold=True) if code else None
            if code and head is None:
                raise NotFound(versions.NO_SOP)
            _sound(room, sheet, have)
            number = await _draft(conn, room, sheet, have, head)
            if asked.what == "publish":
                await _publish(conn, room, sheet.code, number, running)
    except (BadInput, Conflict) as wrong:
        return await _again(room, sheet, wrong)
    saved = running if asked.what == "publish" else "draft"
    return see_other(f"{BASE}/{sheet.code}?saved={saved}")


async def _draft(conn: Conn, room: Room, sheet: Sheet, have: Stock, head: Head | None) -> int:
    """The number of the version that says what the sheet says. Raises `BadInput` or `Conflict`."""
    plan, scripts, now = sheet.plan, have.scripts, utcnow()
    if head is None:
        if sheet.trade not in have.trades:
            raise BadInput(NO_TRADE)
        if await store.head(conn, sheet.code):
            raise Conflict(room.say(TAKEN, code=sheet.code))
        known, trade = None, sheet.trade
    else:
        known, trade = await store.version(conn, head.code, sheet.version), head.trade
    if known is not None and known.digest != sheet.digest and known.state == "draft":
        raise Conflict(MEANWHILE)
    if known is not None and known.digest == versions.digest(plan) and _as_noted(known, sheet):
        return known.version
    if known is not None and known.state == "draft":
        made = await versions.change_draft(conn, known.code, known.version, plan, scripts, note=sheet.note)
    else:
        made = await versions.draft(
            conn, trade, plan, scripts, by=room.who.staff_id, note=sheet.note, now=now
        )
    subject = f"sop:{made.code}@{made.version}"
    await audit(conn, room.who.label, "sop.draft", now=now, subject=subject)
    return made.version


def _as_noted(known: Version, sheet: Sheet) -> bool:
    return known.state != "draft" or known.note == sheet.note


async def _publish(conn: Conn, room: Room, code: str, number: int, running: Running) -> None:
    head, now = await store.head(conn, code), utcnow()
    if head is not None and head.live_version == number:
        raise Conflict(UNCHANGED)
    await versions.publish(conn, code, number, running, now=now)
    await audit(conn, room.who.label, f"sop.publish.{running}", now=now, subject=f"sop:{code}@{number}")


async def _again(room: Room, sheet: Sheet, wrong: BadInput | Conflict) -> web.Response:
    """The editor with everything that was typed, and why it was not kept."""
    async with room.house.db.read(room.tenant_id) as conn:
        if wrong.sentence == MEANWHILE:
            known = await store.version(conn, sheet.code, sheet.version)
            sheet = replace(sheet, digest=known.digest if known else "")
        at = Page(fault=room.say(wrong.sentence))
        view = await editor(conn, room, sheet, await stock(conn, room), at)
    return page(room.request, "flows/editor.html", status=400, view=view)


# -- on and off --------------------------------------------------------------------------------------------
async def _switched(room: Room, code: str, what: str) -> web.Response:
    now = utcnow()
    try:
        async with room.house.db.begin(room.tenant_id) as conn:
            await versions.switch(conn, code, on=what == "on", now=now)
            await audit(conn, room.who.label, f"sop.{what}", now=now, subject=f"sop:{code}")
    except Conflict as wrong:
        async with room.house.db.read(room.tenant_id) as conn:
            known = await store.versions(conn, code)
            head = await store.head(conn, code)
        if head is None or not known:
            raise NotFound(versions.NO_SOP) from None
        return await _again(room, sheet_of(known[0], head.trade), wrong)
    if what == "end":
        await _stop_all(room, code)
    return see_other(f"{BASE}/{code}?saved={what}")


async def _stop_all(room: Room, code: str) -> None:
    """A few hundred at a time, so that nobody waits long for a household."""
    found, left = room.house, 1
    while left:
        async with found.db.begin(room.tenant_id) as conn:
            left, cancelled = await service.stop_some(conn, code, room.say(ENDED), now=utcnow())
            tell(conn, room, cancelled)


def tell(conn: Conn, room: Room, cancelled: list[tasks.Task]) -> None:
    """Boards that showed these look again."""
    conn.after_commit(lambda: room.house.live.publish(conn.tenant_id, tasks.changes(cancelled)))
