"""SQL of conversations: one per (account, customer node, vendor thread), seen through the reader's scope."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from scrm.db import Conn
from scrm.desk.tasks.store.waiting import asks
from scrm.schema import conversation, node_person, staff
from scrm.staff.rules import Scope
from scrm.timeline.rules import Talk

Filter = Literal["waiting", "mine", "unassigned", "snoozed", "closed", "all"]
_TALK = [conversation.c[name] for name in Talk.__slots__]
_KEY = ["tenant_id", "account_id", "node_id", "thread"]
_OF_NODES = (
    sa.select(*_TALK)
    .where(
        conversation.c.tenant_id == sa.bindparam("tenant"),
        conversation.c.node_id.in_(sa.bindparam("nodes", expanding=True)),
    )
    .order_by(conversation.c.last_at.desc(), conversation.c.conversation_id)
)
# In one order, so that two transactions never wait for each other in a circle.
_HOLD = _OF_NODES.order_by(None).order_by(conversation.c.conversation_id).with_for_update()


def visible(scope: Scope) -> sa.ColumnElement[bool]:
    """The scope as a predicate: part of every statement that shows a conversation."""
    c = conversation.c
    if scope.everything:
        return sa.true()
    mine = [c.rep_id == scope.rep_id] if scope.rep_id is not None else []
    if scope.team_id is not None:
        # In the public pool it is shown one by one, until the customer asks for somebody.
        shown = sa.or_(c.pooled_at.is_(None), c.waiting_since.is_not(None))
        ours_or_nobodys = sa.or_(c.team_id == scope.team_id, c.team_id.is_(None))
        mine.append(sa.and_(ours_or_nobodys, c.rep_id.is_(None), shown))
        if scope.whole_team:
            ours = sa.select(staff.c.staff_id).where(
                staff.c.tenant_id == c.tenant_id, staff.c.team_id == scope.team_id
            )
            mine += [c.team_id == scope.team_id, sa.and_(c.team_id.is_(None), c.rep_id.in_(ours))]
    return sa.or_(*mine) if mine else sa.false()


async def of_nodes(conn: Conn, node_ids: Collection[int]) -> list[Talk]:
    """Every conversation of these nodes."""
    if not node_ids:
        return []
    rows = await conn.rows(_OF_NODES, {"tenant": conn.tenant_id, "nodes": list(node_ids)})
    return [Talk(**r._mapping) for r in rows]


async def hold(conn: Conn, node_ids: Collection[int]) -> list[Talk]:
    """The same, held for this transaction: what is read here may be written back changed."""
    if not node_ids:
        return []
    rows = await conn.rows(_HOLD, {"tenant": conn.tenant_id, "nodes": list(node_ids)})
    return [Talk(**r._mapping) for r in rows]


async def visible_of_nodes(conn: Conn, scope: Scope, node_ids: Collection[int]) -> list[Talk]:
    """Those of them this scope may see, the latest first."""
    c = conversation.c
    stmt = sa.select(*_TALK).where(c.tenant_id == conn.tenant_id, c.node_id.in_(node_ids), visible(scope))
    rows = await conn.rows(stmt.order_by(c.last_at.desc(), c.conversation_id)) if node_ids else []
    return [Talk(**r._mapping) for r in rows]


async def visible_ids(conn: Conn, scope: Scope, conversation_ids: Collection[int]) -> set[int]:
    """Of these conversations, those this scope may see."""
    c = conversation.c
    stmt = sa.select(c.conversation_id).where(
        c.tenant_id == conn.tenant_id, c.conversation_id.in_(conversation_ids), visible(scope)
    )
    return {r.conversation_id for r in await conn.rows(stmt)} if conversation_ids else set()


async def start(conn: Conn, talks: Sequence[Talk], *, now: datetime) -> list[Talk]:
    """Conversations nobody has had yet, as they are now and held: another process may have been faster."""
    if not conn.many or not talks:
        return list(talks)
    await conn.insert_new(conversation, _rows(conn, talks, now))
    return await hold(conn, {t.node_id for t in talks})


async def save(conn: Conn, talks: Sequence[Talk], *, now: datetime) -> None:
    await conn.upsert(conversation, _rows(conn, talks, now), key=_KEY, change=_moved)


def _rows(conn: Conn, talks: Sequence[Talk], now: datetime) -> list[dict[str, Any]]:
    first = {"tenant_id": conn.tenant_id, "created_at": now}
    return [first | {name: getattr(t, name) for name in Talk.__slots__} for t in talks]


def _moved(new: Any) -> dict[str, Any]:
    kept = ("conversation_id", "account_id", "node_id", "thread", "team_id")
    return {name: new[name] for name in Talk.__slots__ if name not in kept}


async def get(conn: Conn, conversation_id: int, scope: Scope, *, lock: bool = False) -> Talk | None:
    """The conversation, if this scope may see it; `lock` when it is going to be moved."""
    c = conversation.c
    stmt = sa.select(*_TALK).where(
        c.tenant_id == conn.tenant_id, c.conversation_id == conversation_id, visible(scope)
    )
    row = await conn.row(stmt.with_for_update(of=conversation) if lock else stmt)
    return Talk(**row._mapping) if row else None


async def of_id(conn: Conn, conversation_id: int) -> Talk | None:
    """The conversation, for our own machinery: no reader's scope applies."""
    return await get(conn, conversation_id, Scope(everything=True))


async def of_ids(conn: Conn, conversation_ids: Collection[int]) -> dict[int, Talk]:
    """The same for many, by id."""
    c = conversation.c
    stmt = sa.select(*_TALK).where(c.tenant_id == conn.tenant_id, c.conversation_id.in_(conversation_ids))
    rows = await conn.rows(stmt) if conversation_ids else []
    return {r.conversation_id: Talk(**r._mapping) for r in rows}


async def queue(
    conn: Conn,
    scope: Scope,
    which: Filter,
    *,
    now: datetime,
    before: tuple[datetime, int] | None = None,
    limit: int,
) -> list[tuple[Talk, datetime | None]]:
    """Conversations with when they were last read: waiting ones longest first, others newest first."""
    c = conversation.c
    stmt = sa.select(*_TALK, c.read_at).where(c.tenant_id == conn.tenant_id, visible(scope))
    stmt = stmt.where(_listed(which, scope, now))
    forward = which == "waiting"
    column: Any = sa.func.coalesce(c.waiting_since, c.snooze_until) if forward else c.last_at
    if forward:
        stmt = stmt.order_by(column, c.conversation_id)
    else:
        stmt = stmt.order_by(column.desc(), c.conversation_id.desc())
    if before is not None:
        place = sa.tuple_(
            sa.literal(before[0], c.last_at.type), sa.literal(before[1], c.conversation_id.type)
        )
        here = sa.tuple_(column, c.conversation_id)
        stmt = stmt.where(here > place if forward else here < place)
    found = []
    for r in await conn.rows(stmt.limit(limit)):
        values = dict(r._mapping)
        read_at = values.pop("read_at")
        found.append((Talk(**values), read_at))
    return found


def _listed(which: Filter, scope: Scope, now: datetime) -> sa.ColumnElement[bool]:
    c = conversation.c
    put_off = c.snooze_until > now
    listed: dict[Filter, sa.ColumnElement[bool]] = {
        # The same that boards of tasks ask: they show the queue's replies, not their own.
        "waiting": asks(now),
        "mine": sa.and_(c.rep_id == scope.rep_id, c.state != "closed"),
        "unassigned": sa.and_(c.rep_id.is_(None), c.state != "closed"),
        "snoozed": put_off,
        "closed": c.state == "closed",
        "all": sa.true(),
    }
    return listed[which]


async def waiting_count(conn: Conn, scope: Scope, *, now: datetime) -> int:
    c = conversation.c
    stmt = sa.select(sa.func.count()).where(
        c.tenant_id == conn.tenant_id, visible(scope), _listed("waiting", scope, now)
    )
    return int(await conn.scalar(stmt) or 0)


async def read_at(conn: Conn, conversation_id: int) -> datetime | None:
    """When one of us last had it before their eyes."""
    c = conversation.c
    stmt = sa.select(c.read_at).where(c.tenant_id == conn.tenant_id, c.conversation_id == conversation_id)
    found: datetime | None = await conn.scalar(stmt)
    return found


async def mark_read(conn: Conn, conversation_id: int, *, now: datetime) -> None:
    c = conversation.c
    stmt = sa.update(conversation).where(
        c.tenant_id == conn.tenant_id,
        c.conversation_id == conversation_id,
        sa.or_(c.read_at.is_(None), c.read_at < now),
    )
    await conn.run(stmt.values(read_at=now))


async def visible_persons(conn: Conn, scope: Scope, person_ids: Collection[int]) -> set[int]:
    """Of these persons, those with at least one conversation this scope may see."""
    if scope.everything:
        return set(person_ids)
    c, np = conversation.c, node_person.c
    stmt = (
        sa.select(np.person_id)
        .join(conversation, sa.and_(c.tenant_id == np.tenant_id, c.node_id == np.node_id))
        .where(
            np.tenant_id == conn.tenant_id,
            np.person_id.in_(person_ids),
            np.until_at.is_(None),
            visible(scope),
        )
        .distinct()
    )
    return {r.person_id for r in await conn.rows(stmt)} if person_ids else set()


async def visible_nodes(conn: Conn, scope: Scope, node_ids: Collection[int]) -> set[int]:
    """Of these nodes, those that belong to a person this scope may see."""
    np = node_person.c
    stmt = sa.select(np.node_id, np.person_id).where(
        np.tenant_id == conn.tenant_id, np.node_id.in_(node_ids), np.until_at.is_(None)
    )
    pairs = [(r.node_id, r.person_id) for r in await conn.rows(stmt)] if node_ids else []
    allowed = await visible_persons(conn, scope, {p for _, p in pairs})
    return {n for n, p in pairs if p in allowed}


async def set_session(conn: Conn, conversation_id: int, session: str) -> None:
    """Who may answer now, learned from the vendor's refusal."""
    c = conversation.c
    stmt = sa.update(conversation).where(c.tenant_id == conn.tenant_id, c.conversation_id == conversation_id)
    await conn.run(stmt.values(session=session, version=c.version + 1))
