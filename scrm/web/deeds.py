"""`/admin/connectors/{account}/deeds`: ask the vendor for something, and see what came of what was asked."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime

from aiohttp import web

from scrm import facts
from scrm.contract import Deed, Field
from scrm.db import Conn, utcnow
from scrm.deeds import rules, service, store
from scrm.deeds.store import Asked
from scrm.errors import BadInput, Conflict
from scrm.push import many
from scrm.staff.rules import Policy
from scrm.web.admin.cards import plugged_of, say
from scrm.web.house import actor, house
from scrm.web.pages import form_of, page, see_other
from scrm.web.routes import Route
from scrm.web.views import Tone

_PAGE, _SHOWN = 20, 100
#: How a connector names what it counts a contact way's customers under.
_WAY = "contact_way:"
_STATES: dict[str, tuple[str, Tone]] = {
    rules.ASKED: ("等待执行", "brand"),
    rules.CALLING: ("正在执行", "brand"),
    rules.WAITING: ("等待结果", "warn"),
    rules.DONE: ("已完成", "ok"),
    rules.FAILED: ("失败", "bad"),
    rules.UNKNOWN: ("结果不明", "bad"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    name: str
    title: str
    kind: str
    required: bool
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    kind: str
    title: str
    inputs: tuple[Input, ...]
    #: Fresh idempotency key.
    key: str
    open: bool = False
    #: Customers would be told something: who is left out can be looked at first.
    reaches: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What would become of a list of customers, decided as sending decides it."""

    goes: int
    out: int
    #: The first of those who are left out, and why.
    left_out: tuple[tuple[str, str], ...]
    strangers: int
    #: Why not now, "" = now.
    waits: str = ""
    #: There is a list at all.
    listed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    title: str
    state: str
    tone: Tone
    at: datetime
    error: str
    #: A page of the vendor's: a QR code to open.
    link: str
    told: tuple[tuple[str, str], ...]
    #: Who was not told, and why; how many in all; whom nobody could ask for.
    left_out: tuple[tuple[str, str], ...] = ()
    out: int = 0
    unchecked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    name: str
    customers: int
    last_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    slug: str
    name: str
    forms: tuple[Form, ...]
    rows: tuple[Row, ...] = ()
    ways: tuple[Way, ...] = ()
    before: str = ""
    problem: str = ""
    asked: bool = field(default=False)
    #: Of the form that is open.
    foreseen: Foreseen | None = None


async def show(request: web.Request) -> web.Response:
    return await _shown(request)


async def _shown(
    request: web.Request,
    *,
    kind: str = "",
    given: dict[str, str] | None = None,
    problem: str = "",
    foreseen: Foreseen | None = None,
    status: int = 200,
) -> web.Response:
    plugged = plugged_of(request)
    ident, deeds = plugged.account.account_id, service.deeds_of(plugged)
    async with house(request).db.read(actor(request).tenant_id) as conn:
        cursor = request.query.get("before", "")
        before = conn.vault.private("deed", cursor) if cursor else None
        found = await store.page(conn, [ident], before=before, limit=_PAGE + 1)
        ways = await _ways(conn, ident)
        older = conn.vault.public("deed", found[_PAGE - 1].deed_id) if len(found) > _PAGE else ""
    view = View(
        slug=plugged.account.slug,
        name=plugged.account.name or plugged.account.slug,
        forms=tuple(_form(request, d, given or {} if d.kind == kind else {}, kind) for d in deeds),
        rows=tuple(_row(request, deeds, one) for one in found[:_PAGE]),
        ways=ways,
        before=older,
        problem=say(request, problem) if problem else "",
        asked="asked" in request.query,
        foreseen=foreseen,
    )
    return page(request, "admin/deeds.html", status=status, view=view)


def _form(request: web.Request, deed: Deed, given: dict[str, str], chosen: str) -> Form:
    inputs = tuple(_input(request, one, given.get(one.name, "")) for one in deed.fields)
    title = say(request, deed.title)
    return Form(
        kind=deed.kind,
        title=title,
        inputs=inputs,
        key=secrets.token_hex(12),
        open=deed.kind == chosen,
        reaches=deed.reaches is not None,
    )


def _input(request: web.Request, one: Field, value: str) -> Input:
    title = say(request, one.title)
    return Input(name=one.name, title=title, kind=one.kind, required=one.required, value=value)


def _row(request: web.Request, deeds: tuple[Deed, ...], one: Asked) -> Row:
    title = next((d.title for d in deeds if d.kind == one.kind), one.kind)
    state, tone = _STATES.get(one.state, (one.state, ""))
    link = str(one.result.get("qr_code") or "")
    out = one.result.get(rules.LEFT_OUT) or {}
    apart = (rules.LEFT_OUT, rules.UNCHECKED)
    return Row(
        title=say(request, title),
        state=say(request, state),
        tone=tone,
        at=one.updated_at,
        error=say(request, one.error) if one.error else "",
        link=link if link.startswith("https://") else "",
        told=tuple(rules.told({k: v for k, v in one.result.items() if k not in apart})),
        left_out=tuple(out.items())[:_SHOWN],
        out=len(out),
        unchecked=say(request, str(one.result.get(rules.UNCHECKED) or "")),
    )


async def _ways(conn: Conn, account_id: int) -> tuple[Way, ...]:
    """Every contact way we know of, and those that brought customers before we knew them."""
    brought = {b.name: b for b in await store.brought(conn, account_id, _WAY)}
    known = await facts.page(conn, account_id, "contact_way", limit=200)
    names = dict.fromkeys([*brought, *(str(w.body.get("state") or "") for w in known)])
    return tuple(
        Way(
            name=name,
            customers=brought[name].customers if name in brought else 0,
            last_at=brought[name].last_at if name in brought else None,
        )
        for name in names
        if name
    )


async def ask(request: web.Request) -> web.Response:
    found, who, plugged = house(request), actor(request), plugged_of(request)
    form = {k: str(v) for k, v in (await form_of(request)).items()}
    kind = form.get("deed", "")
    try:
        deed = rules.deed_of(service.deeds_of(plugged), kind)
        if "look" in form and deed.reaches is not None:
            return await _shown(request, kind=kind, given=form, foreseen=await _foresee(request, deed, form))
        async with found.db.begin(who.tenant_id) as conn:
            await service.ask(
                conn,
                plugged,
                kind,
                rules.of_form(deed, form),
                key=form.get("key", ""),
                by=who.label,
                staff_id=who.staff_id,
                now=utcnow(),
            )
            conn.after_commit(found.wake_due)
    except (BadInput, Conflict) as wrong:
        return await _shown(request, kind=kind, given=form, problem=wrong.sentence, status=wrong.status)
    return see_other(f"/admin/connectors/{plugged.account.slug}/deeds?asked=1")


async def _foresee(request: web.Request, deed: Deed, form: dict[str, str]) -> Foreseen | None:
    """Nothing is asked of anybody. Raises `BadInput` as asking would."""
    reaches, found, plugged = deed.reaches, house(request), plugged_of(request)
    if reaches is None:
        return None
    items = rules.checked(deed, rules.of_form(deed, form)).get(reaches.field) or []
    async with found.db.read(actor(request).tenant_id) as conn:
        now = await conn.now()
        when, made = await many.foresee(conn, plugged, reaches, items, manners=found.manners, now=now)
    return Foreseen(
        goes=len(made.goes),
        out=len(made.left_out),
        left_out=tuple(made.left_out.items())[:_SHOWN],
        strangers=made.strangers,
        waits=many.reason(when),
        listed=bool(items),
    )


_PATH = "/admin/connectors/{account}/deeds"
ROUTES = (
    Route(method="GET", path=_PATH, handler=show, policy=Policy.ADMIN),
    Route(method="POST", path=_PATH, handler=ask, policy=Policy.ADMIN),
)
