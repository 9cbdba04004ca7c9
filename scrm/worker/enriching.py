"""Errand: ask the channel who somebody is, once, when we first meet them."""

from __future__ import annotations

from datetime import timedelta

import structlog

from scrm import jobs
from scrm.contract import Enriches
from scrm.db import utcnow
from scrm.identity import store as nodes
from scrm.worker.errands import Premises

log = structlog.get_logger()


class Enriching:
    LASTING = False

    def __init__(self, premises: Premises) -> None:
        self._on = premises

    async def run(self, tenant_id: int, job: jobs.Due) -> timedelta | None:
        plugged = self._on.directory.by_id(job.account_id)
        node_id, plug = int(job.payload["node_id"]), plugged.plug
        async with self._on.db.read(tenant_id) as conn:
            handle = (await nodes.handles(conn, [node_id])).get(node_id)
        if handle is not None and isinstance(plug, Enriches):
            raws = await plug.enrich(self._on.context(plugged, utcnow()), handle)
            await self._on.inbox.accept(plugged.account, raws, received_at=utcnow())
        return None

    async def give_up(self, tenant_id: int, job: jobs.Due, why: str) -> None:
        """They stay nameless; the next thing they do asks again."""
        log.warning("profile not fetched", tenant_id=tenant_id, due_id=job.due_id, why=why)
