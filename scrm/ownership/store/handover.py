"""SQL of hand-overs; a brief is sealed with the customer's own key, and gone when they are erased."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.errors import Unsealable
from scrm.schema import handover, handover_customer, staff_handle
from scrm.seal import new_id
from scrm.timeline.store.events import body_owner

_MOST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    handover_id: int
    at: datetime
    from_id: int
    to_id: int
    by_id: int | None
    sort: str
    state: str
    moved_at: datetime | None = None
    undone_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    handover_id: int
    node_id: int
    #: "" = erased meanwhile.
    brief: str = field(repr=False)
    talks: tuple[int, ...] = ()
    deed_id: int | None = None
    barrier: str = ""


_HANDOVER = [handover.c[name] for name in Handover.__slots__]


async def add(
    conn: Conn, *, from_id: int, to_id: int, by_id: int | None, sort: str, now: datetime
) -> Handover:
    one = Handover(
        handover_id=new_id(), at=now, from_id=from_id, to_id=to_id, by_id=by_id, sort=sort, state="draft"
    )
    row = {name: getattr(one, name) for name in Handover.__slots__}
    await conn.insert(handover, [{"tenant_id": conn.tenant_id, **row}])
    return one


async def add_customer(conn: Conn, handover_id: int, node_id: int, brief: str) -> None:
    row = {
        "tenant_id": conn.tenant_id,
        "handover_id": handover_id,
        "node_id": node_id,
        "brief": await _sealed(conn, handover_id, node_id, brief),
    }
    await conn.insert(handover_customer, [row])


async def _sealed(conn: Conn, handover_id: int, node_id: int, brief: str) -> bytes:
    where = ("handover_customer", handover_id, node_id, "brief")
    return await conn.seal(body_owner(node_id), brief.encode(), *where)


async def set_brief(conn: Conn, handover_id: int, node_id: int, brief: str) -> bool:
    c = handover_customer.c
    sealed = await _sealed(conn, handover_id, node_id, brief)
    return bool(await conn.run(_one(handover_id, node_id, conn).values({c.brief: sealed})))


def _one(handover_id: int, node_id: int, conn: Conn) -> sa.Update:
    c = handover_customer.c
    return sa.update(handover_customer).where(
        c.tenant_id == conn.tenant_id, c.handover_id == handover_id, c.node_id == node_id
    )


async def set_moved(
    conn: Conn, handover_id: int, node_id: int, *, talks: Sequence[int], deed_id: int | None, barrier: str
) -> None:
    values = {"talks": json.dumps(list(talks)), "deed_id": deed_id, "barrier": barrier}
    await conn.run(_one(handover_id, node_id, conn).values(values))


async def get(conn: Conn, handover_id: int, *, lock: bool = False) -> Handover | None:
    c = handover.c
    stmt = sa.select(*_HANDOVER).where(c.tenant_id == conn.tenant_id, c.handover_id == handover_id)
    row = await conn.row(stmt.with_for_update() if lock else stmt)
    return Handover(**row._mapping) if row else None


async def change(conn: Conn, handover_id: int, state: str, **values: datetime) -> None:
    c = handover.c
    stmt = sa.update(handover).where(c.tenant_id == conn.tenant_id, c.handover_id == handover_id)
    await conn.run(stmt.values(state=state, **values))


async def page(
    conn: Conn,
    *,
    by: Collection[int] | None,
    before: int | None,
    limit: int,
    to_id: int | None = None,
) -> list[Handover]:
    """Newest first: of or to one of these members (None = of all), or those sent to `to_id`."""
    c = handover.c
    stmt = sa.select(*_HANDOVER).where(c.tenant_id == conn.tenant_id)
    if by is not None:
        stmt = stmt.where(sa.or_(c.from_id.in_(by), c.to_id.in_(by)))
    if to_id is not None:
        stmt = stmt.where(c.to_id == to_id, c.state == "moved")
    if before is not None:
        stmt = stmt.where(c.handover_id < before)
    rows = await conn.rows(stmt.order_by(c.handover_id.desc()).limit(limit))
    return [Handover(**r._mapping) for r in rows]


async def customers(conn: Conn, handover_id: int) -> list[Customer]:
    c = handover_customer.c
    stmt = sa.select(handover_customer).where(c.tenant_id == conn.tenant_id, c.handover_id == handover_id)
    return [await _opened(conn, r) for r in await conn.rows(stmt.order_by(c.node_id).limit(_MOST))]


async def _opened(conn: Conn, row: Any) -> Customer:
    where = ("handover_customer", row.handover_id, row.node_id, "brief")
    try:
        brief = (await conn.unseal(row.brief, *where)).decode()
    except Unsealable:
        brief = ""
    return Customer(
        handover_id=row.handover_id,
        node_id=row.node_id,
        brief=brief,
        talks=tuple(json.loads(row.talks)),
        deed_id=row.deed_id,
        barrier=row.barrier,
    )


async def asked_before(
    conn: Conn, node_ids: Collection[int], *, since: datetime
) -> list[tuple[int, datetime, int]]:
    """Customer, time and deed of the transfers that were asked of the platform since then."""
    c, h = handover_customer.c, handover.c
    stmt = (
        sa.select(c.node_id, h.moved_at, c.deed_id)
        .join_from(
            handover_customer,
            handover,
            sa.and_(h.tenant_id == c.tenant_id, h.handover_id == c.handover_id),
        )
        .where(
            c.tenant_id == conn.tenant_id,
            c.node_id.in_(node_ids),
            c.deed_id.is_not(None),
            h.state == "moved",
            h.moved_at > since,
        )
    )
    rows = await conn.rows(stmt.order_by(h.moved_at).limit(1000)) if node_ids else []
    return [(r.node_id, r.moved_at, r.deed_id) for r in rows]


async def accounts_of(conn: Conn, scope: str, staff_ids: Collection[int]) -> dict[int, str]:
    """What the platform calls these members."""
    c = staff_handle.c
    stmt = sa.select(c.staff_id, c.value).where(
        c.tenant_id == conn.tenant_id, c.scope == scope, c.staff_id.in_(staff_ids)
    )
    return {r.staff_id: r.value for r in await conn.rows(stmt.order_by(c.value.desc()))}
