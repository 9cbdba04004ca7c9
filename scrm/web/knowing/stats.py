"""`/admin/identity/stats`: how identifiers are shared, as last counted, and what drifted since."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from scrm.identity import reworking, stats, versions
from scrm.identity.rules.policy import Policy
from scrm.staff.rules import masked
from scrm.web.admin.cards import say
from scrm.web.admin.views import JobRow
from scrm.web.house import actor, house
from scrm.web.knowing import views as v
from scrm.web.knowing import working
from scrm.web.pages import page, see_other
from scrm.works import OPEN

_STANDINGS = {
    "implied": "多余但一致",
    "held": "冲突搁置",
    "overruled": "被人工决定否掉",
    "generic": "共用值，只作参考",
    "capped": "超过上限",
}


async def show(request: web.Request) -> web.Response:
    found, who = house(request), actor(request)
    async with found.db.read(who.tenant_id) as conn:
        report, policy = await stats.last(conn), await versions.current(conn)
        opened = await stats.opened(conn, report) if report else {}
        values = {
            n: say(request, "已清除") if o.value is None else masked(who, o.value.removeprefix("+86"))
            for n, o in opened.items()
        }
        jobs = [w for w in await working.newest(conn, reworking.COUNT) if w.state in OPEN or w.error]
        job = working.shown(request, jobs[0], conn) if jobs else None
    view = v.StatsView(at=None, job=job) if report is None else _view(request, report, policy, values, job)
    return page(request, "knowing/stats.html", view=view)


def _view(
    request: web.Request,
    report: stats.Report,
    policy: Policy,
    values: Mapping[int, str],
    job: JobRow | None,
) -> v.StatsView:
    return v.StatsView(
        at=report.at,
        persons=report.persons,
        biggest=report.biggest,
        kinds=tuple(_figures(k, policy, values) for k in report.kinds),
        sizes=_bars(report.sizes),
        homes=_bars(report.households),
        standings=(
            *((say(request, _STANDINGS.get(s, s)), n) for s, n in report.standings.items()),
            (say(request, "已撤回"), report.retracted),
        ),
        alarms=report.alarms,
        job=job,
    )


def _figures(one: stats.KindStats, policy: Policy, values: Mapping[int, str]) -> v.KindFigures:
    return v.KindFigures(
        title=policy.kind(one.kind).title or one.kind,
        values=one.values,
        persons=one.persons,
        per_person=f"{one.per_person:.2f}",
        most=one.most_per_person,
        shared=one.shared,
        generic=one.generic,
        blocked=one.blocked,
        top=tuple(
            v.SharedRow(value=values.get(s.node_id, ""), persons=s.persons, generic=s.state == "generic")
            for s in one.top
        ),
    )


def _bars(counts: Mapping[str, int]) -> tuple[v.Bar, ...]:
    most = max(counts.values(), default=1)
    ordered = sorted(counts.items(), key=lambda pair: int(pair[0]))
    return tuple(v.Bar(size=size, n=n, length=max(4, 1000 * n // most)) for size, n in ordered)


async def count(request: web.Request) -> web.Response:
    """Count again, as a work; one at a time."""
    found, who = house(request), actor(request)
    async with found.db.begin(who.tenant_id) as conn:
        running = await working.newest(conn, reworking.COUNT)
        if not running or running[0].state not in OPEN:
            await working.begin(conn, request, reworking.COUNT, {})
    return see_other("/admin/identity/stats")
