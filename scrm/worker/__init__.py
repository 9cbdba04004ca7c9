"""The loops that move rows: settle, react, send, and what is due. They never stop on an error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import structlog

from scrm.accounts.service import Directory, Plugged
from scrm.contract import Context
from scrm.db import Conn, Database
from scrm.desk.manners import Manners
from scrm.errors import Unavailable
from scrm.identity import aftermath, hints
from scrm.inbox import Inbox
from scrm.live import Live
from scrm.pipeline import Pipeline
from scrm.pipeline.drafts import Drafts
from scrm.pipeline.sops.turns import Means
from scrm.playbook.enclosures import service as enclosures
from scrm.playbook.service import Library
from scrm.timeline import hands
from scrm.timeline.store import hands as whose
from scrm.worker import stepping
from scrm.worker.adjudicating import Adjudicating
from scrm.worker.boarding import KIND as BOARD
from scrm.worker.boarding import Boarding
from scrm.worker.counting import KIND as COUNT
from scrm.worker.counting import Counting
from scrm.worker.deeds import Deeds
from scrm.worker.draining import make_way, rest
from scrm.worker.enriching import Enriching
from scrm.worker.errands import Errands, Premises
from scrm.worker.fetching import Fetching
from scrm.worker.following import Following
from scrm.worker.giving import Giving, Looking
from scrm.worker.hearing import Hearing, Listen
from scrm.worker.hinting import Hinting
from scrm.worker.nightly import KIND as NIGHTLY
from scrm.worker.nightly import Nightly
from scrm.worker.polling import Polling
from scrm.worker.pooling import KIND as POOL
from scrm.worker.pooling import Pooling
from scrm.worker.sender import Sender
from scrm.worker.turning import Turning
from scrm.worker.works import KINDS, Working

log = structlog.get_logger()

_IDLE_S = 1.0
_REFRESH_S = 5.0
_GRACE_S = 4.0
_LET_IN_TURNS, _LET_IN_S = 20, 0.01


class Wake:
    """An event that is cleared before looking, so that nothing that arrives meanwhile is overlooked."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    def clear(self) -> None:
        self._event.clear()

    async def wait(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), timeout_s)


class Worker:
    """One worker of a process. `run` until `stop`."""

    def __init__(
        self,
        *,
        db: Database,
        directory: Directory,
        inbox: Inbox,
        live: Live,
        context: Callable[[Plugged, datetime], Context],
        max_attempts: int,
        effect_max_age_s: int,
        return_wait_s: int = 120,
        lag_alarm: timedelta = timedelta(hours=12),
        manners: Manners | None = None,
        listen: Listen | None = None,
        media_max_mb: int = 20,
        library: Library | None = None,
        company: str = "",
        drafts: Drafts | None = None,
        propose_hour: int = -1,
    ) -> None:
        self._db = db
        self._directory = directory
        self._inbox = inbox
        self._live = live
        self._return_wait_s = return_wait_s
        #: Up to when screens were told what had been put off, by tenant.
        self._woken: dict[int, datetime] = {}
        self._stopping = False
        self.settle, self.react, self.send, self.due = Wake(), Wake(), Wake(), Wake()
        self.desk, self._renew = Wake(), Wake()
        self.sender = Sender(
            db=db,
            directory=directory,
            live=live,
            context=context,
            refresh=self._refresh,
            sent=self.send.set,
            max_attempts=max_attempts,
            max_age=timedelta(seconds=effect_max_age_s),
            manners=manners,
        )
        premises = Premises(
            db=db,
            directory=directory,
            inbox=inbox,
            live=live,
            context=context,
            stopping=lambda: self._stopping,
            max_attempts=max_attempts,
        )
        self._hearing = Hearing(premises, listen, drafts)
        self._pooling = Pooling(premises)
        self._boarding = Boarding(premises)
        self._counting = Counting(premises)
        means = Means(
            directory=directory,
            library=library or Library([]),
            company=company,
            manners=manners or Manners(),
            drafts=drafts,
        )
        wakes = stepping.Wakes(send=self.send.set, react=self.react.set, due=self.due.set)
        sops = stepping.errands(premises, means, wakes)
        self._sweeping = sops.sweeping
        self._nightly = Nightly(premises, hour=propose_hour)
        self._looking = Looking(premises, means.library)
        self.errands = Errands(
            premises,
            {
                "poll": Polling(premises),
                "enrich": Enriching(premises),
                "media": Fetching(premises, limit_mb=media_max_mb),
                "deed": Deeds(premises, manners),
                "work": Working(premises, KINDS),
                "adjudicate": Adjudicating(premises),
                POOL: self._pooling,
                BOARD: self._boarding,
                COUNT: self._counting,
                NIGHTLY: self._nightly,
                hints.KIND: Hinting(premises),
                aftermath.KIND: Turning(premises, drafts),
                "transcribe": self._hearing,
                enclosures.SWEEP: self._looking,
                enclosures.GIVE: Giving(premises),
                **sops.kinds,
            },
        )

        self._following = Following(premises, lag_alarm)

    async def run(self, pipeline: Pipeline) -> None:
        async def reacted(tenant_id: int) -> int:
            moved = await pipeline.react(tenant_id)
            if moved:
                self.desk.set()
            return moved

        async with asyncio.TaskGroup() as group:
            group.create_task(self._loop("settle", self.settle, pipeline.settle))
            group.create_task(self._loop("react", self.react, reacted))
            group.create_task(self._loop("send", self.send, self.sender.batch))
            group.create_task(self._errands())
            group.create_task(self._loop("desk", self.desk, self.hand_out))
            group.create_task(self._loop("refresh", self._renew, self._refresh, idle_s=_REFRESH_S))

    def stop(self) -> None:
        """Let each loop finish what it holds and end."""
        self._stopping = True
        for wake in (self.settle, self.react, self.send, self.due, self.desk, self._renew):
            wake.set()

    async def _loop(
        self, name: str, wake: Wake, step: Callable[[int], Awaitable[int]], *, idle_s: float = _IDLE_S
    ) -> None:
        while not self._stopping:
            wake.clear()
            await self._let_in()
            try:
                moved = sum([await step(t.tenant_id) for t in self._directory.tenants])
            except Exception as error:
                moved = 0
                if _passing(error):
                    log.warning("database not available", loop=name)
                else:
                    log.exception("loop step failed", loop=name)
            if not moved and not self._stopping:
                await wake.wait(idle_s)

    async def _let_in(self) -> None:
        """Who waits to be acknowledged goes first: the platforms give up on us after seconds, work does not.

        Bounded, so that a flood slows the work down but never stops it.
        """
        for _ in range(_LET_IN_TURNS):
            if not self._inbox.waiting:
                return
            await asyncio.sleep(_LET_IN_S)

    async def _errands(self) -> None:
        """Begun as they fall due: a slow one holds up nobody."""

        def ended(tenant_id: int) -> None:
            over.add(tenant_id)
            self.due.set()

        async def step(tenant_id: int) -> int:
            if tenant_id in over:  # a recording may have come in
                over.discard(tenant_id)
                await self._hearing.look(tenant_id)
            return await self.errands.begin(tenant_id, ended)

        over: set[int] = set()
        try:
            await self._loop("due", self.due, step)
            await self.errands.over()
        finally:
            await self.errands.cut_off()

    async def _refresh(self, tenant_id: int) -> int:
        """Take over accounts that were added or changed elsewhere."""
        async with self._db.read(tenant_id) as conn:
            await self._directory.load(conn)
        await rest(self._db, self._directory, tenant_id)
        await make_way(self._db, self._directory, tenant_id)
        await self._following.begin(tenant_id)
        await self._pooling.begin(tenant_id)
        await self._boarding.begin(tenant_id)
        await self._counting.begin(tenant_id)
        await self._sweeping.begin(tenant_id)
        await self._nightly.begin(tenant_id)
        await self._looking.begin(tenant_id)
        await self._following.watch(tenant_id)
        await self._hearing.look(tenant_id)
        return 0

    # -- desk ----------------------------------------------------------------------------------------------
    async def hand_out(self, tenant_id: int) -> int:
        """Give waiting customers to reps; one transaction each, so that none holds up another."""
        accounts = [p.account.account_id for p in self._directory.all(tenant_id) if p.assigns]
        async with self._db.read(tenant_id) as conn:
            now = await conn.now()
            await self._wake_screens(conn, now)
            wait_s = self._return_wait_s
            found = await hands.due(conn, accounts, return_wait_s=wait_s, now=now) if accounts else []
        for ident in found:
            async with self._db.begin(tenant_id) as conn:
                moved = await hands.give(conn, ident, return_wait_s=wait_s, now=await conn.now())
                changes = moved.changes if moved else []
                conn.after_commit(partial(self._live.publish, tenant_id, changes))
        return 0  # whoever could be given away was: the next look is due in a second, or when woken

    async def _wake_screens(self, conn: Conn, now: datetime) -> None:
        """What was put off is back in the queue by itself; the screens must be told to look."""
        before = self._woken.get(conn.tenant_id, now)
        talks = await whose.woken(conn, after=before, until=now, limit=500) if now > before else []
        self._woken[conn.tenant_id] = now
        self._live.publish(conn.tenant_id, [c for talk in talks for c in hands.watched(talk)])


def _passing(error: Exception) -> bool:
    """Nothing but the database's absence, also where several tasks met it at once."""
    if isinstance(error, ExceptionGroup):
        return all(isinstance(e, Exception) and _passing(e) for e in error.exceptions)
    return isinstance(error, Unavailable)


async def finish(task: asyncio.Task[None], worker: Worker) -> None:
    """Stop a running worker: a few seconds to finish, then the leases will tell."""
    worker.stop()
    _, late = await asyncio.wait([task], timeout=_GRACE_S)
    for one in late:
        one.cancel()
    with suppress(asyncio.CancelledError):
        await task
