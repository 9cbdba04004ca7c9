"""The API's work board: what is to be done, adding to it, ticking off, putting off."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.desk.tasks import rules, store
from scrm.desk.tasks import service as tasks
from scrm.desk.tasks.rules import Kind, State
from scrm.errors import BadInput, NotFound
from scrm.ledger.store import audit
from scrm.live import Change
from scrm.pipeline import doing
from scrm.seal import new_id
from scrm.staff import store as staff
from scrm.staff.rules import Policy, scope
from scrm.timeline.store import conversations
from scrm.web.api.endpoint import PAGED, Act, Endpoint, Query, audited, before_of, body_of, limit_of
from scrm.web.api.resources import Page
from scrm.web.house import actor, house
from scrm.web.todo.present import whose

_WHY, _TEXT = 200, 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    id: str
    #: reply | call | quote | material | coupon | visit | other
    kind: str
    title: str
    why: str
    #: sop | promise | manual
    source: str
    #: open | done | expired | cancelled
    state: str
    node_id: str
    conversation_id: str | None
    #: The colleague whose it is, by name; null = nobody's yet.
    owner: str | None
    #: Fen at stake.
    value: int
    due_at: datetime
    #: Not on the board before then.
    from_at: datetime
    expires_at: datetime | None
    postponed: int
    postponed_why: str
    done_at: datetime | None
    done_why: str
    #: The event that did it by itself.
    done_event_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskIn:
    conversation_id: str
    kind: Kind
    title: str
    due_at: datetime
    why: str = ""
    #: Fen at stake.
    value: int = 0
    #: Words that are ready to be sent.
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDone:
    id: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLater:
    id: str
    until: datetime
    why: str


async def list_tasks(request: web.Request) -> Page[Task]:
    who, limit = actor(request), limit_of(request)
    state = request.query.get("state", "")
    if state and state not in get_args(State):
        raise BadInput(f"state 应为 {'、'.join(get_args(State))} 中的一个。")
    await audited(request, "api.tasks.read")
    async with house(request).db.read(who.tenant_id) as conn:
        before = before_of(conn, request, "task")
        page = await store.page(conn, whose(who), state=state, before=before, limit=limit + 1)
        cursor = conn.vault.public("task", page[limit - 1].task_id) if len(page) > limit else None
        return Page(items=await _shown(conn, page[:limit]), next_cursor=cursor)


async def _shown(conn: Conn, found: Sequence[rules.Task]) -> list[Task]:
    people = await staff.members(conn, [t.staff_id for t in found if t.staff_id])
    vault = conn.vault
    return [
        Task(
            id=vault.public("task", t.task_id),
            kind=t.kind,
            title=t.title,
            why=t.why,
            source=t.source,
            state=t.state,
            node_id=vault.public("node", t.node_id),
            conversation_id=vault.public("conversation", t.conversation_id) if t.conversation_id else None,
            owner=people[t.staff_id].name if t.staff_id in people else None,
            value=t.value,
            due_at=t.due_at,
            from_at=t.from_at,
            expires_at=t.expires_at,
            postponed=t.postponed,
            postponed_why=t.postponed_why,
            done_at=t.done_at,
            done_why=t.done_why,
            done_event_id=vault.public("event", t.done_event_id) if t.done_event_id else None,
            created_at=t.created_at,
        )
        for t in found
    ]


async def create_task(request: web.Request) -> Act:
    body, who, now = await body_of(request, TaskIn), actor(request), utcnow()

    async def act(conn: Conn) -> Task:
        ident = conn.vault.private("conversation", body.conversation_id)
        talk = await conversations.get(conn, ident, scope(who))
        if talk is None:
            raise NotFound("没有这个会话。")
        if len(body.text) > _TEXT:
            raise BadInput(f"text 最多 {_TEXT} 个字。")
        one = tasks.Wanted(
            key=f"api:{new_id()}",
            kind=body.kind,
            title=rules.titled(body.title),
            why=body.why[:_WHY],
            source="manual",
            node_id=talk.node_id,
            conversation_id=talk.conversation_id,
            value=rules.at_stake(body.value),
            action={"text": body.text} if body.text else {},
            due_at=body.due_at,
        )
        made = await tasks.put(conn, [one], now=now)
        await audit(conn, who.label, "task.added", now=now, subject=f"task:{made[0].task_id}")
        _tell(request, conn, tasks.changes(made))
        return (await _shown(conn, made))[0]

    return act


async def finish_task(request: web.Request) -> Act:
    body, who, now = await body_of(request, TaskDone), actor(request), utcnow()

    async def verb(conn: Conn, ident: int) -> Sequence[Change]:
        over = await tasks.finish(conn, ident, by=who.staff_id, why=body.why[:_WHY], now=now)
        return await doing.ended(conn, [over], now=now)

    return _on(request, body.id, "task.done", verb)


async def postpone_task(request: web.Request) -> Act:
    body, who, now = await body_of(request, TaskLater), actor(request), utcnow()

    async def verb(conn: Conn, ident: int) -> Sequence[Change]:
        leader = who.role in ("lead", "admin")
        why = body.why[:_WHY]
        was = await tasks.postpone(conn, ident, body.until, why, leader=leader, now=now)
        return tasks.changes([was])

    return _on(request, body.id, "task.put_off", verb)


def _on(
    request: web.Request, public: str, action: str, verb: Callable[[Conn, int], Awaitable[Sequence[Change]]]
) -> Act:
    """One change to a task the asker may act on."""
    who = actor(request)

    async def act(conn: Conn) -> Task:
        ident = conn.vault.private("task", public)
        if await store.get(conn, ident, whose=whose(who)) is None:
            raise NotFound(tasks.GONE)
        _tell(request, conn, await verb(conn, ident))
        await audit(conn, who.label, action, now=utcnow(), subject=f"task:{ident}")
        after = await store.get(conn, ident)
        return (await _shown(conn, [after] if after else []))[0]

    return act


def _tell(request: web.Request, conn: Conn, changes: Sequence[Change]) -> None:
    found = house(request)
    conn.after_commit(lambda: found.live.publish(conn.tenant_id, changes))
    conn.after_commit(found.wake_due)


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="GET",
        path="/tasks",
        summary="Tasks of those the asker looks after, newest first; replies due are conversations that wait",
        policy=Policy.API_DATA,
        answer=Page[Task],
        handler=list_tasks,
        queries=(Query(name="state", about="open, done, expired or cancelled; all when not given"), *PAGED),
    ),
    Endpoint(
        method="POST",
        path="/tasks",
        summary="Put something to do for a customer on the board of whoever looks after them",
        policy=Policy.API_TALK,
        answer=Task,
        handler=create_task,
        body=TaskIn,
        status=201,
    ),
    Endpoint(
        method="POST",
        path="/tasks/done",
        summary="Say that a task is done",
        policy=Policy.API_TALK,
        answer=Task,
        handler=finish_task,
        body=TaskDone,
    ),
    Endpoint(
        method="POST",
        path="/tasks/postpone",
        summary="Put a task off, with the reason",
        policy=Policy.API_TALK,
        answer=Task,
        handler=postpone_task,
        body=TaskLater,
    ),
)
