"""SQL of messages that read differently than before: recalled, edited, or parsed anew."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import event
from scrm.timeline.store import events
from scrm.timeline.store.events import Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Reread:
    """What a batch of events says about messages that were there already."""

    #: Events that are no message themselves: they take one back or change its words.
    notes: frozenset[int] = frozenset()
    #: The messages they speak of, as they read now.
    messages: tuple[Stored, ...] = ()
    #: Earlier readings, by the event that took their place.
    earlier: dict[int, list[int]] = field(default_factory=dict)


async def look(conn: Conn, event_ids: Collection[int]) -> Reread:
    """At most as many messages as there are events."""
    if not event_ids:
        return Reread()
    note, said = event.alias().c, event.alias().c
    told = sa.and_(
        said.tenant_id == note.tenant_id,
        said.account_id == note.account_id,
        said.source_key.in_((note.recalls, note.edits)),
    )
    stmt = (
        sa.select(note.event_id, said.event_id.label("said"), said.superseded_by)
        .outerjoin_from(note.event_id.table, said.event_id.table, told)
        .where(note.tenant_id == conn.tenant_id, note.event_id.in_(event_ids))
        .where(sa.or_(note.recalls.is_not(None), note.edits.is_not(None)))
        .order_by(note.event_id)
    )
    rows = await conn.rows(stmt)
    ids = {r.superseded_by or r.said for r in rows if r.said is not None}
    return Reread(
        notes=frozenset(r.event_id for r in rows),
        messages=tuple(await events.by_ids(conn, ids)),
        earlier=await _earlier(conn, {*event_ids, *ids}),
    )


async def _earlier(conn: Conn, event_ids: Collection[int]) -> dict[int, list[int]]:
    now, old = event.alias("now").c, event.alias("old").c
    same = sa.and_(
        old.tenant_id == now.tenant_id,
        old.account_id == now.account_id,
        old.source_key == now.source_key,
        old.superseded_by == now.event_id,
    )
    stmt = (
        sa.select(old.event_id, old.superseded_by)
        .join_from(now.event_id.table, old.event_id.table, same)
        .where(now.tenant_id == conn.tenant_id, now.event_id.in_(event_ids), now.version > 1)
    )
    found: dict[int, list[int]] = {}
    for r in await conn.rows(stmt.order_by(old.event_id)):
        found.setdefault(r.superseded_by, []).append(r.event_id)
    return found
