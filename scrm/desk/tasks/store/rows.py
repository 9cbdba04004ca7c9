"""How tasks are read, and whose they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.desk.tasks.rules import Task
from scrm.schema import staff, task

_c = task.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """Whose tasks: of one rep, of a team, of one family; all parts that are given must fit."""

    staff_id: int | None = None
    #: What its members have, and what it has for nobody in particular.
    team_id: int | None = None
    node_ids: Collection[int] | None = None


def members(conn: Conn, team_id: int) -> sa.Select[Any]:
    """Who is in the team now: tasks go with the people who have them."""
    return sa.select(staff.c.staff_id).where(staff.c.tenant_id == conn.tenant_id, staff.c.team_id == team_id)


def theirs(conn: Conn, whose: Whose) -> list[sa.ColumnElement[bool]]:
    where = [_c.tenant_id == conn.tenant_id]
    if whose.staff_id is not None:
        where.append(_c.staff_id == whose.staff_id)
    if whose.team_id is not None:
        nobodys = sa.and_(_c.staff_id.is_(None), sa.or_(_c.team_id == whose.team_id, _c.team_id.is_(None)))
        where.append(sa.or_(_c.staff_id.in_(members(conn, whose.team_id)), nobodys))
    if whose.node_ids is not None:
        where.append(_c.node_id.in_(whose.node_ids))
    return where


def of_row(row: Any) -> Task:
    values: Mapping[str, Any] = {name: getattr(row, name) for name in Task.__slots__}
    return Task(**values)
