"""What is done on the pages of the library: drafts, hand-ins, reviews, taking out and putting back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.errors import BadInput, NotFound
from scrm.ledger.store import audit
from scrm.playbook.library import importing, service
from scrm.playbook.library.importing import Manner
from scrm.playbook.library.values import Version
from scrm.web.house import actor
from scrm.web.pages import form_of, page, see_other, wants_fragment
from scrm.web.shelf import enclosing, show
from scrm.web.shelf import views as v
from scrm.web.shelf.enclosing import Posted
from scrm.web.shelf.preview import channels, preview, typed, wanted
from scrm.web.shelf.room import Room, room_of, scan_of

NO_ACT = "请选择要做什么。"
SENTENCES = (NO_ACT,)
#: The folder's news: what becomes of them.
_NEWS = ("file", "keep")


async def try_out(request: web.Request) -> web.Response:
    """The card as it would look; a fragment for the page, a page for those without scripts."""
    with enclosing.roomy(request) as whole:
        return await _tried(whole)


async def _tried(request: web.Request) -> web.Response:
    room, fields = room_of(request), await form_of(request)
    await enclosing.brought_in(request)  # what is not kept yet is chosen again
    async with room.house.db.read(room.tenant_id) as conn:
        form = replace(typed(fields), files=await enclosing.standing(conn, await enclosing.kept(request)))
        book = await room.book(conn)
        files = await enclosing.shown(conn, room, form.files, channels(form))
    if not wants_fragment(request):
        return await show.editor(room, form, code=str(fields.get("was", "")), new="was" not in fields)
    made = preview(room, form, book, form.trade, str(fields.get("sample", "")))
    return page(request, "shelf/preview.html", preview=replace(made, files=files))


async def create(request: web.Request) -> web.Response:
    with enclosing.roomy(request) as whole:
        return await _written(room_of(whole), "")


async def write(request: web.Request) -> web.Response:
    with enclosing.roomy(request) as whole:
        return await _one(whole)


async def _one(request: web.Request) -> web.Response:
    room, code = room_of(request), request.match_info["script"]
    what = (await form_of(request)).get("what")
    if what in ("out", "back"):
        return await _moved(room, code, str(what))
    if what in _NEWS:
        return await _settled(room, code, keep=what == "keep")
    return await _written(room, code)


async def _written(room: Room, code: str) -> web.Response:
    """Saved, and handed in when that was asked for."""
    fields = await form_of(room.request)
    form, what = typed(fields), fields.get("what")
    new = not code
    if what not in ("save", "submit"):
        raise BadInput(NO_ACT)
    try:
        files = await enclosing.posted(room.request)
        made = await _kept(room, form, files, code or form.code, submit=what == "submit")
    except BadInput as wrong:
        form = await _still(room, form)
        said = wrong.sentence if "{" in wrong.sentence else room.say(wrong.sentence)
        return await show.editor(room, form, code=code, new=new, fault=said)
    return see_other(f"{room.base}/{made.code}?saved={made.state}")


async def _still(room: Room, form: v.Form) -> v.Form:
    """With the files that were there before; new ones must be chosen again."""
    async with room.house.db.read(room.tenant_id) as conn:
        return replace(form, files=await enclosing.standing(conn, await enclosing.kept(room.request)))


async def _kept(room: Room, form: v.Form, files: Posted, code: str, *, submit: bool) -> Version:
    now = utcnow()

    async def act(conn: Conn) -> Version:
        whole = replace(form, files=await enclosing.taken(conn, room, files, now=now))
        made = await service.draft(conn, room.shelves, wanted(room, whole, code), room.who, now=now)
        if not submit:
            return made
        scan = scan_of(await room.book(conn))
        return await service.submit(
            conn, made.code, made.version, room.who, scan=scan, review=room.review, now=now
        )

    return await audited(room, act)


async def audited(room: Room, act: Callable[[Conn], Awaitable[Version]]) -> Version:
    """In one transaction with its entry in the trail."""
    async with room.house.db.begin(room.tenant_id) as conn:
        made = await act(conn)
        subject = f"script:{made.code}@{made.version}"
        await audit(conn, actor(room.request).label, f"script.{made.state}", now=utcnow(), subject=subject)
    return made


async def _moved(room: Room, code: str, what: str) -> web.Response:
    async with room.house.db.begin(room.tenant_id) as conn:
        now = utcnow()
        move = service.take_out if what == "out" else service.put_back
        await move(conn, room.shelves, code, room.who, now=now)
        label = actor(room.request).label
        await audit(conn, label, f"script.{what}", now=now, subject=f"script:{code}")
    return see_other(f"{room.base}/{code}?saved={what}")


async def _settled(room: Room, code: str, *, keep: bool) -> web.Response:
    """Whether the folder's newer words are taken over, or ours stay."""
    how = Manner(trade="", source="page" if keep else "file", review=room.review)

    async def act(conn: Conn) -> Version:
        scan = scan_of(await room.book(conn))
        return await importing.settle(
            conn, room.shelves, code, room.who, keep=keep, how=how, scan=scan, now=utcnow()
        )

    made = await audited(room, act)
    return see_other(f"{room.base}/{code}?saved={made.state}")


# -- reviews -----------------------------------------------------------------------------------------------
async def decide(request: web.Request) -> web.Response:
    """`publish` or `refuse` what waits; `again` makes an older version the next draft."""
    room, form = room_of(request), await form_of(request)
    code, what = request.match_info["script"], form.get("what")
    if what not in ("publish", "refuse", "again"):
        raise BadInput(NO_ACT)
    number = _number(request.match_info["number"])
    if what == "again":
        made = await audited(
            room,
            lambda conn: service.restore(conn, room.shelves, code, number, room.who, now=utcnow()),
        )
        return see_other(f"{room.base}/{code}?saved={made.state}")
    try:
        state = await _decided(room, code, number, publish=what == "publish", why=str(form.get("why", "")))
    except BadInput as wrong:
        return await show.editor(room, None, code=code, fault=room.say(wrong.sentence))
    return see_other(f"{room.base}/{code}?saved={state}")


async def _decided(room: Room, code: str, number: int, *, publish: bool, why: str) -> str:
    now = utcnow()
    async with room.house.db.begin(room.tenant_id) as conn:
        label, subject = actor(room.request).label, f"script:{code}@{number}"
        if publish:
            scan = scan_of(await room.book(conn))
            await service.publish(conn, code, number, room.who, scan=scan, review=room.review, now=now)
        else:
            await service.refuse(conn, code, number, room.who, why, now=now)
        state = "live" if publish else "refused"
        await audit(conn, label, f"script.{state}", now=now, subject=subject)
    return state


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 8:
        raise NotFound(service.NO_VERSION)
    return int(text)
