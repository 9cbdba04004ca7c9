"""`/admin/calendar`: holidays and worked weekends of this year and the next, over the shipped ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import cast, get_args

from aiohttp import web

from scrm.db import utcnow
from scrm.desk.calendar import rules, service
from scrm.desk.calendar.rules import DayKind
from scrm.desk.calendar.service import Listed
from scrm.errors import BadInput
from scrm.ledger.store import audit
from scrm.web.admin import views as v
from scrm.web.admin.cards import say
from scrm.web.house import actor, house
from scrm.web.pages import form_of, page, see_other


async def show(request: web.Request) -> web.Response:
    return await _shown(request)


async def _shown(request: web.Request, fault: str = "") -> web.Response:
    found, today = house(request), rules.day_of(utcnow())
    first, last = date(today.year, 1, 1), date(today.year + 1, 12, 31)
    async with found.db.read(actor(request).tenant_id) as conn:
        listed = await service.listed(conn, first, last)
    stretches = _stretches(listed)
    view = v.CalendarView(
        years=tuple(
            (year, tuple(s for s in stretches if s.first.year == year)) for year in (first.year, last.year)
        ),
        today=today,
        business_hours=found.manners.business_hours,
        quiet_hours=found.manners.quiet_hours,
        fault=fault,
        saved="saved" in request.query,
    )
    return page(request, "admin/calendar.html", status=400 if fault else 200, view=view)


async def save(request: web.Request) -> web.Response:
    """Make days workdays or holidays; `usual` = as shipped again."""
    found, who, form = house(request), actor(request), await form_of(request)
    try:
        first, last, kind = _wanted(form)
        async with found.db.begin(who.tenant_id) as conn:
            now = utcnow()
            await service.put(conn, first, last, kind, str(form.get("name", "")).strip(), now=now)
            await audit(conn, who.label, "calendar.changed", now=now, subject=f"day:{first}")
    except BadInput as wrong:
        text = wrong.sentence
        return await _shown(request, say(request, text) if "{" not in text else text)
    return see_other("/admin/calendar?saved=1")


def _wanted(form: dict[str, str | web.FileField]) -> tuple[date, date, DayKind | None]:
    kind = str(form.get("kind", ""))
    if kind not in (*get_args(DayKind), "usual"):
        raise BadInput("请选择放假还是上班。")
    first = _date(str(form.get("first", "")))
    last = _date(str(form["last"])) if form.get("last") else first
    return first, last, None if kind == "usual" else cast(DayKind, kind)


def _date(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise BadInput("请选择日期，如 2026-10-01。") from None
    if not 2000 <= found.year <= 2100:
        raise BadInput("请选择日期，如 2026-10-01。")
    return found


def _stretches(listed: Sequence[Listed]) -> list[v.Stretch]:
    """Neighbouring days that are alike, as one line; a new year begins a new one."""
    found: list[v.Stretch] = []
    for one in listed:
        day, before = one.day, found[-1] if found else None
        last = day.day
        alike = before is not None and (before.kind, before.name, before.ours) == (
            day.kind,
            day.name,
            one.ours,
        )
        if before is not None and alike and before.last + timedelta(days=1) == last != date(last.year, 1, 1):
            found.pop()
            first = before.first
        else:
            first = last
        found.append(v.Stretch(first=first, last=last, kind=day.kind, name=day.name, ours=one.ours))
    return found
