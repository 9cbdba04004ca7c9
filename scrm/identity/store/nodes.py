"""SQL of nodes: identifiers found and made, when each was seen, what the channel calls whom."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from scrm.contract import Handle
from scrm.db import Conn
from scrm.identity.rules.values import Vertex
from scrm.schema import node
from scrm.seal import close, key_id_of, new_id, open_sealed

#: What is opened at a time.
_AT_ONCE = 5000
_SHARED_SLACK = timedelta(minutes=1)
_EPOCH, _MICRO = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_tenant: sa.BindParameter[int] = sa.bindparam("tenant")
_b_node: sa.BindParameter[int] = sa.bindparam("b_node")
_b_at = sa.bindparam("b_at", type_=node.c.last_at.type)
_b_last = sa.bindparam("b_last", type_=node.c.last_at.type)
COLUMNS = (
    node.c.node_id,
    node.c.kind,
    node.c.scope,
    node.c.birth_id,
    node.c.first_at,
    node.c.first_key,
    node.c.last_at,
    node.c.name.is_not(None).label("named"),
    node.c.named_at,
    node.c.gaps,
    node.c.degree,
    node.c.kin,
    node.c.state,
)

# What settling asks for in every batch, built once: building costs more than running.
_BY_KEY = sa.select(*COLUMNS, node.c.value_key).where(
    node.c.tenant_id == _tenant, node.c.value_key.in_(sa.bindparam("keys", expanding=True))
)
_BY_ID = sa.select(*COLUMNS).where(
    node.c.tenant_id == _tenant, node.c.node_id.in_(sa.bindparam("nodes", expanding=True))
)
_CALLED = sa.select(node.c.node_id, node.c.name, node.c.avatar).where(
    node.c.tenant_id == _tenant, node.c.node_id.in_(sa.bindparam("nodes", expanding=True))
)
_HOLD = (
    sa.select(node.c.node_id)
    .where(node.c.tenant_id == _tenant, node.c.node_id.in_(sa.bindparam("nodes", expanding=True)))
    .order_by(node.c.node_id)
    .with_for_update()
)
_SEALED = sa.select(node.c.node_id, node.c.value).where(
    node.c.tenant_id == _tenant, node.c.node_id.in_(sa.bindparam("nodes", expanding=True))
)
_WEIGHTS = (
    sa.select(node.c.node_id, node.c.degree, node.c.kin)
    .where(node.c.tenant_id == _tenant, node.c.node_id > sa.bindparam("after"))
    .order_by(node.c.node_id)
    .limit(sa.bindparam("most"))
)
_THIS_NODE = sa.and_(node.c.tenant_id == _tenant, node.c.node_id == _b_node)
_TOUCH = (
    sa.update(node)
    .where(_THIS_NODE, node.c.last_at < sa.bindparam("b_before", type_=node.c.last_at.type))
    .values(last_at=_b_at)
)
_REVISE = (
    sa.update(node)
    .where(_THIS_NODE)
    .values(
        first_at=_b_at,
        first_key=sa.bindparam("b_key"),
        # Who merely sees it does not wait for us.
        last_at=sa.case((node.c.last_at > _b_last, node.c.last_at), else_=_b_last),
        gaps=sa.bindparam("b_gaps"),
        degree=sa.bindparam("b_degree"),
        kin=sa.bindparam("b_kin"),
        state=sa.bindparam("b_state"),
    )
)
_SET_STATE = sa.update(node).where(_THIS_NODE).values(state=sa.bindparam("b_state"))
_SET_NAME = (
    sa.update(node)
    # Another process may have written a later word since we looked.
    .where(_THIS_NODE, sa.or_(node.c.named_at.is_(None), node.c.named_at < _b_at))
    .values(name=sa.bindparam("b_name"), avatar=sa.bindparam("b_avatar"), named_at=_b_at)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A node as it is kept; the names of its owners come separately."""

    vertex: Vertex
    named: bool = False
    #: When the channel said its name; nobody asks that of one just made.
    named_at: datetime | None = None
    #: active | generic | blocked
    state: str = "active"

    @property
    def node_id(self) -> int:
        return self.vertex.node_id

    @property
    def kind(self) -> str:
        return self.vertex.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """A node to be: the handle, the first event that showed it and the last; the name it was last given."""

    handle: Handle
    value_key: bytes
    at: datetime
    key: str
    last_at: datetime
    gaps: tuple[tuple[datetime, datetime], ...] = ()
    degree: int = 0
    kin: int = 0
    state: str = "active"
    named: tuple[datetime, Handle] | None = None


def value_key(conn: Conn, handle: Handle) -> bytes:
    return conn.vault.blind(str(conn.tenant_id), handle.kind, handle.scope, handle.value)


async def by_value_key(conn: Conn, keys: Collection[bytes]) -> dict[bytes, Known]:
    if not keys:
        return {}
    found = await conn.rows(_BY_KEY, {"tenant": conn.tenant_id, "keys": list(keys)})
    return {r.value_key: known(r) for r in found}


async def by_id(conn: Conn, node_ids: Collection[int]) -> dict[int, Known]:
    if not node_ids:
        return {}
    found = await conn.rows(_BY_ID, {"tenant": conn.tenant_id, "nodes": sorted(node_ids)})
    return {r.node_id: known(r) for r in found}


def known(row: Any) -> Known:
    """A row that begins with `COLUMNS`, asked for so often that names cost too much."""
    ident, kind, scope, birth, first, key, last, named, named_at, gaps, degree, kin, state, *_ = row
    vertex = Vertex(
        node_id=ident,
        kind=kind,
        scope=scope,
        birth_id=birth,
        first_at=first,
        first_key=key,
        last_at=last,
        gaps=_gaps(gaps) if gaps != "[]" else (),
        degree=degree,
        kin=kin,
    )
    return Known(vertex=vertex, named=bool(named), named_at=named_at, state=state)


def instant(micros: int) -> datetime:
    """A time as the tables have it."""
    return _EPOCH + micros * _MICRO


def _gaps(text: str) -> tuple[tuple[datetime, datetime], ...]:
    return tuple((instant(a), instant(b)) for a, b in json.loads(text))


def _written(gaps: Sequence[tuple[datetime, datetime]]) -> str:
    return json.dumps([[(a - _EPOCH) // _MICRO, (b - _EPOCH) // _MICRO] for a, b in gaps]) if gaps else "[]"


async def add(conn: Conn, news: Sequence[New]) -> dict[bytes, Known]:
    """Nodes with a data key of their own, by value key; those that somebody made before are left out."""
    ids = [new_id() for _ in news]
    keys = await conn.new_keys([f"node:{i}" for i in ids])
    rows = {i: _row(conn, i, n, keys[f"node:{i}"]) for i, n in zip(ids, news, strict=True)}
    made = await conn.insert_new(node, list(rows.values()), node.c.node_id)
    by_ident = dict(zip(ids, news, strict=True))
    return {by_ident[r.node_id].value_key: _made(rows[r.node_id], by_ident[r.node_id]) for r in made}


def _row(conn: Conn, ident: int, new: New, key: Any) -> dict[str, Any]:
    since, called = new.named or (None, None)
    return {
        "tenant_id": conn.tenant_id,
        "node_id": ident,
        "kind": new.handle.kind,
        "scope": new.handle.scope,
        "value_key": new.value_key,
        "value": close(key, new.handle.value.encode(), "node", ident, "value"),
        "name": close(key, called.name.encode(), "node", ident, "name") if called else None,
        "avatar": called.avatar if called else "",
        "named_at": since,
        "birth_id": new_id(),
        "first_at": new.at,
        "first_key": new.key,
        "last_at": new.last_at,
        "gaps": _written(new.gaps),
        "degree": new.degree,
        "kin": new.kin,
        "state": new.state,
    }


def _made(row: Mapping[str, Any], new: New) -> Known:
    vertex = Vertex(
        node_id=row["node_id"],
        kind=new.handle.kind,
        scope=new.handle.scope,
        birth_id=row["birth_id"],
        first_at=new.at,
        first_key=new.key,
        last_at=new.last_at,
        gaps=new.gaps,
        degree=new.degree,
        kin=new.kin,
    )
    return Known(vertex=vertex, named=new.named is not None, state=new.state)


async def touch(conn: Conn, seen: Mapping[int, datetime], shared: Collection[int]) -> None:
    """The last time each node was seen, never backwards.

    `shared` nodes (an account, a group) are in everybody's messages: to the minute is enough for them,
    or every worker would wait for that one row.
    """
    rows = [
        {
            "tenant": conn.tenant_id,
            "b_node": n,
            "b_at": at,
            "b_before": at - _SHARED_SLACK if n in shared else at,
        }
        for n, at in sorted(seen.items())
    ]
    await conn.run(_TOUCH, rows)


async def hold(conn: Conn, node_ids: Collection[int]) -> None:
    """Who changes several nodes holds them first, in one order, or two would wait in a circle."""
    if conn.many and node_ids:
        await conn.rows(_HOLD, {"tenant": conn.tenant_id, "nodes": sorted(node_ids)})


async def revise(conn: Conn, changed: Sequence[Known]) -> None:
    """Everything identity knows of a node, but its name; held by the caller."""
    rows = [
        {
            "tenant": conn.tenant_id,
            "b_node": k.node_id,
            "b_at": k.vertex.first_at,
            "b_key": k.vertex.first_key,
            "b_last": k.vertex.last_at,
            "b_gaps": _written(k.vertex.gaps),
            "b_degree": k.vertex.degree,
            "b_kin": k.vertex.kin,
            "b_state": k.state,
        }
        for k in sorted(changed, key=lambda k: k.node_id)
    ]
    await conn.run(_REVISE, rows)


async def set_states(conn: Conn, states: Mapping[int, str]) -> None:
    """Whether more people than one family stand behind them; held by the caller."""
    rows = [{"tenant": conn.tenant_id, "b_node": n, "b_state": s} for n, s in sorted(states.items())]
    await conn.run(_SET_STATE, rows)


async def called(conn: Conn, node_ids: Collection[int]) -> dict[int, tuple[str, str]]:
    """What each node is called and its picture, or "" and ""."""
    if not node_ids:
        return {}
    rows = await conn.rows(_CALLED, {"tenant": conn.tenant_id, "nodes": sorted(node_ids)})
    keys = await conn.keys({key_id_of(r.name) for r in rows if r.name is not None})
    return {r.node_id: (opened_name(keys, r), r.avatar) for r in rows}


async def set_names(conn: Conn, said: Mapping[int, tuple[datetime, Handle]]) -> None:
    """What each node is called since a time, and its picture."""
    keys = await conn.keys_for([f"node:{n}" for n in said])
    rows = [
        {
            "tenant": conn.tenant_id,
            "b_node": n,
            "b_name": close(keys[f"node:{n}"], h.name.encode(), "node", n, "name"),
            "b_avatar": h.avatar,
            "b_at": at,
        }
        for n, (at, h) in sorted(said.items())
    ]
    await conn.run(_SET_NAME, rows)


async def kinds(conn: Conn, node_ids: Collection[int]) -> dict[int, str]:
    """What each node is an address of."""
    c = node.c
    stmt = sa.select(c.node_id, c.kind).where(c.tenant_id == conn.tenant_id, c.node_id.in_(node_ids))
    return {r.node_id: r.kind for r in await conn.rows(stmt)} if node_ids else {}


async def handles(conn: Conn, node_ids: Collection[int]) -> dict[int, Handle]:
    """Opened addresses by node."""
    c = node.c
    stmt = sa.select(c.node_id, c.kind, c.scope, c.value, c.name, c.avatar).where(
        c.tenant_id == conn.tenant_id, c.node_id.in_(node_ids)
    )
    rows = await conn.rows(stmt.order_by(c.node_id)) if node_ids else []
    keys = await conn.keys({key_id_of(r.value) for r in rows})
    return {
        r.node_id: Handle(
            kind=r.kind,
            scope=r.scope,
            value=open_sealed(keys[key_id_of(r.value)], r.value, "node", r.node_id, "value").decode(),
            name=opened_name(keys, r),
            avatar=r.avatar,
        )
        for r in rows
    }


def opened_name(keys: Mapping[int, Any], row: Any) -> str:
    if row.name is None:
        return ""
    return open_sealed(keys[key_id_of(row.name)], row.name, "node", row.node_id, "name").decode()


async def values(conn: Conn, node_ids: Collection[int]) -> dict[int, str | None]:
    """What these identifiers are, opened; None of whom was erased."""
    found: dict[int, str | None] = {}
    wanted = sorted(node_ids)
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        rows = await conn.rows(_SEALED, {"tenant": conn.tenant_id, "nodes": some})
        keys = await conn.keys_there({key_id_of(r.value) for r in rows if r.value})
        for r in rows:
            key = keys.get(key_id_of(r.value)) if r.value else None
            opened = open_sealed(key, r.value, "node", r.node_id, "value").decode() if key else None
            found[r.node_id] = opened
    return found


async def weights(conn: Conn, node_id: int, *, limit: int) -> Sequence[Any]:
    """(node_id, degree, kin) above this one, in order."""
    return await conn.rows(_WEIGHTS, {"tenant": conn.tenant_id, "after": node_id, "most": limit})


async def after(conn: Conn, node_id: int, *, limit: int) -> list[int]:
    """Node ids above this one, in order: for walking all of them."""
    c = node.c
    stmt = sa.select(c.node_id).where(c.tenant_id == conn.tenant_id, c.node_id > node_id)
    return [r.node_id for r in await conn.rows(stmt.order_by(c.node_id).limit(limit))]
