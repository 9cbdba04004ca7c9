"""Errand: judge deals again - when people turn out to be others, and once a little after each deal."""

from __future__ import annotations

from datetime import timedelta

from scrm import jobs
from scrm.db import utcnow
from scrm.ownership import service as ownership
from scrm.worker.errands import Premises


class Adjudicating:
    LASTING = True

    def __init__(self, premises: Premises) -> None:
        self._on = premises

    async def run(self, tenant_id: int, job: jobs.Due) -> timedelta | None:
        async with self._on.db.begin(tenant_id) as conn:
            await ownership.look_again(conn, job.payload, now=utcnow())
        return None

    async def give_up(self, tenant_id: int, job: jobs.Due, why: str) -> None:
        """Never: it comes round until it could be done."""
