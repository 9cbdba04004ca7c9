"""SQL of hints: keyed hashes that bring identifiers together at once, without opening anybody."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import hint

#: Identifiers one hint brings together: more of them say nothing.
MANY = 12


async def keep(conn: Conn, rows: Sequence[tuple[bytes, int, str]]) -> None:
    """(key, node, kind), once each; in one order, or two processes would wait in a circle."""
    wanted = [
        {"tenant_id": conn.tenant_id, "hint_key": key, "node_id": node_id, "kind": kind}
        for key, node_id, kind in sorted(set(rows))
    ]
    await conn.insert_new(hint, wanted)


async def sharing(conn: Conn, keys: Collection[bytes]) -> Mapping[bytes, list[int]]:
    """Identifiers by hint, those of too many left out."""
    c, found = hint.c, dict[bytes, list[int]]()
    for key in sorted(keys):
        stmt = sa.select(c.node_id).where(c.tenant_id == conn.tenant_id, c.hint_key == key)
        rows: Sequence[Any] = await conn.rows(stmt.order_by(c.node_id).limit(MANY + 1))
        if len(rows) <= MANY:
            found[key] = [r.node_id for r in rows]
    return found


async def forget(conn: Conn, node_ids: Collection[int]) -> None:
    await conn.run(sa.delete(hint).where(hint.c.tenant_id == conn.tenant_id, hint.c.node_id.in_(node_ids)))
