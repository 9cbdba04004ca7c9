"""What handlers of rulings share: the deal in the path, words in the reader's language."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from aiohttp import web

from scrm.db import Conn
from scrm.errors import BadInput, NotFound
from scrm.ownership.deciding import By
from scrm.web.house import actor, house
from scrm.web.lead import dealing
from scrm.web.lead.dealing import Dealing
from scrm.web.pages import form_of, locale

_HIDDEN = "没有这笔成交，或者你不能查看。"


def saying(request: web.Request) -> Callable[[str], str]:
    return partial(house(request).renderer.say, locale(actor(request)))


def told(request: web.Request, wrong: BadInput) -> str:
    """Its sentence; one with values in it stays as it is."""
    return wrong.sentence if "{" in wrong.sentence else saying(request)(wrong.sentence)


async def deal_of(conn: Conn, request: web.Request) -> Dealing:
    """Raises `NotFound` also for one that exists but is not theirs to see."""
    ident = conn.vault.private("deal", request.match_info["deal"])
    found = await dealing.read(conn, ident, saying(request))
    if found is None or not await dealing.may_see(conn, actor(request), found):
        raise NotFound(_HIDDEN)
    return found


def by(request: web.Request) -> By:
    who = actor(request)
    return By(label=who.label, staff_id=who.staff_id)


def cursor(conn: Conn, request: web.Request, kind: str) -> int | None:
    text = request.query.get("before", "")
    return conn.vault.private(kind, text) if text else None


async def fields(request: web.Request) -> dict[str, str]:
    return {k: str(text) for k, text in (await form_of(request)).items()}
