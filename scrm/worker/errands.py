"""What is due: streams to poll, page after page with the cursor, and profiles to fetch."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic

import structlog

from scrm import inbox, jobs
from scrm.accounts.service import Directory, Plugged
from scrm.contract import Context, Enriches, Polls
from scrm.db import Database, utcnow
from scrm.errors import Rejected, ScrmError
from scrm.identity import store as nodes
from scrm.inbox import Inbox, Moved
from scrm.worker.sender import RETRY_S
from scrm.worker.together import all_of

log = structlog.get_logger()

#: Each stream is asked at least this often, notified or not.
POLL_EVERY = timedelta(seconds=60)
#: A stream that has more to say lets go of its lease in time, and is due again at once.
POLL_FOR_S = 30.0
_JOBS_AT_ONCE = 8
_STUCK_PAGES = 3


class Errands:
    """Due jobs for one process, until `stopping`."""

    def __init__(
        self,
        *,
        db: Database,
        directory: Directory,
        inbox: Inbox,
        context: Callable[[Plugged, datetime], Context],
        stopping: Callable[[], bool],
        max_attempts: int,
    ) -> None:
        self._db = db
        self._directory = directory
        self._inbox = inbox
        self._context = context
        self._stopping = stopping
        self._max_attempts = max_attempts

    async def batch(self, tenant_id: int) -> int:
        """Do what is due; how many jobs there were."""
        async with self._db.read(tenant_id) as conn:
            first = await jobs.next_at(conn)
            if first is None or first > await conn.now():
                return 0
        async with self._db.begin(tenant_id) as conn:
            claimed = await jobs.claim(conn, now=await conn.now(), limit=_JOBS_AT_ONCE)
        await all_of(*(self._do(tenant_id, job) for job in claimed))
        return len(claimed)

    async def _do(self, tenant_id: int, job: jobs.Due) -> None:
        try:
            plugged = self._directory.by_id(job.account_id)
            more = await (self._poll if job.kind == "poll" else self._enrich)(tenant_id, plugged, job)
        except Rejected as error:
            await self._later(tenant_id, job, error.sentence, given_up=job.kind == "enrich")
        except ScrmError as error:
            await self._later(tenant_id, job, error.sentence)
        except Exception as error:
            log.exception("due job failed", due_id=job.due_id, kind=job.kind)
            await self._later(tenant_id, job, type(error).__name__)
        else:
            async with self._db.begin(tenant_id) as conn:
                next_at = await conn.now() + (timedelta() if more else POLL_EVERY)
                await jobs.finish(conn, job, again_at=next_at if job.kind == "poll" else None)

    async def _later(self, tenant_id: int, job: jobs.Due, why: str, *, given_up: bool = False) -> None:
        wait_s = RETRY_S[min(job.attempts, len(RETRY_S) - 1)]
        async with self._db.begin(tenant_id) as conn:
            if given_up or (job.kind == "enrich" and job.attempts + 1 >= self._max_attempts):
                await jobs.drop(conn, job)
            else:
                await jobs.postpone(conn, job, why, at=await conn.now() + timedelta(seconds=wait_s))

    async def _poll(self, tenant_id: int, plugged: Plugged, job: jobs.Due) -> bool:
        """Page after page, each page's cursor saved with its rows; whether there is more to fetch at once."""
        plug, stream = plugged.plug, str(job.payload["stream"])
        more, stuck = True, 0
        if not isinstance(plug, Polls):
            return False
        until = monotonic() + POLL_FOR_S
        # `more` with an empty page and an unmoved cursor is legal, but not for ever.
        while more and stuck < _STUCK_PAGES and not self._stopping():
            now = utcnow()
            async with self._db.read(tenant_id) as conn:
                cursor = await inbox.cursor_of(conn, job.account_id, stream)
            page = await plug.poll(self._context(plugged, now), stream, cursor, str(job.payload["hint"]))
            moved = Moved(stream=stream, cursor=page.cursor) if page.cursor != cursor else None
            await self._inbox.accept(plugged.account, page.raws, received_at=now, bulk=True, moved=moved)
            more, stuck = page.more, 0 if moved else stuck + 1
            if monotonic() >= until:
                break
        return more and stuck < _STUCK_PAGES

    async def _enrich(self, tenant_id: int, plugged: Plugged, job: jobs.Due) -> bool:
        node_id, plug = int(job.payload["node_id"]), plugged.plug
        async with self._db.read(tenant_id) as conn:
            handle = (await nodes.handles(conn, [node_id])).get(node_id)
        if handle is not None and isinstance(plug, Enriches):
            raws = await plug.enrich(self._context(plugged, utcnow()), handle)
            await self._inbox.accept(plugged.account, raws, received_at=utcnow())
        return False
