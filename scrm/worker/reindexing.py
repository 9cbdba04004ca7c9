"""Work: make what an earlier release stored findable, and say on which shelf of the timeline it stands."""

from __future__ import annotations

from scrm import works
from scrm.db import Conn, utcnow
from scrm.timeline.store import search
from scrm.worker.errands import Premises
from scrm.works import Slice, Work

KIND = "reindex"
#: Small enough that nobody waits for the one writer.
_EVENTS = 200


async def reindex(on: Premises, tenant_id: int, work: Work) -> Slice:
    """The next events after `work.place`; what is findable already stays as it is."""
    after = int(work.place or 0)
    async with on.db.begin(tenant_id) as conn:
        ids = await search.following(conn, after=after, limit=_EVENTS)
        await search.index(conn, ids)
        await search.shelve(conn, ids)
    return Slice(done=len(ids), place=str(ids[-1] if ids else after), ended=len(ids) < _EVENTS)


async def begin(conn: Conn) -> None:
    """Once for a database with events from before; afterwards each is made findable as it comes."""
    await conn.lock(KIND)
    if not await works.page(conn, kinds=(KIND,), limit=1) and await search.following(conn, after=0, limit=1):
        await works.start(conn, KIND, {}, now=utcnow())
