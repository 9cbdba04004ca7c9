"""SQL of explanations: evidence around some identifiers, what they are called, the events that are cited."""

from __future__ import annotations

import json
import secrets
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.errors import Unsealable
from scrm.identity.explain.rules import Cited, Dot, Opened, Piece
from scrm.identity.rules.sayings import rule_of
from scrm.schema import (
    event,
    evidence,
    evidence_state,
    household_member,
    node,
    node_name,
    node_person,
    person,
)
from scrm.seal import DataKey, key_id_of, open_sealed

#: An identifier with more evidence than this is not read whole: a hotline, a shop's tablet.
_HUB, _HUBS, _OF_A_HUB = 200, 8, 64
_PIECES, _NODES = 4_000, 1_024
_e, _s = evidence.c, evidence_state.c
_tenant: sa.BindParameter[int] = sa.bindparam("tenant")
_limit = sa.bindparam("limit", type_=sa.Integer)
_COLUMNS = tuple(c for c in evidence.c if c.name not in ("tenant_id", "key"))


def _touching(mine: sa.Column[Any]) -> sa.Select[Any]:
    return (
        sa.select(*_COLUMNS, _s.standing, _s.why.label("blocked_why"), _s.by.label("blocked_by"))
        .select_from(
            evidence.outerjoin(
                evidence_state,
                sa.and_(_s.tenant_id == _e.tenant_id, _s.evidence_id == _e.evidence_id),
            )
        )
        .where(_e.tenant_id == _tenant, mine.in_(sa.bindparam("nodes", expanding=True)))
        # As the index has them: nothing is sorted that is not shown.
        .order_by(mine)
        .limit(_limit)
    )


_TOUCHING = (_touching(_e.node_a), _touching(_e.node_b))


async def pieces(conn: Conn, node_ids: Collection[int], degrees: Mapping[int, int]) -> list[Piece]:
    """All evidence that touches these identifiers, also what was taken back; of hubs only some."""
    hubs = sorted(n for n in node_ids if degrees.get(n, 0) > _HUB)
    usual = sorted(set(node_ids) - set(hubs))[:_NODES]
    rows: dict[int, Piece] = {}
    asked = [(usual, _PIECES)] if usual else []
    asked += [([n], _OF_A_HUB) for n in hubs[:_HUBS]]
    for nodes, limit in asked:
        for stmt in _TOUCHING:
            found = await conn.rows(stmt, {"tenant": conn.tenant_id, "nodes": nodes, "limit": limit})
            rows |= {r.evidence_id: _piece(r) for r in found}
    return [rows[i] for i in sorted(rows)]


def _piece(r: Any) -> Piece:
    said = dict(r._mapping)
    by = said.pop("blocked_by")
    return Piece(
        a=said.pop("node_a"),
        b=said.pop("node_b"),
        cls=said.pop("class"),
        rule=rule_of(said.pop("rule")),
        standing=said.pop("standing") or "accepted",
        blocked_why=said.pop("blocked_why") or "",
        blocked_by=tuple(json.loads(by)) if by else (),
        **said,
    )


async def by_ids(conn: Conn, evidence_ids: Collection[int]) -> list[Piece]:
    """These rows, oldest first."""
    if not evidence_ids:
        return []
    stmt = (
        sa.select(*_COLUMNS, _s.standing, _s.why.label("blocked_why"), _s.by.label("blocked_by"))
        .select_from(
            evidence.outerjoin(
                evidence_state,
                sa.and_(_s.tenant_id == _e.tenant_id, _s.evidence_id == _e.evidence_id),
            )
        )
        .where(_e.tenant_id == conn.tenant_id, _e.evidence_id.in_(sorted(evidence_ids)[:_NODES]))
    )
    return [_piece(r) for r in await conn.rows(stmt.order_by(_e.evidence_id))]


async def nodes_ever(conn: Conn, person_ids: Collection[int]) -> dict[int, frozenset[int]]:
    """Every identifier of each person, whenever it was theirs."""
    np = node_person.c
    stmt = (
        sa.select(np.person_id, np.node_id)
        .where(np.tenant_id == conn.tenant_id, np.person_id.in_(sorted(person_ids)))
        .order_by(np.person_id, np.node_id)
        .limit(_NODES)
    )
    found: dict[int, set[int]] = {p: set() for p in person_ids}
    for r in await conn.rows(stmt) if person_ids else ():
        found[r.person_id].add(r.node_id)
    return {p: frozenset(nodes) for p, nodes in found.items()}


async def owners_ever(conn: Conn, node_ids: Collection[int]) -> dict[int, list[int]]:
    """Persons of each identifier, the latest last; a recycled number has had several."""
    np = node_person.c
    stmt = sa.select(np.node_id, np.person_id).where(
        np.tenant_id == conn.tenant_id, np.node_id.in_(sorted(node_ids)[:_NODES])
    )
    found: dict[int, list[int]] = defaultdict(list)
    for r in await conn.rows(stmt.order_by(np.node_id, np.from_at)) if node_ids else ():
        if r.person_id not in found[r.node_id]:
            found[r.node_id].append(r.person_id)
    return dict(found)


async def dots(conn: Conn, node_ids: Collection[int]) -> tuple[dict[int, Dot], dict[int, int]]:
    """Identifiers, and how much evidence touches each."""
    c = node.c
    stmt = sa.select(c.node_id, c.kind, c.scope, c.first_at, c.state, c.degree).where(
        c.tenant_id == conn.tenant_id, c.node_id.in_(sorted(node_ids)[:_NODES])
    )
    rows = await conn.rows(stmt.order_by(c.node_id)) if node_ids else ()
    made = {
        r.node_id: Dot(node_id=r.node_id, kind=r.kind, scope=r.scope, first_at=r.first_at, state=r.state)
        for r in rows
    }
    return made, {r.node_id: r.degree for r in rows}


async def homes(conn: Conn, person_ids: Collection[int]) -> dict[int, int]:
    """Household of each person; whoever is alone is a household under their own id."""
    c = household_member.c
    stmt = sa.select(c.person_id, c.household_id).where(
        c.tenant_id == conn.tenant_id, c.person_id.in_(sorted(person_ids))
    )
    found = {r.person_id: r.household_id for r in (await conn.rows(stmt) if person_ids else ())}
    return {p: found.get(p, p) for p in person_ids}


async def members(conn: Conn, household_id: int) -> list[int]:
    """Persons of a household, the first one first; one alone when nobody else is in it."""
    c, p = household_member.c, person.c
    stmt = (
        sa.select(c.person_id)
        .join(person, sa.and_(p.tenant_id == c.tenant_id, p.person_id == c.person_id))
        .where(c.tenant_id == conn.tenant_id, c.household_id == household_id)
        .order_by(p.first_at, c.person_id)
        .limit(64)
    )
    return [r.person_id for r in await conn.rows(stmt)] or [household_id]


async def users(conn: Conn, node_id: int) -> int:
    """How many persons' identifiers evidence ties to this one, as far as a bounded look tells."""
    np = node_person.c
    found: set[int] = set()
    for mine, other in ((_e.node_a, _e.node_b), (_e.node_b, _e.node_a)):
        stmt = (
            sa.select(other.label("node_id"))
            .where(_e.tenant_id == conn.tenant_id, mine == node_id, _e.retracted_at.is_(None))
            .where(_e["class"].in_(("same_person", "uses")))
            .order_by(mine)
            .limit(_HUB)
        )
        found |= {r.node_id for r in await conn.rows(stmt)}
    if not found:
        return 0
    stmt = sa.select(sa.func.count(sa.distinct(np.person_id))).where(
        np.tenant_id == conn.tenant_id, np.node_id.in_(sorted(found)), np.until_at.is_(None)
    )
    return int(await conn.scalar(stmt) or 0)


async def opened(conn: Conn, node_ids: Collection[int]) -> dict[int, Opened]:
    """Values and names; of somebody who was erased only the kind is left."""
    c = node.c
    stmt = sa.select(c.node_id, c.kind, c.scope, c.value, c.name).where(
        c.tenant_id == conn.tenant_id, c.node_id.in_(sorted(node_ids)[:_NODES])
    )
    rows = await conn.rows(stmt.order_by(c.node_id)) if node_ids else ()
    keys = await _keys(conn, {key_id_of(sealed) for r in rows for sealed in (r.value, r.name) if sealed})
    return {
        r.node_id: Opened(
            node_id=r.node_id,
            kind=r.kind,
            scope=r.scope,
            value=_plain(keys, r.node_id, r.value, "value"),
            name=_plain(keys, r.node_id, r.name, "name") or "",
        )
        for r in rows
    }


async def _keys(conn: Conn, key_ids: Collection[int]) -> dict[int, DataKey]:
    """Had in one go; which of them are gone is found out one by one."""
    with suppress(Unsealable):
        return await conn.keys(key_ids)
    found: dict[int, DataKey] = {}
    for key_id in sorted(key_ids):
        with suppress(Unsealable):
            found |= await conn.keys([key_id])
    return found


def _plain(keys: Mapping[int, DataKey], node_id: int, sealed: bytes | None, column: str) -> str | None:
    key = keys.get(key_id_of(sealed)) if sealed else None
    return open_sealed(key, sealed, "node", node_id, column).decode() if key and sealed else None


async def cited(conn: Conn, event_ids: Collection[int]) -> dict[int, Cited]:
    """The events that evidence stands on; an event pruned since is left out."""
    c = event.c
    stmt = sa.select(c.event_id, c.at, c.account_id, c.kind).where(
        c.tenant_id == conn.tenant_id, c.event_id.in_(sorted(event_ids)[:_NODES])
    )
    rows: Sequence[Any] = await conn.rows(stmt.order_by(c.event_id)) if event_ids else ()
    return {r.event_id: Cited(**r._mapping) for r in rows}


async def empty(conn: Conn, node_ids: Sequence[int]) -> None:
    """Destroy the keys of these identifiers, their names, and the hash their values are found by."""
    c = node.c
    for node_id in node_ids:
        which = (c.tenant_id == conn.tenant_id, c.node_id == node_id)
        # Found by nothing any more: the same telephone is a new identifier when it comes again.
        gone = {"value_key": secrets.token_bytes(32), "name": None, "avatar": "", "named_at": None}
        await conn.run(sa.update(node).where(*which).values(gone))
    names = sa.delete(node_name).where(
        node_name.c.tenant_id == conn.tenant_id, node_name.c.node_id.in_(node_ids)
    )
    await conn.run(names)
    await conn.destroy_keys([f"node:{n}" for n in node_ids])


async def scopes(conn: Conn, kind: str) -> list[str]:
    """Where identifiers of this kind come from."""
    c = node.c
    stmt = sa.select(c.scope).where(c.tenant_id == conn.tenant_id, c.kind == kind)
    return [r.scope for r in await conn.rows(stmt.group_by(c.scope).order_by(c.scope).limit(64))]
