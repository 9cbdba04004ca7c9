"""What is done on a board: done, later, given to a colleague, added by hand."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import cast

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.desk import rules as desk_rules
from scrm.desk.tasks import rules, store
from scrm.desk.tasks import service as tasks
from scrm.desk.tasks.rules import Kind, Task
from scrm.desk.tasks.service import Wanted
from scrm.errors import BadInput, NotFound
from scrm.ledger.store import audit
from scrm.live import Change
from scrm.pipeline import doing
from scrm.staff.rules import scope
from scrm.timeline import hands
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations
from scrm.web.house import actor, house
from scrm.web.pages import form_of, inside, see_other, talk_of, wants_fragment
from scrm.web.todo.present import whose

_WHY = 200
OnTask = Callable[[Conn, Task], Awaitable[Sequence[Change]]]
OnTalk = Callable[[Conn, Talk], Awaitable[Sequence[Change]]]


async def done(request: web.Request) -> web.Response:
    """A task is done; a reply needs none: the conversation is closed."""
    who, now = actor(request), utcnow()
    why = str((await form_of(request)).get("why", ""))[:_WHY]

    async def on_task(conn: Conn, task: Task) -> Sequence[Change]:
        over = await tasks.finish(conn, task.task_id, by=who.staff_id, why=why, now=now)
        return await doing.ended(conn, [over], now=now)

    async def on_talk(conn: Conn, talk: Talk) -> Sequence[Change]:
        return (await hands.close(conn, talk, now=await conn.now())).changes

    return await _act(request, "task.done", on_task, on_talk)


async def later(request: web.Request) -> web.Response:
    """Put off with a reason, which stands with the task: the audit trail keeps no words."""
    who, now, form = actor(request), utcnow(), await form_of(request)
    why = str(form.get("why", ""))[:_WHY]

    def until() -> datetime:
        if not why.strip():
            raise BadInput(rules.NO_REASON)
        return desk_rules.until(str(form.get("until", "")), str(form.get("at", "")), now)

    async def on_task(conn: Conn, task: Task) -> Sequence[Change]:
        leader = who.role == "lead"
        return tasks.changes([await tasks.postpone(conn, task.task_id, until(), why, leader=leader, now=now)])

    async def on_talk(conn: Conn, talk: Talk) -> Sequence[Change]:
        return (await hands.snooze(conn, talk, until())).changes

    return await _act(request, "task.put_off", on_task, on_talk, fields=("why",))


async def give(request: web.Request) -> web.Response:
    """To a colleague of the team: what hangs on a conversation goes with it, or nobody could do it."""
    who, form = actor(request), await form_of(request)
    public = str(form.get("to", ""))

    async def on_talk(conn: Conn, talk: Talk) -> Sequence[Change]:
        now = await conn.now()
        return (await hands.hand(conn, talk, to=_to(conn, public), by=who.staff_id or 0, now=now)).changes

    async def on_task(conn: Conn, task: Task) -> Sequence[Change]:
        changes: list[Change] = []
        talk = None
        if task.conversation_id is not None:
            talk = await conversations.get(conn, task.conversation_id, scope(who), lock=True)
        if talk is not None:
            changes += await on_talk(conn, talk)
        was = await tasks.give(conn, task.task_id, _to(conn, public))
        after = await store.get(conn, task.task_id)
        return changes + tasks.changes([was, *([after] if after else [])])

    return await _act(request, "task.given", on_task, on_talk, then="/lead/today")


def _to(conn: Conn, public: str) -> int:
    if not public:
        raise BadInput("请选择转给谁。")
    return conn.vault.private("hand-rep", public)


async def add(request: web.Request) -> web.Response:
    """A rep writes down what is to be done for this customer."""
    found, who, now, form = house(request), actor(request), utcnow(), await form_of(request)
    async with found.db.begin(who.tenant_id) as conn:
        talk = await talk_of(conn, request)
        kind, title = str(form.get("kind", "")), str(form.get("title", "")).strip()
        if kind not in rules.KINDS:
            raise BadInput(rules.NO_KIND)
        one = Wanted(
            key=f"hand:{str(form.get('key', ''))[:64] or secrets.token_hex(12)}",
            kind=cast(Kind, kind),
            title=rules.titled(title),
            why="",
            source="manual",
            node_id=talk.node_id,
            conversation_id=talk.conversation_id,
            staff_id=who.staff_id if who.role == "rep" else None,
            due_at=desk_rules.until(str(form.get("until", "")), str(form.get("at", "")), now),
        )
        made = await tasks.put(conn, [one], now=now)
        subject = f"conversation:{talk.conversation_id}"
        await audit(conn, who.label, "task.added", now=now, subject=subject)
        conn.after_commit(lambda: found.live.publish(who.tenant_id, tasks.changes(made)))
    return _back(request, f"/s/c/{request.match_info['cid']}?tab=todo")


async def _act(
    request: web.Request,
    action: str,
    on_task: OnTask,
    on_talk: OnTalk,
    *,
    fields: Sequence[str] = (),
    then: str = "/s/today",
) -> web.Response:
    """One change to something on a board the asker may act on; whoever shows it looks again."""
    found, who, name = house(request), actor(request), request.match_info["task"]
    async with found.db.begin(who.tenant_id) as conn:
        if name.startswith("c-"):
            ident = conn.vault.private("conversation", name.removeprefix("c-"))
            talk = await conversations.get(conn, ident, scope(who), lock=True)
            if talk is None:
                raise NotFound(tasks.GONE)
            subject, changes = f"conversation:{ident}", await on_talk(conn, talk)
        else:
            ident = conn.vault.private("task", name)
            task = await store.get(conn, ident, whose=whose(who))
            if task is None:
                raise NotFound(tasks.GONE)
            subject, changes = f"task:{ident}", await on_task(conn, task)
        await audit(conn, who.label, action, now=utcnow(), subject=subject, fields=fields)
        conn.after_commit(lambda: found.live.publish(who.tenant_id, changes))
        conn.after_commit(found.wake_due)
    return _back(request, then)


def _back(request: web.Request, otherwise: str) -> web.Response:
    if wants_fragment(request):
        return web.Response(status=204)
    back = request.headers.get("Referer", "").partition(request.host)[2]
    return see_other(inside(back, otherwise))
