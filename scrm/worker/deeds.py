"""Errand: ask a vendor for a deed, once unless a repeat is harmless, and follow its outcome to the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import structlog

from scrm import jobs
from scrm.accounts.service import Plugged
from scrm.contract import Administers, Context, Deed, Done
from scrm.db import Conn, utcnow
from scrm.deeds import rules, store
from scrm.deeds.store import Asked
from scrm.desk.manners import Manners
from scrm.errors import BadInput, NotSent, Rejected, Unknown
from scrm.push import effects
from scrm.push import store as told
from scrm.worker import telling
from scrm.worker.errands import Premises

log = structlog.get_logger()

#: After an outcome that could not be asked for, and between looks that come too fast.
_AGAIN, _LEAST = timedelta(minutes=5), timedelta(seconds=1)
_MAYBE = "可能已执行：没有得到平台的明确答复，请到平台后台核对。"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A deed that is due, and who does it."""

    plugged: Plugged
    plug: Administers
    ctx: Context
    deed: Deed
    asked: Asked

    @property
    def tenant_id(self) -> int:
        return self.plugged.account.tenant_id


class Deeds:
    LASTING = False

    def __init__(self, premises: Premises, manners: Manners | None = None) -> None:
        self._on = premises
        self._manners = manners or Manners()

    async def run(self, tenant_id: int, job: jobs.Due) -> timedelta | None:
        plugged = self._on.directory.by_id(job.account_id)
        plug = plugged.plug
        async with self._on.db.read(tenant_id) as conn:
            asked = await store.get(conn, int(job.payload["deed_id"]))
        if asked is None or asked.state not in rules.OPEN or not isinstance(plug, Administers):
            return None
        deed = rules.deed_of(plug.DEEDS, asked.kind)
        ctx = self._on.context(plugged, utcnow())
        case = _Case(plugged=plugged, plug=plug, ctx=ctx, deed=deed, asked=asked)
        if asked.state == rules.WAITING:
            return await self._follow(case)
        if asked.state == rules.CALLING and not deed.idempotent:
            # It was being asked when the process ended: nobody knows whether it was heard.
            await self._end(case, rules.UNKNOWN, error=_MAYBE)
            return None
        return await self._heed(case)

    async def _heed(self, case: _Case) -> timedelta | None:
        """Nobody is told anything they need not hear; then the vendor is asked."""
        reaches, asked = case.deed.reaches, case.asked
        if reaches is None or asked.state == rules.CALLING:
            fields = telling.narrowed(reaches, asked) if reaches else asked.fields
            return await self._ask(case, fields)
        found = await telling.heed(
            self._on.db, case.plugged, reaches, asked, manners=self._manners, now=utcnow()
        )
        if found.wait is not None:
            await self._end(case, rules.ASKED, error=found.why)
            return max(found.wait, _LEAST)
        result = {**asked.result, **found.note}
        case = replace(case, asked=replace(asked, result=result))
        if found.nobody:
            await self._end(case, rules.FAILED, error=telling.NOBODY, result=result)
            return None
        return await self._ask(case, found.fields)

    async def _begin(self, case: _Case) -> bool:
        """From now on it counts as being asked. False = somebody else was faster."""
        ident = case.asked.deed_id
        async with self._on.db.begin(case.tenant_id) as conn:
            held = await store.get(conn, ident, lock=True)
            if held is None or held.state != case.asked.state:
                return False
            tries, result = held.attempts + 1, case.asked.result
            await store.change(conn, ident, rules.CALLING, now=utcnow(), attempts=tries, result=result)
        return True

    async def _ask(self, case: _Case, fields: Mapping[str, Any]) -> timedelta | None:
        if not await self._begin(case):
            return None
        try:
            done = await case.plug.do(case.ctx, case.asked.kind, fields)
        except NotSent as later:
            await self._end(case, rules.ASKED, code=later.code, error=later.sentence)
            await self._alarm(case, later)
            raise
        except (Rejected, BadInput) as refused:
            code = refused.code if isinstance(refused, Rejected) else ""
            await self._end(case, rules.FAILED, code=code, error=refused.sentence)
            await self._alarm(case, refused)
            await telling.give_back(self._on.db, case.plugged, case.deed.reaches, case.asked)
            return None
        except Unknown:
            if case.deed.idempotent:
                raise
            await self._end(case, rules.UNKNOWN, error=_MAYBE)
            return None
        return await self._keep(case, done)

    async def _alarm(self, case: _Case, refused: NotSent | Rejected | BadInput) -> None:
        """What is wrong with the set-up or a seat is said on the account, with whose seat it is."""
        if isinstance(refused, BadInput):
            return
        effect = effects.effect_of(refused.effect, refused.code)
        given = [case.asked.fields.get(f.name) for f in case.deed.fields if f.member]
        members = [m for one in given if one for m in (one if isinstance(one, list) else [one])]
        named = effects.WHOSE.format(members="、".join(map(str, members[:10]))) if members else ""
        async with self._on.db.begin(case.tenant_id) as conn:
            ident, said = case.asked.account_id, refused.sentence + named
            await effects.alarm(conn, ident, effect, refused.code, said, now=await conn.now())

    async def _follow(self, case: _Case) -> timedelta | None:
        """What became of it. Asking does no harm, so it is asked until there is an answer."""
        asked = case.asked
        if rules.too_late(asked.created_at, utcnow()):
            await self._end(case, rules.UNKNOWN, error="三十天内没有等到结果，请到平台后台核对。")
            return None
        try:
            done = await case.plug.outcome(case.ctx, asked.kind, asked.item, asked.fields)
        except (NotSent, Unknown) as later:
            await self._end(case, rules.WAITING, error=later.sentence)
            return _AGAIN
        except Rejected as refused:
            await self._end(case, rules.FAILED, code=refused.code, error=refused.sentence)
            return None
        return await self._keep(case, done)

    async def _keep(self, case: _Case, done: Done) -> timedelta | None:
        """What is so now goes the way of every other news; then the deed is written down."""
        asked = case.asked
        if done.raws:
            await self._on.inbox.accept(
                case.ctx.account, done.raws, received_at=utcnow(), bulk=len(done.raws) > 50
            )
        await telling.give_back(self._on.db, case.plugged, case.deed.reaches, asked, done.missed)
        waits = done.again_s is not None
        async with self._on.db.begin(case.tenant_id) as conn:
            await store.change(
                conn,
                asked.deed_id,
                rules.WAITING if waits else rules.DONE,
                now=utcnow(),
                item=done.item or asked.item,
                result={**asked.result, **done.body},
            )
            if waits:
                await _stays_due(conn, asked)
        return max(timedelta(seconds=done.again_s), _LEAST) if done.again_s is not None else None

    async def _end(
        self,
        case: _Case,
        state: str,
        *,
        code: str = "",
        error: str = "",
        result: Mapping[str, Any] | None = None,
    ) -> None:
        async with self._on.db.begin(case.tenant_id) as conn:
            ident = case.asked.deed_id
            held = await store.get(conn, ident, lock=True)
            if held is None or held.state == rules.DONE:
                return  # it took longer than its lease, and another worker was told that it is done
            if state == rules.ASKED and held.state not in rules.OPEN:
                state = rules.FAILED  # given up elsewhere: nobody would ask again
            await store.change(conn, ident, state, now=utcnow(), code=code, error=error, result=result)
            if state == rules.ASKED:
                await _stays_due(conn, case.asked)

    async def give_up(self, tenant_id: int, job: jobs.Due, why: str) -> None:
        """Tried as often as we try anything: it was certainly not done, or asking again did not help."""
        async with self._on.db.begin(tenant_id) as conn:
            asked = await store.get(conn, int(job.payload["deed_id"]), lock=True)
            if asked is not None and asked.state in rules.OPEN:
                sure = asked.state == rules.ASKED
                state = rules.FAILED if sure else rules.UNKNOWN
                await store.change(conn, asked.deed_id, state, now=utcnow(), error=why)
                if sure:
                    await told.drop_told(conn, asked.deed_id)
        log.warning("deed given up", tenant_id=tenant_id, due_id=job.due_id)


async def _stays_due(conn: Conn, asked: Asked) -> None:
    """Where another worker took it over and ended it, its due row is gone."""
    key, payload = str(asked.deed_id), {"deed_id": asked.deed_id}
    await jobs.begin(conn, "deed", key, asked.account_id, payload, at=await conn.now())
