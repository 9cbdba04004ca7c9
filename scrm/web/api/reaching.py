"""The API's way out: what would become of a push, who wants to hear from us, when we work."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from aiohttp import web

from scrm.contract import Card
from scrm.db import Conn, utcnow
from scrm.desk.calendar import rules as calendar_rules
from scrm.desk.calendar import service as calendars
from scrm.errors import BadInput, NotFound
from scrm.identity import store as identity
from scrm.ledger.consent import store as consents
from scrm.ledger.consent.rules import Entry
from scrm.ledger.store import audit
from scrm.live import Change
from scrm.push import heeding
from scrm.push import service as push
from scrm.staff.rules import Policy, scope
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations
from scrm.web.api import resources as r
from scrm.web.api.endpoint import PAGED, Act, Endpoint, Query, audited, before_of, body_of, limit_of
from scrm.web.house import actor, house

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


# -- what would become of it -------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSaid:
    """`weight`: fine, advice, wait or refuse."""

    rule: str
    weight: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceOut:
    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The same decision that sending makes."""

    #: We would hand it to the channel, now or at `wait_until`.
    sends: bool
    #: The rule that refused, and why; empty when none did.
    code: str
    why: str
    #: api | jssdk | copy
    way: str
    conversation_id: str | None
    channel: str
    title: str
    pieces: list[PieceOut]
    #: Pushes the platform still allows, null = it does not count; and until when.
    left: int | None
    until: datetime | None
    wait_until: datetime | None
    better_at: datetime | None
    rules: list[RuleSaid]
    sentence: str


async def preview(request: web.Request) -> Act:
    found, wanted = house(request), await body_of(request, r.PushIn)

    async def act(conn: Conn) -> Decision:
        talks, _ = await addressed(request, conn, wanted.conversation_id, wanted.person_id)
        ask = push.ask_of(word_of(wanted, key="preview", staff_id=None))
        made = await push.decide(conn, found.directory.by_id, talks, ask, manners=found.manners, now=utcnow())
        return shown(conn, made)

    return act


def shown(conn: Conn, made: push.Decision) -> Decision:
    ident = made.conversation_id
    return Decision(
        sends=made.sends,
        code=made.code,
        why=made.why,
        way=made.way,
        conversation_id=None if ident is None else conn.vault.public("conversation", ident),
        channel=made.channel,
        title=made.title,
        pieces=[PieceOut(kind=p.kind, text=p.text) for p in made.pieces],
        left=made.left,
        until=made.until,
        wait_until=made.wait_until,
        better_at=made.better_at,
        rules=[RuleSaid(rule=s.rule, weight=s.weight, sentence=s.sentence) for s in made.spoken],
        sentence=made.sentence,
    )


def word_of(wanted: r.PushIn, *, key: str, staff_id: int | None) -> push.Word:
    """What the body asks to be said. Raises `BadInput` for nothing at all."""
    if not wanted.text.strip() and wanted.card is None:
        raise BadInput("请先输入要发送的内容。")
    card = None
    if wanted.card is not None:
        c = wanted.card
        card = Card(
            title=c.title,
            description=c.description,
            url=c.url,
            app_id=c.app_id,
            page=c.page,
            template_id=c.template_id,
            values=c.values,
        )
    return push.Word(
        key=key,
        text=wanted.text,
        card=card,
        form=wanted.form if card else "",
        staff_id=staff_id,
        seen=wanted.seen or "",
        purpose=wanted.purpose,
        at=wanted.at,
    )


async def addressed(
    request: web.Request, conn: Conn, conversation: str, person: str
) -> tuple[list[Talk], int | None]:
    """The conversation that is named, or those of the person who is. Raises `NotFound` or `BadInput`."""
    mine = scope(actor(request))
    if bool(conversation) == bool(person):
        raise BadInput("请给出 conversation_id 或 person_id 中的一个。")
    if conversation:
        talk = await conversations.get(conn, conn.vault.private("conversation", conversation), mine)
        if talk is None:
            raise NotFound("没有这个会话。")
        return [talk], None
    ident = await identity.person_now(conn, conn.vault.private("person", person))
    talks = await push.talks_of(conn, house(request).directory, ident, mine) if ident else []
    if ident is None or not talks:
        raise NotFound("没有这个人，或者你不能查看。")
    return talks, ident


# -- who wants to hear from us -----------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """One entry; of all that speak of a purpose and channel the newest holds. Entries are never changed."""

    id: str
    node_id: str
    #: marketing | sop | service | all
    purpose: str
    #: "" = on every channel
    channel: str
    state: Literal["granted", "withdrawn"]
    #: customer | staff | api | vendor
    source: str
    reason: str
    event_id: str | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentIn:
    conversation_id: str = ""
    person_id: str = ""
    purpose: Literal["marketing", "sop", "service", "all"] = "marketing"
    channel: str = ""
    state: Literal["granted", "withdrawn"]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    #: How many addresses of the customer it was written down for.
    entries: int


async def list_consents(request: web.Request) -> r.Page[Consent]:
    """Of customers the asker may see; a page may be shorter than asked for and still not the last."""
    found, who, limit = house(request), actor(request), limit_of(request)
    await audited(request, "api.consents.read")
    async with found.db.read(who.tenant_id) as conn:
        nodes = None
        if person := request.query.get("person_id", ""):
            talks, ident = await addressed(request, conn, "", person)
            nodes = list(await identity.nodes_of(conn, [ident])) if ident else [t.node_id for t in talks]
        before = before_of(conn, request, "consent")
        page = await consents.page(conn, node_ids=nodes, before=before, limit=limit + 1)
        mine = page[:limit]
        if not scope(who).everything:
            visible = await conversations.visible_nodes(conn, scope(who), {e.node_id for e in mine})
            mine = [e for e in mine if e.node_id in visible]
        cursor = conn.vault.public("consent", page[limit - 1].entry_id) if len(page) > limit else None
        return r.Page(items=[_consent(conn, e) for e in mine], next_cursor=cursor)


def _consent(conn: Conn, e: Entry) -> Consent:
    return Consent(
        id=conn.vault.public("consent", e.entry_id),
        node_id=conn.vault.public("node", e.node_id),
        purpose=e.purpose,
        channel=e.channel,
        state=e.state,
        source=e.source,
        reason=e.reason,
        event_id=None if e.event_id is None else conn.vault.public("event", e.event_id),
        at=e.at,
    )


async def create_consent(request: web.Request) -> Act:
    found, who, wanted = house(request), actor(request), await body_of(request, ConsentIn)
    if len(wanted.reason) > 200 or len(wanted.channel) > 40:
        raise BadInput("reason 最多 200 个字，channel 最多 40 个字符。")

    async def act(conn: Conn) -> Noted:
        talks, person = await addressed(request, conn, wanted.conversation_id, wanted.person_id)
        order = heeding.Order(
            key=f"api:{who.label}:{request.headers.get('Idempotency-Key') or secrets.token_hex(12)}",
            state=wanted.state,
            purpose=wanted.purpose,
            channel=wanted.channel,
            source="staff" if who.staff_id else "api",
            reason=wanted.reason,
            staff_id=who.staff_id,
        )
        now, places = utcnow(), {t.node_id: t.account_id for t in talks}
        for node_id, account_id in sorted(places.items()):
            await heeding.note(conn, account_id, node_id, order, now=now)
        subject = f"person:{person}" if person else f"conversation:{talks[0].conversation_id}"
        await audit(conn, who.label, f"consent.{wanted.state}", now=now, subject=subject)
        changes = [Change(topic=f"node:{n}", ident=n, version=1) for n in places]
        conn.after_commit(lambda: found.live.publish(conn.tenant_id, changes))
        return Noted(entries=len(places))

    return act


# -- when we work ------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class DayOut:
    day: date
    kind: Literal["workday", "holiday"]
    name: str
    #: False = shipped with scrm.
    ours: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DaysIn:
    #: Both ends included; `last` null = one day.
    first: date
    last: date | None = None
    #: `usual` = as shipped again.
    kind: Literal["workday", "holiday", "usual"]
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Every day of a year from `first` on that is not what its weekday says."""

    quiet_hours: str
    business_hours: str
    days: list[DayOut]


async def get_calendar(request: web.Request) -> Days:
    found = house(request)
    asked = request.query.get("first", "")
    if asked and not _DATE.fullmatch(asked):
        raise BadInput("first 应为日期，如 2026-01-01。")
    try:
        first = date.fromisoformat(asked) if asked else calendar_rules.day_of(utcnow())
        last = first + timedelta(days=366)
    except (ValueError, OverflowError):
        raise BadInput("first 应为日期，如 2026-01-01。") from None
    async with found.db.read(actor(request).tenant_id) as conn:
        listed = await calendars.listed(conn, first, last)
    return Days(
        quiet_hours=found.manners.quiet_hours,
        business_hours=found.manners.business_hours,
        days=[DayOut(day=d.day.day, kind=d.day.kind, name=d.day.name, ours=d.ours) for d in listed],
    )


async def set_days(request: web.Request) -> Act:
    who, wanted = actor(request), await body_of(request, DaysIn)

    async def act(conn: Conn) -> DaysIn:
        last, kind = wanted.last or wanted.first, None if wanted.kind == "usual" else wanted.kind
        await calendars.put(conn, wanted.first, last, kind, wanted.name, now=utcnow())
        await audit(conn, who.label, "calendar.changed", now=utcnow(), subject=f"day:{wanted.first}")
        return wanted

    return act


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="POST",
        path="/pushes/preview",
        summary="What would become of a push: the channel, the time, the parts, and every rule's word",
        policy=Policy.API_TALK,
        answer=Decision,
        handler=preview,
        body=r.PushIn,
    ),
    Endpoint(
        method="GET",
        path="/consents",
        summary="What customers agreed to and asked us to stop, newest first",
        policy=Policy.API_DATA,
        answer=r.Page[Consent],
        handler=list_consents,
        queries=(Query(name="person_id", about="Only of this person"), *PAGED),
    ),
    Endpoint(
        method="POST",
        path="/consents",
        summary="Write down that a customer agreed, or asked us to stop",
        policy=Policy.API_TALK,
        answer=Noted,
        handler=create_consent,
        body=ConsentIn,
        status=201,
    ),
    Endpoint(
        method="GET",
        path="/calendar",
        summary="Holidays and working weekends of a year",
        policy=Policy.API_ADMIN,
        answer=Days,
        handler=get_calendar,
        queries=(Query(name="first", about="From this date on; today when not given"),),
    ),
    Endpoint(
        method="POST",
        path="/calendar",
        summary="Make days workdays or holidays",
        policy=Policy.API_ADMIN,
        answer=DaysIn,
        handler=set_days,
        body=DaysIn,
        status=201,
    ),
)
