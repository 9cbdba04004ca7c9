"""Errand: ask a stream page after page, each page's cursor saved with its rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from time import monotonic

from scrm import inbox, jobs
from scrm.contract import Polled, Polls
from scrm.db import utcnow
from scrm.inbox import Moved
from scrm.worker.errands import Premises

#: Each stream is asked at least this often, notified or not.
POLL_EVERY = timedelta(seconds=60)
#: A stream that has more to say lets go of its lease in time, and is due again at once.
POLL_FOR_S = 30.0
_STUCK_PAGES = 3


class Polling:
    LASTING = True

    def __init__(self, premises: Premises) -> None:
        self._on = premises

    async def run(self, tenant_id: int, job: jobs.Due) -> timedelta | None:
        """Whether there is more to fetch at once, else in a minute."""
        plugged = self._on.directory.by_id(job.account_id)
        plug, stream = plugged.plug, str(job.payload["stream"])
        more, stuck = True, 0
        if not isinstance(plug, Polls):
            return POLL_EVERY
        began, until = utcnow(), monotonic() + POLL_FOR_S
        # `more` with an empty page and an unmoved cursor is legal, but not for ever.
        while more and stuck < _STUCK_PAGES and not self._on.stopping():
            now = utcnow()
            async with self._on.db.read(tenant_id) as conn:
                cursor = await inbox.cursor_of(conn, job.account_id, stream)
            page = await plug.poll(self._on.context(plugged, now), stream, cursor, str(job.payload["hint"]))
            moved = Moved(stream=stream, cursor=page.cursor) if page.cursor != cursor else None
            await self._on.inbox.accept(plugged.account, page.raws, received_at=now, bulk=True, moved=moved)
            more, stuck = page.more, 0 if moved else stuck + 1
            if page.over:
                return None
            await self._reached(tenant_id, job.account_id, stream, page, began)
            if monotonic() >= until:
                break
        return timedelta() if more and stuck < _STUCK_PAGES else POLL_EVERY

    async def _reached(
        self, tenant_id: int, account_id: int, stream: str, page: Polled, began: datetime
    ) -> None:
        """How far we are: up to when we asked, else up to what the page says."""
        at = page.upto if page.more else began
        if at is not None:
            async with self._on.db.begin(tenant_id) as conn:
                await inbox.reached(conn, account_id, stream, min(at, began), now=began)

    async def give_up(self, tenant_id: int, job: jobs.Due, why: str) -> None:
        """A stream is never given up."""
