"""What page handlers share: rendering for the asker, cursors, topics, a conversation they may see."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_request import FileField

from scrm.db import Conn, utcnow
from scrm.errors import BadInput, NotFound
from scrm.seal import Vault
from scrm.staff.rules import Actor, scope
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations
from scrm.timeline.store.events import Place
from scrm.web import undone
from scrm.web.house import actor, actor_or_none, house
from scrm.web.kinship import Undo
from scrm.web.render import ZONE
from scrm.web.views import Locale, Me, Theme

#: What the database counts up to.
_LARGEST = 2**63
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def page(request: web.Request, template: str, *, status: int = 200, **views: object) -> web.Response:
    """The template in the asker's language and theme, with `me` when somebody is signed in."""
    found = actor_or_none(request)
    if found is not None:
        views.setdefault("me", Me(name=found.name, keys=found.shortcuts, role=found.role))
        views.setdefault("undo", _undo(request, locale(found)))
    text = house(request).renderer.render(
        template, locale=locale(found), theme=theme(found), now=utcnow(), **views
    )
    return web.Response(status=status, text=text, content_type="text/html")


def _undo(request: web.Request, language: Locale) -> Undo | None:
    """What was done on the way here, and the form that undoes it."""
    done = undone.read(request.query.get("done", ""))
    if done is None:
        return None
    text, what, ident = done
    say = house(request).renderer.say
    return Undo(
        text=say(language, text), action=undone.ACTION if what and ident else "", what=what, ident=ident
    )


def locale(found: Actor | None) -> Locale:
    return "en" if found is not None and found.locale == "en" else "zh_CN"


def theme(found: Actor | None) -> Theme:
    return cast(Theme, found.theme) if found and found.theme in ("light", "dark") else "auto"


async def form_of(request: web.Request) -> dict[str, str | FileField]:
    """The fields of a form, the last of each name. Raises `BadInput` for one that cannot be read."""
    return dict(await fields_of(request))


async def fields_of(request: web.Request) -> list[tuple[str, str | FileField]]:
    """Every field, in order, also those of one name. Raises the same."""
    try:
        fields = await request.post()
    except (ValueError, LookupError, RuntimeError, HttpProcessingError):
        # Wrong charset, boundary, part header, encoding: whatever the parser stumbles over is the sender's.
        raise BadInput from None
    return [(k, v if isinstance(v, FileField) else str(v)) for k, v in fields.items()]


def wants_fragment(request: web.Request) -> bool:
    return "HX-Request" in request.headers


def see_other(where: str) -> web.Response:
    return web.Response(status=303, headers={"Location": where})


def inside(where: str, otherwise: str = "/inbox") -> str:
    """A path of ours, never another site: `//host` and backslashes are refused."""
    safe = where.startswith("/") and not where.startswith(("//", "/\\")) and "\\" not in where
    return where if safe and where.isprintable() else otherwise


async def talk_of(conn: Conn, request: web.Request, *, lock: bool = False) -> Talk:
    """The conversation in the path. Raises `NotFound` also for one that exists but is not theirs to see."""
    ident = conn.vault.private("conversation", request.match_info["cid"])
    talk = await conversations.get(conn, ident, scope(actor(request)), lock=lock)
    if talk is None:
        raise NotFound("没有这个会话，或者它已转给别的同事。")
    return talk


def place_out(vault: Vault, place: Place) -> str:
    """A page's cursor: opaque, and useless for anything else."""
    at, seq, event_id = place
    return f"{(at - _EPOCH) // timedelta(microseconds=1):x}.{seq:x}.{vault.public('place', event_id)}"


def place_in(vault: Vault, text: str) -> Place | None:
    """Raises `NotFound` for a cursor we did not make."""
    if not text:
        return None
    parts = text.split(".")
    try:
        at, seq = (int(part, 16) for part in parts[:2])
        if not -_LARGEST <= seq < _LARGEST:
            raise ValueError(seq)
        return _EPOCH + timedelta(microseconds=at), seq, vault.private("place", parts[2])
    except (ValueError, IndexError, OverflowError):
        raise NotFound("翻页位置无效，请从头看起。") from None


def topic(vault: Vault, kind: str, ident: int) -> str:
    """A live topic as a page names it."""
    return f"{kind}:{vault.public(f'topic-{kind}', ident)}"


def facts(who: Actor, company: str, customer: str, now: datetime) -> dict[str, object]:
    """What a script may say of this customer and this rep, as far as anybody knows it."""
    known: dict[str, object] = {
        "company": {"name": company},
        "today": f"{now.astimezone(ZONE):%-m月%-d日}",
    }
    if who.staff_id is not None:
        known["rep"] = {"name": who.name}
    if customer:
        known["member"] = {"name": customer}
    return known
