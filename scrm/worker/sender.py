"""The way out: lease a push, hand it to its channel with no transaction open, write down what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

import structlog

from scrm import outbox
from scrm.accounts.pulse import Name
from scrm.accounts.service import Directory, Plugged
from scrm.contract import Context, Push, Sends
from scrm.db import Conn, Database, utcnow
from scrm.desk.manners import Manners
from scrm.errors import NotFound, NotSent, Rejected, Unavailable, Unknown, Unsealable
from scrm.live import Change, Live
from scrm.outbox import Sending
from scrm.push import effects
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
#: How the account's pulse counts what became of a push.
_ENDS: dict[str, Name] = {"sent": "sent", "dead": "failed", "unknown": "failed"}
#: A process looks this often whether an account that sends has an alarm to be taken back.
_LOOK_AT_ALARMS = timedelta(seconds=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """What came of a claimed row."""

    state: outbox.State
    external_id: str = ""
    code: str = ""
    error: str = ""
    #: Of `effects.EFFECTS`.
    effect: str = ""
    wait_s: float = 0.0


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
        manners: Manners | None = None,
    ) -> None:
        self._db = db
        self._directory = directory
        self._live = live
        self._context = context
        self._refresh = refresh
        self._sent = sent
        self._max_attempts = max_attempts
        self._max_age = max_age
        self._manners = manners or Manners()
        #: When alarms of an account were looked at last.
        self._looked: dict[int, datetime] = {}
        #: Outbox rows this process is handing over right now.
        self._sending: set[int] = set()

    async def batch(self, tenant_id: int) -> int:
        """Hand over what may go out now; how many rows were dealt with."""
        resting = self._directory.resting(tenant_id)
        async with self._db.read(tenant_id) as conn:
            quiet = not await outbox.waiting(conn, now=await conn.now(), resting=resting)
        if quiet:
            return 0
        until = monotonic() + _SEND_WITHIN_S
        async with self._db.begin(tenant_id) as conn:
            now = await conn.now()
            lost = await outbox.abandoned(conn, now=now, limit=_SENDS_AT_ONCE, sending=self._sending)
            rows = await outbox.claim(conn, now=now, limit=_SENDS_AT_ONCE, resting=resting)
            pushes = [await _opened(conn, row, now) for row in rows]
        await all_of(
            *(self._settle_lost(tenant_id, row) for row in lost),
            *(self._send_one(tenant_id, row, one, until) for row, one in zip(rows, pushes, strict=True)),
        )
        return len(rows) + len(lost)

    async def _settle_lost(self, tenant_id: int, row: Sending) -> None:
        """The sender died in the middle: again only where the vendor drops repeats, else nobody knows."""
        plug = self._directory.plug_of(row.account_id)
        if plug is not None and plug.IDEMPOTENT:
            await self._record(tenant_id, row, _Result(state="retry", error="发送中断，正在重发。"))
        else:
            await self._record(tenant_id, row, _Result(state="unknown", error=str(Unknown())))

    async def _send_one(self, tenant_id: int, row: Sending, one: Push | None, until: float) -> None:
        self._sending.add(row.outbox_id)
        try:
            if monotonic() < until:
                await self._hand_over(tenant_id, row, one)
        finally:
            self._sending.discard(row.outbox_id)

    async def _hand_over(self, tenant_id: int, row: Sending, one: Push | None) -> None:
        now = utcnow()
        late = now >= (row.deadline_at or row.created_at + self._max_age)
        if one is None or late:
            why = "超过时限没能发出，没有再发。" if one else "内容已无法打开，没有发送。"
            await self._record(tenant_id, row, _dead(why))
            return
        try:
            plugged = await self._plugged(tenant_id, row.account_id)
            if not await self._allowed(tenant_id, plugged, row, now):
                return
            plug = plugged.plug
            if not isinstance(plug, Sends):
                raise Rejected("这个渠道不能由接口发送。")
            external_id = await plug.send(self._context(plugged, now), one)
        except NotSent as error:
            await self._again(tenant_id, row, error)
        except Rejected as error:
            effect = effects.effect_of(error.effect, error.code)
            await self._record(tenant_id, row, _dead(error.sentence, code=error.code, effect=effect))
        except Unknown as error:
            if plug.IDEMPOTENT:
                await self._again(tenant_id, row, NotSent(error.sentence))
            else:
                await self._record(tenant_id, row, _Result(state="unknown", error=error.sentence))
        except Exception as error:
            log.exception("send failed", outbox_id=row.outbox_id)
            why = f"发送时出错：{type(error).__name__}"
            await self._record(tenant_id, row, _Result(state="unknown", error=why))
        else:
            await self._record(tenant_id, row, _Result(state="sent", external_id=external_id))

    async def _allowed(self, tenant_id: int, plugged: Plugged, row: Sending, now: datetime) -> bool:
        """Windows, consent and the hour may have changed since it was queued: the same decision once more."""
        if push.is_fresh(row, now):
            return True
        try:
            async with self._db.read(tenant_id) as conn:
                found = await push.again(conn, plugged, row, manners=self._manners, now=now)
        except Unavailable as error:
            raise NotSent(error.sentence) from error
        if found is None or (found.sends and found.wait_until is None):
            return True
        if not found.sends:
            await self._record(tenant_id, row, _dead(found.why, code=found.code))
        elif found.wait_until is not None:
            async with self._db.begin(tenant_id) as conn:
                until = found.wait_until
                await outbox.put_off(conn, row.outbox_id, until=until, late=push.LATE, now=await conn.now())
        return False

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

    async def _again(self, tenant_id: int, row: Sending, why: NotSent) -> None:
        """Later, if there is a later. A used-up quota is waited for however often, up to the deadline."""
        effect = effects.effect_of(why.effect, why.code)
        quota = effect == "quota"
        most = self._max_attempts if why.retries is None else min(self._max_attempts, why.retries + 1)
        if not quota and row.attempts + 1 >= most:
            await self._record(tenant_id, row, _dead(why.sentence, code=why.code, effect=effect))
            return
        wait_s = max(why.retry_after_s or 0, RETRY_S[min(row.attempts, len(RETRY_S) - 1)])
        if quota:
            wait_s = max(wait_s, effects.quota_wait(row.attempts).total_seconds())
        result = _Result(state="retry", code=why.code, error=why.sentence, effect=effect, wait_s=wait_s)
        await self._record(tenant_id, row, result)

    async def _record(self, tenant_id: int, row: Sending, result: _Result) -> None:
        """Not given up lightly: what went out and was not recorded looks as if it may not have."""
        for left in range(_RECORD_TRIES - 1, -1, -1):
            try:
                return await self._write_down(tenant_id, row, result)
            except Unavailable:
                if not left:
                    raise
                await asyncio.sleep(_RECORD_AGAIN_S)

    async def _write_down(self, tenant_id: int, row: Sending, result: _Result) -> None:
        async with self._db.begin(tenant_id) as conn:
            if result.effect:  # as everywhere: first the conversation, then its rows
                await conversations.hold(conn, [row.node_id])
            now = await conn.now()
            until = now + timedelta(seconds=result.wait_s)
            await outbox.finish(
                conn,
                row.outbox_id,
                result.state,
                now=now,
                external_id=result.external_id,
                code=result.code,
                error=result.error,
                effect=result.effect,
                retry_at=until,
            )
            await self._follow(conn, row, result, until=until, now=now)
            change = Change(topic=f"node:{row.node_id}", ident=row.event_id, version=row.attempts + 2)
            conn.after_commit(lambda: self._live.publish(tenant_id, [change]))
            conn.after_commit(self._sent)  # the next row of the lane may go
        if result.state in _ENDS:
            self._directory.pulse.count(tenant_id, row.account_id, _ENDS[result.state], now)

    async def _follow(
        self, conn: Conn, row: Sending, result: _Result, *, until: datetime, now: datetime
    ) -> None:
        """What the platform's answer means beyond this push."""
        if result.effect:
            found = self._directory.by_id(row.account_id)
            told = effects.Refusal(
                row=row,
                channel=found.account.channel,
                effect=result.effect,
                code=result.code,
                sentence=result.error,
                until=until,
            )
            await effects.apply(conn, told, now=now)
        looked = self._looked.get(row.account_id)
        if result.state == "sent" and (looked is None or now - looked > _LOOK_AT_ALARMS):
            self._looked[row.account_id] = now
            await effects.cleared(conn, row.account_id, now=now)


def _dead(why: str, *, code: str = "", effect: str = "") -> _Result:
    return _Result(state="dead", code=code, error=why, effect=effect)


async def _opened(conn: Conn, row: Sending, now: datetime) -> Push | None:
    """None when it cannot be opened any more: that row is given up, its neighbours are not."""
    try:
        return await push.opened(conn, row, now=now)
    except Unsealable:
        return None
