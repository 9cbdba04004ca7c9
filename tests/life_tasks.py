"""The work board in a tenant's life: tasks put, done, put off, given, called off, run out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from scrm.db import Conn, utcnow
from scrm.desk.tasks import service as tasks
from scrm.desk.tasks import store as todo
from scrm.staff import store as staff_store
from tests.ground import talk_of


async def as_busy(conn: Conn) -> None:
    """Somebody has things to do: done, put off, given away, called off, run out, seen by the leader."""
    now, talk = utcnow(), await talk_of(conn, "anna")
    me = (await staff_store.all_members(conn))[0]
    usual: dict[str, Any] = {
        "why": "",
        "source": "sop",
        "node_id": talk.node_id,
        "conversation_id": talk.conversation_id,
    }
    made = await tasks.put(
        conn,
        [
            tasks.Wanted(key=key, kind="call", title=key, due_at=now, **usual | more)
            for key, more in (
                ("done", {"staff_id": me.staff_id}),
                ("kept", {}),
                ("run", {"run_id": 1}),
                ("old", {"expires_at": now}),
                ("promise", {"source": "promise", "expires_at": now + timedelta(hours=1), "promise_id": 1}),
            )
        ],
        now=now,
    )
    await tasks.finish(conn, made[0].task_id, by=me.staff_id, now=now)
    await tasks.postpone(conn, made[1].task_id, now + timedelta(hours=1), "?", now=now)
    await tasks.give(conn, made[1].task_id, me.staff_id)
    handed = tasks.Handed(conversation_id=talk.conversation_id, was=me.staff_id, is_now=None)
    assert await tasks.follow(conn, [handed])
    called = tasks.Happened(kind="call", nodes=[talk.node_id], event_id=1, at=now, seconds=60)
    assert await tasks.heed(conn, [replace(called, kind="visit")], now=now) == []
    assert await tasks.cancel(conn, [1], "?", now=now)
    assert await tasks.expire(conn, now=now)
    assert await tasks.of_promises(conn)
    whose, later = tasks.Whose(team_id=me.team_id or 1), now + timedelta(hours=2)
    for whom in (whose, tasks.Whose(staff_id=me.staff_id), tasks.Whose(node_ids=[talk.node_id])):
        await todo.board(conn, whom, now=later)
        await todo.counts(conn, whom, now=later)
        await todo.done_since(conn, whom, now)
        await todo.done_count(conn, whom, now)
        await todo.put_off(conn, whom)
        await todo.page(conn, whom, state="done", before=1 << 62, limit=9)
    await todo.counts_by_rep(conn, 1, now=later)
    await todo.done_by_rep(conn, 1, now)


async def behind(conn: Conn, node_id: int, talk_id: int) -> list[Any]:
    """What this connection finds behind a customer; something to its tenant, empty to a stranger."""
    later = utcnow() + timedelta(hours=2)
    return [
        await todo.page(conn, tasks.Whose(node_ids=[node_id]), limit=9),
        await todo.board(conn, tasks.Whose(), now=later),
        await todo.counts(conn, tasks.Whose(), now=later),
        await todo.reps(conn, [talk_id]),
        await todo.of_talks(conn, [talk_id]),
        await todo.any_open(conn, ["call"]),
        await todo.of_promises(conn),
    ]
