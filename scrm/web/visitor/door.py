"""The visitors' door: which account, from which site, with whose token; answers the site's pages may read."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from aiohttp import web

from scrm import shapes
from scrm.accounts.service import Plugged
from scrm.contract import Handle, Site, Visits
from scrm.db import Conn, utcnow
from scrm.errors import Forbidden, NotFound, NotSignedIn, Refused, ScrmError
from scrm.identity import service as identity
from scrm.web.body import read_body
from scrm.web.callers import caller_of
from scrm.web.house import House, house
from scrm.web.views import Locale

BODY_LIMIT = 16 * 1024
_BODY_S = 5.0
_TOKEN_DAYS = 180
_ASKS = "authorization, content-type, idempotency-key, x-upload-name"
_VISITOR = re.compile(r"[0-9A-Za-z_-]{22}")
_SUBJECT = re.compile(r"([0-9a-f]{24})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """Who is asking: a browser we once gave a token, and the site's login it was bound to, if any."""

    visitor: str
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request of a visitor."""

    request: web.Request
    house: House
    plugged: Plugged
    plug: Visits
    site: Site
    now: datetime

    @property
    def tenant_id(self) -> int:
        return self.plugged.account.tenant_id

    @property
    def account_id(self) -> int:
        return self.plugged.account.account_id

    def guest(self) -> Guest:
        """Raises `NotSignedIn` for a token that is not ours, of another account, or too old."""
        kind, _, token = self.request.headers.get("Authorization", "").partition(" ")
        found = self.known(token.strip()) if kind.lower() == "bearer" else None
        if found is None:
            raise NotSignedIn("聊天已失效，请刷新页面。")
        return found

    def known(self, token: str) -> Guest | None:
        text, _, tag = token.partition(".")
        if not token.isascii():
            return None
        want = self.house.db.vault.sign(f"visit:{self.account_id}", text)
        if not secrets.compare_digest(tag, want):
            return None
        visitor, issued, subject = json.loads(base64.urlsafe_b64decode(text))
        fresh = datetime.fromisoformat(issued) > self.now - timedelta(days=_TOKEN_DAYS)
        return Guest(visitor=visitor, subject=subject) if fresh else None

    def token(self, guest: Guest) -> str:
        """What the browser keeps instead of a cookie."""
        if not _VISITOR.fullmatch(guest.visitor) or not _SUBJECT.fullmatch(guest.subject):
            raise Refused("访客编号的格式不对。")
        stated = [guest.visitor, self.now.isoformat(timespec="seconds"), guest.subject]
        text = base64.urlsafe_b64encode(json.dumps(stated).encode()).decode()
        return f"{text}.{self.house.db.vault.sign(f'visit:{self.account_id}', text)}"

    def handle(self, guest: Guest) -> Handle:
        return self.plug.guest(self.house.context(self.plugged, self.now), guest.visitor)

    async def node(self, conn: Conn, guest: Guest) -> int | None:
        """None until the visitor's first word was settled."""
        return await identity.find(conn, self.handle(guest))

    async def take(self, what: str, visitor: str = "", *, cost: float = 1) -> None:
        """Raises `TooMany`."""
        account = (self.tenant_id, self.account_id)
        await self.house.limits.take(what, account, visitor, self.address, cost=cost)

    @property
    def address(self) -> str:
        """Where the visitor is, as far as our own proxy says it."""
        return caller_of(self.request)

    async def body(self) -> dict[str, Any]:
        """The JSON object of a small request. Raises `BadInput` or `Refused`."""
        raw = await read_body(self.request, limit=BODY_LIMIT, timeout_s=_BODY_S)
        return cast(dict[str, Any], shapes.from_json(dict, raw or b"{}", where="body"))


def new_guest() -> Guest:
    return Guest(visitor=secrets.token_urlsafe(16))


Handler = Callable[[Visit], Awaitable[web.StreamResponse]]


def open_to_visitors(handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Finds the account, keeps other sites out, and makes errors readable for the page that asked."""

    async def handle(request: web.Request) -> web.StreamResponse:
        visit = visit_of(request)
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            return allowed(visit, web.Response(status=415))
        try:
            admit(visit)
            response = await handler(visit)
        except ScrmError as error:
            response = _refusal(request, error)
        return response if response.prepared else allowed(visit, response)

    return handle


def visit_of(request: web.Request) -> Visit:
    """Raises `NotFound` for accounts that are none, or are no chat of ours."""
    found, now = house(request), utcnow()
    plugged = found.directory.by_slug(request.match_info["account"])
    plug = plugged.plug
    if not isinstance(plug, Visits):
        raise NotFound("没有这个账号，请检查嵌入代码。")
    site = plug.site(found.context(plugged, now))
    return Visit(request=request, house=found, plugged=plugged, plug=plug, site=site, now=now)


def admit(visit: Visit) -> None:
    """Only pages of the account's own sites; a plain read says no origin, and there the token counts."""
    origin = visit.request.headers.get("Origin")
    if origin is None and visit.request.method == "GET":
        return
    if (origin or "").lower() not in visit.site.origins:
        raise Forbidden("这个网站不在允许嵌入的名单里。")


def allowed(visit: Visit, response: web.StreamResponse) -> web.StreamResponse:
    """Readable by the site's pages and by no others; never with cookies."""
    origin = visit.request.headers.get("Origin", "")
    response.headers["Vary"] = "Origin"
    if origin.lower() in visit.site.origins:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


async def preflight(request: web.Request) -> web.StreamResponse:
    """What a browser asks before the site's page may speak to us."""
    visit = visit_of(request)
    response = allowed(visit, web.Response(status=204))
    if "Access-Control-Allow-Origin" in response.headers:
        response.headers["Access-Control-Allow-Methods"] = "GET, POST"
        response.headers["Access-Control-Allow-Headers"] = _ASKS
        response.headers["Access-Control-Max-Age"] = "7200"
    return response


def language(request: web.Request) -> Locale:
    """By the page's or the browser's word; the widget says its own."""
    return "zh_CN" if request.headers.get("Accept-Language", "zh").lower().startswith("zh") else "en"


def said(value: object, *, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    body = shapes.to_json(value)
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


def _refusal(request: web.Request, error: ScrmError) -> web.Response:
    sentence = error.sentence
    if "{" not in sentence:
        sentence = house(request).renderer.say(language(request), sentence)
    response = said({"status": error.status, "detail": sentence}, status=error.status)
    if error.retryable:
        response.headers["Retry-After"] = "2"
    return response
