"""SQL of single days: what an admin wrote over the shipped calendar."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.desk.calendar.rules import Day, date_of, number
from scrm.schema import calendar_day

_SHOWN = 800


async def days(conn: Conn, first: date, last: date) -> list[Day]:
    """Both ends included, in order."""
    c = calendar_day.c
    stmt = sa.select(c.day, c.kind, c.name).where(
        c.tenant_id == conn.tenant_id, c.day >= number(first), c.day <= number(last)
    )
    rows = await conn.rows(stmt.order_by(c.day).limit(_SHOWN))
    return [Day(day=date_of(r.day), kind=r.kind, name=r.name) for r in rows]


async def put(conn: Conn, wanted: Sequence[Day], *, now: datetime) -> None:
    """Each day as given, whatever stood there."""
    rows = [
        {
            "tenant_id": conn.tenant_id,
            "day": number(d.day),
            "kind": d.kind,
            "name": d.name,
            "changed_at": now,
        }
        for d in sorted(wanted, key=lambda d: d.day)
    ]
    await conn.upsert(calendar_day, rows, key=["tenant_id", "day"], change=_as_given)


def _as_given(new: Any) -> dict[str, Any]:
    return {"kind": new.kind, "name": new.name, "changed_at": new.changed_at}


async def drop(conn: Conn, first: date, last: date) -> int:
    """Back to the shipped calendar; how many days that were."""
    c = calendar_day.c
    return await conn.run(
        sa.delete(calendar_day).where(
            c.tenant_id == conn.tenant_id, c.day >= number(first), c.day <= number(last)
        )
    )
