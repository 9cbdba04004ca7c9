"""`/admin/identity`: what each kind of identifier proves, tried before it is adopted, version by version."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from scrm import shapes
from scrm.db import Conn, utcnow
from scrm.errors import BadInput, NotFound
from scrm.identity import policies, reworking, versions
from scrm.identity.rules.policy import Policy
from scrm.identity.store import policies as kept
from scrm.ledger.store import audit
from scrm.settings import shipped
from scrm.staff import store as staff
from scrm.web.admin.cards import say
from scrm.web.house import actor, house
from scrm.web.knowing import trying, working
from scrm.web.knowing import views as v
from scrm.web.pages import form_of, page, see_other

#: Longer than any policy anybody could read.
LONGEST = 64 * 1024
_LISTED = 50
_WHERE = "identity.yaml"


async def show(request: web.Request) -> web.Response:
    return await _shown(request)


async def _shown(
    request: web.Request,
    *,
    body: str | None = None,
    note: str = "",
    fault: str = "",
    changes: tuple[str, ...] | None = None,
) -> web.Response:
    async with house(request).db.read(actor(request).tenant_id) as conn:
        policy = await versions.current(conn)
        history = await kept.history(conn, limit=_LISTED)
        run = await working.newest(conn, reworking.DRY_RUN)
        jobs = await working.newest(conn, reworking.RESOLVE)
        tried = body is None and bool(run) and "tried" in request.query
        view = v.PolicyView(
            version=policy.version,
            kinds=tuple(_row(k) for k in policy.kinds.values()),
            limits=trying.limits(request, policy),
            versions=await _versions(request, conn, history, policy.version),
            body=str(run[0].payload.get("text", "")) if tried else body or await _text(history),
            note=note,
            changes=changes,
            run=await trying.shown(request, conn, run[0]) if run else None,
            jobs=tuple(working.shown(request, j, conn) for j in jobs),
            fault=fault,
            saved="saved" in request.query,
            editing=body is not None or tried,
        )
    return page(request, "knowing/policy.html", status=400 if fault else 200, view=view)


def _row(kind: Any) -> v.KindRow:
    return v.KindRow(
        name=kind.name,
        title=kind.title or kind.name,
        strength=kind.strength,
        use="place" if kind.place else "merges" if kind.merge else "counted",
        exclusive=kind.exclusive,
        max_persons=kind.max_persons,
        max_names=kind.max_names,
        epoch_gap_days=kind.epoch_gap_days,
        blocked=len(kind.blocked),
    )


async def _text(history: Sequence[kept.Version]) -> str:
    """The policy in force as somebody would write it."""
    if history:
        return shapes.to_yaml(json.loads(history[0].body))
    return await asyncio.to_thread((shipped("config") / policies.FILE).read_text, "utf-8")


async def _versions(
    request: web.Request, conn: Conn, history: Sequence[kept.Version], current: int
) -> tuple[v.VersionRow, ...]:
    known = await staff.members(conn, [h.actor_id for h in history if h.actor_id])
    rows = [
        v.VersionRow(
            version=h.version,
            at=h.at,
            who=known[h.actor_id].name if h.actor_id in known else say(request, "命令行"),
            note=h.note,
            now=h.version == current,
        )
        for h in history
    ]
    first = _release()
    if len(history) < _LISTED and all(r.version != first.version for r in rows):
        rows.append(
            v.VersionRow(
                version=first.version,
                at=None,
                who=say(request, "内置"),
                note=say(request, "随版本发布"),
                now=first.version == current,
            )
        )
    return tuple(rows)


def _release() -> Policy:
    return policies.shipped(shipped("config"))


async def save(request: web.Request) -> web.Response:
    """`check` says what would be different, `try` works it out on the data, `adopt` makes it a version."""
    form = {k: str(text) for k, text in (await form_of(request)).items()}
    body, note, what = form.get("body", ""), form.get("note", "").strip()[:200], form.get("what", "")
    try:
        asked = _data(body)
        wanted = policies.parse(asked, where=_WHERE)
        data = _plain(asked)
        if what == "try":
            async with house(request).db.begin(actor(request).tenant_id) as conn:
                await working.begin(conn, request, reworking.DRY_RUN, {"policy": data, "text": body})
            return see_other("/admin/identity?tried=1")
        if what == "adopt":
            await _adopt(request, data, note, since=form.get("version", ""))
            return see_other("/admin/identity?saved=1")
    except BadInput as wrong:
        fault = wrong.sentence if "{" in wrong.sentence else say(request, wrong.sentence)
        return await _shown(request, body=body, note=note, fault=fault)
    async with house(request).db.read(actor(request).tenant_id) as conn:
        changes = trying.differences(request, await versions.current(conn), wanted)
    return await _shown(request, body=body, note=note, changes=changes)


def _data(body: str) -> dict[str, Any]:
    """Raises `BadInput` saying which line is wrong."""
    if len(body.encode()) > LONGEST:
        raise BadInput("内容太长，最多 64 KB。")
    data = shapes.yaml_of(body, where=_WHERE)
    if not isinstance(data, dict):
        raise BadInput("最外层应为一组“键: 值”，例如 version: 1。")
    return data


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """As a row of the database keeps it."""
    found: dict[str, Any] = json.loads(json.dumps(data, default=str))
    return found


async def _adopt(request: web.Request, data: Mapping[str, Any], note: str, *, since: str) -> None:
    """A new version in force; everything is judged anew. Raises `BadInput`."""
    who, now = actor(request), utcnow()
    if not note:
        raise BadInput("请写一句为什么改，以后查得到。")
    async with house(request).db.begin(who.tenant_id) as conn:
        await conn.lock("identity")
        if since != str((await versions.current(conn)).version):
            raise BadInput("别人刚刚也改了规则，请刷新后再改。")
        made = await versions.adopt(conn, data, by=who.staff_id, note=note, now=now)
        subject = f"identity_policy:{made.version}"
        await audit(conn, who.label, "identity.policy_adopted", now=now, subject=subject)
        await working.begin(conn, request, reworking.RESOLVE, {"version": made.version})


async def restore(request: web.Request) -> web.Response:
    """A former version's content as a new version."""
    form = {k: str(text) for k, text in (await form_of(request)).items()}
    wanted = request.match_info["version"]
    async with house(request).db.read(actor(request).tenant_id) as conn:
        history = await kept.history(conn, limit=1000)
    found = next((h for h in history if str(h.version) == wanted), None)
    if found is not None:
        data = json.loads(found.body)
    elif wanted == str(_release().version):
        data = _plain(await asyncio.to_thread(shapes.read_yaml, shipped("config") / policies.FILE))
    else:
        raise NotFound("没有这个版本。")
    try:
        note = house(request).renderer.say("zh_CN", "回到第 {n} 版", n=wanted)
        await _adopt(request, data, note, since=form.get("version", ""))
    except BadInput as wrong:
        return await _shown(request, fault=say(request, wrong.sentence))
    return see_other("/admin/identity?saved=1")
