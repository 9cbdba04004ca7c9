"""`/admin` and `/admin/connectors`: how everything is doing, read when somebody looks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import cast

from aiohttp import web

from scrm import inbox, outbox, works
from scrm.accounts.health import Health
from scrm.accounts.health import healths as all_healths
from scrm.accounts.service import Plugged
from scrm.db import Conn, utcnow
from scrm.errors import NotFound
from scrm.web.admin import views as v
from scrm.web.house import House, actor, house
from scrm.web.pages import locale, page
from scrm.web.render import ZONE
from scrm.web.views import Icon


def say(request: web.Request, text: str, **values: object) -> str:
    """A sentence of ours in the asker's language."""
    return house(request).renderer.say(locale(actor(request)), text, **values)


def plugged_of(request: web.Request) -> Plugged:
    """The account in the path. Raises `NotFound` also for another tenant's."""
    found = house(request).directory.by_slug(request.match_info["account"])
    if found.account.tenant_id != actor(request).tenant_id:
        raise NotFound("没有这个账号。")
    return found


def accounts_of(request: web.Request) -> list[Plugged]:
    return sorted(house(request).directory.all(actor(request).tenant_id), key=lambda p: p.account.slug)


async def home(request: web.Request) -> web.Response:
    found, now = house(request), utcnow()
    async with found.db.read(actor(request).tenant_id) as conn:
        known = await healths(request, conn, accounts_of(request), now=now)
        waiting, going = await inbox.counts(conn), await outbox.counts(conn)
        running = await works.page(conn, states=("running",), limit=100)
    cards = [card(request, one) for one in known]
    view = v.HomeView(
        tiles=(
            v.Tile(
                label=say(request, "账号"),
                value=str(len(known)),
                hint=say(request, "{n} 个需要看一眼", n=sum(c.level != "ok" for c in cards)),
                tone="ok" if all(c.level == "ok" for c in cards) else "warn",
                href="/admin/connectors",
            ),
            v.Tile(
                label=say(request, "等待处理"),
                value=str(waiting["new"] + waiting["settled"]),
                hint=_span(request, max(h.lag for h in known)) if waiting["new"] and known else "",
            ),
            v.Tile(
                label=say(request, "没能处理"),
                value=str(waiting["quarantined"]),
                tone="warn" if waiting["quarantined"] else "",
                href="/admin/dead",
            ),
            v.Tile(
                label=say(request, "没发出去"),
                value=str(going["dead"]),
                hint=say(request, "{n} 条结果不明", n=going["unknown"]),
                tone="warn" if going["unknown"] else "",
                href="/admin/unsent",
            ),
            v.Tile(label=say(request, "正在跑的任务"), value=str(len(running)), href="/admin/jobs"),
        ),
        troubles=tuple(
            v.Line(text=f"{c.name}：{t.text}", tone=t.tone, at=t.at, href=f"/admin/connectors/{c.slug}")
            for c in cards
            for t in c.troubles
        )
        + _front_end(request, found),
    )
    return page(request, "admin/home.html", home=view)


def _front_end(request: web.Request, found: House) -> tuple[v.Line, ...]:
    if not found.renderer.missing_assets:
        return ()
    return (v.Line(text=say(request, "前端资源没有构建：页面能用，但没有样式和自动更新。"), tone="warn"),)


async def connectors(request: web.Request) -> web.Response:
    async with house(request).db.read(actor(request).tenant_id) as conn:
        known = await healths(request, conn, accounts_of(request), now=utcnow())
    view = v.CardsView(cards=tuple(card(request, one) for one in known))
    return page(request, "admin/connectors.html", view=view)


async def healths(
    request: web.Request, conn: Conn, plugged: Sequence[Plugged], *, now: datetime
) -> list[Health]:
    """As the settings judge them."""
    behind = timedelta(hours=house(request).settings.lag_alarm_h)
    return await all_healths(conn, plugged, now=now, behind=behind)


async def health_of(request: web.Request, conn: Conn, plugged: Plugged) -> Health:
    return (await healths(request, conn, [plugged], now=utcnow()))[0]


def card(request: web.Request, one: Health) -> v.Card:
    account = one.plugged.account
    return v.Card(
        slug=account.slug,
        name=account.name or account.slug,
        channel=say(request, one.plugged.title),
        icon=cast(Icon, one.plugged.plug.ICON),
        state=one.plugged.state,
        level=one.level(),
        callback_url=f"{house(request).settings.url}/hooks/{account.slug}",
        last_at=one.last_at,
        lag=_span(request, one.lag) if one.waiting else "",
        waiting=one.waiting,
        rate=one.rate,
        errors=one.errors,
        quarantined=one.quarantined,
        unsent=one.unsent,
        unclear=one.unclear,
        streams=_streams(request, one),
        behind=_span(request, one.behind) if one.behind is not None else "",
        token_until=one.token_until,
        quotas=one.quotas,
        troubles=tuple(_troubles(request, one)),
        asked=one.gaps.asked,
        got=one.gaps.got,
        missing=one.gaps.missing,
        counted_at=one.gaps.counted_at,
        holes=one.gaps.holes,
    )


def _streams(request: web.Request, one: Health) -> tuple[v.Stream, ...]:
    behind = {lag.stream: _span(request, lag.behind) for lag in one.lags}
    return tuple(
        v.Stream(name=c.stream, moved_at=c.moved_at, behind=behind.get(c.stream, "")) for c in one.cursors
    )


def _late(request: web.Request, one: Health) -> list[v.Line]:
    """Streams the platform may forget before we have fetched them."""
    made = []
    for lag in one.late:
        hours = f"{lag.behind.total_seconds() / 3600:.1f}"
        text = say(
            request,
            "“{stream}”拉取落后 {hours} 小时，平台只保留几天，请尽快处理。",
            stream=lag.stream,
            hours=hours,
        )
        if lag.error:
            text += say(request, "最近一次失败的原因：{why}", why=say(request, lag.error))
        made.append(v.Line(text=text, tone="warn"))
    return made


def _held(request: web.Request, one: Health) -> list[v.Line]:
    return [
        v.Line(
            text=say(
                request,
                "{why} 这个账号的发送等到 {at} 再继续。",
                why=say(request, hold.sentence),
                at=f"{hold.until.astimezone(ZONE):%m-%d %H:%M}",
            ),
            tone="warn",
        )
        for hold in one.holds
    ]


def _troubles(request: web.Request, one: Health) -> Sequence[v.Line]:
    made = [v.Line(text=say(request, a.sentence), tone="bad", at=a.at) for a in one.alarms]
    made += [*_late(request, one), *_held(request, one)]
    for job in [j for j in one.failing if j.attempts > 1][:3]:
        why = say(request, job.error)
        made.append(
            v.Line(text=say(request, "试了 {n} 次还没成：{why}", n=job.attempts, why=why), tone="bad")
        )
    if one.refused_1h:
        made.append(
            v.Line(
                text=say(
                    request, "最近一小时拒绝了 {n} 次回调，请检查 Token、密钥和时间。", n=one.refused_1h
                ),
                tone="warn",
            )
        )
    if one.quarantined:
        made.append(
            v.Line(
                text=say(request, "{n} 条消息没能处理", n=one.quarantined), tone="warn", href="/admin/dead"
            )
        )
    if one.unclear:
        made.append(
            v.Line(
                text=say(request, "{n} 条不知道有没有送到", n=one.unclear),
                tone="warn",
                href="/admin/unsent?state=unknown",
            )
        )
    return made


def _span(request: web.Request, lag: timedelta) -> str:
    seconds = int(lag.total_seconds())
    if seconds < 60:
        return say(request, "最久 {n} 秒", n=seconds)
    if seconds < 3600:
        return say(request, "最久 {n} 分钟", n=seconds // 60)
    return say(request, "最久 {n} 小时", n=seconds // 3600)
