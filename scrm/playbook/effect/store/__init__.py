"""SQL of effect: what became of suggestions, what came of those sent, counts by day, and the prior."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from scrm.db import Conn
from scrm.playbook.effect.rules import Adopted, Goal
from scrm.playbook.prior import Counts
from scrm.playbook.store import SENT, Offer
from scrm.schema import outcome, prior, suggestion

_s, _o, _p = suggestion.c, outcome.c, prior.c
_OFFER = [_s[name] for name in Offer.__slots__]
_MOST, _CELLS = 2_000, 200_000
_DAY = 86_400_000_000


# -- adoption ----------------------------------------------------------------------------------------------
async def at_stake(conn: Conn, conversation_ids: Collection[int], *, since: datetime) -> list[Offer]:
    """What may have been sent in these conversations, or was and is still to be compared."""
    if not conversation_ids:
        return []
    open_ = sa.or_(_s.state.in_(("shown", "ignored")), sa.and_(_s.state == "used", _s.distance.is_(None)))
    stmt = sa.select(*_OFFER).where(
        _s.tenant_id == conn.tenant_id,
        _s.conversation_id.in_(conversation_ids),
        _s.created_at >= since,
        open_,
    )
    rows = await conn.rows(stmt.order_by(_s.suggestion_id.desc()).limit(_MOST))
    return [Offer(**r._mapping) for r in rows]


async def take(conn: Conn, one: Adopted, *, event_id: int, staff_id: int | None, at: datetime) -> None:
    stmt = sa.update(suggestion).where(
        _s.tenant_id == conn.tenant_id, _s.suggestion_id == one.suggestion_id, _s.distance.is_(None)
    )
    values = {"state": one.state, "distance": one.distance, "used_event_id": event_id, "used_at": at}
    await conn.run(stmt.values(**values, staff_id=staff_id))


async def pass_by(conn: Conn, suggestion_ids: Collection[int]) -> None:
    """Something else was sent instead."""
    stmt = sa.update(suggestion).where(
        _s.tenant_id == conn.tenant_id, _s.suggestion_id.in_(suggestion_ids), _s.state == "shown"
    )
    if suggestion_ids:
        await conn.run(stmt.values(state="ignored"))


async def run_out(conn: Conn, *, after: int, before: datetime, limit: int) -> tuple[int, int]:
    """Those nobody took by then are ignored: how many, and up to which id was looked (0 = all)."""
    stmt = sa.select(_s.suggestion_id).where(
        _s.tenant_id == conn.tenant_id,
        _s.suggestion_id > after,
        _s.state == "shown",
        _s.created_at < before,
    )
    rows = await conn.rows(stmt.order_by(_s.suggestion_id).limit(limit))
    await pass_by(conn, [r.suggestion_id for r in rows])
    return len(rows), rows[-1].suggestion_id if len(rows) == limit else 0


# -- outcomes ----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    suggestion_id: int
    goal: Goal
    at: datetime
    event_id: int | None


async def sent_to(conn: Conn, node_ids: Collection[int], *, since: datetime, until: datetime) -> list[Offer]:
    """Suggestions that were said to any of these addresses in that time, the oldest first."""
    if not node_ids:
        return []
    stmt = sa.select(*_OFFER).where(
        _s.tenant_id == conn.tenant_id,
        _s.node_id.in_(node_ids),
        _s.state.in_(SENT),
        _s.used_at >= since,
        _s.used_at <= until,
    )
    rows = await conn.rows(stmt.order_by(_s.used_at.desc(), _s.suggestion_id).limit(_MOST))
    return [Offer(**r._mapping) for r in reversed(rows)]


async def reach(conn: Conn, rows: Sequence[Outcome]) -> int:
    """The first of each goal stays; how many are new."""
    values = [{name: getattr(r, name) for name in Outcome.__slots__} for r in rows]
    new = await conn.insert_new(
        outcome, [{"tenant_id": conn.tenant_id, **v} for v in values], outcome.c.suggestion_id
    )
    return len(new)


# -- counts ------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What became, on one day (of 86,400 s since 1970), of one script at one stage with one role."""

    script_id: str
    stage: str
    role: str
    day: int
    shown: int
    used: int
    edited: int
    ignored: int
    unfit: int
    replied: int
    moved: int
    dealt: int
    #: Of those edited, summed.
    distance: int


async def days(conn: Conn, *, since: datetime, script_id: str = "") -> list[Day]:
    """Counts by script, stage, role and day, in that order."""
    day = (sa.type_coerce(_s.created_at, sa.BigInteger) // _DAY).label("day")
    reached = {goal: outcome.alias(f"reached_{goal}") for goal in ("reply", "stage", "deal")}
    source: sa.FromClause = suggestion
    for goal, table in reached.items():
        same = (table.c.tenant_id == _s.tenant_id, table.c.suggestion_id == _s.suggestion_id)
        source = source.outerjoin(table, sa.and_(*same, table.c.goal == goal, _s.state.in_(SENT)))
    stmt = (
        sa.select(
            *(_s.script_id, _s.stage, _s.role, day, sa.func.count().label("shown")),
            *(_counted(_s.state == state).label(state) for state in ("used", "edited", "ignored", "unfit")),
            sa.func.count(reached["reply"].c.suggestion_id).label("replied"),
            sa.func.count(reached["stage"].c.suggestion_id).label("moved"),
            sa.func.count(reached["deal"].c.suggestion_id).label("dealt"),
            sa.func.coalesce(sa.func.sum(_s.distance), 0).label("distance"),
        )
        .select_from(source)
        .where(_s.tenant_id == conn.tenant_id, _s.created_at >= since)
        .group_by(_s.script_id, _s.stage, _s.role, day)
        .order_by(_s.script_id, _s.stage, _s.role, day)
        .limit(_CELLS)
    )
    if script_id:
        stmt = stmt.where(_s.script_id == script_id)
    numbers = tuple(name for name in Day.__slots__ if name not in ("script_id", "stage", "role"))
    return [
        Day(
            script_id=r.script_id,
            stage=r.stage,
            role=r.role,
            **{name: int(getattr(r, name)) for name in numbers},
        )
        for r in await conn.rows(stmt)
    ]


def _counted(so: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((so, 1), else_=0)), 0)


# -- the prior ---------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One script at one stage with one role, as it weighed at `counts.at`; and plain counts of late."""

    script_id: str
    stage: str
    role: str
    counts: Counts
    dealt: float = 0.0
    lately_used: int = 0
    lately_replied: int = 0


_COUNTS = ("shown", "used", "edited", "ignored", "replied", "moved", "at")


async def set_cells(conn: Conn, cells: Sequence[Cell]) -> None:
    """These instead of whatever was there."""
    await conn.lock("prior")
    await conn.run(sa.delete(prior).where(_p.tenant_id == conn.tenant_id))
    plain = ("script_id", "stage", "role", "dealt", "lately_used", "lately_replied")
    rows = [
        {name: getattr(c, name) for name in plain} | {name: getattr(c.counts, name) for name in _COUNTS}
        for c in cells
    ]
    await conn.insert(prior, [{"tenant_id": conn.tenant_id, **row} for row in rows])


async def cells(conn: Conn) -> list[Cell]:
    stmt = sa.select(prior).where(_p.tenant_id == conn.tenant_id)
    return [
        Cell(
            script_id=r.script_id,
            stage=r.stage,
            role=r.role,
            counts=Counts(**{name: getattr(r, name) for name in _COUNTS}),
            dealt=r.dealt,
            lately_used=r.lately_used,
            lately_replied=r.lately_replied,
        )
        for r in await conn.rows(stmt.order_by(_p.script_id, _p.stage, _p.role).limit(_CELLS))
    ]


# -- the best ----------------------------------------------------------------------------------------------
async def closers(conn: Conn, staff_ids: Collection[int], *, since: datetime, limit: int) -> list[int]:
    """Of these, whose suggestions most often ended in a deal, the best first."""
    if not staff_ids:
        return []
    same = sa.and_(_o.tenant_id == _s.tenant_id, _o.suggestion_id == _s.suggestion_id)
    stmt = (
        sa.select(_s.staff_id, sa.func.count().label("n"))
        .join_from(outcome, suggestion, same)
        .where(_o.tenant_id == conn.tenant_id, _o.goal == "deal", _o.at >= since)
        .where(_s.staff_id.in_(staff_ids))
        .group_by(_s.staff_id)
        .order_by(sa.text("n DESC"), _s.staff_id)
        .limit(limit)
    )
    return [r.staff_id for r in await conn.rows(stmt)]


async def said_by(
    conn: Conn, staff_ids: Collection[int], stage: str, *, since: datetime, least: int
) -> set[str]:
    """Scripts these sent at this stage at least so often."""
    if not staff_ids:
        return set()
    stmt = (
        sa.select(_s.script_id)
        .where(_s.tenant_id == conn.tenant_id, _s.staff_id.in_(staff_ids), _s.stage == stage)
        .where(_s.state.in_(SENT), _s.created_at >= since)
        .group_by(_s.script_id)
        .having(sa.func.count() >= least)
        .order_by(_s.script_id)
        .limit(_MOST)
    )
    return {r.script_id for r in await conn.rows(stmt)}
