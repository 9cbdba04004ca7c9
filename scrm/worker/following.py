"""Streams that are followed from the first day on: asked before anything ever announced them."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic

import structlog

from scrm import inbox, jobs
from scrm.contract import Follows
from scrm.worker.errands import Premises

log = structlog.get_logger()

_WATCH_EVERY_S = 600.0


class Following:
    """Remembers what it began, so that looking again costs nothing."""

    def __init__(self, premises: Premises, alarm: timedelta) -> None:
        self._on = premises
        self._alarm = alarm
        self._begun: set[tuple[int, str]] = set()
        #: When it was last looked how far behind we are, by tenant, on the monotonic clock.
        self._watched: dict[int, float] = {}

    async def begin(self, tenant_id: int) -> None:
        """A due poll for every stream of every account; one that has it already keeps its own."""
        wanted = [
            (plugged.account.account_id, stream)
            for plugged in self._on.directory.all(tenant_id)
            if isinstance(plugged.plug, Follows)
            for stream in plugged.plug.STREAMS
        ]
        fresh = [one for one in wanted if one not in self._begun]
        if not fresh:
            return
        async with self._on.db.begin(tenant_id) as conn:
            now = await conn.now()
            for account_id, stream in sorted(fresh):
                payload = {"stream": stream, "hint": ""}
                await jobs.begin(conn, "poll", f"{account_id}:{stream}", account_id, payload, at=now)
                await inbox.following(conn, account_id, stream, now=now)
        self._begun |= set(fresh)

    async def watch(self, tenant_id: int) -> None:
        """Say in the log, every ten minutes, which streams are so far behind that messages may be lost."""
        if monotonic() - self._watched.get(tenant_id, -_WATCH_EVERY_S) < _WATCH_EVERY_S:
            return
        self._watched[tenant_id] = monotonic()
        async with self._on.db.read(tenant_id) as conn:
            found = await inbox.lags(conn, now=await conn.now())
        for lag in found:
            if lag.behind >= self._alarm:
                hours = round(lag.behind.total_seconds() / 3600, 1)
                log.error("stream behind", account_id=lag.account_id, stream=lag.stream, hours=hours)
