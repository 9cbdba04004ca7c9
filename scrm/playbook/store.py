"""SQL of suggestions: what was offered on which message, and what the rep took."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from scrm.db import Conn
from scrm.playbook.ranking import Suggestion
from scrm.schema import conversation, suggestion
from scrm.seal import new_id

#: A script used within the last so many offers of a conversation is not offered again.
_RECENT = 5
#: What a rep sent longer ago may be said again.
_FADES = timedelta(days=14)
SENT = ("used", "edited")


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
    stage: str = ""
    role: str = ""
    channel: str = ""
    #: Of a trial; "" = none ran.
    arm: str = ""
    node_id: int | None = None
    staff_id: int | None = None
    used_at: datetime | None = None
    used_event_id: int | None = None
    distance: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What is offered on one message, best first, and where the household stood then."""

    conversation_id: int
    event_id: int
    ranked: Sequence[Suggestion]
    stage: str = ""
    role: str = ""
    channel: str = ""
    node_id: int | None = None
    staff_id: int | None = None
    #: By script, for those on trial.
    arms: Mapping[str, str] = field(default_factory=dict)
    #: Of the best one; 0 = nobody suggested it, a rep looked it up.
    first: int = 1


_OFFER = [suggestion.c[name] for name in Offer.__slots__]


async def save(
    conn: Conn, conversation_id: int, event_id: int, ranked: Sequence[Suggestion], *, now: datetime
) -> None:
    """Once per message: the same reaction again adds nothing."""
    made = Made(conversation_id=conversation_id, event_id=event_id, ranked=ranked)
    await save_all(conn, [made], now=now)


async def save_all(conn: Conn, offers: Sequence[Made], *, now: datetime) -> None:
    """The suggestions on several messages at once."""
    rows = [
        {
            "tenant_id": conn.tenant_id,
            "suggestion_id": new_id(),
            "conversation_id": made.conversation_id,
            "event_id": made.event_id,
            "rank": rank,
            "script_id": s.script_id,
            "script_version": s.version,
            "score": s.score,
            "reason": s.reason,
            "created_at": now,
            "stage": made.stage,
            "role": made.role,
            "channel": made.channel,
            "arm": made.arms.get(s.script_id, ""),
            "node_id": made.node_id,
            "staff_id": made.staff_id,
        }
        for made in offers
        for rank, s in enumerate(made.ranked, made.first)
    ]
    await conn.insert_new(suggestion, rows)


async def latest(conn: Conn, conversation_id: int) -> list[Offer]:
    """The offers made last in this conversation, best first."""
    c = suggestion.c
    newest = (
        sa.select(c.event_id)
        .where(c.tenant_id == conn.tenant_id, c.conversation_id == conversation_id, c.rank > 0)
        .order_by(c.suggestion_id.desc())
        .limit(1)
        .scalar_subquery()
    )
    stmt = sa.select(*_OFFER).where(
        c.tenant_id == conn.tenant_id, c.conversation_id == conversation_id, c.event_id == newest
    )
    return [Offer(**r._mapping) for r in await conn.rows(stmt.order_by(c.rank).limit(5))]


async def found(conn: Conn, event_id: int, script_id: str) -> int | None:
    """The suggestion of this script on this message."""
    c = suggestion.c
    stmt = sa.select(c.suggestion_id).where(
        c.tenant_id == conn.tenant_id, c.event_id == event_id, c.script_id == script_id
    )
    ident: int | None = await conn.scalar(stmt)
    return ident


async def get(conn: Conn, suggestion_id: int) -> Offer | None:
    c = suggestion.c
    stmt = sa.select(*_OFFER).where(c.tenant_id == conn.tenant_id, c.suggestion_id == suggestion_id)
    row = await conn.row(stmt)
    return Offer(**row._mapping) if row else None


async def mark_used(
    conn: Conn,
    suggestion_id: int,
    *,
    event_id: int | None = None,
    staff_id: int | None = None,
    now: datetime | None = None,
) -> None:
    """The rep took it; how much they changed is found out when the message itself comes round."""
    c = suggestion.c
    stmt = sa.update(suggestion).where(
        c.tenant_id == conn.tenant_id, c.suggestion_id == suggestion_id, c.state.not_in(SENT)
    )
    await conn.run(stmt.values(state="used", used_at=now, used_event_id=event_id, staff_id=staff_id))


async def mark_unfit(conn: Conn, suggestion_id: int, *, staff_id: int | None) -> bool:
    """The rep said that it does not fit here; False when it was sent."""
    c = suggestion.c
    stmt = sa.update(suggestion).where(
        c.tenant_id == conn.tenant_id, c.suggestion_id == suggestion_id, c.state.not_in(SENT)
    )
    return bool(await conn.run(stmt.values(state="unfit", staff_id=staff_id)))


async def recently_used(
    conn: Conn, conversation_ids: Collection[int], *, now: datetime | None = None
) -> dict[int, set[str]]:
    """Script ids sent lately, by conversation."""
    c = suggestion.c
    stmt = sa.select(c.conversation_id, c.script_id).where(
        c.tenant_id == conn.tenant_id, c.conversation_id.in_(conversation_ids), c.state.in_(SENT)
    )
    if now is not None:
        stmt = stmt.where(c.created_at >= now - _FADES)
    found: dict[int, list[str]] = {}
    for r in await conn.rows(stmt.order_by(c.suggestion_id.desc())) if conversation_ids else []:
        found.setdefault(r.conversation_id, []).append(r.script_id)
    return {k: set(v[:_RECENT]) for k, v in found.items()}


async def taken_by_nobody(conn: Conn, conversation_id: int, *, since: datetime) -> bool:
    """Whether something went out there by itself."""
    c = suggestion.c
    stmt = sa.select(c.suggestion_id).where(
        c.tenant_id == conn.tenant_id,
        c.conversation_id == conversation_id,
        c.used_at >= since,
        c.state.in_(SENT),
        c.staff_id.is_(None),
    )
    return await conn.row(stmt.order_by(c.suggestion_id).limit(1)) is not None


async def forget(conn: Conn, node_ids: Collection[int]) -> None:
    """Why something was offered to these may quote them."""
    c, talk = suggestion.c, conversation.c
    theirs = sa.select(talk.conversation_id).where(
        talk.tenant_id == conn.tenant_id, talk.node_id.in_(node_ids)
    )
    stmt = sa.update(suggestion).where(c.tenant_id == conn.tenant_id, c.conversation_id.in_(theirs))
    await conn.run(stmt.values(reason=""))


async def page(conn: Conn, *, conversation_id: int | None, before: int | None, limit: int) -> list[Offer]:
    """Offers, newest first, at most `limit`, older than `before`."""
    c = suggestion.c
    stmt = sa.select(*_OFFER).where(c.tenant_id == conn.tenant_id)
    if conversation_id is not None:
        stmt = stmt.where(c.conversation_id == conversation_id)
    if before is not None:
        stmt = stmt.where(c.suggestion_id < before)
    return [Offer(**r._mapping) for r in await conn.rows(stmt.order_by(c.suggestion_id.desc()).limit(limit))]
