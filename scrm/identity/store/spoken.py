"""SQL of the names an identifier was shown with: who the owners of a telephone were, and when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.identity.rules.values import Said
from scrm.schema import node_name
from scrm.seal import close, key_id_of, open_sealed

_OF = (
    sa.select(node_name)
    .where(
        node_name.c.tenant_id == sa.bindparam("tenant"),
        node_name.c.node_id.in_(sa.bindparam("nodes", expanding=True)),
    )
    .order_by(node_name.c.node_id, node_name.c.first_at, node_name.c.name_key)
)
_KEY = ("tenant_id", "node_id", "name_key")


async def say(conn: Conn, said: Mapping[int, Sequence[Said]]) -> None:
    """These names were shown then; each widens the time of what is known of it."""
    if not said:
        return
    keys = await conn.keys_for([f"node:{n}" for n in said])
    rows: dict[tuple[int, bytes], dict[str, Any]] = {}
    for node_id, words in sorted(said.items()):
        for word in words:
            name_key = conn.vault.blind(str(conn.tenant_id), "name", str(node_id), word.name)
            one = rows.get((node_id, name_key))
            if one is None:
                sealed = close(
                    keys[f"node:{node_id}"], word.name.encode(), "node_name", node_id, name_key.hex(), "name"
                )
                rows[node_id, name_key] = {
                    "tenant_id": conn.tenant_id,
                    "node_id": node_id,
                    "name_key": name_key,
                    "name": sealed,
                    "first_at": word.first_at,
                    "last_at": word.last_at,
                    "n": 1,
                }
            else:
                one["first_at"] = min(one["first_at"], word.first_at)
                one["last_at"] = max(one["last_at"], word.last_at)
                one["n"] += 1
    await conn.upsert(node_name, list(rows.values()), key=_KEY, change=_widened)


def _widened(new: Any) -> dict[str, Any]:
    c = node_name.c
    return {
        "n": c.n + new.n,
        "first_at": sa.case((new.first_at < c.first_at, new.first_at), else_=c.first_at),
        "last_at": sa.case((new.last_at > c.last_at, new.last_at), else_=c.last_at),
    }


async def of(conn: Conn, node_ids: Collection[int]) -> dict[int, tuple[Said, ...]]:
    """The names each was shown with, oldest first; a name whose key was destroyed says nothing."""
    if not node_ids:
        return {}
    rows = await conn.rows(_OF, {"tenant": conn.tenant_id, "nodes": sorted(node_ids)})
    keys = await conn.keys({key_id_of(r.name) for r in rows})
    found: dict[int, list[Said]] = defaultdict(list)
    for r in rows:
        where = ("node_name", r.node_id, r.name_key.hex(), "name")
        name = open_sealed(keys[key_id_of(r.name)], r.name, *where).decode()
        found[r.node_id].append(Said(name=name, first_at=r.first_at, last_at=r.last_at))
    return {n: tuple(words) for n, words in found.items()}


def covered(known: Sequence[Said], word: Said) -> bool:
    """Whether nothing new is said."""
    return any(
        k.name == word.name and k.first_at <= word.first_at and word.last_at <= k.last_at for k in known
    )
