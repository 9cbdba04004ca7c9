"""SQL of fields: names that came with identifiers, and the events that said so."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import event_node, evidence, node

_MOST = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """Since when an identifier and its name are known."""

    node_id: int
    first_at: datetime
    named_at: datetime | None


async def met(conn: Conn, node_ids: Collection[int]) -> dict[int, Met]:
    c = node.c
    stmt = sa.select(c.node_id, c.first_at, c.named_at).where(
        c.tenant_id == conn.tenant_id, c.node_id.in_(sorted(node_ids)[:_MOST])
    )
    return {r.node_id: Met(**r._mapping) for r in (await conn.rows(stmt) if node_ids else ())}


async def said_at(
    conn: Conn, places: Collection[tuple[int, datetime]]
) -> dict[tuple[int, datetime], tuple[int, int]]:
    """(event, account) by the identifier and the moment at which something was said of it."""
    c = event_node.c
    found: dict[tuple[int, datetime], tuple[int, int]] = {}
    asked = sorted(places)[:_MOST]
    for start in range(0, len(asked), 100):
        some = asked[start : start + 100]
        stmt = sa.select(c.node_id, c.at, c.event_id, c.account_id).where(
            c.tenant_id == conn.tenant_id, sa.or_(*(sa.and_(c.node_id == n, c.at == at) for n, at in some))
        )
        for r in await conn.rows(stmt.order_by(c.node_id, c.at, c.seq, c.event_id).limit(_MOST)):
            found.setdefault((r.node_id, r.at), (r.event_id, r.account_id))
    return found


async def proved(conn: Conn, node_ids: Collection[int]) -> dict[int, tuple[datetime, int, str]]:
    """When evidence first said whose these identifiers are: (at, event, rule); the earliest of each."""
    e = evidence.c
    found: dict[int, tuple[datetime, int, str]] = {}
    for mine in (e.node_a, e.node_b):
        stmt = (
            sa.select(mine.label("node_id"), e.first_at, e.first_event_id, e.rule)
            .where(e.tenant_id == conn.tenant_id, mine.in_(sorted(node_ids)[:_MOST]))
            .where(e["class"] == "same_person", e.retracted_at.is_(None))
            .order_by(mine)
            .limit(_MOST)
        )
        for r in await conn.rows(stmt) if node_ids else ():
            word = (r.first_at, r.first_event_id, r.rule)
            found[r.node_id] = min(word, found.get(r.node_id, word))
    return found
