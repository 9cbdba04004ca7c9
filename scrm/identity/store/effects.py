"""SQL of what a decision would touch: events and conversations on some nodes, counted up to a bound."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import conversation, event_node

#: Nobody needs to know exactly how many more.
MOST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    #: At most `MOST`: so many or more.
    events: int = 0
    conversations: int = 0
    #: Who answers them.
    reps: tuple[int, ...] = ()


async def effects(conn: Conn, node_ids: Collection[int]) -> Effects:
    if not node_ids:
        return Effects()
    e, c = event_node.c, conversation.c
    wanted = sorted(node_ids)
    some = sa.select(e.event_id).where(e.tenant_id == conn.tenant_id, e.node_id.in_(wanted)).limit(MOST)
    events = await conn.scalar(sa.select(sa.func.count()).select_from(some.subquery()))
    talks = sa.select(c.rep_id).where(c.tenant_id == conn.tenant_id, c.node_id.in_(wanted)).limit(MOST)
    reps = [r.rep_id for r in await conn.rows(talks)]
    return Effects(
        events=int(events or 0),
        conversations=len(reps),
        reps=tuple(sorted({r for r in reps if r is not None})),
    )
