"""Tasks at work: put on the board once, done by people or by what happened, put off, called off, run out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from scrm.db import Conn
from scrm.desk.tasks import rules, store
from scrm.desk.tasks.rules import DID, USUAL, DoneBy, Happened, Kind, Source, Task
from scrm.desk.tasks.store import Whose
from scrm.errors import NotFound
from scrm.live import Change
from scrm.seal import new_id

GONE = "没有这条待办。"
OUT_OF_TIME = "过了时间，自动收起。"
SENTENCES = (GONE, OUT_OF_TIME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Something to do, once per `key`."""

    key: str
    kind: Kind
    title: str
    why: str
    source: Source
    node_id: int
    due_at: datetime
    conversation_id: int | None = None
    staff_id: int | None = None
    team_id: int | None = None
    run_id: int | None = None
    step: str = ""
    promise_id: int | None = None
    value: int = 0
    action: Mapping[str, Any] = field(default_factory=dict)
    #: None = what usually does a task of this kind.
    done_by_kind: DoneBy | None = None
    from_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """A conversation that has another rep than before."""

    conversation_id: int
    was: int | None
    is_now: int | None


async def put(conn: Conn, wanted: Sequence[Wanted], *, now: datetime) -> list[Task]:
    """Those that are new on the board; what was asked for before stays as it is."""
    made = [_task(one, now) for one in await _placed(conn, wanted)]
    fresh = await store.put(conn, made)
    return [t for t in made if t.task_id in fresh]


async def _placed(conn: Conn, wanted: Sequence[Wanted]) -> list[Wanted]:
    """Where nobody is named it is whoever looks after the conversation; the team is theirs."""
    open_ = [w for w in wanted if w.staff_id is None and w.conversation_id is not None]
    reps = await store.reps(conn, {w.conversation_id for w in open_ if w.conversation_id})
    named = [
        replace(w, staff_id=held[0], team_id=w.team_id or held[1])
        if w.staff_id is None and (held := reps.get(w.conversation_id or 0))
        else w
        for w in wanted
    ]
    teams = await store.teams(conn, {w.staff_id for w in named if w.staff_id and w.team_id is None})
    return [replace(w, team_id=teams.get(w.staff_id or 0)) if w.team_id is None else w for w in named]


def _task(one: Wanted, now: datetime) -> Task:
    return Task(
        task_id=new_id(),
        key=one.key,
        kind=one.kind,
        title=one.title,
        why=one.why,
        source=one.source,
        node_id=one.node_id,
        conversation_id=one.conversation_id,
        staff_id=one.staff_id,
        team_id=one.team_id,
        run_id=one.run_id,
        step=one.step,
        promise_id=one.promise_id,
        value=one.value,
        action=dict(one.action),
        done_by_kind=USUAL[one.kind] if one.done_by_kind is None else one.done_by_kind,
        due_at=one.due_at,
        expires_at=one.expires_at,
        from_at=one.from_at or now,
        state="open",
        postponed=0,
        postponed_why="",
        done_at=None,
        done_by=None,
        done_event_id=None,
        done_why="",
        version=0,
        created_at=now,
    )


async def heed(conn: Conn, happened: Sequence[Happened], *, now: datetime) -> list[Task]:
    """Tasks that these events did, as they were before. A replay does nothing: they are done already."""
    nodes = {node for one in happened for node in one.nodes}
    waiting = await store.waiting_for(conn, nodes, {one.kind for one in happened if one.kind})
    did = []
    for task in waiting:
        by = next((one for one in happened if rules.does(task, one)), None)
        if by is not None:
            await store.change(
                conn,
                task.task_id,
                state="done",
                done_at=now,
                done_by=by.staff_id,
                done_event_id=by.event_id,
                done_why=DID[by.kind],
            )
            did.append(task)
    return did


async def finish(conn: Conn, task_id: int, *, by: int | None, why: str = "", now: datetime) -> Task:
    """Somebody says it is done. Raises `NotFound` or `Conflict`."""
    task = await _open(conn, task_id)
    said = why.strip() or (DID[""] if by == task.staff_id else rules.BY_LEAD)
    await store.change(conn, task_id, state="done", done_at=now, done_by=by, done_why=said)
    return task


async def postpone(
    conn: Conn, task_id: int, until: datetime, why: str, *, leader: bool = False, now: datetime
) -> Task:
    """Off the board until then; often enough only by a leader. Raises `NotFound`, `BadInput`, `Conflict`."""
    task = await _open(conn, task_id)
    back = rules.put_off(task, until, why, leader=leader, now=now)
    await store.change(
        conn,
        task_id,
        from_at=back,
        due_at=max(task.due_at, back),
        postponed=task.postponed + 1,
        postponed_why=why.strip(),
    )
    return task


async def give(conn: Conn, task_id: int, staff_id: int) -> Task:
    """To somebody else of the team. Raises `NotFound` or `Conflict`."""
    task = await _open(conn, task_id)
    team = (await store.teams(conn, [staff_id])).get(staff_id)
    await store.change(conn, task_id, staff_id=staff_id, team_id=team)
    return task


async def follow(conn: Conn, handed: Sequence[Handed]) -> list[Task]:
    """Whoever takes a conversation over takes over what is to be done there; as the tasks were before.

    What somebody else was given by name stays theirs.
    """
    moves = {one.conversation_id: one for one in handed if one.was != one.is_now}
    found = await store.of_talks(conn, moves)
    teams = await store.teams(conn, {one.is_now for one in moves.values() if one.is_now}) if found else {}
    moved = []
    for task in found:
        one = moves[task.conversation_id or 0]
        if task.staff_id not in (one.was, None):
            continue
        team = {"team_id": teams.get(one.is_now)} if one.is_now else {}
        await store.change(conn, task.task_id, staff_id=one.is_now, **team)
        moved.append(task)
    return moved


async def cancel(conn: Conn, run_ids: Collection[int], why: str, *, now: datetime) -> list[Task]:
    """What these runs still asked for is not needed any more."""
    still = [t.task_id for t in await store.of_runs(conn, run_ids) if t.state == "open"]
    return await withdraw(conn, still, why, now=now)


async def of_promises(conn: Conn) -> list[Task]:
    """Open reminders of promises, in order."""
    return await store.of_promises(conn)


async def withdraw(conn: Conn, task_ids: Collection[int], why: str, *, now: datetime) -> list[Task]:
    """Not needed any more; those that still stood."""
    gone = []
    for ident in sorted(task_ids):
        task = await store.get(conn, ident, hold=True)
        if task is not None and task.state == "open":
            await store.change(conn, ident, state="cancelled", done_at=now, done_why=why)
            gone.append(task)
    return gone


async def expire(conn: Conn, *, now: datetime, limit: int = 200) -> list[Task]:
    """Takes down what nobody needs any more; fewer than `limit` = that was all."""
    over = await store.run_out(conn, now=now, limit=limit)
    for task in over:
        await store.change(conn, task.task_id, state="expired", done_at=now, done_why=OUT_OF_TIME)
    return over


def ordered(tasks: Iterable[Task], now: datetime) -> list[Task]:
    """As the board shows them."""
    return sorted(tasks, key=lambda task: rules.place(task, now))


def changes(tasks: Iterable[Task]) -> list[Change]:
    """Whose boards must be looked at again, and the pages of whose customers, once each."""
    known = list(tasks)
    topics = {f"rep:{t.staff_id}" for t in known if t.staff_id}
    topics |= {f"team:{t.team_id or 0}" for t in known}
    topics |= {f"node:{t.node_id}" for t in known}
    return [Change(topic=topic, ident=0, version=0) for topic in sorted(topics)]


async def _open(conn: Conn, task_id: int) -> Task:
    task = await store.get(conn, task_id, hold=True)
    if task is None:
        raise NotFound(GONE)
    rules.demand_open(task)
    return task


__all__ = [
    "Handed",
    "Happened",
    "Task",
    "Wanted",
    "Whose",
    "cancel",
    "changes",
    "expire",
    "finish",
    "follow",
    "give",
    "heed",
    "of_promises",
    "ordered",
    "postpone",
    "put",
    "withdraw",
]
