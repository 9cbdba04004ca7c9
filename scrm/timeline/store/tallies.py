"""SQL of tallies: how often a customer did something on a day, without a timeline row for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import tally

_SHANGHAI = timezone(timedelta(hours=8))


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """One thing done."""

    node_id: int
    account_id: int
    name: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    name: str
    n: int
    last_at: datetime


def day_of(at: datetime) -> int:
    """YYYYMMDD in Shanghai."""
    return int(at.astimezone(_SHANGHAI).strftime("%Y%m%d"))


async def add(conn: Conn, counted: Sequence[Counted]) -> None:
    """Count up; the caller says each thing once."""
    sums: Counter[tuple[int, str, int, int]] = Counter()
    last: dict[tuple[int, str, int, int], datetime] = {}
    for one in counted:
        place = (one.node_id, one.name, day_of(one.at), one.account_id)
        sums[place] += 1
        last[place] = max(one.at, last.get(place, one.at))
    rows = [
        {
            "tenant_id": conn.tenant_id,
            "node_id": place[0],
            "name": place[1],
            "day": place[2],
            "account_id": place[3],
            "n": n,
            "last_at": last[place],
        }
        for place, n in sorted(sums.items())
    ]
    key = ["tenant_id", "node_id", "name", "day", "account_id"]
    await conn.upsert(tally, rows, key=key, change=_counted_up)


def _counted_up(new: Any) -> dict[str, Any]:
    t = tally.c
    return {"n": t.n + new.n, "last_at": sa.case((new.last_at > t.last_at, new.last_at), else_=t.last_at)}


async def of_nodes(conn: Conn, node_ids: Collection[int], *, since: datetime) -> list[Sum]:
    """What these nodes did since that day, most often first, at most 20 names."""
    if not node_ids:
        return []
    t = tally.c
    n = sa.func.sum(t.n).label("n")
    stmt = (
        sa.select(t.name, n, sa.func.max(t.last_at).label("last_at"))
        .where(t.tenant_id == conn.tenant_id, t.node_id.in_(node_ids), t.day >= day_of(since))
        .group_by(t.name)
    )
    rows = await conn.rows(stmt.order_by(n.desc(), t.name).limit(20))
    return [Sum(name=r.name, n=int(r.n), last_at=r.last_at) for r in rows]
