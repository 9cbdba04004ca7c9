"""SQL of files that were fetched for an event that a newer version replaces: they belong to that one now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from scrm.contract import Piece
from scrm.db import Conn
from scrm.schema import event_media
from scrm.seal import close
from scrm.timeline.store.events import body_owner

_SEALED = ("ref", "transcript")


async def carry(conn: Conn, old_id: int, new_id: int, node_id: int | None, pieces: Sequence[Piece]) -> None:
    """Hand over what is here already; what is not, or was sealed for somebody else, is fetched anew."""
    c = event_media.c
    mine = sa.and_(c.tenant_id == conn.tenant_id, c.event_id == old_id)
    found = await conn.rows(sa.select(event_media).where(mine).order_by(c.n).with_for_update())
    if not found:
        return
    places = {(p.kind, p.ref): n for n, p in enumerate(pieces)}
    rows = []
    for r in found:
        ref = (await conn.unseal(r.ref, "event_media", old_id, r.n, "ref")).decode()
        n = places.get((r.kind, ref))
        if n is not None and r.state != "waiting" and r.node_id == node_id:
            rows.append(await _moved(conn, dict(r._mapping), new_id, n))
    await conn.run(sa.delete(event_media).where(mine))
    await conn.insert_new(event_media, rows)


async def _moved(conn: Conn, row: dict[str, Any], event_id: int, n: int) -> dict[str, Any]:
    owner = body_owner(row["node_id"])
    key = (await conn.keys_for([owner]))[owner]
    place = (row["event_id"], row["n"])
    for name in _SEALED:
        if row[name] is not None:
            plain = await conn.unseal(row[name], "event_media", *place, name)
            row[name] = close(key, plain, "event_media", event_id, n, name)
    return row | {"event_id": event_id, "n": n}
