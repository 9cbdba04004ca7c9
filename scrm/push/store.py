"""SQL of what push needs besides inbox and outbox: opened windows, used places, media."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from scrm.contract import Media
from scrm.db import Conn
from scrm.push.rules import Opening, Used
from scrm.schema import event, event_node, media, outbox
from scrm.seal import new_id


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


async def used(conn: Conn, conversation_id: int, *, since: datetime) -> Used:
    """Pushes that took a place in a window. One with an unclear result counts: it may have arrived."""
    c = outbox.c
    stmt = sa.select(c.created_at).where(
        c.tenant_id == conn.tenant_id,
        c.conversation_id == conversation_id,
        c.created_at >= since,
        c.kind != "welcome",
        c.state.not_in(["dead", "unconfirmed"]),
    )
    return Used(at=tuple(r.created_at for r in await conn.rows(stmt.order_by(c.created_at.desc()).limit(50))))


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
