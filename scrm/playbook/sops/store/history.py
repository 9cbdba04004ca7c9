"""SQL of what happened: what would have begun a run, and what its household did afterwards."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import event, opportunity, stage_change, tag

_e = event.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Did:
    """Something that happened to an address."""

    node_id: int
    at: datetime
    kind: str = ""
    stage: str = ""
    tag: str = ""
    spoke: bool = False
    words: str = ""
    conversation_id: int | None = None


async def staged(conn: Conn, stage: str, since: datetime, until: datetime, *, limit: int) -> list[Did]:
    """Sales that came to this stage, the earliest first."""
    c, o = stage_change.c, opportunity.c
    moved = sa.select(c.node_id, c.at).where(
        c.tenant_id == conn.tenant_id,
        c.stage_to == stage,
        c.stage_from != stage,
        c.at >= since,
        c.at <= until,
    )
    opened = sa.select(o.node_id, o.opened_at.label("at")).where(
        o.tenant_id == conn.tenant_id, o.opened_at >= since, o.opened_at <= until
    )
    rows = await conn.rows(moved.order_by(c.at, c.change_id).limit(limit))
    if stage == "first-contact":
        rows = [*rows, *await conn.rows(opened.order_by(o.opened_at, o.opportunity_id).limit(limit))]
    return [Did(node_id=r.node_id, at=r.at, stage=stage) for r in rows]


async def tagged(conn: Conn, name: str, since: datetime, until: datetime, *, limit: int) -> list[Did]:
    t = tag.c
    stmt = sa.select(t.node_id, t.at).where(
        t.tenant_id == conn.tenant_id, t.name == name, t.at >= since, t.at <= until
    )
    rows = await conn.rows(stmt.order_by(t.at, t.node_id).limit(limit))
    return [Did(node_id=r.node_id, at=r.at, tag=name) for r in rows]


async def events(
    conn: Conn, prefix: str, account_ids: Collection[int], since: datetime, until: datetime, *, limit: int
) -> list[Did]:
    """Events of these accounts whose kind begins so, the earliest first."""
    stmt = sa.select(_e.node_id, _e.at, _e.kind, _e.text, _e.conversation_id).where(
        _e.tenant_id == conn.tenant_id,
        _e.account_id.in_(account_ids),
        _e.at >= since,
        _e.at <= until,
        _e.kind.startswith(prefix, autoescape=True),
        _e.direction != "out",
        _e.node_id.is_not(None),
        _e.superseded_by.is_(None),
    )
    rows = await conn.rows(stmt.order_by(_e.at, _e.event_id).limit(limit)) if account_ids else []
    return [
        Did(node_id=r.node_id, at=r.at, kind=r.kind, words=r.text, conversation_id=r.conversation_id)
        for r in rows
    ]


async def of_nodes(
    conn: Conn, node_ids: Collection[int], since: datetime, until: datetime, *, limit: int
) -> list[Did]:
    """What this household said and did, and where its sales went, in no order."""
    within = [_e.tenant_id == conn.tenant_id, _e.node_id.in_(node_ids), _e.at >= since, _e.at <= until]
    heard = sa.or_(_e.direction == "in", _e.kind.startswith("event."))
    stmt = sa.select(_e.node_id, _e.at, _e.kind, _e.direction, _e.text).where(
        *within, heard, _e.superseded_by.is_(None)
    )
    rows = await conn.rows(stmt.order_by(_e.at, _e.event_id).limit(limit)) if node_ids else []
    found = [
        Did(
            node_id=r.node_id,
            at=r.at,
            kind=r.kind,
            spoke=r.direction == "in" and r.kind.startswith("message."),
            words=r.text,
        )
        for r in rows
    ]
    c, t = stage_change.c, tag.c
    moves = sa.select(c.node_id, c.at, c.stage_to).where(
        c.tenant_id == conn.tenant_id, c.node_id.in_(node_ids), c.at >= since, c.at <= until
    )
    put_on = sa.select(t.node_id, t.at, t.name).where(
        t.tenant_id == conn.tenant_id, t.node_id.in_(node_ids), t.at >= since, t.at <= until
    )
    moved = await conn.rows(moves.order_by(c.change_id).limit(limit)) if node_ids else []
    tagged_ = await conn.rows(put_on.order_by(t.at, t.name).limit(limit)) if node_ids else []
    found += [Did(node_id=r.node_id, at=r.at, stage=r.stage_to) for r in moved]
    return found + [Did(node_id=r.node_id, at=r.at, tag=r.name) for r in tagged_]
