"""Errand: once an hour look through the customers for the public pool, and for appeals nobody decides."""

from __future__ import annotations

from datetime import timedelta

from scrm import jobs
from scrm.db import utcnow
from scrm.ownership import escalating, pooling
from scrm.worker.errands import Premises

KIND = "pool"
_EVERY, _FIRST = timedelta(hours=1), timedelta(minutes=5)
_BATCH = 200


class Pooling:
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
            await jobs.begin(conn, KIND, "sweep", 0, {}, at=await conn.now() + _FIRST)
        self._begun.add(tenant_id)

    async def run(self, tenant_id: int, job: jobs.Due) -> timedelta | None:
        del job  # it is always the same
        await self._tidy(tenant_id)
        after = -1
        while after and not self._on.stopping():
            async with self._on.db.begin(tenant_id) as conn:
                after, falling = await pooling.sweep(
                    conn, after=max(after, 0), limit=self._batch, now=utcnow()
                )
            for ident in falling:
                await self._fall(tenant_id, ident)
        async with self._on.db.begin(tenant_id) as conn:
            await escalating.escalate(conn, now=utcnow())
        return _EVERY

    async def _tidy(self, tenant_id: int) -> None:
        after = -1
        while after and not self._on.stopping():
            async with self._on.db.begin(tenant_id) as conn:
                after = await pooling.tidy(conn, after=max(after, 0), limit=self._batch, now=utcnow())

    async def _fall(self, tenant_id: int, conversation_id: int) -> None:
        async with self._on.db.begin(tenant_id) as conn:
            moved = await pooling.fall(conn, conversation_id, now=utcnow())
            changes = [change for one in moved for change in one.changes]
            conn.after_commit(lambda: self._on.live.publish(tenant_id, changes))

    async def give_up(self, tenant_id: int, job: jobs.Due, why: str) -> None:
        """Never: it comes round again."""
