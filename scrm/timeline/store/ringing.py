"""SQL of telephones that ring now: the newest word on each call, for a minute."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import event
from scrm.timeline.store.events import Stored

RINGS = "event.call.ringing"
#: Nobody lets it ring longer; the platform's clock may be a little off.
_LASTS, _SKEW = timedelta(seconds=60), timedelta(seconds=120)
_AT_ONCE = 20


async def ringing(conn: Conn, account_ids: Collection[int], *, now: datetime) -> list[Stored]:
    """Calls to us that nobody has taken and that have not ended, newest first."""
    c = event.c
    if not account_ids:
        return []
    stmt = sa.select(*(c[name] for name in Stored.__slots__)).where(
        c.tenant_id == conn.tenant_id,
        c.account_id.in_(account_ids),
        c.at >= now - _LASTS - _SKEW,
        c.kind == RINGS,
        c.direction == "in",
        c.superseded_by.is_(None),
        c.stored_at >= now - _LASTS,
    )
    rows = await conn.rows(stmt.order_by(c.at.desc(), c.seq.desc(), c.event_id.desc()).limit(_AT_ONCE))
    return [Stored(**r._mapping) for r in rows]
