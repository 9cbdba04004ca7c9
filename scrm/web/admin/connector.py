"""One account: settings (secrets go in, never out), self-test, pause and drain, full counts; and new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import cast

from aiohttp import web

from scrm import works
from scrm.accounts import probing
from scrm.accounts import service as accounts
from scrm.accounts.service import Plugged
from scrm.contract import Administers, Imports, Lists, Need, Severity
from scrm.db import utcnow
from scrm.errors import BadConfig, BadInput, Conflict
from scrm.ledger.store import audit
from scrm.web.admin import views as v
from scrm.web.admin.cards import card, health_of, plugged_of, say
from scrm.web.admin.jobs import row
from scrm.web.house import actor, house
from scrm.web.pages import form_of, page, see_other
from scrm.web.views import Icon, Tone

#: Set-up fields carry this, so that none meets one of ours.
_OWN = "own."
_TONES: Mapping[Severity, Tone] = {Severity.OK: "ok", Severity.WARN: "warn", Severity.ERROR: "bad"}
_JOBS = 3
_LONGEST = 4096


async def show(request: web.Request) -> web.Response:
    return await _shown(request, saved="saved" in request.query)


async def _shown(
    request: web.Request,
    *,
    findings: Sequence[v.Line] | None = None,
    form: v.FormView | None = None,
    saved: bool = False,
) -> web.Response:
    found, plugged = house(request), plugged_of(request)
    ident = plugged.account.account_id
    async with found.db.read(actor(request).tenant_id) as conn:
        health = await health_of(request, conn, plugged)
        done = await works.page(conn, account_id=ident, limit=_JOBS)
        rows = tuple(row(request, w, conn.vault, found.directory) for w in done)
    stocks = plugged.plug.STOCKS if isinstance(plugged.plug, Lists) else ()
    view = v.ConnectorView(
        card=card(request, health),
        form=form or _form_of(request, plugged),
        findings=None if findings is None else tuple(findings),
        deeds=isinstance(plugged.plug, Administers),
        lists=isinstance(plugged.plug, Imports),
        stocks=tuple((s.stream, say(request, s.title)) for s in stocks),
        jobs=rows,
        synced=any(w.kind == "sync" for w in done),
        from_file=any(a.get("slug") == plugged.account.slug for a in found.settings.accounts),
        saved=saved,
    )
    status = 400 if form is not None and form.faults else 200
    return page(request, "admin/connector.html", status=status, one=view)


async def save(request: web.Request) -> web.Response:
    """New settings; a secret left empty stays as it is."""
    found, who, plugged, now = house(request), actor(request), plugged_of(request), utcnow()
    fields = await form_of(request)
    given = _given(fields)
    name, age = _text(fields, "name") or plugged.account.slug, _text(fields, "max_age_s")
    try:
        max_age_s = _age(age)
        async with found.db.begin(who.tenant_id) as conn:
            await accounts.change(conn, plugged, given, name=name, max_age_s=max_age_s, now=now)
            changed = sorted(k for k, value in given.items() if value and value != plugged.account.get(k))
            subject = f"account:{plugged.account.account_id}"
            await audit(conn, who.label, "account.changed", now=now, subject=subject, fields=changed)
    except (BadConfig, BadInput) as wrong:
        form = _form_of(request, plugged, given)
        return await _shown(request, form=replace(form, name=name, faults=_faults(request, wrong)))
    await _reload(request)
    return see_other(f"/admin/connectors/{plugged.account.slug}?saved=1")


async def order(request: web.Request) -> web.Response:
    """Pause, drain or resume; other processes follow within seconds."""
    found, who, plugged, now = house(request), actor(request), plugged_of(request), utcnow()
    what = _text(await form_of(request), "what")
    if what not in accounts.ORDERS:
        raise BadInput("没有这种操作。")
    async with found.db.begin(who.tenant_id) as conn:
        await accounts.order(conn, plugged, what)
        subject = f"account:{plugged.account.account_id}"
        await audit(conn, who.label, f"account.{what}", now=now, subject=subject)
    await _reload(request)
    if what == "resume":
        found.inbox.stored()
        found.wake_react()
        found.wake_send()
        found.wake_due()
    return see_other(f"/admin/connectors/{plugged.account.slug}")


async def test(request: web.Request) -> web.Response:
    """The set-up self-test, as sentences."""
    found, who, plugged = house(request), actor(request), plugged_of(request)
    async with found.db.read(who.tenant_id) as conn:
        health = await health_of(request, conn, plugged)
    ctx = found.context(plugged, utcnow())
    said = await probing.findings(plugged, ctx, health, found.settings.url)
    lines = [v.Line(text=say(request, f.sentence), tone=_TONES[f.severity]) for f in said]
    return await _shown(request, findings=lines)


async def sync(request: web.Request) -> web.Response:
    """Ask the platform for everything it has: the first time to take over, later to find what is missing."""
    found, who, plugged, now = house(request), actor(request), plugged_of(request), utcnow()
    ident = plugged.account.account_id
    if not isinstance(plugged.plug, Lists) or not plugged.plug.STOCKS:
        raise BadInput("这个渠道没有可以主动拉取的内容。")
    known = [s.stream for s in plugged.plug.STOCKS]
    wanted = _text(await form_of(request), "stream")
    streams = [s for s in known if wanted in ("", s)]
    if not streams:
        raise BadInput("没有这种操作。")
    async with found.db.begin(who.tenant_id) as conn:
        await conn.lock(f"sync:{ident}")
        if await works.page(conn, account_id=ident, kinds=("sync",), states=("running", "paused"), limit=1):
            raise Conflict("这个账号已经在同步，请等它完成。")
        job = await works.start(
            conn, "sync", {"streams": streams}, account_id=ident, staff_id=who.staff_id, now=now
        )
        await audit(conn, who.label, "job.start", now=now, subject=f"job:{job}", fields=["sync"])
        conn.after_commit(found.wake_due)
    return see_other(f"/admin/connectors/{plugged.account.slug}#jobs")


# -- new ---------------------------------------------------------------------------------------------------
async def new(request: web.Request) -> web.Response:
    channel = request.query.get("channel", "")
    return page(request, "admin/new.html", view=_new(request, channel))


def _new(request: web.Request, channel: str, form: v.FormView | None = None) -> v.NewView:
    known = accounts.channels()
    if form is None and channel in known:
        form = _form(request, channel, known[channel])
    return v.NewView(channels=tuple(_channel(request, k, p) for k, p in sorted(known.items())), form=form)


async def add(request: web.Request) -> web.Response:
    found, who, now = house(request), actor(request), utcnow()
    fields = await form_of(request)
    channel, slug = _text(fields, "channel"), _text(fields, "slug")
    if channel not in accounts.channels():
        raise BadInput("请先选择渠道。")
    given = _given(fields)
    name = _text(fields, "name") or slug
    try:
        if slug in {p.account.slug for p in found.directory.all(who.tenant_id)}:
            raise BadInput("这个 slug 已经被另一个账号用了。")
        written = {k: value for k, value in given.items() if value} | {
            "slug": slug,
            "channel": channel,
            "name": name,
            "max_age_s": _age(_text(fields, "max_age_s")),
        }
        async with found.db.begin(who.tenant_id) as conn:
            ident = await accounts.add(conn, written, now=now)
            await audit(conn, who.label, "account.added", now=now, subject=f"account:{ident}")
    except (BadConfig, BadInput) as wrong:
        empty = _form(request, channel, accounts.channels()[channel], given)
        form = replace(empty, slug=slug, name=name, faults=_faults(request, wrong))
        return page(request, "admin/new.html", status=400, view=_new(request, channel, form))
    await _reload(request)
    return see_other(f"/admin/connectors/{slug}?saved=1")


# -- parts -------------------------------------------------------------------------------------------------
async def _reload(request: web.Request) -> None:
    """This process knows at once, the others at their next refresh."""
    found = house(request)
    async with found.db.read(actor(request).tenant_id) as conn:
        await found.directory.load(conn)


def _form_of(request: web.Request, plugged: Plugged, given: Mapping[str, str] | None = None) -> v.FormView:
    account = plugged.account
    form = _form(request, account.channel, plugged.plug, account.options if given is None else given)
    settings = tuple(replace(s, held=s.need.name in account.secrets) for s in form.settings)
    return replace(form, settings=settings, name=account.name, slug=account.slug, max_age_s=account.max_age_s)


def _form(
    request: web.Request, key: str, plug: ModuleType, values: Mapping[str, str] | None = None
) -> v.FormView:
    needs: tuple[Need, ...] = plug.NEEDS
    path, text = _readme(key)
    return v.FormView(
        channel=_channel(request, key, plug),
        settings=tuple(
            v.Setting(need=n, value="" if n.secret else (values or {}).get(n.name, n.default)) for n in needs
        ),
        readme=text,
        readme_path=path,
    )


def _channel(request: web.Request, key: str, plug: ModuleType) -> v.Channel:
    return v.Channel(key=key, title=say(request, str(plug.TITLE)), icon=cast(Icon, plug.ICON))


@lru_cache(maxsize=64)
def _readme(channel: str) -> tuple[str, str]:
    """Where the channel's set-up page lies, and what it says; "" where it was not installed."""
    path = Path(str(accounts.connector(channel).__file__)).parent / "README.md"
    return f"connectors/{channel}/README.md", path.read_text("utf-8") if path.is_file() else ""


def _text(fields: Mapping[str, object], name: str) -> str:
    return str(fields.get(name, "")).strip()[:_LONGEST]


def _given(fields: Mapping[str, object]) -> dict[str, str]:
    return {k.removeprefix(_OWN): _text(fields, k) for k in fields if k.startswith(_OWN)}


def _age(text: str) -> int:
    if not text:
        return 600
    if not (text.isascii() and text.isdecimal() and len(text) < 8):
        raise BadInput("回调最长有效期应为不小于 0 的整数秒。")
    return int(text)


def _faults(request: web.Request, wrong: BadConfig | BadInput) -> tuple[str, ...]:
    return tuple(say(request, line) if "{" not in line else line for line in wrong.sentence.split("\n"))
