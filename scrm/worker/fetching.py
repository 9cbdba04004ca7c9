"""Errand: fetch a file that a vendor keeps for us, look what it is, and keep it."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import structlog

from scrm import jobs
from scrm.contract import Fetches, Media
from scrm.db import utcnow
from scrm.errors import NotSent, Rejected, TooLarge, Unsealable
from scrm.live import Change
from scrm.timeline import files
from scrm.timeline.store import media
from scrm.timeline.store.media import File, State
from scrm.worker.errands import Premises

log = structlog.get_logger()

_MB = 1024 * 1024
#: Screens that show the event look again; above what sending and suggestions say.
_VERSION = 10
_NO_FETCH = "这个渠道不能取回文件。"
_ERASED = "这位客户的密钥已销毁，不再取回文件。"
_DIFFERS = "取回的文件和平台说的不一样，稍后再取。"
_EMPTY = "平台给的文件是空的，稍后再取。"


class Fetching:
    LASTING = False

    def __init__(self, premises: Premises, *, limit_mb: int) -> None:
        self._on = premises
        self._limit = limit_mb * _MB

    async def run(self, tenant_id: int, job: jobs.Due) -> timedelta | None:
        """Raises `NotSent` to be tried again later."""
        async with self._on.db.read(tenant_id) as conn:
            file = await media.get(conn, *_place(job))
            if file is None or file.state != "waiting":
                return None
            try:
                ref = await media.ref_of(conn, file)
            except Unsealable:
                ref = ""
        if not ref:
            await self._put_aside(tenant_id, file, "gone", _ERASED)
        elif file.size > self._limit:
            await self._put_aside(tenant_id, file, "too_large", self._too_large())
        else:
            await self._fetch(tenant_id, file, ref)
        return None

    async def _fetch(self, tenant_id: int, file: File, ref: str) -> None:
        plugged = self._on.directory.by_id(file.account_id)
        if not isinstance(plugged.plug, Fetches):
            await self._put_aside(tenant_id, file, "failed", _NO_FETCH)
            return
        try:
            got = await plugged.plug.media(self._on.context(plugged, utcnow()), ref)
        except TooLarge:
            await self._put_aside(tenant_id, file, "too_large", self._too_large())
            return
        except Rejected as error:
            await self._put_aside(tenant_id, file, "gone", error.sentence)
            return
        if len(got.content) > self._limit:
            await self._put_aside(tenant_id, file, "too_large", self._too_large())
            return
        _demand_whole(file, got)
        name = file.name or got.name
        kept = Media(name=name, mime=files.sniffed(got.content, file.kind), content=got.content)
        async with self._on.db.begin(tenant_id) as conn:
            await media.keep(conn, file, kept, now=utcnow())
            conn.after_commit(lambda: self._tell(tenant_id, file))

    def _too_large(self) -> str:
        return f"文件超过 {self._limit // _MB} MB，没有取回。"

    async def _put_aside(self, tenant_id: int, file: File, state: State, why: str) -> None:
        async with self._on.db.begin(tenant_id) as conn:
            await media.put_aside(conn, file, state, why)
            conn.after_commit(lambda: self._tell(tenant_id, file))

    def _tell(self, tenant_id: int, file: File) -> None:
        if file.node_id is not None:
            change = Change(topic=f"node:{file.node_id}", ident=file.event_id, version=_VERSION + file.n)
            self._on.live.publish(tenant_id, [change])

    async def give_up(self, tenant_id: int, job: jobs.Due, why: str) -> None:
        """The page says why, and offers to try again."""
        log.warning("file not fetched", tenant_id=tenant_id, due_id=job.due_id)
        async with self._on.db.read(tenant_id) as conn:
            file = await media.get(conn, *_place(job))
        if file is not None:
            await self._put_aside(tenant_id, file, "failed", why)


def _place(job: jobs.Due) -> tuple[int, int]:
    return int(job.payload["event_id"]), int(job.payload["n"])


def _demand_whole(file: File, got: Media) -> None:
    """Raises `NotSent` for what is not all of it."""
    if not got.content:
        raise NotSent(_EMPTY)
    sum_ = hashlib.md5(got.content, usedforsecurity=False).hexdigest()
    if (file.md5 and sum_ != file.md5) or (file.size and not file.md5 and len(got.content) < file.size):
        raise NotSent(_DIFFERS)
