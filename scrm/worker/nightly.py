"""Errand: once a night look for the same people and families in the whole; it only asks."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import structlog

from scrm import jobs
from scrm.db import utcnow
from scrm.errors import TooLarge
from scrm.identity import versions
from scrm.identity.match import scoring
from scrm.ledger.store import audit
from scrm.worker import proposing
from scrm.worker.errands import Premises

log = structlog.get_logger()
KIND = "propose"
_ZONE = ZoneInfo("Asia/Shanghai")


def next_night(now: datetime, hour: int) -> datetime:
    """The next time it is so late in Shanghai; never now."""
    here = now.astimezone(_ZONE)
    tonight = datetime.combine(here.date(), time(hour), _ZONE)
    return (tonight if tonight > here else tonight + timedelta(days=1)).astimezone(UTC)


class Nightly:
    """`hour` below 0 = never; without the extra `match` there is nothing to do it with."""

    LASTING = True

    def __init__(self, premises: Premises, *, hour: int) -> None:
        self._on = premises
        self._hour = hour
        self._begun: set[int] = set()

    @property
    def wanted(self) -> bool:
        return self._hour >= 0 and scoring.installed()

    async def begin(self, tenant_id: int) -> None:
        """One due row a tenant, which stays."""
        if tenant_id in self._begun or not self.wanted:
            return
        async with self._on.db.begin(tenant_id) as conn:
            at = next_night(await conn.now(), self._hour)
            await jobs.begin(conn, KIND, "nightly", 0, {}, at=at)
        self._begun.add(tenant_id)

    async def run(self, tenant_id: int, job: jobs.Due) -> timedelta | None:
        if not self.wanted:
            self._begun.discard(tenant_id)
            return None
        async with self._on.db.begin(tenant_id) as conn:
            now = await conn.now()
            at = next_night(now, self._hour)
            # It may take longer than a lease: nobody else begins with it tonight.
            await jobs.defer(conn, job, at=at)
            policy = await versions.current(conn)
        try:
            done = await proposing.run(self._on.db, tenant_id, policy)
        except TooLarge as error:  # the same tomorrow; `scrm identity propose` says so too
            log.warning("nothing proposed", why=error.sentence)
        else:
            log.info("proposed", persons=done.persons, fresh=done.fresh, withdrawn=done.withdrawn)
            async with self._on.db.begin(tenant_id) as conn:
                await audit(conn, "system", "identity.proposed", now=utcnow())
        async with self._on.db.read(tenant_id) as conn:
            return at - await conn.now()

    async def give_up(self, tenant_id: int, job: jobs.Due, why: str) -> None:
        """Never: it comes round again."""
