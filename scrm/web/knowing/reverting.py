"""`/admin/identity/revert`: evidence of a rule, an import, a colleague or a time taken back, or restored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime

from aiohttp import web

from scrm import works
from scrm.db import Conn, utcnow
from scrm.errors import BadInput, NotFound
from scrm.identity import reworking
from scrm.identity.decisions import Which
from scrm.identity.explain import catalogue
from scrm.identity.store import reverting as rows
from scrm.staff import store as staff
from scrm.web.admin.cards import say
from scrm.web.house import actor, house
from scrm.web.knowing import views as v
from scrm.web.knowing import working
from scrm.web.pages import form_of, page, see_other
from scrm.web.render import ZONE

PAGE = 20
#: Counted no further: more is "many".
_COUNTED = 100_000


async def show(request: web.Request) -> web.Response:
    return await _shown(request, {})


async def _shown(
    request: web.Request, said: Mapping[str, str], *, which: Which | None = None, fault: str = ""
) -> web.Response:
    async with house(request).db.read(actor(request).tenant_id) as conn:
        cursor = request.query.get("before", "")
        before = conn.vault.private("job", cursor) if cursor else None
        done = await works.page(conn, kinds=(reworking.REVERT,), before=before, limit=PAGE + 1)
        back = await works.page(conn, kinds=(reworking.REINSTATE,), limit=200)
        given = {int(w.payload["of"]) for w in back}
        view = v.RevertView(
            said=said,
            done=tuple(
                v.Reverted(
                    job=working.shown(request, w, conn),
                    what=_what(request, w.payload["which"]),
                    why=str(w.payload["why"]),
                    undo=w.job_id not in given and w.state not in works.OPEN and w.done > 0,
                )
                for w in done[:PAGE]
            ),
            rules=tuple((rule, _title(request, rule)) for rule in await rows.rules(conn)),
            fault=fault,
            before=conn.vault.public("job", done[PAGE - 1].job_id) if len(done) > PAGE else "",
        )
        if which is not None:
            counts = await rows.counted(conn, which, limit=_COUNTED)
            total = sum(counts.values())
            by_rule = tuple((_title(request, rule), n) for rule, n in counts.items())
            view = replace(view, count=total, many=total >= _COUNTED, by_rule=by_rule)
    return page(request, "knowing/revert.html", status=400 if fault else 200, view=view)


def _title(request: web.Request, rule: str) -> str:
    title = catalogue.told(rule, "").title
    return say(request, title) if title else rule


def _what(request: web.Request, which: Mapping[str, object]) -> str:
    """What was asked for, in words."""
    parts = []
    if which.get("rule"):
        parts.append(_title(request, str(which["rule"])))
    if which.get("batch"):
        parts.append(say(request, "批次 {batch}", batch=which["batch"]))
    if which.get("actor_id"):
        parts.append(say(request, "同事 {who}", who=which.get("login", which["actor_id"])))
    for name, text in (("since", "从 {at}"), ("until", "到 {at}")):
        if which.get(name):
            at = datetime.fromisoformat(str(which[name])).astimezone(ZONE)
            parts.append(say(request, text, at=f"{at:%Y-%m-%d %H:%M}"))
    return "，".join(parts)


async def order(request: web.Request) -> web.Response:
    """`count` says how much fits; `revert` takes it back, in pieces."""
    form = {k: str(text).strip() for k, text in (await form_of(request)).items()}
    try:
        async with house(request).db.begin(actor(request).tenant_id) as conn:
            which = await _which(conn, form)
            if form.get("what") == "revert":
                await _begin(conn, request, which, form)
                return see_other("/admin/identity/revert")
    except BadInput as wrong:
        return await _shown(request, form, fault=say(request, wrong.sentence))
    return await _shown(request, form, which=which)


async def _which(conn: Conn, form: Mapping[str, str]) -> Which:
    """Raises `BadInput`."""
    actor_id = None
    if form.get("login"):
        row = await staff.by_login(conn, form["login"])
        if row is None:
            raise BadInput("没有这个登录名的同事。")
        actor_id = int(row.staff_id)
    which = Which(
        rule=form.get("rule", "")[:100],
        batch=form.get("batch", "")[:100],
        actor_id=actor_id,
        since=_time(form.get("since", "")),
        until=_time(form.get("until", "")),
    )
    if which.says_nothing:
        raise BadInput("请至少选一样：规则、批次、操作人或时间。")
    return which


def _time(text: str) -> datetime | None:
    """A Shanghai wall time of a form; None when left empty. Raises `BadInput`."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=ZONE)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInput("时间看不懂，请重新选择。") from None


async def _begin(conn: Conn, request: web.Request, which: Which, form: Mapping[str, str]) -> None:
    why = form.get("why", "")[:150]
    if not why:
        raise BadInput("请写明为什么撤回。")
    counts = await rows.counted(conn, which, limit=_COUNTED)
    if not counts:
        raise BadInput("没有符合的依据，什么也没有撤回。")
    if form.get("count") != str(sum(counts.values())):
        raise BadInput("条数刚刚变了，请重新核对后再撤回。")
    # Only what stands now: what is said meanwhile for the same reason stays.
    bounded = replace(which, until=which.until or utcnow())
    said = {k: x.isoformat() if isinstance(x, datetime) else x for k, x in asdict(bounded).items()}
    payload = {"which": said, "why": why}
    await working.begin(conn, request, reworking.REVERT, payload, total=sum(counts.values()))


async def undo(request: web.Request) -> web.Response:
    """What one work took back stands again; once."""
    async with house(request).db.begin(actor(request).tenant_id) as conn:
        ident = conn.vault.private("job", request.match_info["job"])
        work = await works.get(conn, ident, lock=True)
        if work is None or work.kind != reworking.REVERT:
            raise NotFound("没有这个任务。")
        back = await works.page(conn, kinds=(reworking.REINSTATE,), limit=200)
        if work.state in works.OPEN or ident in {int(w.payload["of"]) for w in back}:
            raise BadInput("这次撤回还没有做完，或者已经恢复过了。")
        await working.begin(conn, request, reworking.REINSTATE, {"of": str(ident)}, total=work.done)
    return see_other("/admin/identity/revert")
