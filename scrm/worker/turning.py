"""Errand: persons turned out to be others - deals and promises looked at again, screens and sides told."""

from __future__ import annotations

from datetime import timedelta

from scrm import jobs
from scrm.db import utcnow
from scrm.identity import aftermath
from scrm.ownership import service as ownership
from scrm.pipeline import promising
from scrm.pipeline.drafts import Drafts
from scrm.timeline import turned
from scrm.worker.errands import Premises


class Turning:
    LASTING = True

    def __init__(self, premises: Premises, drafts: Drafts | None = None) -> None:
        self._on = premises
        self._drafts = drafts or Drafts()

    async def run(self, tenant_id: int, job: jobs.Due) -> timedelta | None:
        found, now = aftermath.read(job.payload), utcnow()
        async with self._on.db.begin(tenant_id) as conn:
            await ownership.touched(conn, found.persons, found.households, now=now)
            changes = await turned.told(conn, found, now=now)
            conn.after_commit(lambda: self._on.live.publish(tenant_id, changes))
        async with self._on.db.begin(tenant_id) as conn:
            seen = await promising.turned(conn, self._drafts, found.persons, found.households, now=now)
            conn.after_commit(lambda: self._on.live.publish(tenant_id, seen))
        return None

    async def give_up(self, tenant_id: int, job: jobs.Due, why: str) -> None:
        """Never: it comes round until it could be done."""
