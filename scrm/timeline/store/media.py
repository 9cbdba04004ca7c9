"""SQL of files of the timeline: what vendors keep for us and what we have fetched, sealed with their keys."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from scrm.contract import Media
from scrm.db import Conn
from scrm.errors import Unsealable
from scrm.schema import event_media, media
from scrm.timeline.store.events import body_owner

State = Literal["waiting", "kept", "too_large", "gone", "failed"]
_c = event_media.c
_m = media.c


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of an event, wherever it is."""

    event_id: int
    n: int
    account_id: int
    node_id: int | None
    kind: str
    name: str
    mime: str
    size: int
    seconds: int
    md5: str
    state: State
    error: str
    media_id: int | None
    transcribed: str
    #: "" when nobody has written it down, or it cannot be opened any more.
    transcript: str = ""


_FILE = [_c[name] for name in File.__slots__ if name != "transcript"]


async def of_events(conn: Conn, event_ids: Collection[int]) -> dict[int, list[File]]:
    """Files by event, in their order."""
    if not event_ids:
        return {}
    stmt = sa.select(*_FILE, _c.transcript.label("sealed")).where(
        _c.tenant_id == conn.tenant_id, _c.event_id.in_(event_ids)
    )
    found: dict[int, list[File]] = {}
    for r in await conn.rows(stmt.order_by(_c.event_id, _c.n)):
        values = dict(r._mapping)
        said = await _said(conn, values.pop("sealed"), r.event_id, r.n)
        found.setdefault(r.event_id, []).append(File(**values, transcript=said))
    return found


async def _said(conn: Conn, sealed: bytes | None, event_id: int, n: int) -> str:
    if sealed is None:
        return ""
    try:
        return (await conn.unseal(sealed, "event_media", event_id, n, "transcript")).decode()
    except Unsealable:
        return ""


async def get(conn: Conn, event_id: int, n: int) -> File | None:
    return next((f for f in (await of_events(conn, [event_id])).get(event_id, []) if f.n == n), None)


async def ref_of(conn: Conn, file: File) -> str:
    """What the connector needs to fetch it. Raises `Unsealable` when its customer was erased."""
    sealed = await conn.scalar(sa.select(_c.ref).where(_which(conn, file)))
    if sealed is None:
        raise Unsealable
    return (await conn.unseal(sealed, "event_media", file.event_id, file.n, "ref")).decode()


async def keep(conn: Conn, file: File, one: Media, *, now: datetime) -> None:
    """It is here. A repeat finds it where it is; one whose event was replaced meanwhile is not kept."""
    if not await conn.run(sa.update(event_media).where(_which(conn, file)).values(state="kept", error="")):
        return
    ident = file.media_id or _media_id(conn, file)
    content = await conn.seal(body_owner(file.node_id), one.content, "media", ident, "content")
    row: dict[str, Any] = {
        "tenant_id": conn.tenant_id,
        "media_id": ident,
        "name": one.name,
        "mime": one.mime,
        "content": content,
        "created_at": now,
        "node_id": file.node_id,
    }
    await conn.insert_new(media, [row])
    told = {"media_id": ident, "mime": one.mime, "size": len(one.content)}
    await conn.run(sa.update(event_media).where(_which(conn, file)).values(told))


def _media_id(conn: Conn, file: File) -> int:
    mark = conn.vault.blind("piece", str(conn.tenant_id), str(file.event_id), str(file.n))
    return int.from_bytes(mark[:8], "big") >> 1


async def put_aside(conn: Conn, file: File, state: State, why: str) -> None:
    """It is not here, and why; unless somebody else has fetched it meanwhile."""
    missing = sa.and_(_which(conn, file), _c.state != "kept")
    await conn.run(sa.update(event_media).where(missing).values(state=state, error=why[:200]))


async def ask_again(conn: Conn, file: File) -> bool:
    """Whether it is now waited for: what is here already is not."""
    failed = sa.and_(_which(conn, file), _c.state.in_(("failed", "gone", "too_large")))
    return await conn.run(sa.update(event_media).where(failed).values(state="waiting", error="")) > 0


def _which(conn: Conn, file: File) -> sa.ColumnElement[bool]:
    return sa.and_(_c.tenant_id == conn.tenant_id, _c.event_id == file.event_id, _c.n == file.n)


# -- what is here ------------------------------------------------------------------------------------------
async def owner_of(conn: Conn, media_id: int) -> int | None:
    """The customer a file was exchanged with; None when there is no such file."""
    found: int | None = await conn.scalar(
        sa.select(_m.node_id).where(_m.tenant_id == conn.tenant_id, _m.media_id == media_id)
    )
    return found


async def opened(conn: Conn, media_id: int) -> Media | None:
    row = await conn.row(
        sa.select(_m.name, _m.mime, _m.content).where(_m.tenant_id == conn.tenant_id, _m.media_id == media_id)
    )
    if row is None:
        return None
    content = await conn.unseal(row.content, "media", media_id, "content")
    return Media(name=row.name, mime=row.mime, content=content)
