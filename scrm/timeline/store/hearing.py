"""SQL of recordings that are to be written down as text, and of what was said in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import event_media
from scrm.timeline.store.events import body_owner

_c = event_media.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A recording we keep."""

    event_id: int
    n: int
    account_id: int
    node_id: int | None
    media_id: int


async def unheard(conn: Conn, *, limit: int, lock: bool = True) -> list[Recording]:
    """Recordings that nobody has listened to yet, newest first; locked, so that one process asks."""
    stmt = (
        sa.select(_c.event_id, _c.n, _c.account_id, _c.node_id, _c.media_id)
        .where(
            _c.tenant_id == conn.tenant_id,
            _c.kind == "voice",
            _c.state == "kept",
            _c.transcribed == "",
            _c.media_id.is_not(None),
        )
        .order_by(_c.event_id.desc(), _c.n)
        .limit(limit)
    )
    rows = await conn.rows(stmt.with_for_update(skip_locked=True) if lock else stmt)
    return [Recording(**r._mapping) for r in rows]


async def of_media(conn: Conn, media_id: int) -> list[Recording]:
    """Where this file belongs and is waited for; nowhere when its event was replaced by one without it."""
    stmt = sa.select(_c.event_id, _c.n, _c.account_id, _c.node_id, _c.media_id).where(
        _c.tenant_id == conn.tenant_id, _c.media_id == media_id, _c.transcribed == "waiting"
    )
    rows = await conn.rows(stmt.order_by(_c.event_id, _c.n).with_for_update())
    return [Recording(**r._mapping) for r in rows]


async def mark(conn: Conn, found: Sequence[Recording], state: str) -> None:
    """`waiting`, or `failed` when it was tried often enough."""
    for one in found:
        await conn.run(sa.update(event_media).where(_place(conn, one)).values(transcribed=state))


async def write(conn: Conn, one: Recording, text: str) -> None:
    """What was said in it, sealed with the customer's key."""
    place = (one.event_id, one.n, "transcript")
    sealed = await conn.seal(body_owner(one.node_id), text.encode(), "event_media", *place)
    await conn.run(
        sa.update(event_media).where(_place(conn, one)).values(transcript=sealed, transcribed="done")
    )


def _place(conn: Conn, one: Recording) -> sa.ColumnElement[bool]:
    return sa.and_(_c.tenant_id == conn.tenant_id, _c.event_id == one.event_id, _c.n == one.n)
