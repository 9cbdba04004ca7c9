"""How far behind the vendor we are, stream by stream: what it keeps for days only must be fetched in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import cursor, due

_MOST = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """One stream: `behind` is the age of the first thing we may not have fetched yet."""

    account_id: int
    stream: str
    behind: timedelta
    #: Why the last try failed; "" = it did not.
    error: str

    @property
    def sentence(self) -> str:
        hours = self.behind.total_seconds() / 3600
        why = f"最近一次失败的原因：{self.error}" if self.error else "正在追赶，请留意是否跟得上。"
        return f"拉取落后 {hours:.1f} 小时，平台只保留几天，请尽快处理。{why}"


async def following(conn: Conn, account_id: int, stream: str, *, now: datetime) -> None:
    """From here on its lag counts, even if it never works at all."""
    await conn.insert_new(cursor, [_row(conn, account_id, stream, now, now)])


async def reached(conn: Conn, account_id: int, stream: str, at: datetime, *, now: datetime) -> None:
    """Everything up to `at` has been fetched; never moves back."""
    row = _row(conn, account_id, stream, at, now)
    await conn.upsert(cursor, [row], key=["tenant_id", "account_id", "stream"], change=_later)


def _later(new: Any) -> dict[str, Any]:
    c = cursor.c
    known = sa.and_(c.reached_at.is_not(None), c.reached_at > new.reached_at)
    return {"reached_at": sa.case((known, c.reached_at), else_=new.reached_at)}


async def lags(conn: Conn, *, now: datetime, account_ids: Sequence[int] = ()) -> list[Lag]:
    """Every stream whose place is known, the furthest behind first, at most 1,000; of these accounts only."""
    c, d = cursor.c, due.c
    asked = sa.and_(
        d.tenant_id == c.tenant_id,
        d.kind == "poll",
        d.key == sa.cast(c.account_id, sa.Text) + ":" + c.stream,
    )
    stmt = (
        sa.select(c.account_id, c.stream, c.reached_at, d.error)
        .join_from(cursor, due, asked)
        .where(c.tenant_id == conn.tenant_id, c.reached_at.is_not(None))
    )
    if account_ids:
        stmt = stmt.where(c.account_id.in_(account_ids))
    rows = await conn.rows(stmt.order_by(c.reached_at, c.account_id, c.stream).limit(_MOST))
    return [
        Lag(
            account_id=r.account_id,
            stream=r.stream,
            behind=max(now - r.reached_at, timedelta()),
            error=r.error,
        )
        for r in rows
    ]


def _row(conn: Conn, account_id: int, stream: str, at: datetime, now: datetime) -> dict[str, object]:
    return {
        "tenant_id": conn.tenant_id,
        "account_id": account_id,
        "stream": stream,
        "cursor": "",
        "moved_at": now,
        "reached_at": at,
    }
