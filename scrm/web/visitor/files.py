"""Files between visitors and us: taken up to a cap, known by their bytes, shown only to the two who talk."""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote, unquote

from aiohttp import web

from scrm.contract import Act, Media
from scrm.db import Conn
from scrm.errors import BadInput, NotFound
from scrm.identity import service as identity
from scrm.identity.rules import address
from scrm.playbook.enclosures import store as enclosures
from scrm.push import store as media
from scrm.seal import Vault
from scrm.staff.rules import Policy
from scrm.web.body import read_body
from scrm.web.routes import Route
from scrm.web.visitor.door import Guest, Visit, open_to_visitors, said
from scrm.web.visitor.rules import INLINE, safe_name, sniffed
from scrm.web.visitor.talk import key_of, say

_UPLOAD_S = 60.0
_MB = 1024 * 1024


async def upload(visit: Visit) -> web.Response:
    """One file is one message: kept, then said. The same key again finds both where they are."""
    guest, key = visit.guest(), key_of(visit.request)
    await visit.take("file", guest.visitor)
    if not visit.site.upload_max:
        raise BadInput("这里不能发送文件。")
    name = safe_name(unquote(visit.request.headers.get("X-Upload-Name", "")[:600]))
    with visit.house.limits.uploading(visit.address):
        content = await read_body(visit.request, limit=visit.site.upload_max, timeout_s=_UPLOAD_S)
        if not content:
            raise BadInput("这个文件是空的。")
        await visit.take("up", guest.visitor, cost=len(content) / _MB)
        one = Media(name=name, mime=sniffed(content), content=content)
        media_id = _media_id(visit.house.db.vault, visit, guest, key)
        async with visit.house.db.begin(visit.tenant_id) as conn:
            await media.add_media(
                conn, one, await _node(conn, visit, guest), now=visit.now, media_id=media_id
            )
    about: dict[str, str | int] = {
        "id": visit.house.db.vault.public("media", media_id),
        "name": one.name,
        "mime": one.mime,
        "size": len(content),
    }
    kind: Literal["image", "file"] = "image" if one.mime in INLINE else "file"
    await say(visit, Act(visitor=guest.visitor, key=key, at=visit.now, kind=kind, media=about))
    return said({"key": key, "file": about}, status=201)


def _media_id(vault: Vault, visit: Visit, guest: Guest, key: str) -> int:
    """Made from who sends it and the key, so that a repeat is the same row."""
    mark = vault.blind("upload", str(visit.account_id), guest.visitor, key)
    return int.from_bytes(mark[:8], "big") >> 1


async def _node(conn: Conn, visit: Visit, guest: Guest) -> int:
    """The visitor's node, whose key seals the file; made now when a file is their first word."""
    handle = visit.handle(guest)
    found = await identity.find(conn, handle)
    if found is not None:
        return found
    key = f"{visit.account_id}|m:{guest.visitor}"
    first = identity.Sighting(event_id=0, at=visit.now, key=key, handles=(handle,))
    return (await identity.resolve(conn, [first], visit.now)).nodes[address(handle)]


async def download(visit: Visit) -> web.Response:
    """A file of the visitor's own talk."""
    guest = visit.guest()
    await visit.take("look", guest.visitor)
    async with visit.house.db.read(visit.tenant_id) as conn:
        media_id = conn.vault.private("media", visit.request.match_info["id"])
        node_id = await visit.node(conn, guest)
        theirs = node_id is not None and await media.owner_of(conn, media_id) == node_id
        # Nobody learns the id of an enclosure but from a message that brought it.
        if not theirs and not await enclosures.of_media(conn, [media_id]):
            raise NotFound("没有这个文件。")
        response = await _served(conn, media_id)
    await visit.take("down", guest.visitor, cost=(response.content_length or 0) / _MB)
    return response


async def _served(conn: Conn, media_id: int) -> web.Response:
    """Under headers that let it do no harm wherever it is opened."""
    one = (await media.media_of(conn, [media_id]))[media_id]
    inline = one.mime in INLINE
    kept = inline or one.mime in ("application/pdf", "application/zip")
    way = "inline" if inline else "attachment"
    headers = {
        "Content-Type": one.mime if kept else "application/octet-stream",
        "Content-Disposition": f"{way}; filename*=UTF-8''{quote(one.name, safe='')}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, max-age=3600",
    }
    return web.Response(body=one.content, headers=headers)


ROUTES = (
    Route(
        method="POST", path="/chat/{account}/files", handler=open_to_visitors(upload), policy=Policy.PUBLIC
    ),
    Route(
        method="GET",
        path="/chat/{account}/files/{id}",
        handler=open_to_visitors(download),
        policy=Policy.PUBLIC,
    ),
)
