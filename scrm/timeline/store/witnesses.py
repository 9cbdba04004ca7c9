"""SQL of notes and records: what a rep sent by hand and nobody confirmed, and the vendor's own word on it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import event, event_node, outbox
from scrm.shapes import bounded
from scrm.timeline.store import events

Row = dict[str, Any]

_MOST = 500
#: Noted by hand, and what no one has confirmed yet.
_OPEN = ("unconfirmed", "unknown")
#: In an event's body: it is the vendor's record.
MARK = "_witness"


def _notes(conn: Conn, keys: Collection[str] = ()) -> sa.Select[Any]:
    e, o = event.c, outbox.c
    mine = o.external_id.in_([bounded(key) for key in keys])
    known = sa.case((mine, o.external_id), else_="").label("source_key")
    ours = sa.and_(o.tenant_id == e.tenant_id, o.event_id == e.event_id)
    stmt = sa.select(e.event_id, e.node_id, e.staff_id, e.kind, e.text, e.at, known, o.outbox_id)
    return stmt.join_from(event, outbox, ours).where(e.tenant_id == conn.tenant_id, e.direction == "out")


async def notes(
    conn: Conn, node_ids: Collection[int], keys: Collection[str], *, since: datetime, until: datetime
) -> list[Row]:
    """Unconfirmed notes to these customers, and those these records confirmed before; held, oldest first.

    Welcomes count as notes: the API says them in a member's name, and the record cannot tell.
    """
    e, o, n = event.c, outbox.c, event_node.c
    here = sa.select(n.event_id).where(
        n.tenant_id == conn.tenant_id, n.node_id.in_(node_ids), n.at >= since, n.at <= until
    )
    before = o.external_id.in_([bounded(key) for key in keys])
    welcome = sa.and_(o.kind == "welcome", o.state != "dead")
    fit = sa.or_(o.state.in_(_OPEN), welcome, before)
    stmt = _notes(conn, keys).where(e.event_id.in_(here), fit)
    rows = await conn.rows(stmt.order_by(o.outbox_id).limit(_MOST).with_for_update(of=outbox))
    return [dict(r._mapping) for r in rows]


async def note(conn: Conn, event_id: int) -> list[Row]:
    """This one, held, while nobody has confirmed it."""
    stmt = _notes(conn).where(event.c.event_id == event_id, outbox.c.state.in_(_OPEN))
    rows = await conn.rows(stmt.with_for_update(of=outbox))
    return [dict(r._mapping) for r in rows if r.node_id is not None]


async def records(conn: Conn, node_id: int, *, since: datetime, until: datetime) -> list[Row]:
    """The vendor's records of what we said to this customer that confirm nothing yet, oldest first."""
    e, n = event.c, event_node.c
    here = sa.select(n.event_id).where(
        n.tenant_id == conn.tenant_id, n.node_id == node_id, n.at >= since, n.at <= until
    )
    stmt = sa.select(e.event_id).where(
        e.tenant_id == conn.tenant_id,
        e.event_id.in_(here),
        e.direction == "out",
        e.superseded_by.is_(None),
    )
    ids = [r.event_id for r in await conn.rows(stmt.order_by(e.at, e.event_id).limit(_MOST))]
    stored = await events.by_ids(conn, ids)
    bodies = await events.bodies(conn, stored)
    return [
        {name: getattr(one, name) for name in _FIELDS} | {"node_id": node_id}
        for one in stored
        if bodies[one.event_id].get(MARK)
    ]


_FIELDS = ("event_id", "staff_id", "kind", "text", "at", "source_key")


async def stand_behind(conn: Conn, record_id: int, note_id: int) -> None:
    """The record leaves every page; taken back already, it takes the note with it."""
    await events.supersede(conn, record_id, note_id)
    record = event.alias().c
    when = sa.select(record.recalled_at).where(
        record.tenant_id == conn.tenant_id, record.event_id == record_id
    )
    c = event.c
    stmt = sa.update(event).where(
        c.tenant_id == conn.tenant_id, c.event_id == note_id, c.recalled_at.is_(None)
    )
    await conn.run(stmt.values(recalled_at=when.scalar_subquery()))
