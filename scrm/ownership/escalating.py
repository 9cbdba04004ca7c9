"""Appeals nobody decided in time go up to compliance, once, with a sentence that says so."""

from __future__ import annotations

from datetime import datetime

from scrm.db import Conn
from scrm.ledger.store import audit
from scrm.ownership.store import appeals

#: What those above read; message id of the catalogues.
LATE = "这条申诉超过期限没有人处理，已升级给合规。"


async def escalate(conn: Conn, *, now: datetime, limit: int = 200) -> list[int]:
    """The appeals that are late now and were not before."""
    found = await appeals.late(conn, now=now, limit=limit)
    done = [ident for ident in found if await appeals.escalate(conn, ident, now=now)]
    for ident in done:
        await audit(conn, "system", "appeal.escalated", now=now, subject=f"appeal:{ident}")
    return done
