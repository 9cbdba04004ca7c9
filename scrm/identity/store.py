"""SQL of nodes, evidence and the persons projected from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from scrm.contract import Handle
from scrm.db import Conn
from scrm.identity.rules import Node, name_node
from scrm.schema import evidence, node, node_person, person
from scrm.seal import close, key_id_of, new_id, open_sealed

_SHARED_SLACK = timedelta(minutes=1)
_NODE = (node.c.node_id, node.c.kind, node.c.birth_id, node.c.first_at, node.c.first_key, node.c.name)
_tenant: sa.BindParameter[int] = sa.bindparam("tenant")
_b_node: sa.BindParameter[int] = sa.bindparam("b_node")

# What settling asks for in every batch, built once: building costs more than running.
_BY_KEY = sa.select(*_NODE, node.c.value_key).where(
    node.c.tenant_id == _tenant, node.c.value_key.in_(sa.bindparam("keys", expanding=True))
)
_COMPONENTS = (
    sa.select(*_NODE, node_person.c.person_id)
    .join_from(
        node_person,
        node,
        sa.and_(node.c.tenant_id == node_person.c.tenant_id, node.c.node_id == node_person.c.node_id),
    )
    .where(
        node_person.c.tenant_id == _tenant,
        node_person.c.person_id.in_(sa.bindparam("persons", expanding=True)),
        node_person.c.until_at.is_(None),
    )
)
_INTERVALS = (
    sa.select(node_person.c.node_id, node_person.c.from_at, node_person.c.until_at)
    .where(node_person.c.tenant_id == _tenant, node_person.c.person_id == sa.bindparam("person"))
    .order_by(node_person.c.node_id, node_person.c.from_at)
    .limit(64)
)
_b_at = sa.bindparam("b_at", type_=node.c.last_at.type)
_THIS_NODE = sa.and_(node.c.tenant_id == _tenant, node.c.node_id == _b_node)
_TOUCH = (
    sa.update(node)
    .where(_THIS_NODE, node.c.last_at < sa.bindparam("b_before", type_=node.c.last_at.type))
    .values(last_at=_b_at)
)
_SET_NAME = (
    sa.update(node)
    # Another process may have written a later word since we looked.
    .where(_THIS_NODE, sa.or_(node.c.named_at.is_(None), node.c.named_at < _b_at))
    .values(name=sa.bindparam("b_name"), avatar=sa.bindparam("b_avatar"), named_at=_b_at)
)
_JOIN = (
    sa.update(node_person)
    .where(
        node_person.c.tenant_id == _tenant,
        node_person.c.node_id == _b_node,
        node_person.c.until_at.is_(None),
    )
    .values(person_id=sa.bindparam("b_person"))
)
_ABSORB = sa.delete(person).where(
    person.c.tenant_id == _tenant, person.c.person_id == sa.bindparam("b_person")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """A node to be: the handle, and the first event that showed it."""

    handle: Handle
    value_key: bytes
    at: datetime
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A node belonged to the person from `from_at` until `until_at` (None = still)."""

    node_id: int
    from_at: datetime
    until_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A person as a screen names them."""

    person_id: int
    name: str
    avatar: str


def value_key(conn: Conn, handle: Handle) -> bytes:
    return conn.vault.blind(str(conn.tenant_id), handle.kind, handle.scope, handle.value)


async def by_value_key(conn: Conn, keys: Collection[bytes]) -> dict[bytes, Node]:
    if not keys:
        return {}
    found = await conn.rows(_BY_KEY, {"tenant": conn.tenant_id, "keys": list(keys)})
    return {r.value_key: _node(r) for r in found}


def _node(row: Any, person_id: int | None = None) -> Node:
    return Node(
        node_id=row.node_id,
        kind=row.kind,
        birth_id=row.birth_id,
        first_at=row.first_at,
        first_key=row.first_key,
        named=row.name is not None,
        person_id=person_id,
    )


async def add(conn: Conn, news: Sequence[New]) -> set[int]:
    """Nodes with a data key of their own; the ids of those that nobody had made before."""
    ids = [new_id() for _ in news]
    keys = await conn.keys_for([f"node:{i}" for i in ids])
    rows = [
        {
            "tenant_id": conn.tenant_id,
            "node_id": i,
            "kind": n.handle.kind,
            "scope": n.handle.scope,
            "value_key": n.value_key,
            "value": close(keys[f"node:{i}"], n.handle.value.encode(), "node", i, "value"),
            "birth_id": new_id(),
            "first_at": n.at,
            "first_key": n.key,
            "last_at": n.at,
        }
        for i, n in zip(ids, news, strict=True)
    ]
    return {r.node_id for r in await conn.insert_new(node, rows, node.c.node_id)}


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


async def first_seen(conn: Conn, node_id: int, *, at: datetime, key: str) -> None:
    """An earlier event arrived late: the node is older than we knew, unless another process knows better."""
    which = sa.and_(node.c.tenant_id == conn.tenant_id, node.c.node_id == node_id)
    known = await conn.row(sa.select(node.c.first_at, node.c.first_key).where(which).with_for_update())
    if known is None or (known.first_at, known.first_key) <= (at, key):
        return
    stmt = sa.update(node).where(node.c.tenant_id == conn.tenant_id, node.c.node_id == node_id)
    await conn.run(stmt.values(first_at=at, first_key=key))


async def named_at(conn: Conn, node_ids: Collection[int]) -> dict[int, datetime]:
    """Since when each node has its name; those without one are left out."""
    c = node.c
    stmt = sa.select(c.node_id, c.named_at).where(
        c.tenant_id == conn.tenant_id, c.node_id.in_(node_ids), c.named_at.is_not(None)
    )
    return {r.node_id: r.named_at for r in await conn.rows(stmt)} if node_ids else {}


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


async def add_evidence(conn: Conn, rows: Sequence[Mapping[str, Any]]) -> None:
    """Why two nodes are one person, or one family; the same evidence again only counts up."""
    folded: dict[tuple[Any, ...], dict[str, Any]] = {}
    for r in rows:
        one = folded.setdefault(
            (r["node_a"], r["node_b"], r["class"], r["rule"]),
            {"tenant_id": conn.tenant_id, "evidence_id": new_id(), **r, "n": 0},
        )
        one["n"] += 1
        one["first_at"], one["last_at"] = (
            min(one["first_at"], r["first_at"]),
            max(one["last_at"], r["last_at"]),
        )
    full = list(folded.values())
    await conn.upsert(
        evidence, full, key=["tenant_id", "node_a", "node_b", "class", "rule"], change=_counted_up
    )


def _counted_up(new: Any) -> dict[str, Any]:
    e = evidence.c
    return {
        "n": e.n + new.n,
        "first_at": sa.case((new.first_at < e.first_at, new.first_at), else_=e.first_at),
        "last_at": sa.case((new.last_at > e.last_at, new.last_at), else_=e.last_at),
    }


async def components(conn: Conn, node_ids: Collection[int]) -> list[Node]:
    """The named nodes and every node that shares a person with one of them."""
    # Asked for by name, in two steps: as one, PostgreSQL takes the second for every row of the tenant.
    persons = set((await persons_of(conn, node_ids)).values())
    if not persons:
        return []
    found = await conn.rows(_COMPONENTS, {"tenant": conn.tenant_id, "persons": sorted(persons)})
    return [_node(r, r.person_id) for r in found]


async def found(conn: Conn, nodes: Sequence[Node]) -> None:
    """A person for each new node, and the interval that says so."""
    persons = [
        {"tenant_id": conn.tenant_id, "person_id": n.birth_id, "first_at": n.first_at, "version": 1}
        for n in nodes
    ]
    # From the beginning of time: an event older than the node's first belongs to the same person.
    spans = [
        {"tenant_id": conn.tenant_id, "node_id": n.node_id, "from_at": _ALWAYS, "person_id": n.birth_id}
        for n in nodes
    ]
    await conn.insert_new(person, persons)
    await conn.insert_new(node_person, spans)


_ALWAYS = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


async def project(conn: Conn, components: Mapping[int, Sequence[Node]]) -> None:
    """Make each component its person (by id); those it absorbed vanish (their ids still resolve by birth)."""
    tenant = conn.tenant_id
    moved = [(n, p) for p, component in components.items() for n in component if n.person_id != p]
    joins = [{"tenant": tenant, "b_node": n.node_id, "b_person": p} for n, p in moved]
    await conn.run(_JOIN, joins)
    absorbed = {n.person_id for n, _ in moved if n.person_id is not None}
    await conn.run(_ABSORB, [{"tenant": tenant, "b_person": old} for old in sorted(absorbed)])
    rows = [
        {
            "tenant_id": tenant,
            "person_id": person_id,
            "first_at": min(n.first_at for n in component),
            "name_node_id": name_node(component),
            "version": 1,
        }
        for person_id, component in components.items()
    ]
    await conn.upsert(person, rows, key=["tenant_id", "person_id"], change=_projected)


def _projected(new: Any) -> dict[str, Any]:
    return {"first_at": new.first_at, "name_node_id": new.name_node_id, "version": person.c.version + 1}


async def person_now(conn: Conn, any_id: int) -> int | None:
    """The person an id stands for today; an absorbed person's id resolves for ever."""
    np = node_person.c
    stmt = (
        sa.select(np.person_id)
        .join(node, sa.and_(node.c.tenant_id == np.tenant_id, node.c.node_id == np.node_id))
        .where(node.c.tenant_id == conn.tenant_id, node.c.birth_id == any_id)
    )
    found_id: int | None = await conn.scalar(stmt.order_by(np.from_at.desc()).limit(1))
    return found_id


async def persons_of(conn: Conn, node_ids: Collection[int]) -> dict[int, int]:
    """Today's person of each node."""
    np = node_person.c
    stmt = sa.select(np.node_id, np.person_id).where(
        np.tenant_id == conn.tenant_id, np.node_id.in_(node_ids), np.until_at.is_(None)
    )
    return {r.node_id: r.person_id for r in await conn.rows(stmt)} if node_ids else {}


async def intervals(conn: Conn, person_id: int) -> list[Interval]:
    """Every node of a person and when it belonged to them."""
    found = await conn.rows(_INTERVALS, {"tenant": conn.tenant_id, "person": person_id})
    return [Interval(**r._mapping) for r in found]


async def nodes_of(conn: Conn, person_ids: Collection[int]) -> dict[int, int]:
    """Person by node, for every node these persons have today."""
    np = node_person.c
    stmt = sa.select(np.node_id, np.person_id).where(
        np.tenant_id == conn.tenant_id, np.person_id.in_(person_ids), np.until_at.is_(None)
    )
    return {r.node_id: r.person_id for r in await conn.rows(stmt)} if person_ids else {}


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
            name=_name(keys, r),
            avatar=r.avatar,
        )
        for r in rows
    }


def _name(keys: Mapping[int, Any], row: Any) -> str:
    if row.name is None:
        return ""
    return open_sealed(keys[key_id_of(row.name)], row.name, "node", row.node_id, "name").decode()


async def shown(conn: Conn, person_ids: Collection[int]) -> dict[int, Shown]:
    """Names and avatars by person id; an unnamed person has name ""."""
    c = node.c
    stmt = (
        sa.select(person.c.person_id, c.node_id, c.name, c.avatar)
        .outerjoin(node, sa.and_(c.tenant_id == person.c.tenant_id, c.node_id == person.c.name_node_id))
        .where(person.c.tenant_id == conn.tenant_id, person.c.person_id.in_(person_ids))
    )
    rows = await conn.rows(stmt) if person_ids else []
    keys = await conn.keys({key_id_of(r.name) for r in rows if r.name is not None})
    return {
        r.person_id: Shown(person_id=r.person_id, name=_name(keys, r), avatar=r.avatar or "") for r in rows
    }


async def names(conn: Conn, node_ids: Collection[int]) -> dict[int, str]:
    """What the person behind each node is called; a node whose person nobody named is left out."""
    persons = await persons_of(conn, node_ids)
    known = await shown(conn, persons.values())
    return {n: known[p].name for n, p in persons.items() if p in known and known[p].name}


async def page(conn: Conn, *, before: int | None, limit: int) -> list[int]:
    """Person ids, newest first, at most `limit`, below `before`."""
    p = person.c
    stmt = sa.select(p.person_id).where(p.tenant_id == conn.tenant_id)
    if before is not None:
        stmt = stmt.where(p.person_id < before)
    return [r.person_id for r in await conn.rows(stmt.order_by(p.person_id.desc()).limit(limit))]


async def evidence_of(conn: Conn, node_ids: Collection[int]) -> Sequence[Any]:
    """Evidence rows among these nodes: node_a, node_b, rule, strength, first_at, n."""
    e = evidence.c
    columns = (e.node_a, e.node_b, e.rule, e.strength, e.first_at, e.n, e.first_event_id)
    stmt = sa.select(*columns).where(
        e.tenant_id == conn.tenant_id, e.node_a.in_(node_ids), e.retracted_at.is_(None)
    )
    return await conn.rows(stmt.order_by(e.first_at, e.evidence_id).limit(5000)) if node_ids else []


async def tied(conn: Conn, node_ids: Collection[int]) -> set[int]:
    """Those of these nodes that evidence of one household speaks of."""
    e, found = evidence.c, set[int]()
    for mine in (e.node_a, e.node_b):
        stmt = sa.select(mine.label("node_id")).where(
            e.tenant_id == conn.tenant_id,
            mine.in_(node_ids),
            e["class"] == "same_household",
            e.retracted_at.is_(None),
        )
        found |= {r.node_id for r in (await conn.rows(stmt.distinct()) if node_ids else [])}
    return found


async def household_nodes(conn: Conn, node_ids: Collection[int]) -> set[int]:
    """Nodes that evidence ties to these as one household."""
    e = evidence.c
    tied: set[int] = set()
    for mine, other in ((e.node_a, e.node_b), (e.node_b, e.node_a)):
        stmt = sa.select(other.label("node_id")).where(
            e.tenant_id == conn.tenant_id,
            mine.in_(node_ids),
            e["class"] == "same_household",
            e.retracted_at.is_(None),
        )
        rows = await conn.rows(stmt.order_by(e.evidence_id).limit(100)) if node_ids else []
        tied |= {r.node_id for r in rows}
    return tied - set(node_ids)
