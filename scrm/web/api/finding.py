"""The API's search: what was said, in scope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from scrm.db import Conn
from scrm.errors import BadInput, NotFound
from scrm.identity import store as identity
from scrm.staff.rules import Policy, scope, sees_recalled
from scrm.timeline import finding
from scrm.timeline.seeing import sees_family
from scrm.timeline.store import events, search
from scrm.web.api.endpoint import PAGED, Endpoint, Query, audited, limit_of
from scrm.web.api.resources import Event, Page
from scrm.web.api.show import Shower
from scrm.web.house import actor, house


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    text: str
    #: It is what was asked for.
    hit: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`id` is the event's."""

    id: str
    person_id: str | None
    account: str
    channel: str
    kind: str
    at: datetime
    recalled_at: datetime | None
    #: The words around the hit, in stretches.
    words: list[Stretch]


async def find(request: web.Request) -> Page[Found]:
    found, who, limit = house(request), actor(request), limit_of(request)
    q = request.query.get("q", "")
    if not finding.asked(q):
        raise BadInput("请在 q 里写下要找的字词。")
    await audited(request, "api.search")
    async with found.db.read(who.tenant_id) as conn:
        spans = None
        if member := request.query.get("person_id"):
            spans = await identity.intervals(conn, await _person(conn, request, member))
        cursor = request.query.get("cursor", "")
        hits = await search.page(
            conn,
            q,
            scope=scope(who),
            spans=spans,
            recalled=sees_recalled(who),
            before=conn.vault.private("hit", cursor) if cursor else None,
            limit=limit + 1,
        )
        stored = {e.event_id: e for e in await events.by_ids(conn, [h.event_id for h in hits[:limit]])}
        shown = await Shower(house=found, conn=conn, actor=who).events(
            [stored[h.event_id] for h in hits[:limit]]
        )
        said = await search.transcripts(conn, list(stored))
        more = conn.vault.public("hit", hits[limit - 1].search_id) if len(hits) > limit else None
        extra = [said.get(h.event_id, "") for h in hits[:limit]]
    return Page(items=[_found(e, s, q) for e, s in zip(shown, extra, strict=True)], next_cursor=more)


def _found(e: Event, said: str, q: str) -> Found:
    words = finding.around(finding.marked(finding.telling(e.text, said, q), q))
    return Found(
        id=e.id,
        person_id=e.person_id,
        account=e.account,
        channel=e.channel,
        kind=e.kind,
        at=e.at,
        recalled_at=e.recalled_at,
        words=[Stretch(text=text, hit=hit) for text, hit in words],
    )


async def _person(conn: Conn, request: web.Request, public: str) -> int:
    """Raises `NotFound` also for somebody the reader may not see."""
    ident = await identity.person_now(conn, conn.vault.private("person", public))
    if ident is None or not await sees_family(conn, scope(actor(request)), ident):
        raise NotFound("没有这个家庭，或者你不能查看。")
    return ident


_Q = Query(name="q", about="Words to look for; those in quotes must stand together", required=True)
_PERSON = Query(name="person_id", about="Only what was said with this person")

ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="GET",
        path="/search",
        summary="What was said, newest first: messages, transcripts, file names, calls and orders",
        policy=Policy.API_DATA,
        answer=Page[Found],
        handler=find,
        queries=(_Q, _PERSON, *PAGED),
    ),
)
