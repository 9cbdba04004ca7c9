"""SQL of consent: entries are added and read, never changed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from scrm.db import Conn
from scrm.ledger.consent.rules import ConsentPurpose, ConsentState, Entry, Source
from scrm.schema import consent_entry
from scrm.seal import new_id
from scrm.shapes import bounded, storable

_ENTRY = [consent_entry.c[name] for name in Entry.__slots__]
_REASON = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An entry on its way in. `key` makes it happen once."""

    key: str
    node_id: int
    purpose: ConsentPurpose
    state: ConsentState
    source: Source
    at: datetime
    channel: str = ""
    reason: str = ""
    event_id: int | None = None
    staff_id: int | None = None


async def add(conn: Conn, said: Said, *, now: datetime) -> bool:
    """False when this key was written before."""
    row = {name: getattr(said, name) for name in Said.__slots__} | {
        "tenant_id": conn.tenant_id,
        "entry_id": new_id(),
        "key": bounded(said.key),
        "reason": storable(said.reason)[:_REASON],
        "stored_at": now,
    }
    return bool(await conn.insert_new(consent_entry, [row], consent_entry.c.entry_id))


async def of_nodes(conn: Conn, node_ids: Collection[int]) -> list[Entry]:
    """What was said of these addresses, newest first; at most 200, of which the newest decide."""
    if not node_ids:
        return []
    c = consent_entry.c
    stmt = sa.select(*_ENTRY).where(c.tenant_id == conn.tenant_id, c.node_id.in_(node_ids))
    rows = await conn.rows(stmt.order_by(c.at.desc(), c.entry_id.desc()).limit(200))
    return [Entry(**r._mapping) for r in rows]


async def who_spoke(conn: Conn, node_ids: Collection[int]) -> set[int]:
    """Those of these addresses of whom anything was ever said."""
    c = consent_entry.c
    stmt = sa.select(c.node_id).where(c.tenant_id == conn.tenant_id, c.node_id.in_(node_ids))
    return {r.node_id for r in (await conn.rows(stmt.distinct()) if node_ids else [])}


async def page(
    conn: Conn, *, node_ids: Collection[int] | None, before: int | None, limit: int
) -> list[Entry]:
    """Newest first, at most `limit`, below the entry `before`; of everybody when no nodes are named."""
    c = consent_entry.c
    stmt = sa.select(*_ENTRY).where(c.tenant_id == conn.tenant_id)
    if node_ids is not None:
        stmt = stmt.where(c.node_id.in_(node_ids))
    if before is not None:
        stmt = stmt.where(c.entry_id < before)
    return [Entry(**r._mapping) for r in await conn.rows(stmt.order_by(c.entry_id.desc()).limit(limit))]
