"""SQL of boards: what is listed and what is counted are the same rows, by the same predicates."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import cast

import sqlalchemy as sa

from scrm.db import Conn
from scrm.desk.tasks.rules import PATIENCE, Kind, Task
from scrm.desk.tasks.store import waiting
from scrm.desk.tasks.store.rows import Whose, of_row, theirs
from scrm.schema import conversation, task

_c = task.c
#: The most a board lists of either source; whoever has more has another problem.
MOST = 500


async def board(conn: Conn, whose: Whose, *, now: datetime, limit: int = MOST) -> list[Task]:
    """What is to be done, the earliest first: tasks, and whoever waits for an answer."""
    stmt = sa.select(task).where(*_shown(conn, whose, now)).order_by(_c.due_at, _c.task_id).limit(limit)
    found = [of_row(r) for r in await conn.rows(stmt)]
    found += await waiting.listed(conn, whose, now=now, limit=limit)
    return sorted(found, key=lambda one: (one.due_at, one.task_id))[:limit]


async def counts(conn: Conn, whose: Whose, *, now: datetime) -> dict[Kind, int]:
    """How many of each kind; a kind without any is left out."""
    stmt = sa.select(_c.kind, sa.func.count().label("n")).where(*_shown(conn, whose, now)).group_by(_c.kind)
    found = Counter({cast(Kind, r.kind): int(r.n) for r in await conn.rows(stmt)})
    found["reply"] += await waiting.counted(conn, whose, now=now)
    return {kind: n for kind, n in found.items() if n}


async def counts_by_rep(conn: Conn, team_id: int, *, now: datetime) -> dict[int | None, tuple[int, int]]:
    """Open and late ones by rep; None = nobody's yet."""
    late = sa.func.sum(sa.case((_c.due_at <= now, 1), else_=0))
    stmt = (
        sa.select(_c.staff_id, sa.func.count().label("n"), late.label("late"))
        .where(*_shown(conn, Whose(team_id=team_id), now))
        .group_by(_c.staff_id)
    )
    found = {r.staff_id: (int(r.n), int(r.late)) for r in await conn.rows(stmt)}
    for rep, (n, over) in (await waiting.counted_by_rep(conn, team_id, now=now)).items():
        known = found.get(rep, (0, 0))
        found[rep] = (known[0] + n, known[1] + over)
    return found


def _shown(conn: Conn, whose: Whose, now: datetime) -> list[sa.ColumnElement[bool]]:
    """On the board now. The one place that says so; a reply that the queue asks for stands there once."""
    c = conversation.c
    asked = sa.exists().where(
        c.tenant_id == _c.tenant_id, c.conversation_id == _c.conversation_id, waiting.asks(now)
    )
    twice = sa.and_(_c.kind == "reply", _c.conversation_id.is_not(None), asked)
    return [*theirs(conn, whose), _c.state == "open", _c.from_at <= now, sa.not_(twice)]


async def done_since(conn: Conn, whose: Whose, since: datetime, *, limit: int = 50) -> list[Task]:
    """What was done from then on, the latest first."""
    stmt = sa.select(task).where(*_done(conn, whose, since))
    return [
        of_row(r) for r in await conn.rows(stmt.order_by(_c.done_at.desc(), _c.task_id.desc()).limit(limit))
    ]


async def done_count(conn: Conn, whose: Whose, since: datetime) -> int:
    return int(await conn.scalar(sa.select(sa.func.count()).where(*_done(conn, whose, since))) or 0)


async def done_by_rep(conn: Conn, team_id: int, since: datetime) -> dict[int | None, int]:
    """How many of each rep's were done from then on, by whomever."""
    stmt = sa.select(_c.staff_id, sa.func.count().label("n")).where(
        *_done(conn, Whose(team_id=team_id), since)
    )
    return {r.staff_id: int(r.n) for r in await conn.rows(stmt.group_by(_c.staff_id))}


def _done(conn: Conn, whose: Whose, since: datetime) -> list[sa.ColumnElement[bool]]:
    return [*theirs(conn, whose), _c.state == "done", _c.done_at >= since]


async def put_off(conn: Conn, whose: Whose, *, limit: int = 50) -> list[Task]:
    """Open ones that were put off so often that the leader decides, most often first."""
    stmt = sa.select(task).where(*theirs(conn, whose), _c.state == "open", _c.postponed >= PATIENCE)
    stmt = stmt.order_by(_c.postponed.desc(), _c.task_id).limit(limit)
    return [of_row(r) for r in await conn.rows(stmt)]
