"""SQL of the public pool: who is held by whom and how long alone, entries of the pool, looks at them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import assignment, claim, conversation, deal, pool_entry, pool_look, staff
from scrm.seal import new_id

_OPEN = ("warned", "in")
#: What a rep does for a customer.
_FOLLOW_UPS = ("follow_up", "call", "visit", "contact", "report")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    entry_id: int
    node_id: int
    from_id: int | None
    team_id: int | None
    state: str
    rule: str
    level: str
    facts: Mapping[str, str] = field(default_factory=dict)
    warned_at: datetime | None = None
    falls_at: datetime | None = None
    fell_at: datetime | None = None
    ended_at: datetime | None = None
    taken_by: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A conversation in somebody's hands."""

    conversation_id: int
    node_id: int
    rep_id: int
    team_id: int | None
    version: int
    last_at: datetime
    last_in_at: datetime | None
    last_direction: str
    created_at: datetime


_ENTRY = [pool_entry.c[name] for name in Entry.__slots__]
_KEPT = [conversation.c[name] for name in Kept.__slots__]


# -- who is in whose hands -----------------------------------------------------------------------------------
async def kept(conn: Conn, *, after: int, limit: int) -> list[Kept]:
    """Conversations somebody has, in the order of their ids, beyond `after`."""
    c = conversation.c
    stmt = sa.select(*_KEPT).where(
        c.tenant_id == conn.tenant_id, c.rep_id.is_not(None), c.conversation_id > after
    )
    return [Kept(**r._mapping) for r in await conn.rows(stmt.order_by(c.conversation_id).limit(limit))]


async def kept_of(conn: Conn, node_ids: Collection[int]) -> list[Kept]:
    c = conversation.c
    stmt = sa.select(*_KEPT).where(
        c.tenant_id == conn.tenant_id, c.node_id.in_(node_ids), c.rep_id.is_not(None)
    )
    rows = await conn.rows(stmt.order_by(c.conversation_id)) if node_ids else []
    return [Kept(**r._mapping) for r in rows]


async def kept_by(conn: Conn, rep_id: int, *, limit: int) -> list[Kept]:
    """What this rep has, the newest talk first."""
    c = conversation.c
    stmt = sa.select(*_KEPT).where(c.tenant_id == conn.tenant_id, c.rep_id == rep_id)
    rows = await conn.rows(stmt.order_by(c.last_at.desc(), c.conversation_id.desc()).limit(limit))
    return [Kept(**r._mapping) for r in rows]


async def followed(conn: Conn, node_ids: Collection[int]) -> dict[tuple[int, str], datetime]:
    """When each claimant last did something for each identifier."""
    c = claim.c
    stmt = sa.select(c.node_id, c.claimant, sa.func.max(c.at).label("at")).where(
        c.tenant_id == conn.tenant_id, c.node_id.in_(node_ids), c.kind.in_(_FOLLOW_UPS)
    )
    rows = await conn.rows(stmt.group_by(c.node_id, c.claimant)) if node_ids else []
    return {(r.node_id, r.claimant): r.at for r in rows}


async def visited(conn: Conn, node_ids: Collection[int]) -> set[int]:
    c = claim.c
    stmt = sa.select(c.node_id).where(
        c.tenant_id == conn.tenant_id, c.node_id.in_(node_ids), c.kind == "visit"
    )
    return {r.node_id for r in await conn.rows(stmt.distinct())} if node_ids else set()


async def bought(conn: Conn, node_ids: Collection[int]) -> set[int]:
    """Those who bought or paid for something that was not given back."""
    c = deal.c
    theirs = sa.or_(c.node_id.in_(node_ids), c.payer_id.in_(node_ids))
    stmt = sa.select(c.node_id, c.payer_id).where(c.tenant_id == conn.tenant_id, theirs, c.amount > 0)
    rows = await conn.rows(stmt.distinct()) if node_ids else []
    return {n for r in rows for n in (r.node_id, r.payer_id) if n is not None}


async def given(conn: Conn, conversation_ids: Collection[int]) -> dict[int, tuple[datetime, str]]:
    """When each conversation last came into somebody's hands, and by which rule."""
    c = assignment.c
    stmt = (
        sa.select(c.conversation_id, c.at, c.rule)
        .where(
            c.tenant_id == conn.tenant_id,
            c.conversation_id.in_(conversation_ids),
            c.to_id.is_not(None),
        )
        .order_by(c.conversation_id, c.at, c.assignment_id)
    )
    rows = await conn.rows(stmt) if conversation_ids else []
    return {r.conversation_id: (r.at, r.rule) for r in rows}


async def gone(conn: Conn, staff_ids: Collection[int]) -> set[int]:
    """Those of them who are not with us any more."""
    c = staff.c
    stmt = sa.select(c.staff_id).where(
        c.tenant_id == conn.tenant_id, c.staff_id.in_(staff_ids), c.state == "active"
    )
    here = {r.staff_id for r in await conn.rows(stmt)} if staff_ids else set()
    return set(staff_ids) - here


async def held(conn: Conn, staff_id: int) -> int:
    """How many customers are in this rep's hands."""
    c = conversation.c
    stmt = sa.select(sa.func.count(sa.distinct(c.node_id))).where(
        c.tenant_id == conn.tenant_id, c.rep_id == staff_id, c.state != "closed"
    )
    return int(await conn.scalar(stmt) or 0)


# -- entries -------------------------------------------------------------------------------------------------
async def add(conn: Conn, one: Entry) -> bool:
    """Whether this customer had no open entry."""
    row = {name: getattr(one, name) for name in Entry.__slots__}
    row |= {"tenant_id": conn.tenant_id, "facts": json.dumps(dict(one.facts), ensure_ascii=False)}
    return bool(await conn.insert_new(pool_entry, [row], pool_entry.c.entry_id))


def fresh(**values: Any) -> Entry:
    return Entry(entry_id=new_id(), **values)


async def change(conn: Conn, entry_id: int, state: str, **values: Any) -> bool:
    """From an open state into this one. False = somebody was faster."""
    c = pool_entry.c
    was = ("in",) if state in ("taken", "back") else ("warned",)
    if "facts" in values:
        values["facts"] = json.dumps(dict(values["facts"]), ensure_ascii=False)
    stmt = sa.update(pool_entry).where(
        c.tenant_id == conn.tenant_id, c.entry_id == entry_id, c.state.in_(was)
    )
    return bool(await conn.run(stmt.values(state=state, **values)))


async def open_of(conn: Conn, node_ids: Collection[int]) -> dict[int, Entry]:
    """Open entries by identifier."""
    c = pool_entry.c
    stmt = sa.select(*_ENTRY).where(
        c.tenant_id == conn.tenant_id, c.node_id.in_(node_ids), c.state.in_(_OPEN)
    )
    rows = await conn.rows(stmt.order_by(c.entry_id)) if node_ids else []
    return {r.node_id: _entry(r) for r in rows}


async def get(conn: Conn, entry_id: int) -> Entry | None:
    c = pool_entry.c
    row = await conn.row(sa.select(*_ENTRY).where(c.tenant_id == conn.tenant_id, c.entry_id == entry_id))
    return _entry(row) if row else None


async def page(
    conn: Conn,
    state: str,
    *,
    teams: Sequence[int | None] | None,
    from_id: int | None = None,
    before: int | None,
    limit: int,
) -> list[Entry]:
    """Newest first, of these teams (None = of all), at most `limit`, below the entry `before`."""
    c = pool_entry.c
    stmt = sa.select(*_ENTRY).where(c.tenant_id == conn.tenant_id, c.state == state)
    if teams is not None:
        named = c.team_id.in_([t for t in teams if t is not None])
        stmt = stmt.where(sa.or_(named, c.team_id.is_(None)) if None in teams else named)
    if from_id is not None:
        stmt = stmt.where(c.from_id == from_id)
    if before is not None:
        stmt = stmt.where(c.entry_id < before)
    return [_entry(r) for r in await conn.rows(stmt.order_by(c.entry_id.desc()).limit(limit))]


async def beyond(conn: Conn, *, after: int, limit: int) -> list[Entry]:
    """Open ones in the order of their ids."""
    c = pool_entry.c
    stmt = sa.select(*_ENTRY).where(c.tenant_id == conn.tenant_id, c.state.in_(_OPEN), c.entry_id > after)
    return [_entry(r) for r in await conn.rows(stmt.order_by(c.entry_id).limit(limit))]


async def in_nobodys_hands(conn: Conn, node_ids: Collection[int]) -> set[int]:
    """Those with a conversation that is in the pool and nobody's."""
    c = conversation.c
    stmt = sa.select(c.node_id).where(
        c.tenant_id == conn.tenant_id,
        c.node_id.in_(node_ids),
        c.pooled_at.is_not(None),
        c.rep_id.is_(None),
    )
    return {r.node_id for r in await conn.rows(stmt.distinct())} if node_ids else set()


async def taken(conn: Conn, staff_id: int, *, since: datetime) -> int:
    c = pool_entry.c
    stmt = sa.select(sa.func.count()).where(
        c.tenant_id == conn.tenant_id, c.taken_by == staff_id, c.ended_at >= since
    )
    return int(await conn.scalar(stmt) or 0)


def _entry(row: Any) -> Entry:
    return Entry(**{**row._mapping, "facts": json.loads(row.facts)})


# -- looks ---------------------------------------------------------------------------------------------------
async def looks(conn: Conn, day: int, staff_id: int) -> set[int]:
    """Whom of the pool this rep has opened on this day."""
    c = pool_look.c
    stmt = sa.select(c.entry_id).where(c.tenant_id == conn.tenant_id, c.day == day, c.staff_id == staff_id)
    return {r.entry_id for r in await conn.rows(stmt.order_by(c.entry_id).limit(100_000))}


async def look(conn: Conn, day: int, staff_id: int, entry_id: int) -> None:
    row = {"tenant_id": conn.tenant_id, "day": day, "staff_id": staff_id, "entry_id": entry_id}
    await conn.insert_new(pool_look, [row])


async def forget_looks(conn: Conn, before_day: int) -> None:
    c = pool_look.c
    await conn.run(sa.delete(pool_look).where(c.tenant_id == conn.tenant_id, c.day < before_day))
