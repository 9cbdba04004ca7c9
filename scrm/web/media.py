"""Files for those of us who may see the customer they were exchanged with, in pieces where asked."""

from __future__ import annotations

from urllib.parse import quote

from aiohttp import web

from scrm import jobs
from scrm.contract import Media
from scrm.db import Conn
from scrm.errors import BadInput, NotFound
from scrm.live import Change
from scrm.playbook.enclosures import store as enclosures
from scrm.staff.rules import Policy, scope
from scrm.timeline import files
from scrm.timeline.seeing import sees
from scrm.timeline.store import media
from scrm.web.house import actor, house
from scrm.web.pages import form_of, inside, see_other, wants_fragment
from scrm.web.routes import Route

_NO_FILE = "没有这个文件。"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, max-age=3600",
}


async def shown(request: web.Request) -> web.Response:
    """One file, or the piece of it a player asks for."""
    who = actor(request)
    async with house(request).db.read(who.tenant_id) as conn:
        media_id = conn.vault.private("media", request.match_info["mid"])
        # What goes out with talk-tracks is the company's own, for everybody who talks to customers.
        if not await enclosures.of_media(conn, [media_id]):
            await _demand_visible(conn, request, await media.owner_of(conn, media_id))
        tag = f'"{request.match_info["mid"]}"'
        # What is behind an id never changes.
        if tag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers={**_HEADERS, "ETag": tag})
        one = await media.opened(conn, media_id)
    if one is None:
        raise NotFound(_NO_FILE)
    return served(request, one, tag)


def served(request: web.Request, one: Media, tag: str) -> web.Response:
    """Under headers that let it do no harm wherever it is opened."""
    inline = one.mime in files.INLINE
    mime = one.mime if inline or one.mime in files.NAMED else "application/octet-stream"
    way = "inline" if inline else "attachment"
    headers = {
        **_HEADERS,
        "Content-Type": mime,
        "Content-Disposition": f"{way}; filename*=UTF-8''{quote(one.name or 'file', safe='')}",
        "ETag": tag,
        "Accept-Ranges": "bytes",
    }
    wanted = _range(request, len(one.content), tag)
    if wanted is None:
        return web.Response(body=one.content, headers=headers)
    size = len(one.content)
    if wanted.start >= size or wanted.start >= wanted.stop:
        return web.Response(status=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{size}"
    return web.Response(status=206, body=one.content[wanted.start : wanted.stop], headers=headers)


def _range(request: web.Request, size: int, tag: str) -> range | None:
    """The bytes asked for; None = all of them, as for anything unreadable or made of several parts."""
    if request.headers.get("If-Range", tag) != tag:
        return None
    try:
        asked = request.http_range
    except ValueError:
        return None
    if asked.start is None:
        return None
    start = max(0, size + asked.start) if asked.start < 0 else asked.start
    return range(start, size if asked.stop is None else min(asked.stop, size))


async def again(request: web.Request) -> web.Response:
    """Try once more to fetch what could not be fetched."""
    who, form = actor(request), await form_of(request)
    number = str(form.get("n", ""))
    if not (number.isascii() and number.isdigit() and len(number) < 4):
        raise BadInput(_NO_FILE)
    async with house(request).db.begin(who.tenant_id) as conn:
        event_id = conn.vault.private("event", str(form.get("event", "")))
        file = await media.get(conn, event_id, int(number))
        await _demand_visible(conn, request, file.node_id if file else None)
        if file is not None and await media.ask_again(conn, file):
            place = {"event_id": file.event_id, "n": file.n}
            key = f"{file.event_id}:{file.n}"
            await jobs.put(conn, "media", key, file.account_id, place, at=await conn.now())
            change = Change(topic=f"node:{file.node_id}", ident=file.event_id, version=5)
            conn.after_commit(lambda: house(request).live.publish(who.tenant_id, [change]))
            conn.after_commit(house(request).wake_due)
    if wants_fragment(request):
        return web.Response(status=204)
    back = request.headers.get("Referer", "").partition(request.host)[2]
    return see_other(inside(back))


async def _demand_visible(conn: Conn, request: web.Request, node_id: int | None) -> None:
    """Raises `NotFound` also for what exists but is not theirs to see."""
    if node_id is None or not await sees(conn, scope(actor(request)), node_id):
        raise NotFound(_NO_FILE)


ROUTES = (
    Route(method="GET", path="/media/{mid}", handler=shown, policy=Policy.TALK),
    Route(method="POST", path="/media/again", handler=again, policy=Policy.TALK),
)
