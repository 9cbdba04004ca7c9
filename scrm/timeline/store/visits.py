"""SQL of reading on both ends: what we have read of a customer, and the customer of us."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import conversation

_c = conversation.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One conversation, as far as both ends have read it."""

    conversation_id: int
    read_at: datetime | None
    seen_at: datetime | None
    version: int


async def reading(conn: Conn, account_id: int, node_id: int) -> Reading | None:
    """The visitor's conversation on an account; None before its first message was settled."""
    columns = (_c.conversation_id, _c.read_at, _c.seen_at, _c.version)
    stmt = sa.select(*columns).where(
        _c.tenant_id == conn.tenant_id, _c.account_id == account_id, _c.node_id == node_id, _c.thread == ""
    )
    row = await conn.row(stmt)
    return Reading(**row._mapping) if row else None


async def mark_seen(conn: Conn, conversation_id: int, *, now: datetime) -> bool:
    """The customer has our words before their eyes; never backwards. False when nothing changed."""
    later = sa.or_(_c.seen_at.is_(None), _c.seen_at < now)
    stmt = sa.update(conversation).where(
        _c.tenant_id == conn.tenant_id, _c.conversation_id == conversation_id, later
    )
    return bool(await conn.run(stmt.values(seen_at=now)))


async def seen(conn: Conn, conversation_ids: Collection[int]) -> dict[int, datetime]:
    """How far customers have read, where their channel says so."""
    stmt = sa.select(_c.conversation_id, _c.seen_at).where(
        _c.tenant_id == conn.tenant_id, _c.conversation_id.in_(conversation_ids), _c.seen_at.is_not(None)
    )
    return {r.conversation_id: r.seen_at for r in await conn.rows(stmt)} if conversation_ids else {}


async def unread(conn: Conn, conversation_id: int) -> bool:
    """Whether the customer spoke since we last looked."""
    new = sa.or_(_c.read_at.is_(None), _c.read_at < _c.last_in_at)
    stmt = sa.select(_c.conversation_id).where(
        _c.tenant_id == conn.tenant_id, _c.conversation_id == conversation_id, new
    )
    return await conn.row(stmt) is not None
