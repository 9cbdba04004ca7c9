"""Errand: have a recording written down by the configured speech recognition, and make it findable."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import structlog

from scrm import jobs
from scrm.contract import Media
from scrm.db import Conn
from scrm.errors import Rejected
from scrm.live import Change
from scrm.pipeline import promising
from scrm.pipeline.drafts import Drafts
from scrm.timeline.store import hearing, search
from scrm.timeline.store import media as files
from scrm.timeline.store.hearing import Recording
from scrm.worker.errands import Premises

log = structlog.get_logger()

#: Sends a recording to be recognised; raises `NotSent` or `Unknown` when that should be tried again.
Listen = Callable[[Media], Awaitable[Mapping[str, Any]]]

KIND = "transcribe"
_AT_ONCE = 50
_LONGEST = 200_000


class Hearing:
    """Without speech recognition (`listen` None) recordings stay as they are: nothing waits for anything."""

    LASTING = False

    def __init__(self, premises: Premises, listen: Listen | None, drafts: Drafts | None = None) -> None:
        self._on = premises
        self._listen = listen
        self._drafts = drafts or Drafts()

    async def look(self, tenant_id: int) -> None:
        """Ask for recordings that came in meanwhile, also for those from before it was configured."""
        if self._listen is None:
            return
        async with self._on.db.read(tenant_id) as conn:
            if not await hearing.unheard(conn, limit=1, lock=False):
                return
        async with self._on.db.begin(tenant_id) as conn:
            found = await hearing.unheard(conn, limit=_AT_ONCE)
            await hearing.mark(conn, found, "waiting")
            # By file: what it belongs to may be replaced meanwhile, the file stays.
            wanted = [(KIND, str(r.media_id), r.account_id, {"media_id": r.media_id}) for r in found]
            if wanted:
                await jobs.put_all(conn, wanted, at=await conn.now())

    async def run(self, tenant_id: int, job: jobs.Due) -> timedelta | None:
        media_id = int(job.payload["media_id"])
        if self._listen is None:
            raise Rejected("没有配置语音转写。")
        async with self._on.db.read(tenant_id) as conn:
            recording = await files.opened(conn, media_id)
        if recording is None:
            return None
        text = words(await self._listen(recording))
        async with self._on.db.begin(tenant_id) as conn:
            found = await hearing.of_media(conn, media_id)
            for one in found:
                await hearing.write(conn, one, text)
            ids = [one.event_id for one in found]
            await search.index(conn, ids)
            promised = await promising.reread(conn, self._drafts, ids, now=await conn.now())
            conn.after_commit(lambda: self._on.live.publish(tenant_id, promised))
            self._tell(conn, found)
        return None

    async def give_up(self, tenant_id: int, job: jobs.Due, why: str) -> None:
        log.warning("recording not transcribed", tenant_id=tenant_id, due_id=job.due_id, why=why)
        async with self._on.db.begin(tenant_id) as conn:
            found = await hearing.of_media(conn, int(job.payload["media_id"]))
            await hearing.mark(conn, found, "failed")
            self._tell(conn, found)

    def _tell(self, conn: Conn, found: list[Recording]) -> None:
        changes = [Change(topic=f"node:{r.node_id}", ident=r.event_id, version=4) for r in found if r.node_id]
        conn.after_commit(lambda: self._on.live.publish(conn.tenant_id, changes))


def words(answer: Mapping[str, Any]) -> str:
    """`{"text", "segments": [{"start", "speaker", "text"}]}` as lines. Raises `Rejected` for what is not."""
    segments = answer.get("segments")
    lines = [_line(s) for s in segments if isinstance(s, Mapping)] if isinstance(segments, list) else []
    said = "\n".join(line for line in lines if line) or answer.get("text")
    if not isinstance(said, str):
        raise Rejected("语音转写的答复里没有 text。")
    return said.strip()[:_LONGEST]


def _line(segment: Mapping[str, Any]) -> str:
    """`00:07 客服：您好`."""
    text, start, speaker = (segment.get(name) for name in ("text", "start", "speaker"))
    if not isinstance(text, str) or not text.strip():
        return ""
    at = _clock(start)
    who = f"{speaker}：" if isinstance(speaker, str | int) and str(speaker) else ""
    return f"{at}{who}{text.strip()}"


def _clock(value: object) -> str:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 360_000:
        return ""
    return f"{int(value) // 60:02d}:{int(value) % 60:02d} "
