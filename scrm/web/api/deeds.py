"""API operations on deeds: ask a vendor to administer something, and see what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from scrm.accounts.service import Directory, Plugged
from scrm.db import Conn, utcnow
from scrm.deeds import service, store
from scrm.deeds.store import Asked
from scrm.errors import BadInput, NotFound
from scrm.seal import Vault
from scrm.staff.rules import Policy
from scrm.web.api.endpoint import PAGED, Act, Endpoint, Query, audited, before_of, body_of, limit_of
from scrm.web.api.resources import Page
from scrm.web.house import actor, house


@dataclass(frozen=True, slots=True, kw_only=True)
class DeedIn:
    #: Slug of the account.
    account: str
    kind: str
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    id: str
    account: str
    kind: str
    #: asked | calling | waiting (for the outcome) | done | failed | unknown
    state: str
    fields: Mapping[str, Any]
    #: The vendor's name of what was made.
    item: str
    result: Mapping[str, Any]
    #: The vendor's code and a sentence, when it failed or waits.
    code: str
    error: str
    created_at: datetime
    updated_at: datetime


async def create_deed(request: web.Request) -> Act:
    found, who, wanted = house(request), actor(request), await body_of(request, DeedIn)
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        raise BadInput("操作必须带 Idempotency-Key，重复请求才不会做两次。")
    plugged = _plugged(request, wanted.account)

    async def act(conn: Conn) -> Deed:
        asked = await service.ask(
            conn,
            plugged,
            wanted.kind,
            wanted.fields,
            key=f"api:{key}",
            by=who.label,
            staff_id=who.staff_id,
            now=utcnow(),
        )
        conn.after_commit(found.wake_due)
        return shown(asked, conn.vault, found.directory)

    return act


async def list_deeds(request: web.Request) -> Page[Deed]:
    found, who, limit = house(request), actor(request), limit_of(request)
    slug = request.query.get("account")
    plugged = [_plugged(request, slug)] if slug else found.directory.all(who.tenant_id)
    await audited(request, "api.deeds.read")
    async with found.db.read(who.tenant_id) as conn:
        before = before_of(conn, request, "deed")
        ids = [p.account.account_id for p in plugged]
        page = await store.page(conn, ids, before=before, limit=limit + 1)
        items = [shown(one, conn.vault, found.directory) for one in page[:limit]]
        cursor = conn.vault.public("deed", page[limit - 1].deed_id) if len(page) > limit else None
    return Page(items=items, next_cursor=cursor)


def shown(one: Asked, vault: Vault, directory: Directory) -> Deed:
    return Deed(
        id=vault.public("deed", one.deed_id),
        account=directory.by_id(one.account_id).account.slug,
        kind=one.kind,
        state=one.state,
        fields=one.fields,
        item=one.item,
        result=one.result,
        code=one.code,
        error=one.error,
        created_at=one.created_at,
        updated_at=one.updated_at,
    )


def _plugged(request: web.Request, slug: str) -> Plugged:
    found = house(request).directory.by_slug(slug)
    if found.account.tenant_id != actor(request).tenant_id:
        raise NotFound("没有这个账号。")
    return found


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="GET",
        path="/deeds",
        summary="What vendors were asked to do, newest first",
        policy=Policy.API_ADMIN,
        answer=Page[Deed],
        handler=list_deeds,
        queries=(Query(name="account", about="Slug of one account; all of them when not given"), *PAGED),
    ),
    Endpoint(
        method="POST",
        path="/deeds",
        summary="Ask a vendor to do something: a contact way, a tag, a transfer",
        policy=Policy.API_ADMIN,
        answer=Deed,
        handler=create_deed,
        body=DeedIn,
        status=201,
    ),
)
