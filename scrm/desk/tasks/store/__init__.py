"""SQL of tasks: made once per key, held while they change, found by what may do them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.desk.tasks.rules import DoneBy, Task
from scrm.desk.tasks.store.boards import (
    MOST,
    board,
    counts,
    counts_by_rep,
    done_by_rep,
    done_count,
    done_since,
    put_off,
)
from scrm.desk.tasks.store.rows import Whose, of_row, theirs
from scrm.schema import conversation, staff, task

_c = task.c


async def put(conn: Conn, tasks: Sequence[Task]) -> set[int]:
    """The ids of those that are new; a key that was written before stays as it is."""
    rows = [
        {name: getattr(t, name) for name in Task.__slots__} | {"tenant_id": conn.tenant_id} for t in tasks
    ]
    return {r.task_id for r in await conn.insert_new(task, rows, _c.task_id)}


async def get(conn: Conn, task_id: int, *, whose: Whose | None = None, hold: bool = False) -> Task | None:
    """The task, if it is theirs; with `hold` nobody else changes it until the transaction ends."""
    stmt = sa.select(task).where(*theirs(conn, whose or Whose()), _c.task_id == task_id)
    row = await conn.row(stmt.with_for_update(of=task) if hold else stmt)
    return of_row(row) if row else None


async def waiting_for(conn: Conn, node_ids: Collection[int], kinds: Collection[DoneBy]) -> list[Task]:
    """Open ones of these nodes that such an event does; held, in the order of their ids."""
    if not node_ids or not kinds:
        return []
    stmt = sa.select(task).where(
        _c.tenant_id == conn.tenant_id,
        _c.node_id.in_(node_ids),
        _c.state == "open",
        _c.done_by_kind.in_(kinds),
    )
    return [of_row(r) for r in await conn.rows(stmt.order_by(_c.task_id).limit(MOST).with_for_update())]


async def change(conn: Conn, task_id: int, **values: Any) -> None:
    stmt = sa.update(task).where(_c.tenant_id == conn.tenant_id, _c.task_id == task_id)
    await conn.run(stmt.values(**values, version=_c.version + 1))


async def run_out(conn: Conn, *, now: datetime, limit: int) -> list[Task]:
    """Open ones that nobody needs any more; held."""
    stmt = (
        sa.select(task)
        .where(_c.tenant_id == conn.tenant_id, _c.state == "open", _c.expires_at <= now)
        .order_by(_c.expires_at, _c.task_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [of_row(r) for r in await conn.rows(stmt)]


async def of_runs(conn: Conn, run_ids: Collection[int]) -> list[Task]:
    """What these runs of SOPs asked for, in order."""
    stmt = sa.select(task).where(_c.tenant_id == conn.tenant_id, _c.run_id.in_(run_ids))
    return [of_row(r) for r in await conn.rows(stmt.order_by(_c.task_id).limit(MOST))] if run_ids else []


async def page(
    conn: Conn, whose: Whose, *, state: str = "", before: int | None = None, limit: int
) -> list[Task]:
    """Newest first, at most `limit`, below the task `before`."""
    stmt = sa.select(task).where(*theirs(conn, whose))
    if state:
        stmt = stmt.where(_c.state == state)
    if before is not None:
        stmt = stmt.where(_c.task_id < before)
    return [of_row(r) for r in await conn.rows(stmt.order_by(_c.task_id.desc()).limit(limit))]


async def of_promises(conn: Conn) -> list[Task]:
    """Open reminders of promises, in order."""
    stmt = sa.select(task).where(
        _c.tenant_id == conn.tenant_id, _c.state == "open", _c.source == "promise", _c.expires_at.is_not(None)
    )
    return [of_row(r) for r in await conn.rows(stmt.order_by(_c.expires_at, _c.task_id).limit(MOST))]


async def any_open(conn: Conn, kinds: Collection[DoneBy]) -> bool:
    """Whether anything at all waits for such an event."""
    stmt = sa.select(_c.task_id).where(
        _c.tenant_id == conn.tenant_id, _c.state == "open", _c.done_by_kind.in_(kinds)
    )
    return bool(kinds) and await conn.scalar(stmt.limit(1)) is not None


async def of_talks(conn: Conn, conversation_ids: Collection[int]) -> list[Task]:
    """Open ones of these conversations; held, in the order of their ids."""
    stmt = sa.select(task).where(
        _c.tenant_id == conn.tenant_id, _c.conversation_id.in_(conversation_ids), _c.state == "open"
    )
    stmt = stmt.order_by(_c.task_id).with_for_update()
    return [of_row(r) for r in await conn.rows(stmt)] if conversation_ids else []


async def forget(conn: Conn, node_ids: Collection[int], title: str, *, now: datetime) -> None:
    """Nothing is to be done for these any more, and no word of what was done is left."""
    theirs = sa.update(task).where(_c.tenant_id == conn.tenant_id, _c.node_id.in_(node_ids))
    await conn.run(theirs.where(_c.state == "open").values(state="cancelled", done_at=now))
    gone = {"why": "", "action": {}, "postponed_why": "", "done_why": ""}
    await conn.run(theirs.values(title=title, version=_c.version + 1, **gone))


async def reps(conn: Conn, conversation_ids: Collection[int]) -> dict[int, tuple[int | None, int | None]]:
    """Rep and team of these conversations."""
    c = conversation.c
    stmt = sa.select(c.conversation_id, c.rep_id, c.team_id).where(
        c.tenant_id == conn.tenant_id, c.conversation_id.in_(conversation_ids)
    )
    found = await conn.rows(stmt) if conversation_ids else []
    return {r.conversation_id: (r.rep_id, r.team_id) for r in found}


async def teams(conn: Conn, staff_ids: Collection[int]) -> dict[int, int | None]:
    stmt = sa.select(staff.c.staff_id, staff.c.team_id).where(
        staff.c.tenant_id == conn.tenant_id, staff.c.staff_id.in_(staff_ids)
    )
    return {r.staff_id: r.team_id for r in (await conn.rows(stmt) if staff_ids else [])}


__all__ = [
    "MOST",
    "Whose",
    "any_open",
    "board",
    "change",
    "counts",
    "counts_by_rep",
    "done_by_rep",
    "done_count",
    "done_since",
    "forget",
    "get",
    "of_promises",
    "of_runs",
    "of_talks",
    "page",
    "put",
    "put_off",
    "reps",
    "run_out",
    "teams",
    "waiting_for",
]
