"""Errand: once an hour suggestions nobody took are ignored, and what ranking knows is counted anew."""

from __future__ import annotations

from datetime import timedelta

from scrm import jobs
from scrm.db import utcnow
from scrm.playbook.effect import service as effect
from scrm.playbook.effect import store
from scrm.playbook.effect.rules import OPEN
from scrm.worker.errands import Premises

KIND = "effect"
_EVERY, _FIRST = timedelta(hours=1), timedelta(minutes=2)
_BATCH = 1_000


class Counting:
    LASTING = True

    def __init__(self, premises: Premises, *, batch: int = _BATCH) -> None:
        self._on = premises
        self._batch = batch
        self._begun: set[int] = set()

    async def begin(self, tenant_id: int) -> None:
        """One due row a tenant, which stays."""
        if tenant_id in self._begun:
            return
        async with self._on.db.begin(tenant_id) as conn:
            await jobs.begin(conn, KIND, "count", 0, {}, at=await conn.now() + _FIRST)
        self._begun.add(tenant_id)

    async def run(self, tenant_id: int, job: jobs.Due) -> timedelta | None:
        del job  # it is always the same
        after, more = 0, True
        while more and not self._on.stopping():
            async with self._on.db.begin(tenant_id) as conn:
                before = utcnow() - OPEN
                _, after = await store.run_out(conn, after=after, before=before, limit=self._batch)
                more = after > 0
        # Read on the side: the writer of an embedded database must not wait for half a year of counts.
        async with self._on.db.read(tenant_id) as conn:
            cells = await effect.counted(conn, now=utcnow())
        async with self._on.db.begin(tenant_id) as conn:
            await store.set_cells(conn, cells)
        return _EVERY

    async def give_up(self, tenant_id: int, job: jobs.Due, why: str) -> None:
        """Never: it comes round again."""
