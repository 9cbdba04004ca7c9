"""Works as these pages show them, and starting one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from scrm import works
from scrm.db import Conn, utcnow
from scrm.ledger.store import audit
from scrm.web.admin.jobs import row
from scrm.web.admin.views import JobRow
from scrm.web.house import actor, house
from scrm.works import Work


async def begin(
    conn: Conn, request: web.Request, kind: str, payload: Mapping[str, Any], *, total: int | None = None
) -> int:
    """Its id; the worker is woken after the commit."""
    who, now = actor(request), utcnow()
    job_id = await works.start(conn, kind, payload, total=total, staff_id=who.staff_id, now=now)
    await audit(conn, who.label, f"job.{kind}", now=now, subject=f"job:{job_id}")
    conn.after_commit(house(request).wake_due)
    return job_id


def shown(request: web.Request, work: Work, conn: Conn) -> JobRow:
    return row(request, work, conn.vault, house(request).directory)


async def newest(conn: Conn, *kinds: str, limit: int = 1) -> list[Work]:
    return await works.page(conn, kinds=kinds, limit=limit)
