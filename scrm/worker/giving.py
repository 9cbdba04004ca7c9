"""Errands: what goes out with talk-tracks is given to vendors ahead of time, and anew before it ends."""

from __future__ import annotations

from datetime import timedelta

import structlog

from scrm import jobs
from scrm.contract import Uploads
from scrm.db import utcnow
from scrm.errors import Rejected
from scrm.playbook.enclosures import service, store
from scrm.playbook.enclosures.store import Held
from scrm.playbook.library import service as shelves
from scrm.playbook.service import Library
from scrm.push import store as media
from scrm.worker.errands import Premises

log = structlog.get_logger()

_EVERY, _FIRST = timedelta(hours=1), timedelta(seconds=30)


class Looking:
    """Which files which accounts' vendors lack, or will not hold much longer."""

    LASTING = True

    def __init__(self, premises: Premises, library: Library) -> None:
        self._on = premises
        self._library = library
        self._begun: set[int] = set()

    async def begin(self, tenant_id: int) -> None:
        """One due row a tenant, which stays."""
        if tenant_id in self._begun:
            return
        async with self._on.db.begin(tenant_id) as conn:
            await jobs.begin(conn, service.SWEEP, "sweep", 0, {}, at=await conn.now() + _FIRST)
        self._begun.add(tenant_id)

    async def run(self, tenant_id: int, job: jobs.Due) -> timedelta | None:
        del job  # it is always the same
        async with self._on.db.begin(tenant_id) as conn:
            now = await conn.now()
            library = await shelves.load(conn, self._library, now=now)
            found = [script for code in sorted(library.ids) if (script := library.get(code)) is not None]
            for gap in await service.look(conn, found, self._on.directory.all(tenant_id), now=now):
                what = {"media_id": gap.media_id}
                key = f"{gap.account_id}:{gap.media_id}"
                await jobs.put(conn, service.GIVE, key, gap.account_id, what, at=now)
        return _EVERY

    async def give_up(self, tenant_id: int, job: jobs.Due, why: str) -> None:
        """Never: it comes round again."""


class Giving:
    """One file to one account's vendor; twice does no harm, the newer id counts."""

    LASTING = False

    def __init__(self, premises: Premises) -> None:
        self._on = premises

    async def run(self, tenant_id: int, job: jobs.Due) -> timedelta | None:
        plugged, media_id = self._on.directory.by_id(job.account_id), int(job.payload["media_id"])
        async with self._on.db.read(tenant_id) as conn:
            one = (await media.media_of(conn, [media_id])).get(media_id)
        plug = plugged.plug
        if one is None or not isinstance(plug, Uploads):
            return None
        now = utcnow()
        name, until = await plug.upload(self._on.context(plugged, now), one)
        if not name:
            raise Rejected("平台没有给出附件的编号。")
        async with self._on.db.begin(tenant_id) as conn:
            held = Held(
                account_id=job.account_id,
                media_id=media_id,
                name=name,
                until_at=until,
                tried_at=now,
            )
            await store.hold(conn, held)
        return None

    async def give_up(self, tenant_id: int, job: jobs.Due, why: str) -> None:
        """The look that comes round asks again later; until then it is given with each message."""
        log.warning("enclosure not taken", tenant_id=tenant_id, account_id=job.account_id, why=why)
        async with self._on.db.begin(tenant_id) as conn:
            now, media_id = await conn.now(), int(job.payload["media_id"])
            await store.refused(conn, job.account_id, media_id, why, now=now)
