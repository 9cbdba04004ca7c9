"""The API's script library: what is said, its versions, and how a program writes and publishes one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.ledger.store import audit
from scrm.playbook.checks import service as checks
from scrm.playbook.library import service
from scrm.playbook.library.service import Standing, Wanted
from scrm.playbook.library.values import Editor, Reader, Version, content_of
from scrm.playbook.scripts import Script
from scrm.staff.rules import Policy
from scrm.web.api.endpoint import PAGED, Act, Endpoint, Query, body_of, limit_of
from scrm.web.api.resources import Page
from scrm.web.house import actor, house


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptItem:
    """What is said now; `content` as a file of scripts_library writes it."""

    code: str
    version: int
    title: str
    stage: str
    role: str
    delivery: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptVersion:
    version: int
    #: draft | review | live | refused | retired
    state: str
    #: file | page | import | api
    source: str
    note: str
    created_at: datetime
    starts_at: datetime | None
    expires_at: datetime | None
    content: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptDetail:
    """One script with its versions, the newest first."""

    code: str
    trade: str
    #: company | team | personal
    folder: str
    #: What customers get now; null = nothing.
    current: int | None
    #: The version of the folder; null = it is not there.
    file: int | None
    #: The folder is newer than what was written here.
    behind: bool
    versions: list[ScriptVersion]
    file_content: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDraft:
    """`content` as a file of scripts_library writes it, without id and version."""

    code: str
    content: dict[str, Any]
    trade: str = ""
    note: str = ""
    starts_at: datetime | None = None
    expires_at: datetime | None = None
    #: Hand it in at once: to review, or to customers where nobody reviews.
    submit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    code: str
    version: int


def _editor(request: web.Request) -> Editor:
    who = actor(request)
    return Editor(role=who.role, staff_id=who.staff_id, team_id=who.team_id)


async def list_scripts(request: web.Request) -> Page[ScriptItem]:
    """In force for the asker, by code; of a search the best first, on one page."""
    found, who, limit = house(request), actor(request), limit_of(request)
    async with found.db.read(who.tenant_id) as conn:
        library = await service.load(conn, found.library, now=utcnow())
    reader = Reader(staff_id=who.staff_id, team_id=who.team_id)
    if q := request.query.get("q", ""):
        sought = library.find(q, reader=reader, hints=True, limit=limit)
        return Page(items=[_item(s) for s in sought], next_cursor=None)
    after = request.query.get("cursor", "")
    left = [s for s in library.seen_by(reader) if s.id > after]
    cursor = left[limit - 1].id if len(left) > limit else None
    return Page(items=[_item(s) for s in left[:limit]], next_cursor=cursor)


def _item(one: Script) -> ScriptItem:
    return ScriptItem(
        code=one.id,
        version=one.version,
        title=one.title,
        stage=one.stage,
        role=one.role,
        delivery=one.delivery,
        text=one.text,
    )


async def get_script(request: web.Request) -> ScriptDetail:
    found, now = house(request), utcnow()
    async with found.db.read(actor(request).tenant_id) as conn:
        code = request.match_info["script"]
        return _detail(await service.standing(conn, found.library, code, _editor(request), now=now))


def _detail(one: Standing) -> ScriptDetail:
    return ScriptDetail(
        code=one.placed.code,
        trade=one.placed.trade,
        folder=one.placed.folder,
        current=one.current.version if one.current else None,
        file=one.file.version if one.file else None,
        behind=one.behind,
        versions=[_version(v) for v in one.versions],
        file_content=content_of(one.file) if one.file else None,
    )


def _version(one: Version) -> ScriptVersion:
    return ScriptVersion(
        version=one.version,
        state=one.state,
        source=one.source,
        note=one.note,
        created_at=one.created_at,
        starts_at=one.starts_at,
        expires_at=one.expires_at,
        content=dict(one.content),
    )


async def draft_script(request: web.Request) -> Act:
    body, found, who, now = await body_of(request, NewDraft), house(request), _editor(request), utcnow()

    async def act(conn: Conn) -> ScriptVersion:
        wanted = Wanted(
            code=body.code,
            content=body.content,
            trade=body.trade,
            note=body.note,
            source="api",
            starts_at=body.starts_at,
            expires_at=body.expires_at,
        )
        made = await service.draft(conn, found.library, wanted, who, now=now)
        if body.submit:
            scan = (await checks.book(conn, found.settings.library)).scanner.scan
            review = found.settings.review_scripts
            made = await service.submit(conn, made.code, made.version, who, scan=scan, review=review, now=now)
        return _version(await _noted(conn, request, made))

    return act


async def publish_script(request: web.Request) -> Act:
    body, found, who, now = await body_of(request, Publish), house(request), _editor(request), utcnow()

    async def act(conn: Conn) -> ScriptVersion:
        scan = (await checks.book(conn, found.settings.library)).scanner.scan
        review = found.settings.review_scripts
        made = await service.publish(conn, body.code, body.version, who, scan=scan, review=review, now=now)
        return _version(await _noted(conn, request, made))

    return act


async def _noted(conn: Conn, request: web.Request, made: Version) -> Version:
    subject = f"script:{made.code}@{made.version}"
    await audit(conn, actor(request).label, f"script.{made.state}", now=utcnow(), subject=subject)
    return made


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="GET",
        path="/scripts",
        summary="What is said now, by code",
        policy=Policy.API_DATA,
        answer=Page[ScriptItem],
        handler=list_scripts,
        queries=(Query(name="q", about="Words, pinyin, initials or a code; the best first"), *PAGED),
    ),
    Endpoint(
        method="GET",
        path="/scripts/{script}",
        summary="One script with its versions",
        policy=Policy.API_DATA,
        answer=ScriptDetail,
        handler=get_script,
    ),
    Endpoint(
        method="POST",
        path="/scripts",
        summary="Draft the next version of a script, or a new one",
        policy=Policy.API_ADMIN,
        answer=ScriptVersion,
        handler=draft_script,
        body=NewDraft,
        status=201,
    ),
    Endpoint(
        method="POST",
        path="/scripts/publish",
        summary="Let a reviewed version go out to customers; its author may not",
        policy=Policy.API_ADMIN,
        answer=ScriptVersion,
        handler=publish_script,
        body=Publish,
    ),
)
