"""The loops that move rows: settle, react, send, and what is due. They never stop on an error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta

import structlog

from scrm import inbox, jobs, outbox
from scrm.accounts.service import Directory, Plugged
from scrm.contract import Context, Enriches, Polls, Push, Sends
from scrm.db import Conn, Database, utcnow
from scrm.errors import NotSent, Rejected, ScrmError, Unavailable, Unknown, Unsealable
from scrm.identity import store as nodes
from scrm.inbox import Inbox, Moved
from scrm.live import Change, Live
from scrm.outbox import Sending
from scrm.pipeline import Pipeline
from scrm.push import service as push
from scrm.timeline.store import conversations

log = structlog.get_logger()

#: Each stream is asked at least this often, notified or not.
POLL_EVERY = timedelta(seconds=60)
#: Seconds before attempt 2, 3, ...; a longer wait asked for by the vendor wins.
RETRY_S = (2, 8, 30, 120, 300)
_SENDS_AT_ONCE = 16
_JOBS_AT_ONCE = 8
_IDLE_S = 1.0
_REFRESH_S = 5.0
_GRACE_S = 4.0
_STUCK_PAGES = 3
_LET_IN_TURNS, _LET_IN_S = 20, 0.01
#: What a vendor's refusal tells us about who may answer from now on.
_SESSIONS = {"session_human": "human", "session_ended": "ended"}


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
    ) -> None:
        self._db = db
        self._directory = directory
        self._inbox = inbox
        self._live = live
        self._context = context
        self._max_attempts = max_attempts
        self._max_age = timedelta(seconds=effect_max_age_s)
        self._stopping = False
        self.settle, self.react, self.send, self.due = Wake(), Wake(), Wake(), Wake()
        self._renew = Wake()

    async def run(self, pipeline: Pipeline) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._loop("settle", self.settle, pipeline.settle))
            group.create_task(self._loop("react", self.react, pipeline.react))
            group.create_task(self._loop("send", self.send, self._send_batch))
            group.create_task(self._loop("due", self.due, self._due_batch))
            group.create_task(self._loop("refresh", self._renew, self._refresh, idle_s=_REFRESH_S))

    def stop(self) -> None:
        """Let each loop finish what it holds and end."""
        self._stopping = True
        for wake in (self.settle, self.react, self.send, self.due, self._renew):
            wake.set()

    async def _loop(
        self, name: str, wake: Wake, step: Callable[[int], Awaitable[int]], *, idle_s: float = _IDLE_S
    ) -> None:
        while not self._stopping:
            wake.clear()
            await self._let_in()
            try:
                moved = sum([await step(t.tenant_id) for t in self._directory.tenants])
            except Unavailable:
                log.warning("database not available", loop=name)
                moved = 0
            except Exception:
                log.exception("loop step failed", loop=name)
                moved = 0
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

    async def _refresh(self, tenant_id: int) -> int:
        """Take over accounts that were added or changed elsewhere."""
        async with self._db.read(tenant_id) as conn:
            await self._directory.load(conn)
        return 0

    # -- out -----------------------------------------------------------------------------------------------
    async def _send_batch(self, tenant_id: int) -> int:
        now = utcnow()
        async with self._db.read(tenant_id) as conn:
            quiet = not await outbox.waiting(conn, now=now)
        if quiet:
            return 0
        async with self._db.begin(tenant_id) as conn:
            lost = await outbox.abandoned(conn, now=now, limit=_SENDS_AT_ONCE)
            rows = await outbox.claim(conn, now=now, limit=_SENDS_AT_ONCE)
            pushes = [await _opened(conn, row) for row in rows]
        for row in lost:
            await self._settle_lost(tenant_id, row)
        async with asyncio.TaskGroup() as group:
            for row, one in zip(rows, pushes, strict=True):
                group.create_task(self._send_one(tenant_id, row, one))
        return len(rows) + len(lost)

    async def _settle_lost(self, tenant_id: int, row: Sending) -> None:
        """The sender died in the middle: again only where the vendor drops repeats, else nobody knows."""
        plug = self._directory.plug_of(row.account_id)
        if plug is not None and plug.IDEMPOTENT:
            await self._record(tenant_id, row, "retry", error="发送中断，正在重发。")
        else:
            await self._record(tenant_id, row, "unknown", error=str(Unknown()))

    async def _send_one(self, tenant_id: int, row: Sending, one: Push | None) -> None:
        now = utcnow()
        if one is None:
            await self._record(tenant_id, row, "dead", error="内容已无法打开，没有发送。")
            return
        if now >= (row.deadline_at or row.created_at + self._max_age):
            await self._record(tenant_id, row, "dead", error="超过时限没能发出，没有再发。")
            return
        try:
            plugged = self._directory.by_id(row.account_id)
            plug = plugged.plug
            if not isinstance(plug, Sends):
                raise Rejected("这个渠道不能由接口发送。")
            external_id = await plug.send(self._context(plugged, now), one)
        except NotSent as error:
            await self._again(tenant_id, row, error.sentence, error.code, error.retry_after_s)
        except Rejected as error:
            await self._record(tenant_id, row, "dead", code=error.code, error=error.sentence)
        except Unknown as error:
            if plug.IDEMPOTENT:
                await self._again(tenant_id, row, error.sentence, "", None)
            else:
                await self._record(tenant_id, row, "unknown", error=error.sentence)
        except Exception as error:
            log.exception("send failed", outbox_id=row.outbox_id)
            await self._record(tenant_id, row, "unknown", error=f"发送时出错：{type(error).__name__}")
        else:
            await self._record(tenant_id, row, "sent", external_id=external_id)

    async def _again(self, tenant_id: int, row: Sending, why: str, code: str, after_s: float | None) -> None:
        if row.attempts + 1 >= self._max_attempts:
            await self._record(tenant_id, row, "dead", code=code, error=why)
            return
        wait_s = max(after_s or 0, RETRY_S[min(row.attempts, len(RETRY_S) - 1)])
        retry_at = utcnow() + timedelta(seconds=wait_s)
        await self._record(tenant_id, row, "retry", code=code, error=why, retry_at=retry_at)

    async def _record(
        self,
        tenant_id: int,
        row: Sending,
        state: outbox.State,
        *,
        external_id: str = "",
        code: str = "",
        error: str = "",
        retry_at: datetime | None = None,
    ) -> None:
        now = utcnow()
        async with self._db.begin(tenant_id) as conn:
            await outbox.finish(
                conn,
                row.outbox_id,
                state,
                now=now,
                external_id=external_id,
                code=code,
                error=error,
                retry_at=retry_at,
            )
            if code in _SESSIONS:
                await conversations.set_session(conn, row.conversation_id, _SESSIONS[code])
            change = Change(topic=f"node:{row.node_id}", ident=row.event_id, version=row.attempts + 2)
            conn.after_commit(lambda: self._live.publish([change]))
            conn.after_commit(self.send.set)  # the next row of the lane may go

    # -- due -----------------------------------------------------------------------------------------------
    async def _due_batch(self, tenant_id: int) -> int:
        now = utcnow()
        async with self._db.read(tenant_id) as conn:
            first = await jobs.next_at(conn)
        if first is None or first > now:
            return 0
        async with self._db.begin(tenant_id) as conn:
            claimed = await jobs.claim(conn, now=now, limit=_JOBS_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for job in claimed:
                group.create_task(self._do(tenant_id, job))
        return len(claimed)

    async def _do(self, tenant_id: int, job: jobs.Due) -> None:
        try:
            plugged = self._directory.by_id(job.account_id)
            await (self._poll if job.kind == "poll" else self._enrich)(tenant_id, plugged, job)
        except Rejected as error:
            await self._later(tenant_id, job, error.sentence, given_up=job.kind == "enrich")
        except ScrmError as error:
            await self._later(tenant_id, job, error.sentence)
        except Exception as error:
            log.exception("due job failed", due_id=job.due_id, kind=job.kind)
            await self._later(tenant_id, job, type(error).__name__)
        else:
            async with self._db.begin(tenant_id) as conn:
                again_at = utcnow() + POLL_EVERY if job.kind == "poll" else None
                await jobs.finish(conn, job, again_at=again_at)

    async def _later(self, tenant_id: int, job: jobs.Due, why: str, *, given_up: bool = False) -> None:
        wait_s = RETRY_S[min(job.attempts, len(RETRY_S) - 1)]
        async with self._db.begin(tenant_id) as conn:
            if given_up or (job.kind == "enrich" and job.attempts + 1 >= self._max_attempts):
                await jobs.drop(conn, job)
            else:
                await jobs.postpone(conn, job, why, at=utcnow() + timedelta(seconds=wait_s))

    async def _poll(self, tenant_id: int, plugged: Plugged, job: jobs.Due) -> None:
        """Page after page; each page's cursor is saved with its rows."""
        plug, stream = plugged.plug, str(job.payload["stream"])
        more, stuck = True, 0
        if not isinstance(plug, Polls):
            return
        # `more` with an empty page and an unmoved cursor is legal, but not for ever.
        while more and stuck < _STUCK_PAGES and not self._stopping:
            now = utcnow()
            async with self._db.read(tenant_id) as conn:
                cursor = await inbox.cursor_of(conn, job.account_id, stream)
            page = await plug.poll(self._context(plugged, now), stream, cursor, str(job.payload["hint"]))
            moved = Moved(stream=stream, cursor=page.cursor) if page.cursor != cursor else None
            await self._inbox.accept(plugged.account, page.raws, received_at=now, bulk=True, moved=moved)
            more, stuck = page.more, 0 if moved else stuck + 1

    async def _enrich(self, tenant_id: int, plugged: Plugged, job: jobs.Due) -> None:
        node_id, plug = int(job.payload["node_id"]), plugged.plug
        async with self._db.read(tenant_id) as conn:
            handle = (await nodes.handles(conn, [node_id])).get(node_id)
        if handle is not None and isinstance(plug, Enriches):
            raws = await plug.enrich(self._context(plugged, utcnow()), handle)
            await self._inbox.accept(plugged.account, raws, received_at=utcnow())


async def _opened(conn: Conn, row: Sending) -> Push | None:
    """None when it cannot be opened any more: that row is given up, its neighbours are not."""
    try:
        return await push.opened(conn, row)
    except Unsealable:
        return None


async def finish(task: asyncio.Task[None], worker: Worker) -> None:
    """Stop a running worker: a few seconds to finish, then the leases will tell."""
    worker.stop()
    _, late = await asyncio.wait([task], timeout=_GRACE_S)
    for one in late:
        one.cancel()
    with suppress(asyncio.CancelledError):
        await task
