"""Errand: long works in slices, each written down before the next; a stop loses at most one slice's count."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from time import monotonic
from typing import Any, Protocol

from scrm import inbox, jobs, works
from scrm.contract import Polls
from scrm.db import utcnow
from scrm.errors import NotFound, NotSent, Rejected
from scrm.inbox import Moved, mending
from scrm.worker import identifying
from scrm.worker.errands import Premises
from scrm.worker.reindexing import reindex
from scrm.works import Slice, Work

#: The lease of the due row must not run out under it.
WORK_FOR_S = 20.0
_REPLAYED = 500


class Turn(Protocol):
    """One kind of work: a bounded piece of it, taking up at `work.place`.

    Raises `NotSent` to be tried again later, `Rejected` when it cannot go on.
    """

    async def __call__(self, on: Premises, tenant_id: int, work: Work, /) -> Slice: ...


class Working:
    LASTING = False

    def __init__(self, premises: Premises, kinds: Mapping[str, Turn]) -> None:
        self._on = premises
        self._kinds = kinds

    async def run(self, tenant_id: int, job: jobs.Due) -> timedelta | None:
        until, job_id = monotonic() + WORK_FOR_S, int(job.payload["job_id"])
        while True:
            async with self._on.db.read(tenant_id) as conn:
                work = await works.get(conn, job_id)
            if work is None or work.state != "running":
                return None
            if self._on.stopping() or monotonic() >= until or self._rests(tenant_id, work):
                return timedelta()
            turn = self._kinds.get(work.kind)
            if turn is None:
                raise Rejected(f"这个版本不会做“{work.kind}”这种任务。")
            made = await turn(self._on, tenant_id, work)
            async with self._on.db.begin(tenant_id) as conn:
                await works.advance(conn, job_id, made, now=utcnow(), since=work)

    def _rests(self, tenant_id: int, work: Work) -> bool:
        return work.account_id in self._on.directory.resting(tenant_id)

    async def give_up(self, tenant_id: int, job: jobs.Due, why: str) -> None:
        """It stands still, with the reason on its page, and can be taken up again."""
        async with self._on.db.begin(tenant_id) as conn:
            await works.fail(conn, int(job.payload["job_id"]), why, now=utcnow())


# -- kinds -------------------------------------------------------------------------------------------------
async def sync(on: Premises, tenant_id: int, work: Work) -> Slice:
    """The next page of the stocks in `payload["streams"]`, by a cursor of this work's own.

    Asked for = what the platform says there is; done = what it gave; fresh = what we had never seen.
    """
    place: dict[str, Any] = json.loads(work.place or "{}")
    at, totals = int(place.get("at", 0)), dict(place.get("totals", {}))
    stream = work.payload["streams"][at]
    plugged = on.directory.by_id(work.account_id or 0)
    if not isinstance(plugged.plug, Polls):
        raise Rejected("这个渠道没有可以主动拉取的内容。")
    mark, now = f"job:{work.job_id}:{stream}", utcnow()
    async with on.db.read(tenant_id) as conn:
        cursor = await inbox.cursor_of(conn, plugged.account.account_id, mark)
    page = await plugged.plug.poll(on.context(plugged, now), stream, cursor, "")
    if page.more and page.cursor == cursor:
        raise NotSent("平台说还有下一页，但没有给出新的位置。")
    moved = Moved(stream=mark, cursor=page.cursor) if page.cursor != cursor else None
    fresh = await on.inbox.accept(plugged.account, page.raws, received_at=now, bulk=True, moved=moved)
    if page.total is not None:
        totals[stream] = page.total
    at += not page.more
    return Slice(
        done=len(page.raws),
        fresh=fresh,
        place=json.dumps({"at": at, "totals": totals}),
        total=sum(totals.values()) if totals else None,
        ended=at >= len(work.payload["streams"]),
    )


async def replay(on: Premises, tenant_id: int, work: Work) -> Slice:
    """Some more rows of the class of dead letters in `payload["class"]`, oldest first."""
    after = int(work.place or 0)
    async with on.db.begin(tenant_id) as conn:
        try:
            one = await mending.class_of(conn, str(work.payload["class"]))
        except NotFound:
            return Slice(place=work.place, ended=True)
        moved, last = await mending.replay_some(conn, one, after=after, limit=_REPLAYED)
        conn.after_commit(on.inbox.stored)
    return Slice(done=moved, place=str(last), ended=last == after)


KINDS: Mapping[str, Turn] = {"sync": sync, "replay": replay, "reindex": reindex, **identifying.KINDS}
