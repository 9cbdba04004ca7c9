"""SQL of files that vendors keep for us, one row per file of an event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scrm.contract import Piece
from scrm.db import Conn
from scrm.schema import event_media
from scrm.seal import close
from scrm.timeline.store.events import body_owner


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A file that came with an event and is not here yet."""

    event_id: int
    n: int
    account_id: int
    node_id: int | None
    piece: Piece


async def expect(conn: Conn, files: Sequence[Expected]) -> list[Expected]:
    """Write down what is to be fetched; those that were not written down before."""
    keys = await conn.keys_for([body_owner(f.node_id) for f in files])
    rows = [
        {
            "tenant_id": conn.tenant_id,
            "event_id": f.event_id,
            "n": f.n,
            "account_id": f.account_id,
            "node_id": f.node_id,
            "ref": close(
                keys[body_owner(f.node_id)], f.piece.ref.encode(), "event_media", f.event_id, f.n, "ref"
            ),
            "kind": f.piece.kind,
            "name": f.piece.name,
            "mime": f.piece.mime,
            "size": f.piece.size,
            "seconds": f.piece.seconds,
            "md5": f.piece.md5.lower(),
        }
        for f in files
    ]
    made = await conn.insert_new(event_media, rows, event_media.c.event_id, event_media.c.n)
    new = {(r.event_id, r.n) for r in made}
    return [f for f in files if (f.event_id, f.n) in new]
