"""SQL of suggestions: what was offered on which message, and what the rep took."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from scrm.db import Conn
from scrm.playbook.ranking import Suggestion
from scrm.schema import suggestion
from scrm.seal import new_id

#: A script used within the last so many offers of a conversation is not offered again.
_RECENT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One suggestion as it was made."""

    suggestion_id: int
    conversation_id: int
    event_id: int
    rank: int
    script_id: str
    script_version: int
    score: float
    reason: str
    state: str
    created_at: datetime


_OFFER = [suggestion.c[name] for name in Offer.__slots__]


async def save(
    conn: Conn, conversation_id: int, event_id: int, ranked: Sequence[Suggestion], *, now: datetime
) -> None:
    """Once per message: the same reaction again adds nothing."""
    await save_all(conn, [(conversation_id, event_id, ranked)], now=now)


async def save_all(
    conn: Conn, offers: Sequence[tuple[int, int, Sequence[Suggestion]]], *, now: datetime
) -> None:
    """The suggestions on several messages at once: (conversation, event, best first)."""
    rows = [
        {
            "tenant_id": conn.tenant_id,
            "suggestion_id": new_id(),
            "conversation_id": conversation_id,
            "event_id": event_id,
            "rank": rank,
            "script_id": s.script_id,
            "script_version": s.version,
            "score": s.score,
            "reason": s.reason,
            "created_at": now,
        }
        for conversation_id, event_id, ranked in offers
        for rank, s in enumerate(ranked, 1)
    ]
    await conn.insert_new(suggestion, rows)


async def latest(conn: Conn, conversation_id: int) -> list[Offer]:
    """The offers made on the newest message that got any, best first."""
    c = suggestion.c
    newest = (
        sa.select(sa.func.max(c.event_id))
        .where(c.tenant_id == conn.tenant_id, c.conversation_id == conversation_id)
        .scalar_subquery()
    )
    stmt = sa.select(*_OFFER).where(
        c.tenant_id == conn.tenant_id, c.conversation_id == conversation_id, c.event_id == newest
    )
    return [Offer(**r._mapping) for r in await conn.rows(stmt.order_by(c.rank).limit(5))]


async def get(conn: Conn, suggestion_id: int) -> Offer | None:
    c = suggestion.c
    stmt = sa.select(*_OFFER).where(c.tenant_id == conn.tenant_id, c.suggestion_id == suggestion_id)
    row = await conn.row(stmt)
    return Offer(**row._mapping) if row else None


async def mark_used(conn: Conn, suggestion_id: int) -> None:
    c = suggestion.c
    stmt = sa.update(suggestion).where(c.tenant_id == conn.tenant_id, c.suggestion_id == suggestion_id)
    await conn.run(stmt.values(state="used"))


async def recently_used(conn: Conn, conversation_ids: Collection[int]) -> dict[int, set[str]]:
    """Script ids sent lately, by conversation."""
    c = suggestion.c
    stmt = sa.select(c.conversation_id, c.script_id).where(
        c.tenant_id == conn.tenant_id, c.conversation_id.in_(conversation_ids), c.state == "used"
    )
    found: dict[int, list[str]] = {}
    for r in await conn.rows(stmt.order_by(c.suggestion_id.desc())) if conversation_ids else []:
        found.setdefault(r.conversation_id, []).append(r.script_id)
    return {k: set(v[:_RECENT]) for k, v in found.items()}


async def page(conn: Conn, *, conversation_id: int | None, before: int | None, limit: int) -> list[Offer]:
    """Offers, newest first, at most `limit`, older than `before`."""
    c = suggestion.c
    stmt = sa.select(*_OFFER).where(c.tenant_id == conn.tenant_id)
    if conversation_id is not None:
        stmt = stmt.where(c.conversation_id == conversation_id)
    if before is not None:
        stmt = stmt.where(c.suggestion_id < before)
    return [Offer(**r._mapping) for r in await conn.rows(stmt.order_by(c.suggestion_id.desc()).limit(limit))]
