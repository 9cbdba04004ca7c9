"""SQL of appeals; what was written is sealed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import appeal
from scrm.seal import new_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Appeal:
    appeal_id: int
    deal_id: int
    ruling_id: int
    by_id: int | None
    text: str = field(repr=False)
    at: datetime
    due_at: datetime
    #: open | upheld | dismissed
    state: str
    answer: str = field(repr=False, default="")
    decided_by: int | None = None
    decided_at: datetime | None = None
    #: It was late, and those above were told.
    escalated_at: datetime | None = None


async def add(
    conn: Conn, deal_id: int, ruling_id: int, *, by_id: int | None, text: str, at: datetime, due_at: datetime
) -> int:
    ident = new_id()
    row = {
        "tenant_id": conn.tenant_id,
        "appeal_id": ident,
        "deal_id": deal_id,
        "ruling_id": ruling_id,
        "by_id": by_id,
        "text": await conn.seal("tenant", text.encode(), "appeal", ident, "text"),
        "at": at,
        "due_at": due_at,
    }
    await conn.insert(appeal, [row])
    return ident


async def decide(
    conn: Conn, appeal_id: int, state: str, answer: str, *, by_id: int | None, at: datetime
) -> bool:
    """Whether it was still open."""
    c = appeal.c
    sealed = await conn.seal("tenant", answer.encode(), "appeal", appeal_id, "answer")
    stmt = sa.update(appeal).where(c.tenant_id == conn.tenant_id, c.appeal_id == appeal_id, c.state == "open")
    done = await conn.run(stmt.values(state=state, answer=sealed, decided_by=by_id, decided_at=at))
    return bool(done)


async def open_of(conn: Conn, deal_id: int) -> Appeal | None:
    c = appeal.c
    stmt = sa.select(appeal).where(c.tenant_id == conn.tenant_id, c.deal_id == deal_id, c.state == "open")
    row = await conn.row(stmt.order_by(c.appeal_id).limit(1))
    return await _opened(conn, row) if row else None


async def running(conn: Conn, *, limit: int, overdue_at: datetime | None = None) -> list[Appeal]:
    """Open ones by their clock, what is most urgent first; with `overdue_at` only those late by then."""
    c = appeal.c
    stmt = sa.select(appeal).where(c.tenant_id == conn.tenant_id, c.state == "open")
    if overdue_at is not None:
        stmt = stmt.where(c.due_at < overdue_at)
    return [
        await _opened(conn, r) for r in await conn.rows(stmt.order_by(c.due_at, c.appeal_id).limit(limit))
    ]


async def late(conn: Conn, *, now: datetime, limit: int) -> list[int]:
    """Open ones past their time that nobody above was told of, the longest first."""
    c = appeal.c
    stmt = sa.select(c.appeal_id).where(
        c.tenant_id == conn.tenant_id, c.state == "open", c.due_at < now, c.escalated_at.is_(None)
    )
    return [r.appeal_id for r in await conn.rows(stmt.order_by(c.due_at, c.appeal_id).limit(limit))]


async def escalate(conn: Conn, appeal_id: int, *, now: datetime) -> bool:
    """Whether it was still open and nobody had been told."""
    c = appeal.c
    which = sa.and_(c.tenant_id == conn.tenant_id, c.appeal_id == appeal_id, c.state == "open")
    stmt = sa.update(appeal).where(which, c.escalated_at.is_(None))
    return bool(await conn.run(stmt.values(escalated_at=now)))


async def page(
    conn: Conn, *, before: int | None, limit: int, state: str = "", deal_id: int | None = None
) -> list[Appeal]:
    """Newest first, at most `limit`, below the appeal `before`; `escalated`: open ones that are late."""
    c = appeal.c
    stmt = sa.select(appeal).where(c.tenant_id == conn.tenant_id)
    if state == "escalated":
        stmt = stmt.where(c.state == "open", c.escalated_at.is_not(None))
    elif state:
        stmt = stmt.where(c.state == state)
    if deal_id is not None:
        stmt = stmt.where(c.deal_id == deal_id)
    if before is not None:
        stmt = stmt.where(c.appeal_id < before)
    rows = await conn.rows(stmt.order_by(c.appeal_id.desc()).limit(limit))
    return [await _opened(conn, r) for r in rows]


async def _opened(conn: Conn, row: Any) -> Appeal:
    text = await conn.unseal(row.text, "appeal", row.appeal_id, "text")
    answer = await conn.unseal(row.answer, "appeal", row.appeal_id, "answer") if row.answer else b""
    return Appeal(
        appeal_id=row.appeal_id,
        deal_id=row.deal_id,
        ruling_id=row.ruling_id,
        by_id=row.by_id,
        text=text.decode(),
        at=row.at,
        due_at=row.due_at,
        state=row.state,
        answer=answer.decode(),
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        escalated_at=row.escalated_at,
    )
