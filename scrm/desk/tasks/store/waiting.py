"""SQL of replies due: conversations that ask for an answer now. The queue's filter is this same predicate."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.desk.tasks import rules
from scrm.desk.tasks.rules import Task
from scrm.desk.tasks.store.rows import Whose, members
from scrm.schema import conversation

_c = conversation.c
COLUMNS = (
    _c.conversation_id, _c.node_id, _c.rep_id, _c.team_id, _c.waiting_since, _c.snooze_until,
    _c.last_text, _c.last_direction, _c.version,
)  # fmt: skip


def asks(now: datetime) -> sa.ColumnElement[bool]:
    """Waits for an answer, or was put off and is due again; not while it is put off."""
    here = sa.or_(_c.snooze_until.is_(None), _c.snooze_until <= now)
    return sa.and_(sa.or_(_c.waiting_since.is_not(None), _c.snooze_until.is_not(None)), here)


def late(now: datetime) -> sa.ColumnElement[bool]:
    """As `rules.reply_due` says of one."""
    back = sa.and_(_c.waiting_since.is_(None), _c.snooze_until <= now)
    return sa.or_(_c.waiting_since <= now - rules.ANSWER, back)


def shown(conn: Conn, whose: Whose, now: datetime) -> list[sa.ColumnElement[bool]]:
    """On this board now."""
    where = [_c.tenant_id == conn.tenant_id, asks(now)]
    if whose.staff_id is not None:
        where.append(_c.rep_id == whose.staff_id)
    if whose.team_id is not None:
        nobodys = sa.and_(_c.rep_id.is_(None), sa.or_(_c.team_id == whose.team_id, _c.team_id.is_(None)))
        where.append(sa.or_(_c.rep_id.in_(members(conn, whose.team_id)), nobodys))
    if whose.node_ids is not None:
        where.append(_c.node_id.in_(whose.node_ids))
    return where


async def listed(conn: Conn, whose: Whose, *, now: datetime, limit: int) -> list[Task]:
    """Who has waited longest first."""
    since = sa.func.coalesce(_c.waiting_since, _c.snooze_until)
    stmt = sa.select(*COLUMNS).where(*shown(conn, whose, now)).order_by(since, _c.conversation_id)
    return [_of(r) for r in await conn.rows(stmt.limit(limit))]


async def counted(conn: Conn, whose: Whose, *, now: datetime) -> int:
    return int(await conn.scalar(sa.select(sa.func.count()).where(*shown(conn, whose, now))) or 0)


async def counted_by_rep(conn: Conn, team_id: int, *, now: datetime) -> dict[int | None, tuple[int, int]]:
    """All and late ones by rep; None = nobody's yet."""
    over = sa.func.sum(sa.case((late(now), 1), else_=0))
    stmt = (
        sa.select(_c.rep_id, sa.func.count().label("n"), over.label("late"))
        .where(*shown(conn, Whose(team_id=team_id), now))
        .group_by(_c.rep_id)
    )
    return {r.rep_id: (int(r.n), int(r.late)) for r in await conn.rows(stmt)}


def _of(row: Any) -> Task:
    return rules.reply(
        conversation_id=row.conversation_id,
        node_id=row.node_id,
        staff_id=row.rep_id,
        team_id=row.team_id,
        since=row.waiting_since,
        back_at=row.snooze_until,
        last=row.last_text if row.last_direction == "in" else "",
        version=row.version,
    )
