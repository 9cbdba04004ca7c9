"""SQL of what push needs besides inbox and outbox: opened windows, used places, who was reached, media."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa

from scrm.contract import Media
from scrm.db import Conn
from scrm.desk.calendar.service import AHEAD
from scrm.desk.frequency import Reached
from scrm.push.rules import Opening, Used
from scrm.push.words import SPARE
from scrm.schema import event, event_node, media, outbox, reach, uploaded
from scrm.seal import new_id
from scrm.timeline.rules import Talk

#: A refusal with this effect says that the window was not open.
SHUTS = "out_of_window"


async def openings(conn: Conn, account_id: int, node_id: int, *, since: datetime) -> list[Opening]:
    """What the customer did on this account since then, newest first; at most 20, enough for any window."""
    n, e = event_node.c, event.c
    stmt = (
        sa.select(e.kind, n.at)
        .join(event, sa.and_(e.tenant_id == n.tenant_id, e.event_id == n.event_id))
        .where(n.tenant_id == conn.tenant_id, n.node_id == node_id, n.at >= since)
        .where(n.account_id == account_id, e.direction == "in")
    )
    return [Opening(kind=r.kind, at=r.at) for r in await conn.rows(stmt.order_by(n.at.desc()).limit(20))]


async def used(conn: Conn, talk: Talk, *, since: datetime, but: str = "") -> Used:
    """Pushes that took a place in a window. One with an unclear result counts: it may have arrived.

    `but` is the key of a word whose own pushes are not counted: it asks for itself.
    """
    c = outbox.c
    stmt = sa.select(c.created_at, c.planned_at, c.updated_at, c.state, c.effect, c.key).where(
        c.tenant_id == conn.tenant_id,
        c.node_id == talk.node_id,
        c.conversation_id == talk.conversation_id,
        c.created_at >= since - AHEAD,
        c.kind != "welcome",
        c.state != "unconfirmed",
    )
    rows = await conn.rows(stmt.order_by(c.created_at.desc(), c.outbox_id.desc()).limit(200))
    shut = [r.updated_at for r in rows if r.state == "dead" and r.effect == SHUTS]
    return Used(
        at=tuple(
            r.planned_at or r.created_at
            for r in rows
            if r.state != "dead" and not (r.planned_at and r.state == "queued") and not _is_of(r.key, but)
        ),
        shut_at=max(shut, default=None),
    )


def _is_of(key: str, word: str) -> bool:
    return bool(word) and key.rpartition(":")[0] == word


async def reached(
    conn: Conn,
    node_ids: Collection[int],
    purpose: str,
    *,
    since: datetime,
    but: str = "",
    limit: int = 1000,
) -> list[Reached]:
    """What went out to these nodes for this purpose, or is going to; a word counts once, not its parts."""
    if not node_ids:
        return []
    c = outbox.c
    stmt = sa.select(c.node_id, c.created_at, c.planned_at, c.key).where(
        c.tenant_id == conn.tenant_id,
        c.node_id.in_(node_ids),
        c.created_at >= since - AHEAD,
        c.purpose == purpose,
        c.state != "dead",
        c.key.like("%:0"),
    )
    rows = await conn.rows(stmt.order_by(c.created_at.desc(), c.outbox_id.desc()).limit(limit))
    pushed = [
        Reached(node_id=r.node_id, at=r.planned_at or r.created_at) for r in rows if not _is_of(r.key, but)
    ]
    return pushed + await _told(conn, node_ids, purpose, since=since, limit=limit)


async def _told(
    conn: Conn, node_ids: Collection[int], purpose: str, *, since: datetime, limit: int
) -> list[Reached]:
    """Those whom a vendor told something for us."""
    c = reach.c
    stmt = sa.select(c.node_id, c.at).where(
        c.tenant_id == conn.tenant_id, c.node_id.in_(node_ids), c.at >= since, c.purpose == purpose
    )
    rows = await conn.rows(stmt.order_by(c.at.desc(), c.deed_id.desc()).limit(limit))
    return [Reached(node_id=r.node_id, at=r.at) for r in rows]


async def keep_told(
    conn: Conn, deed_id: int, node_ids: Collection[int], purpose: str, *, now: datetime
) -> None:
    """These are being told something by a deed: from now on it counts."""
    same = {"tenant_id": conn.tenant_id, "deed_id": deed_id, "purpose": purpose, "at": now}
    if node_ids:
        await conn.insert_new(reach, [same | {"node_id": n} for n in sorted(node_ids)])


async def drop_told(conn: Conn, deed_id: int, node_ids: Collection[int] | None = None) -> None:
    """These (None = all of the deed) were not told after all."""
    c = reach.c
    stmt = sa.delete(reach).where(c.tenant_id == conn.tenant_id, c.deed_id == deed_id)
    await conn.run(stmt if node_ids is None else stmt.where(c.node_id.in_(node_ids)))


async def add_media(
    conn: Conn, one: Media, node_id: int, *, now: datetime, media_id: int | None = None
) -> int:
    """Keep a file exchanged with a customer, sealed with their key. A given id makes a repeat harmless."""
    media_id = media_id or new_id()
    content = await conn.seal(f"node:{node_id}", one.content, "media", media_id, "content")
    row = {
        "tenant_id": conn.tenant_id,
        "media_id": media_id,
        "name": one.name,
        "mime": one.mime,
        "content": content,
        "created_at": now,
        "node_id": node_id,
    }
    await conn.insert_new(media, [row])
    return media_id


async def uploaded_as(conn: Conn, account_id: int, media_id: int, *, now: datetime) -> str:
    """The vendor's id of a file it was given ahead of time, while that surely works; "" = it holds none."""
    c = uploaded.c
    stmt = sa.select(c.name).where(
        c.tenant_id == conn.tenant_id,
        c.account_id == account_id,
        c.media_id == media_id,
        c.until_at > now + SPARE,
    )
    return await conn.scalar(stmt) or ""


async def owner_of(conn: Conn, media_id: int) -> int | None:
    """The customer a file was exchanged with; None when there is no such file."""
    c = media.c
    found: int | None = await conn.scalar(
        sa.select(c.node_id).where(c.tenant_id == conn.tenant_id, c.media_id == media_id)
    )
    return found


async def media_of(conn: Conn, media_ids: Sequence[int]) -> dict[int, Media]:
    c = media.c
    stmt = sa.select(c.media_id, c.name, c.mime, c.content).where(
        c.tenant_id == conn.tenant_id, c.media_id.in_(media_ids)
    )
    return {
        r.media_id: Media(
            name=r.name, mime=r.mime, content=await conn.unseal(r.content, "media", r.media_id, "content")
        )
        for r in (await conn.rows(stmt.order_by(c.media_id)) if media_ids else [])
    }
