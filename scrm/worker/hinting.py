"""Errand: candidates at once for persons who are new or were named, a moment after they came in."""

from __future__ import annotations

from datetime import timedelta

import structlog

from scrm import jobs
from scrm.db import utcnow
from scrm.identity import hints, versions
from scrm.worker.errands import Premises

log = structlog.get_logger()


class Hinting:
    LASTING = False

    def __init__(self, premises: Premises) -> None:
        self._on = premises

    async def run(self, tenant_id: int, job: jobs.Due) -> timedelta | None:
        async with self._on.db.begin(tenant_id) as conn:
            policy = await versions.current(conn)
            await hints.look(conn, policy, job.payload["persons"], now=utcnow())
        return None

    async def give_up(self, tenant_id: int, job: jobs.Due, why: str) -> None:
        """Nothing is lost: the next whole run asks the same."""
        log.warning("no hints", tenant_id=tenant_id, due_id=job.due_id, why=why)
