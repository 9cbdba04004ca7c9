"""SQL of what others of us said to a customer: counted for a page, and read when one more has come."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import event, event_node

#: Source keys of what the service says by itself: no colleague.
_GREETING = "ours:greet:"


async def counts(
    conn: Conn, node_ids: Collection[int], *, but: int | None, since: datetime
) -> dict[int, int]:
    """By conversation, how many messages somebody other than `but` sent since then."""
    stmt = sa.select(event.c.conversation_id, sa.func.count(event.c.event_id.distinct()).label("number"))
    stmt = _others(stmt, conn, node_ids, but, since).group_by(event.c.conversation_id)
    return {r.conversation_id: r.number for r in await conn.rows(stmt)} if node_ids else {}


async def latest(
    conn: Conn, conversation_id: int, node_id: int, *, but: int | None, since: datetime, limit: int
) -> list[int]:
    """Ids of these messages in one conversation, the latest stored first."""
    c = event.c
    stmt = _others(sa.select(c.event_id), conn, [node_id], but, since).where(
        c.conversation_id == conversation_id
    )
    stmt = stmt.order_by(c.stored_at.desc(), c.event_id.desc()).limit(limit)
    return [r.event_id for r in await conn.rows(stmt)]


def _others(
    stmt: sa.Select[Any], conn: Conn, node_ids: Collection[int], but: int | None, since: datetime
) -> sa.Select[Any]:
    c, n = event.c, event_node.c
    return stmt.select_from(
        event_node.join(event, sa.and_(c.tenant_id == n.tenant_id, c.event_id == n.event_id))
    ).where(
        n.tenant_id == conn.tenant_id,
        n.node_id.in_(node_ids),
        n.at >= since,
        c.direction == "out",
        c.kind.startswith("message."),
        c.staff_id.is_distinct_from(but),
        c.superseded_by.is_(None),
        ~c.source_key.startswith(_GREETING),
    )
