"""Errands of SOPs: a run takes its steps, a notice is followed up, dates and silences are looked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import structlog

from scrm import jobs
from scrm.db import Conn
from scrm.desk.tasks import service as tasks
from scrm.pipeline.sops import acting, following, notices
from scrm.pipeline.sops.turns import Came, Means
from scrm.playbook.library import service as shelves
from scrm.playbook.sops import service
from scrm.playbook.sops.rules import Over
from scrm.playbook.sops.store import runs
from scrm.worker.errands import Errand, Premises

log = structlog.get_logger()

SWEEP = "sop.sweep"
_EVERY, _FIRST = timedelta(hours=1), timedelta(minutes=2)
_BATCH = 200
#: Steps of one run in a row, before others have their turn.
_IN_A_ROW = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Wakes:
    """Which loops have something to do after a step."""

    send: Callable[[], None]
    react: Callable[[], None]
    due: Callable[[], None]


class Stepping:
    """`key` of the due row is the run's id; when it is due again is what the run's own row says."""

    LASTING = False

    def __init__(self, premises: Premises, means: Means, wakes: Wakes) -> None:
        self._on = premises
        #: With the library that ships: each tenant's is laid over it.
        self._means = means
        self._wakes = wakes

    async def run(self, tenant_id: int, job: jobs.Due) -> timedelta | None:
        for _ in range(_IN_A_ROW):
            async with self._on.db.begin(tenant_id) as conn:
                now = await conn.now()
                library = await shelves.load(conn, self._means.library, now=now)
                means = replace(self._means, library=library)
                came = await conn.together(partial(acting.take, conn, means, int(job.key), now=now))
                self._tell(conn, came)
            if came.again_at is None:
                return None
            if came.again_at > now or self._on.stopping():
                return came.again_at - now
        return timedelta()

    def _tell(self, conn: Conn, came: Came) -> None:
        conn.after_commit(lambda: self._on.live.publish(conn.tenant_id, came.changes))
        if came.sent:
            conn.after_commit(self._wakes.send)
        if came.noted:
            conn.after_commit(self._wakes.react)

    async def give_up(self, tenant_id: int, job: jobs.Due, why: str) -> None:
        """It stands still for good, and says so: a colleague must look after this family."""
        async with self._on.db.begin(tenant_id) as conn:
            row = await runs.hold(conn, int(job.key))
            if row is None or row.state != "running":
                return
            over = Over(state="failed", why=service.GAVE_UP.format(why=why))
            cancelled = await service.ended(conn, row, over, now=await conn.now())
            changes = tasks.changes(cancelled)
            conn.after_commit(lambda: self._on.live.publish(tenant_id, changes))


class Noticing:
    LASTING = False

    def __init__(self, premises: Premises, means: Means, wakes: Wakes) -> None:
        self._on = premises
        self._means = means
        self._wakes = wakes

    async def run(self, tenant_id: int, job: jobs.Due) -> timedelta | None:
        one = notices.read(job.payload)
        async with self._on.db.begin(tenant_id) as conn:
            now = await conn.now()
            changes, due = await conn.together(partial(following.follow, conn, self._means, one, now=now))
            conn.after_commit(lambda: self._on.live.publish(tenant_id, changes))
            if due:
                conn.after_commit(self._wakes.due)
        return None

    async def give_up(self, tenant_id: int, job: jobs.Due, why: str) -> None:
        """What it would have begun is not begun; a goal it met is seen at the next step all the same."""
        log.error("notice not followed up", tenant_id=tenant_id, due_id=job.due_id, key=job.key, why=why)


class Sweeping:
    LASTING = True

    def __init__(self, premises: Premises, wakes: Wakes, *, batch: int = _BATCH) -> None:
        self._on = premises
        self._wakes = wakes
        self._batch = batch
        self._begun: set[int] = set()

    async def begin(self, tenant_id: int) -> None:
        """One due row a tenant, which stays."""
        if tenant_id in self._begun:
            return
        async with self._on.db.begin(tenant_id) as conn:
            await jobs.begin(conn, SWEEP, "sweep", 0, {}, at=await conn.now() + _FIRST)
        self._begun.add(tenant_id)

    async def run(self, tenant_id: int, job: jobs.Due) -> timedelta | None:
        del job  # it is always the same
        async with self._on.db.begin(tenant_id) as conn:
            now = await conn.now()
            wanted = await following.begins_today(conn)
            await following.rescue(conn, limit=10 * self._batch, now=now)
        for plan, start in wanted:
            after = -1
            while after and not self._on.stopping():
                async with self._on.db.begin(tenant_id) as conn:
                    after, told = await following.sweep(
                        conn, plan, start, after=max(after, 0), limit=self._batch, now=now
                    )
                    if told:
                        conn.after_commit(self._wakes.due)
        return _EVERY

    async def give_up(self, tenant_id: int, job: jobs.Due, why: str) -> None:
        """Never: it comes round again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errands:
    """By the kind of their due rows; the sweep is begun for every tenant."""

    kinds: Mapping[str, Errand]
    sweeping: Sweeping


def errands(premises: Premises, means: Means, wakes: Wakes) -> Errands:
    sweeping = Sweeping(premises, wakes)
    kinds: dict[str, Errand] = {
        service.DUE: Stepping(premises, means, wakes),
        notices.DUE: Noticing(premises, means, wakes),
        SWEEP: sweeping,
    }
    return Errands(kinds=kinds, sweeping=sweeping)
