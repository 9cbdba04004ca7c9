"""What goes out with a talk-track, on the pages of the library: taken in, left out, shown, held by whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web
from aiohttp.web_request import FileField

from scrm.accounts.service import Plugged
from scrm.contract import Media, Uploads
from scrm.db import Conn, utcnow
from scrm.errors import BadInput, NotFound
from scrm.playbook.enclosures import rules, service, store
from scrm.playbook.enclosures.store import Held, Kept
from scrm.playbook.scripts import Enclosed
from scrm.push import store as media
from scrm.web.bringing import brought
from scrm.web.cards import Brought
from scrm.web.house import actor, house
from scrm.web.media import served
from scrm.web.render import ZONE
from scrm.web.shelf.room import Room
from scrm.web.visitor.rules import safe_name

#: A form with as many files as one script may carry, each as long as files may be.
FORM_MAX = 48 * 1024 * 1024
#: Words alone are never longer.
_SMALL = 1024 * 1024
HELD = "已传到 {names}，{at} 前有效，到期前自动更新。"
WAITS = "还没传到 {names}，先随消息一起传。"
REFUSED = "{name} 没有收下：{why}"
NO_FILE = "没有这个文件。"
SENTENCES = (HELD, WAITS, REFUSED, NO_FILE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """What a form says about files: those that stay, and new ones."""

    kept: tuple[str, ...] = ()
    fresh: tuple[Media, ...] = ()


@contextmanager
def roomy(request: web.Request) -> Iterator[web.Request]:
    """The same request, which may bring files; few of those are held in memory at once. Raises `Busy`."""
    if (request.content_length or 0) <= _SMALL:
        yield request
        return
    with house(request).limits.uploading():
        yield request.clone(client_max_size=FORM_MAX)


async def kept(request: web.Request) -> tuple[str, ...]:
    """Digests of those that stay."""
    return tuple(str(value) for value in (await request.post()).getall("keep", []))


async def posted(request: web.Request) -> Posted:
    """After the form was read. Raises `BadInput` for a file that may not go out."""
    stay, files = await kept(request), await brought_in(request)
    if len(stay) + len(files) > rules.MOST:
        raise BadInput(rules.MANY.format(most=rules.MOST))
    return Posted(
        kept=stay,
        fresh=tuple(rules.admitted(safe_name(name), content) for name, content in files),
    )


async def brought_in(request: web.Request) -> list[tuple[str, bytes]]:
    """New files by name; what held them is closed."""
    found = []
    for one in (await request.post()).getall("attach", []):
        if isinstance(one, FileField):
            with one.file:
                found.append((one.filename, one.file.read()))
    return [(name, content) for name, content in found if name]


async def taken(conn: Conn, room: Room, one: Posted, *, now: datetime) -> tuple[Enclosed, ...]:
    """What the version names, old ones first."""
    fresh = await service.keep(conn, one.fresh, author_id=room.who.staff_id, now=now)
    old = [file for file in await standing(conn, one.kept) if file not in fresh]
    return (*old, *fresh)


async def standing(conn: Conn, digests: Sequence[str]) -> tuple[Enclosed, ...]:
    known = await store.of_digests(conn, set(digests))
    return tuple(Enclosed(name=known[d].name, digest=d) for d in dict.fromkeys(digests) if d in known)


# -- shown -------------------------------------------------------------------------------------------------
async def shown(
    conn: Conn, room: Room, files: Sequence[Enclosed], channels: Sequence[str] = ()
) -> tuple[Brought, ...]:
    """As the preview shows them, with what the platforms hold."""
    known = await store.of_digests(conn, {one.digest for one in files})
    held = await store.held(conn, [one.media_id for one in known.values()]) if known else {}
    accounts = [
        p
        for p in room.house.directory.all(room.tenant_id)
        if isinstance(p.plug, Uploads) and (not channels or p.account.channel in channels)
    ]
    made = []
    for one in (known[file.digest] for file in files if file.digest in known):
        state = _state(room, one, accounts, held)
        made.append(
            brought(
                conn, service.sent(one), base=f"{room.base}/files", digest=one.digest, state=" ".join(state)
            )
        )
    return tuple(made)


def _state(
    room: Room, one: Kept, accounts: Sequence[Plugged], held: dict[tuple[int, int], Held]
) -> list[str]:
    now, there, waits, said = utcnow(), [], [], []
    for plugged in accounts:
        if not service.goes(one, plugged):
            continue
        name = plugged.account.name or plugged.account.slug
        found = held.get((plugged.account.account_id, one.media_id))
        if found is not None and found.until_at is not None and rules.usable(found.until_at, now):
            there.append((found.until_at, name))
        elif found is not None and found.error:
            said.append(room.say(REFUSED, name=name, why=room.say(found.error)))
        else:
            waits.append(name)
    if there:
        first = min(there)[0].astimezone(ZONE)
        names = "、".join(name for _, name in there)
        said.insert(0, room.say(HELD, names=names, at=f"{first:%m-%d %H:%M}"))
    if waits:
        said.append(room.say(WAITS, names="、".join(waits)))
    return said


async def open_file(request: web.Request) -> web.Response:
    """For those who write scripts and do not talk to customers."""
    named = request.match_info["file"]
    async with house(request).db.read(actor(request).tenant_id) as conn:
        media_id = conn.vault.private("media", named)
        if not await store.of_media(conn, [media_id]):
            raise NotFound(NO_FILE)
        one = (await media.media_of(conn, [media_id])).get(media_id)
    if one is None:
        raise NotFound(NO_FILE)
    return served(request, one, f'"{named}"')
