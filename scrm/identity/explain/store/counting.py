"""SQL of figures: how many values, persons, ties there are. Each reads its table once."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import (
    evidence,
    evidence_state,
    household_member,
    identity_log,
    node,
    node_person,
    person,
)
from scrm.seal import new_id

_STATS = "stats"
_n, _np, _e = node.c, node_person.c, evidence.c


async def states(conn: Conn) -> dict[str, dict[str, int]]:
    """Values by kind and state; under "" all of them."""
    stmt = sa.select(_n.kind, _n.state, sa.func.count().label("n")).where(_n.tenant_id == conn.tenant_id)
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for r in await conn.rows(stmt.group_by(_n.kind, _n.state)):
        found[r.kind][r.state] += r.n
        found[r.kind][""] += r.n
    return {kind: dict(by) for kind, by in found.items()}


async def owned(conn: Conn) -> dict[str, tuple[int, int]]:
    """By kind: how many persons have any, and the most that one has."""
    each = (
        sa.select(_n.kind, _np.person_id, sa.func.count().label("n"))
        .join_from(node_person, node, sa.and_(_n.tenant_id == _np.tenant_id, _n.node_id == _np.node_id))
        .where(_np.tenant_id == conn.tenant_id, _np.until_at.is_(None))
        .group_by(_n.kind, _np.person_id)
        .subquery()
    )
    stmt = sa.select(each.c.kind, sa.func.count().label("persons"), sa.func.max(each.c.n).label("most"))
    return {r.kind: (r.persons, r.most) for r in await conn.rows(stmt.group_by(each.c.kind))}


def _tied(tenant_id: int) -> Any:
    """Values by how many persons' identifiers evidence ties to them, and their own."""
    told = (_e.tenant_id == tenant_id, _e.retracted_at.is_(None), _e["class"].in_(("same_person", "uses")))
    pairs = sa.union_all(
        sa.select(_e.node_a.label("mine"), _e.node_b.label("other")).where(*told),
        sa.select(_e.node_b.label("mine"), _e.node_a.label("other")).where(*told),
    ).subquery()
    return (
        sa.select(pairs.c.mine, sa.func.count(sa.distinct(_np.person_id)).label("persons"))
        .join_from(
            pairs,
            node_person,
            sa.and_(_np.tenant_id == tenant_id, _np.node_id == pairs.c.other, _np.until_at.is_(None)),
        )
        .group_by(pairs.c.mine)
        .subquery()
    )


async def spread(conn: Conn) -> dict[str, dict[int, int]]:
    """By kind: how many values are tied to so many persons."""
    tied = _tied(conn.tenant_id)
    stmt = (
        sa.select(_n.kind, tied.c.persons, sa.func.count().label("n"))
        .join_from(tied, node, sa.and_(_n.tenant_id == conn.tenant_id, _n.node_id == tied.c.mine))
        .group_by(_n.kind, tied.c.persons)
    )
    found: dict[str, dict[int, int]] = defaultdict(dict)
    for r in await conn.rows(stmt):
        found[r.kind][r.persons] = r.n
    return dict(found)


async def most_shared(conn: Conn, *, limit: int) -> dict[str, list[tuple[int, int, str]]]:
    """By kind the values that most persons are tied to: (node, persons, state)."""
    tied = _tied(conn.tenant_id)
    place = sa.func.row_number().over(partition_by=_n.kind, order_by=(tied.c.persons.desc(), _n.node_id))
    ranked = (
        sa.select(_n.kind, _n.node_id, tied.c.persons, _n.state, place.label("place"))
        .join_from(tied, node, sa.and_(_n.tenant_id == conn.tenant_id, _n.node_id == tied.c.mine))
        .where(tied.c.persons > 1)
        .subquery()
    )
    stmt = sa.select(ranked).where(ranked.c.place <= limit).order_by(ranked.c.kind, ranked.c.place)
    found: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for r in await conn.rows(stmt):
        found[r.kind].append((r.node_id, r.persons, r.state))
    return dict(found)


async def sizes(conn: Conn) -> dict[int, int]:
    """How many persons have so many identifiers."""
    each = (
        sa.select(sa.func.count().label("size"))
        .where(_np.tenant_id == conn.tenant_id, _np.until_at.is_(None))
        .group_by(_np.person_id)
        .subquery()
    )
    return await _histogram(conn, each)


async def homes(conn: Conn) -> dict[int, int]:
    """How many households have so many persons; those alone are the rest."""
    c = household_member.c
    each = (
        sa.select(sa.func.count().label("size"))
        .where(c.tenant_id == conn.tenant_id)
        .group_by(c.household_id)
        .subquery()
    )
    found = await _histogram(conn, each)
    everybody = await conn.scalar(
        sa.select(sa.func.count()).select_from(person).where(person.c.tenant_id == conn.tenant_id)
    )
    alone = int(everybody or 0) - sum(size * n for size, n in found.items())
    return {1: found.pop(1, 0) + alone, **found} if alone > 0 else found


async def _histogram(conn: Conn, each: Any) -> dict[int, int]:
    stmt = sa.select(each.c.size, sa.func.count().label("n")).group_by(each.c.size).order_by(each.c.size)
    return {r.size: r.n for r in await conn.rows(stmt)}


async def standings(conn: Conn) -> tuple[dict[str, int], int]:
    """Evidence by what became of it, and how much was taken back."""
    c = evidence_state.c
    stmt = sa.select(c.standing, sa.func.count().label("n")).where(c.tenant_id == conn.tenant_id)
    found = {r.standing: r.n for r in await conn.rows(stmt.group_by(c.standing).order_by(c.standing))}
    gone = sa.select(sa.func.count()).where(_e.tenant_id == conn.tenant_id, _e.retracted_at.is_not(None))
    return found, int(await conn.scalar(gone) or 0)


async def keep(conn: Conn, body: str, at: datetime) -> None:
    row = {"tenant_id": conn.tenant_id, "log_id": new_id(), "at": at, "op": _STATS, "origin": "auto"}
    await conn.insert(identity_log, [row | {"body": body}])


async def kept(conn: Conn) -> str:
    """The newest; "" when there is none."""
    c = identity_log.c
    stmt = sa.select(c.body).where(c.tenant_id == conn.tenant_id, c.op == _STATS)
    return str(await conn.scalar(stmt.order_by(c.at.desc(), c.log_id.desc()).limit(1)) or "")
