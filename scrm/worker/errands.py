"""What is due: small jobs that call a vendor or take long, each kind done by an errand of its own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from typing import Protocol

import structlog

from scrm import jobs
from scrm.accounts.service import Directory, Plugged
from scrm.contract import Context
from scrm.db import Database
from scrm.errors import NotSent, Rejected, ScrmError, Unavailable
from scrm.inbox import Inbox
from scrm.live import Live
from scrm.worker.sender import RETRY_S
from scrm.worker.together import all_of

log = structlog.get_logger()

#: Of each kind and tenant: a backlog of files, or a slow platform, holds up its own kind only.
_JOBS_AT_ONCE = 8
#: What only another release knows: rare, and to find none of it costs a look at everything that is due.
_UNKNOWN_EVERY_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Premises:
    """What errands are run with."""

    db: Database
    directory: Directory
    inbox: Inbox
    live: Live
    context: Callable[[Plugged, datetime], Context]
    stopping: Callable[[], bool]
    max_attempts: int


class Errand(Protocol):
    """One kind of due job. `LASTING`: tried for ever, because it comes round again by itself."""

    LASTING: bool

    async def run(self, tenant_id: int, job: jobs.Due) -> timedelta | None:
        """Do it; when it is due again, None = never. Raises `Rejected` when trying again is no use."""
        ...

    async def give_up(self, tenant_id: int, job: jobs.Due, why: str) -> None:
        """It will not be tried again: write down why."""
        ...


class Errands:
    """Due jobs for one process, until it stops."""

    def __init__(self, premises: Premises, kinds: Mapping[str, Errand]) -> None:
        self._on = premises
        self._kinds = kinds
        #: Tenant and job of each errand that has begun.
        self._running: dict[asyncio.Task[None], tuple[int, jobs.Due]] = {}
        #: When kinds nobody knows were looked for last, by tenant, on the monotonic clock.
        self._looked: dict[int, float] = {}

    async def batch(self, tenant_id: int) -> int:
        """Do what is due; how many jobs there were."""
        claimed = await self._claimed(tenant_id)
        await all_of(*(self._do(tenant_id, job) for job in claimed))
        return len(claimed)

    async def begin(self, tenant_id: int, ended: Callable[[int], None]) -> int:
        """Begin with what is due and do not wait for it; how many jobs. `ended` is called after each."""

        def over(task: asyncio.Task[None]) -> None:
            del self._running[task]
            ended(tenant_id)

        claimed = await self._claimed(tenant_id)
        for job in claimed:
            task = asyncio.create_task(self._watched(tenant_id, job), name=f"errand-{job.kind}")
            self._running[task] = (tenant_id, job)
            task.add_done_callback(over)
        return len(claimed)

    async def over(self) -> None:
        """Wait for what has begun."""
        await asyncio.gather(*self._running)

    async def cut_off(self) -> None:
        """What still runs stops where it is; its lease will tell."""
        left = list(self._running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _claimed(self, tenant_id: int) -> list[jobs.Due]:
        running = {job.due_id: job.kind for tenant, job in self._running.values() if tenant == tenant_id}
        busy = Counter(running.values())
        free = {kind: n for kind in self._kinds if (n := _JOBS_AT_ONCE - busy[kind]) > 0}
        async with self._on.db.read(tenant_id) as conn:
            first = await jobs.next_at(conn)
            if first is None or first > await conn.now():
                return []
        async with self._on.db.begin(tenant_id) as conn:
            resting = self._on.directory.resting(tenant_id)
            claim = partial(jobs.claim, conn, now=await conn.now(), resting=resting, running=running)
            found = [job for kind, n in free.items() for job in await claim(limit=n, kind=kind)]
            if monotonic() - self._looked.get(tenant_id, -_UNKNOWN_EVERY_S) >= _UNKNOWN_EVERY_S:
                self._looked[tenant_id] = monotonic()
                found += await claim(limit=_JOBS_AT_ONCE, but=tuple(self._kinds))
        return found

    async def _watched(self, tenant_id: int, job: jobs.Due) -> None:
        """Its own end is written down already, or its lease will tell."""
        try:
            await self._do(tenant_id, job)
        except Unavailable:
            log.warning("database not available", loop="due")
        except Exception:
            log.exception("errand failed", due_id=job.due_id, kind=job.kind)

    async def _do(self, tenant_id: int, job: jobs.Due) -> None:
        errand = self._kinds.get(job.kind)
        if errand is None:  # a later release left it behind
            await self._later(tenant_id, job, f"不认识的任务：{job.kind}")
            return
        try:
            again = await errand.run(tenant_id, job)
        except Rejected as error:
            await self._failed(tenant_id, errand, job, error.sentence, useless=True)
        except ScrmError as error:
            over = isinstance(error, NotSent) and error.retries is not None and job.attempts >= error.retries
            await self._failed(tenant_id, errand, job, error.sentence, useless=over)
        except Exception as error:
            log.exception("due job failed", due_id=job.due_id, kind=job.kind)
            await self._failed(tenant_id, errand, job, type(error).__name__)
        else:
            async with self._on.db.begin(tenant_id) as conn:
                again_at = None if again is None else await conn.now() + again
                await jobs.finish(conn, job, again_at=again_at)

    async def _failed(
        self, tenant_id: int, errand: Errand, job: jobs.Due, why: str, *, useless: bool = False
    ) -> None:
        if errand.LASTING or not (useless or job.attempts + 1 >= self._on.max_attempts):
            await self._later(tenant_id, job, why)
            return
        await errand.give_up(tenant_id, job, why)
        async with self._on.db.begin(tenant_id) as conn:
            await jobs.drop(conn, job)

    async def _later(self, tenant_id: int, job: jobs.Due, why: str) -> None:
        wait_s = RETRY_S[min(job.attempts, len(RETRY_S) - 1)]
        async with self._on.db.begin(tenant_id) as conn:
            await jobs.postpone(conn, job, why, at=await conn.now() + timedelta(seconds=wait_s))
