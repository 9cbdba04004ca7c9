"""One API operation: how it is called, what it takes and gives, and how a POST happens once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from aiohttp import web

from scrm import shapes
from scrm.db import Conn, utcnow
from scrm.errors import BadInput
from scrm.ledger.store import Answer, answered, audit, keep_answer
from scrm.staff.rules import Policy
from scrm.web import problems
from scrm.web.house import actor, house
from scrm.web.routes import Route

T = TypeVar("T")
BODY_LIMIT = 1024 * 1024
_LIMIT_MAX, _LIMIT_DEFAULT = 200, 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    name: str
    about: str
    required: bool = False
    integer: bool = False


LIMIT = Query(name="limit", about="At most so many items, 1 to 200; 50 when not given", integer=True)
CURSOR = Query(name="cursor", about="`next_cursor` of the page before")
PAGED = (LIMIT, CURSOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    method: str
    path: str
    summary: str
    policy: Policy
    answer: Any
    #: Called with the request; returns the answer, or (POST) a function of the open transaction.
    handler: Callable[[web.Request], Awaitable[Any]]
    queries: tuple[Query, ...] = ()
    body: Any = None
    status: int = 200

    def route(self) -> Route:
        return Route(method=self.method, path=f"/api/v1{self.path}", handler=self._answer, policy=self.policy)

    async def _answer(self, request: web.Request) -> web.Response:
        unknown = set(request.query) - {q.name for q in self.queries}
        if unknown:
            raise BadInput(
                f"有不认识的参数，可用的有 {'、'.join(q.name for q in self.queries) or '（无）'}。"
            )
        if missing := [q.name for q in self.queries if q.required and not request.query.get(q.name)]:
            raise BadInput(f"缺少参数 {'、'.join(missing)}。")
        if self.method == "POST":
            return await self._once(request)
        return reply(await self.handler(request), self.status)

    async def _once(self, request: web.Request) -> web.Response:
        """The effect and the stored answer commit together, so a repeat gets the first answer again."""
        key = request.headers.get("Idempotency-Key", "")
        if len(key) > 128 or not key.isascii():
            raise BadInput("Idempotency-Key 最多 128 个 ASCII 字符。")
        act = await self.handler(request)
        asked = hashlib.sha256(f"{request.method} {request.path}\n".encode() + await request.read()).digest()
        who = actor(request)
        async with house(request).db.begin(who.tenant_id) as conn:
            if key:  # copies sent at the same time take turns, so that the later ones find the answer
                await conn.lock(f"once:{who.label}:{key}")
            before = await answered(conn, who.label, key) if key else None
            if before is not None:
                return _again(before, asked)
            body = shapes.to_json(await act(conn))
            if key:
                await keep_answer(conn, who.label, key, asked, self.status, body, now=utcnow())
        return web.Response(status=self.status, body=body, content_type="application/json")


Act = Callable[[Conn], Awaitable[Any]]


def _again(before: Answer, asked: bytes) -> web.Response:
    if before.request_hash != asked:
        return problems.problem(422, "这个 Idempotency-Key 已用于另一个请求。")
    return web.Response(status=before.status, body=before.body, content_type="application/json")


def reply(value: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=shapes.to_json(value), content_type="application/json")


async def body_of(request: web.Request, cls: type[T]) -> T:
    raw = await request.read()
    if len(raw) > BODY_LIMIT:
        raise web.HTTPRequestEntityTooLarge(BODY_LIMIT, len(raw))
    body = shapes.from_json(cls, raw, where="请求体")
    for name in getattr(cls, "__dataclass_fields__", ()):
        value = getattr(body, name)
        if isinstance(value, datetime) and value.tzinfo is None:
            raise BadInput(f"请求体: {name}: 应为带时区的时间，格式如 2026-03-01T09:00:00+08:00，请改正。")
    return body


def limit_of(request: web.Request) -> int:
    text = request.query.get("limit", str(_LIMIT_DEFAULT))
    if not re.fullmatch("[0-9]{1,3}", text) or not 1 <= int(text) <= _LIMIT_MAX:
        raise BadInput(f"limit 应为 1 到 {_LIMIT_MAX} 的整数。")
    return int(text)


def before_of(conn: Conn, request: web.Request, kind: str) -> int | None:
    """The row a page goes on below, of a list kept in the order of ids."""
    cursor = request.query.get("cursor", "")
    return conn.vault.private(kind, cursor) if cursor else None


async def audited(request: web.Request, action: str) -> None:
    """Reading customer data is written down before anything is shown."""
    who = actor(request)
    async with house(request).db.begin(who.tenant_id) as conn:
        await audit(conn, who.label, action, now=utcnow(), fields=sorted(request.query))
