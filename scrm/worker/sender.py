"""The way out: lease a push, hand it to its channel with no transaction open, write down what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from time import monotonic

import structlog

from scrm import outbox
from scrm.accounts.service import Directory, Plugged
from scrm.contract import Context, Push, Sends
from scrm.db import Conn, Database, utcnow
from scrm.errors import NotFound, NotSent, Rejected, Unavailable, Unknown, Unsealable
from scrm.live import Change, Live
from scrm.outbox import Sending
from scrm.push import service as push
from scrm.timeline.store import conversations
from scrm.worker.together import all_of

log = structlog.get_logger()

#: Seconds before attempt 2, 3, ...; a longer wait asked for by the vendor wins.
RETRY_S = (2, 8, 30, 120, 300)
_SENDS_AT_ONCE = 16
#: Whoever claimed a row so long ago must not send it any more: others may take it for abandoned soon.
_SEND_WITHIN_S = 30.0
_RECORD_TRIES, _RECORD_AGAIN_S = 3, 1.0
#: What a vendor's refusal tells us about who may answer from now on.
_SESSIONS = {"session_human": "human", "session_ended": "ended"}


class Sender:
    """Sends for one process. `sent` is called when the next row of a lane may go."""

    def __init__(
        self,
        *,
        db: Database,
        directory: Directory,
        live: Live,
        context: Callable[[Plugged, datetime], Context],
        refresh: Callable[[int], Awaitable[int]],
        sent: Callable[[], None],
        max_attempts: int,
        max_age: timedelta,
    ) -> None:
        self._db = db
        self._directory = directory
        self._live = live
        self._context = context
        self._refresh = refresh
        self._sent = sent
        self._max_attempts = max_attempts
        self._max_age = max_age
        #: Outbox rows this process is handing over right now.
        self._sending: set[int] = set()

    async def batch(self, tenant_id: int) -> int:
        """Hand over what may go out now; how many rows were dealt with."""
        async with self._db.read(tenant_id) as conn:
            quiet = not await outbox.waiting(conn, now=await conn.now())
        if quiet:
            return 0
        until = monotonic() + _SEND_WITHIN_S
        async with self._db.begin(tenant_id) as conn:
            now = await conn.now()
            lost = await outbox.abandoned(conn, now=now, limit=_SENDS_AT_ONCE, sending=self._sending)
            rows = await outbox.claim(conn, now=now, limit=_SENDS_AT_ONCE)
            pushes = [await _opened(conn, row) for row in rows]
        await all_of(
            *(self._settle_lost(tenant_id, row) for row in lost),
            *(self._send_one(tenant_id, row, one, until) for row, one in zip(rows, pushes, strict=True)),
        )
        return len(rows) + len(lost)

    async def _settle_lost(self, tenant_id: int, row: Sending) -> None:
        """The sender died in the middle: again only where the vendor drops repeats, else nobody knows."""
        plug = self._directory.plug_of(row.account_id)
        if plug is not None and plug.IDEMPOTENT:
            await self._record(tenant_id, row, "retry", error="发送中断，正在重发。")
        else:
            await self._record(tenant_id, row, "unknown", error=str(Unknown()))

    async def _send_one(self, tenant_id: int, row: Sending, one: Push | None, until: float) -> None:
        self._sending.add(row.outbox_id)
        try:
            if monotonic() < until:
                await self._hand_over(tenant_id, row, one)
        finally:
            self._sending.discard(row.outbox_id)

    async def _hand_over(self, tenant_id: int, row: Sending, one: Push | None) -> None:
        now = utcnow()
        if one is None:
            await self._record(tenant_id, row, "dead", error="内容已无法打开，没有发送。")
            return
        if now >= (row.deadline_at or row.created_at + self._max_age):
            await self._record(tenant_id, row, "dead", error="超过时限没能发出，没有再发。")
            return
        try:
            plugged = await self._plugged(tenant_id, row.account_id)
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

    async def _plugged(self, tenant_id: int, account_id: int) -> Plugged:
        """The account, also one that was added elsewhere a moment ago. Raises `NotSent` or `Rejected`."""
        try:
            if self._directory.plug_of(account_id) is None:
                await self._refresh(tenant_id)
            return self._directory.by_id(account_id)
        except Unavailable as error:
            raise NotSent(error.sentence) from error
        except NotFound as error:
            raise Rejected(error.sentence) from error

    async def _again(self, tenant_id: int, row: Sending, why: str, code: str, after_s: float | None) -> None:
        if row.attempts + 1 >= self._max_attempts:
            await self._record(tenant_id, row, "dead", code=code, error=why)
            return
        wait_s = max(after_s or 0, RETRY_S[min(row.attempts, len(RETRY_S) - 1)])
        await self._record(tenant_id, row, "retry", code=code, error=why, wait_s=wait_s)

    async def _record(
        self,
        tenant_id: int,
        row: Sending,
        state: outbox.State,
        *,
        external_id: str = "",
        code: str = "",
        error: str = "",
        wait_s: float = 0.0,
    ) -> None:
        """Not given up lightly: what went out and was not recorded looks as if it may not have."""
        for left in range(_RECORD_TRIES - 1, -1, -1):
            try:
                return await self._write_down(
                    tenant_id, row, state, external_id=external_id, code=code, error=error, wait_s=wait_s
                )
            except Unavailable:
                if not left:
                    raise
                await asyncio.sleep(_RECORD_AGAIN_S)

    async def _write_down(
        self,
        tenant_id: int,
        row: Sending,
        state: outbox.State,
        *,
        external_id: str,
        code: str,
        error: str,
        wait_s: float,
    ) -> None:
        async with self._db.begin(tenant_id) as conn:
            now = await conn.now()
            await outbox.finish(
                conn,
                row.outbox_id,
                state,
                now=now,
                external_id=external_id,
                code=code,
                error=error,
                retry_at=now + timedelta(seconds=wait_s),
            )
            if code in _SESSIONS:
                await conversations.set_session(conn, row.conversation_id, _SESSIONS[code])
            change = Change(topic=f"node:{row.node_id}", ident=row.event_id, version=row.attempts + 2)
            conn.after_commit(lambda: self._live.publish(tenant_id, [change]))
            conn.after_commit(self._sent)  # the next row of the lane may go


async def _opened(conn: Conn, row: Sending) -> Push | None:
    """None when it cannot be opened any more: that row is given up, its neighbours are not."""
    try:
        return await push.opened(conn, row)
    except Unsealable:
        return None
