"""Scripts in and out as files, and the packs a company works with."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.web_request import FileField

from scrm.db import utcnow
from scrm.errors import BadInput, Forbidden
from scrm.ledger.store import audit
from scrm.playbook.library import files, importing, rules, service
from scrm.playbook.library.importing import Manner, Row
from scrm.playbook.scripts import Script
from scrm.web.house import actor
from scrm.web.pages import form_of, page, see_other
from scrm.web.shelf import show
from scrm.web.shelf import views as v
from scrm.web.shelf.room import Room, room_of, scan_of, trade_choices
from scrm.web.views import Tone

CHANGES: dict[str, tuple[str, Tone]] = {
    "new": ("新增", "ok"),
    "changed": ("有改动", "warn"),
    "same": ("没有变化", ""),
    "taken": ("编号已被占用，不导入", "bad"),
    "file": ("附件还没有上传到这里，不导入", "bad"),
    "word": ("有不能发的词，不导入", "bad"),
}
NO_FILE = "请选择 YAML 文件，或者把内容粘贴进来。"
SENTENCES = (NO_FILE, *(text for text, _ in CHANGES.values()))


def _runner(request: web.Request) -> Room:
    room = room_of(request)
    if not room.runs:
        raise Forbidden(rules.NOT_YOURS)
    return room


async def export(request: web.Request) -> web.Response:
    """A zip of everything in force, as the folder would have it."""
    room, now = _runner(request), utcnow()
    async with room.house.db.begin(room.tenant_id) as conn:
        found = await importing.everything(conn, room.shelves, now=now)
        await audit(conn, actor(request).label, "script.exported", now=now)
    made = await asyncio.to_thread(files.zipped, room.house.settings.library, found)
    name = f'attachment; filename="scripts-{now:%Y%m%d}.zip"'
    return web.Response(body=made, content_type="application/zip", headers={"Content-Disposition": name})


async def choose(request: web.Request) -> web.Response:
    """The packs this company works with."""
    room = _runner(request)
    try:
        wanted = [str(value) for value in (await request.post()).getall("trade", [])]
    except ValueError:
        raise BadInput from None
    try:
        async with room.house.db.begin(room.tenant_id) as conn:
            now = utcnow()
            await service.choose(conn, wanted, now=now)
            await audit(conn, actor(request).label, "script.packs", now=now, fields=sorted(wanted))
    except BadInput as wrong:
        return await show.shown(room, fault=room.say(wrong.sentence))
    return see_other(f"{room.base}?saved=packs")


# -- coming in ---------------------------------------------------------------------------------------------
async def bring(request: web.Request) -> web.Response:
    return await _asked(_runner(request), "", "")


async def take(request: web.Request) -> web.Response:
    """Without `sure` only what would change is said."""
    room, form = _runner(request), await form_of(request)
    text, trade = "", str(form.get("trade", ""))
    try:
        text = await asyncio.to_thread(_text, form.get("file"), str(form.get("text", "")))
        found = await asyncio.to_thread(files.read, text, where="YAML") if text.strip() else ()
        if not found:
            raise BadInput(NO_FILE)
        if "sure" in form:
            await _taken(room, found, trade)
            return see_other(f"{room.base}?saved=taken")
    except BadInput as wrong:
        said = wrong.sentence if "{" in wrong.sentence else room.say(wrong.sentence)
        return await _asked(room, text, trade, fault=said)
    return await _asked(room, text, trade, found=found)


def _text(file: str | FileField | None, pasted: str) -> str:
    if not isinstance(file, FileField) or not file.filename:
        return pasted.replace("\r\n", "\n")
    raw = file.file.read(files.LONGEST + 1)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(files.NOT_UTF8) from None


async def _taken(room: Room, found: tuple[Script, ...], trade: str) -> None:
    now = utcnow()
    async with room.house.db.begin(room.tenant_id) as conn:
        scan = scan_of(await room.book(conn))
        rows = await importing.plan(conn, room.shelves, found, room.who, scan=scan, now=now)
        how = Manner(trade=trade, folder=room.folder, review=room.review)
        made = await importing.take(conn, room.shelves, rows, room.who, how, scan=scan, now=now)
        subject = f"scripts:{len(made)}"
        await audit(conn, actor(room.request).label, "script.imported", now=now, subject=subject)


async def _asked(
    room: Room, text: str, trade: str, *, found: tuple[Script, ...] = (), fault: str = ""
) -> web.Response:
    async with room.house.db.read(room.tenant_id) as conn:
        mine = await service.trades(conn)
        scan = scan_of(await room.book(conn))
        rows = await importing.plan(conn, room.shelves, found, room.who, scan=scan, now=utcnow())
    view = v.ImportView(
        trades=trade_choices(room, mine, trade or mine[0]),
        rows=tuple(_row(room, row) for row in rows),
        text=text,
        takes=sum(row.change in ("new", "changed") for row in rows),
        fault=fault,
        at_once=not room.review,
    )
    return page(room.request, "shelf/import.html", status=400 if fault else 200, view=view)


def _row(room: Room, row: Row) -> v.ImportRow:
    text, tone = CHANGES[row.change]
    return v.ImportRow(
        code=row.script.id,
        title=row.script.title,
        change=room.say(text),
        tone=tone,
        pieces=row.pieces,
        fields=show.named(room, row.fields),
        older=row.older,
        takes=row.change in ("new", "changed"),
    )
