"""SQL of whose a conversation is: those nobody answers, how full hands are, what was put off and is due."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import conversation
from scrm.timeline.rules import Talk

_TALK = [conversation.c[name] for name in Talk.__slots__]
#: Conversations that have been still for longer do not fill a rep's hands.
_FRESH = timedelta(hours=24)


async def unsettled(
    conn: Conn, account_ids: Collection[int], *, offered_before: datetime, limit: int
) -> list[Talk]:
    """Customers who wait while nobody looks after them, or whose rep has had it since then and is silent.

    Only where our own people answer: what the vendor gave to somebody is the vendor's. Longest first.
    """
    c = conversation.c
    nobody = sa.and_(c.state == "new", c.offered_at.is_(None))
    silent = sa.and_(c.offered_at <= offered_before, c.rep_id.is_not(None))
    stmt = sa.select(*_TALK).where(
        c.tenant_id == conn.tenant_id,
        c.account_id.in_(account_ids),
        c.waiting_since.is_not(None),
        c.snooze_until.is_(None),
        c.session == "api",
        sa.or_(nobody, silent),
    )
    rows = await conn.rows(stmt.order_by(c.waiting_since, c.conversation_id).limit(limit))
    return [Talk(**r._mapping) for r in rows]


async def loads(
    conn: Conn, rep_ids: Collection[int], *, but: int | None = None, now: datetime
) -> dict[int, int]:
    """How many conversations fill each rep's hands: not closed, not put off, moved within a day."""
    c = conversation.c
    stmt = sa.select(c.rep_id, sa.func.count().label("number")).where(
        c.tenant_id == conn.tenant_id,
        c.rep_id.in_(rep_ids),
        c.last_at > now - _FRESH,
        c.state != "closed",
        sa.or_(c.snooze_until.is_(None), c.snooze_until <= now),
    )
    if but is not None:
        stmt = stmt.where(c.conversation_id != but)
    return {r.rep_id: r.number for r in await conn.rows(stmt.group_by(c.rep_id))} if rep_ids else {}


async def last_rep(conn: Conn, node_ids: Collection[int]) -> int | None:
    """Who of us talked last with the customer behind these nodes."""
    c = conversation.c
    stmt = sa.select(c.last_rep_id).where(
        c.tenant_id == conn.tenant_id, c.node_id.in_(node_ids), c.last_rep_id.is_not(None)
    )
    found: int | None = await conn.scalar(stmt.order_by(c.last_at.desc(), c.conversation_id).limit(1))
    return found


async def woken(conn: Conn, *, after: datetime, until: datetime, limit: int) -> list[Talk]:
    """What was put off and came due in between, for the screens to look again."""
    c = conversation.c
    stmt = sa.select(*_TALK).where(
        c.tenant_id == conn.tenant_id, c.snooze_until > after, c.snooze_until <= until
    )
    rows = await conn.rows(stmt.order_by(c.snooze_until, c.conversation_id).limit(limit))
    return [Talk(**r._mapping) for r in rows]


async def change(conn: Conn, talk: Talk, **values: object) -> Talk:
    """Set fields of a conversation the caller holds locked; as it is then."""
    c = conversation.c
    moved = {**values, "version": talk.version + 1}
    stmt = sa.update(conversation).where(
        c.tenant_id == conn.tenant_id, c.conversation_id == talk.conversation_id
    )
    # Whoever has it, or had it and gave it back, it is not in the public pool.
    await conn.run(stmt.values(moved | ({"pooled_at": None} if "rep_id" in moved else {})))
    return replace(talk, **cast(dict[str, Any], moved))


async def pool(conn: Conn, talk: Talk, *, now: datetime) -> Talk:
    """Nobody's, and out of colleagues' sight until it is taken or the customer writes."""
    c = conversation.c
    state = "new" if talk.state == "open" else talk.state
    after = await change(conn, talk, rep_id=None, last_rep_id=None, offered_at=None, state=state)
    stmt = sa.update(conversation).where(
        c.tenant_id == conn.tenant_id, c.conversation_id == talk.conversation_id
    )
    await conn.run(stmt.values(pooled_at=now))
    return after


async def pooled(conn: Conn, node_ids: Collection[int]) -> list[Talk]:
    """Conversations of these that wait in the public pool, held for this transaction."""
    c = conversation.c
    stmt = sa.select(*_TALK).where(
        c.tenant_id == conn.tenant_id,
        c.node_id.in_(node_ids),
        c.pooled_at.is_not(None),
        c.rep_id.is_(None),
    )
    rows = await conn.rows(stmt.order_by(c.conversation_id).with_for_update()) if node_ids else []
    return [Talk(**r._mapping) for r in rows]
