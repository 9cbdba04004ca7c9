"""SQL of presence and of assignments: who was given which conversation by which rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from scrm.db import Conn
from scrm.desk.rules import AUTOMATIC, REFUSED, Rule
from scrm.schema import assignment, pack, presence, staff, team
from scrm.seal import new_id

#: A team is people, not a data set.
_PEOPLE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A member who talks with customers, and whether they are at their desk; None = never seen."""

    staff_id: int
    name: str
    role: str
    capacity: int
    seen_at: datetime | None = None
    away_at: datetime | None = None
    assigned_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A conversation changed hands. `by_id` None: the rules decided."""

    conversation_id: int
    rule: Rule
    at: datetime
    from_id: int | None = None
    to_id: int | None = None
    by_id: int | None = None
    team_id: int | None = None
    facts: Mapping[str, int] = field(default_factory=dict)


_SEAT = [
    staff.c.staff_id,
    staff.c.name,
    staff.c.role,
    staff.c.capacity,
    presence.c.seen_at,
    presence.c.away_at,
    presence.c.assigned_at,
]
_MOVE = [assignment.c[name] for name in Move.__slots__]
_SAME = sa.and_(presence.c.tenant_id == staff.c.tenant_id, presence.c.staff_id == staff.c.staff_id)


# -- presence ----------------------------------------------------------------------------------------------
async def seat(conn: Conn, staff_id: int) -> Seat | None:
    stmt = sa.select(*_SEAT).join_from(staff, presence, _SAME, isouter=True)
    row = await conn.row(stmt.where(staff.c.tenant_id == conn.tenant_id, staff.c.staff_id == staff_id))
    return Seat(**row._mapping) if row else None


async def touch(conn: Conn, staff_id: int, *, now: datetime) -> None:
    row = {"tenant_id": conn.tenant_id, "staff_id": staff_id, "seen_at": now}
    await conn.upsert(presence, [row], key=["tenant_id", "staff_id"], change=_seen)


def _seen(new: sa.ColumnCollection[str, sa.ColumnElement[object]]) -> dict[str, object]:
    return {"seen_at": new.seen_at}


async def set_away(conn: Conn, staff_id: int, away_at: datetime | None) -> None:
    await _change(conn, staff_id, away_at=away_at)


async def set_assigned(conn: Conn, staff_id: int, *, now: datetime) -> None:
    await _change(conn, staff_id, assigned_at=now)


async def _change(conn: Conn, staff_id: int, **values: object) -> None:
    c = presence.c
    stmt = sa.update(presence).where(c.tenant_id == conn.tenant_id, c.staff_id == staff_id)
    await conn.run(stmt.values(values))


async def online(conn: Conn, team_id: int | None, *, since: datetime) -> list[Seat]:
    """Reps of the team (None = of any) who were seen since then, away or not."""
    stmt = sa.select(*_SEAT).join_from(staff, presence, _SAME)
    stmt = stmt.where(staff.c.tenant_id == conn.tenant_id, presence.c.seen_at >= since, _talks(("rep",)))
    if team_id is not None:
        stmt = stmt.where(staff.c.team_id == team_id)
    rows = await conn.rows(stmt.order_by(staff.c.staff_id).limit(_PEOPLE))
    return [Seat(**r._mapping) for r in rows]


async def colleagues(conn: Conn, team_id: int | None) -> list[Seat]:
    """Everybody of the team (None = of any) a conversation can be handed to, by name."""
    stmt = sa.select(*_SEAT).join_from(staff, presence, _SAME, isouter=True)
    stmt = stmt.where(staff.c.tenant_id == conn.tenant_id, _talks(("rep", "lead")))
    if team_id is not None:
        stmt = stmt.where(staff.c.team_id == team_id)
    rows = await conn.rows(stmt.order_by(staff.c.name, staff.c.staff_id).limit(_PEOPLE))
    return [Seat(**r._mapping) for r in rows]


def _talks(roles: Sequence[str]) -> sa.ColumnElement[bool]:
    return sa.and_(staff.c.role.in_(roles), staff.c.state == "active")


async def teams(conn: Conn) -> dict[int, str]:
    """Names by id, in the order of names."""
    c = team.c
    stmt = sa.select(c.team_id, c.name).where(c.tenant_id == conn.tenant_id)
    return {r.team_id: r.name for r in await conn.rows(stmt.order_by(c.name, c.team_id).limit(_PEOPLE))}


# -- assignments -------------------------------------------------------------------------------------------
async def record(conn: Conn, move: Move) -> None:
    row = {name: getattr(move, name) for name in Move.__slots__} | {"facts": dict(move.facts)}
    await conn.insert(assignment, [{"tenant_id": conn.tenant_id, "assignment_id": new_id(), **row}])


async def moves(conn: Conn, conversation_id: int, *, limit: int) -> list[Move]:
    """The latest first."""
    c = assignment.c
    stmt = sa.select(*_MOVE).where(c.tenant_id == conn.tenant_id, c.conversation_id == conversation_id)
    rows = await conn.rows(stmt.order_by(c.at.desc(), c.assignment_id.desc()).limit(limit))
    return [Move(**r._mapping) for r in rows]


async def tried(conn: Conn, conversation_id: int, *, since: datetime) -> set[int]:
    """Who had it automatically, or gave it away, since then."""
    found = [m for m in await moves(conn, conversation_id, limit=50) if m.at >= since]
    had = {m.to_id for m in found if m.rule in AUTOMATIC} | {m.from_id for m in found if m.rule in REFUSED}
    return {ident for ident in had if ident is not None}


async def trade(conn: Conn) -> str:
    """The one trade this company is in, by whose words its stages are called; "" = none or several."""
    c = pack.c
    stmt = sa.select(c.trade).where(c.tenant_id == conn.tenant_id).order_by(c.trade)
    found = await conn.rows(stmt.limit(2))
    return str(found[0].trade) if len(found) == 1 else ""
