"""SQL of what the companion compares: persons by the page, with all that hangs on their identifiers today."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.identity.match.records import Record, digits, mask_of, masks, of_names
from scrm.identity.match.store.opening import keys_left
from scrm.identity.rules.policy import Policy
from scrm.schema import conversation, evidence, household_member, node, node_name, node_person, order, person
from scrm.seal import key_id_of, open_sealed

#: Of one field of one person, at most: more is no person.
_MANY = 24
_OPENED = frozenset({"phone", "masked_phone"})
_tenant: sa.BindParameter[int] = sa.bindparam("tenant")
_nodes: sa.BindParameter[int] = sa.bindparam("nodes", expanding=True)

_PERSONS = (
    sa.select(person.c.person_id)
    .where(person.c.tenant_id == _tenant, person.c.person_id > sa.bindparam("after"))
    .order_by(person.c.person_id)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)
_NODES = (
    sa.select(
        node_person.c.person_id, node.c.node_id, node.c.kind, node.c.scope, node.c.value, node.c.name,
        node.c.state, node.c.first_at, node.c.first_key, node.c.birth_id,
    )
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
    .order_by(node.c.node_id)
)  # fmt: skip
_NAMES = (
    sa.select(node_name.c.node_id, node_name.c.name, node_name.c.name_key)
    .where(node_name.c.tenant_id == _tenant, node_name.c.node_id.in_(_nodes))
    .order_by(node_name.c.n.desc(), node_name.c.name_key)
)
_HOMES = sa.select(household_member.c.person_id, household_member.c.household_id).where(
    household_member.c.tenant_id == _tenant,
    household_member.c.person_id.in_(sa.bindparam("persons", expanding=True)),
)
_REPS = sa.select(conversation.c.node_id, conversation.c.rep_id).where(
    conversation.c.tenant_id == _tenant, conversation.c.node_id.in_(_nodes)
)
_ORDERS = (
    sa.select(order.c.buyer_id, sa.func.count().label("n"))
    .where(order.c.tenant_id == _tenant, order.c.buyer_id.in_(_nodes))
    .group_by(order.c.buyer_id)
)


def _used(mine: sa.Column[Any], other: sa.Column[Any]) -> sa.Select[Any]:
    e = evidence.c
    return (
        sa.select(mine.label("mine"), other.label("other"), node.c.kind)
        .join_from(evidence, node, sa.and_(node.c.tenant_id == e.tenant_id, node.c.node_id == other))
        .where(e.tenant_id == _tenant, mine.in_(_nodes), e["class"] == "uses", e.retracted_at.is_(None))
        .order_by(other)
    )


_USES = (_used(evidence.c.node_a, evidence.c.node_b), _used(evidence.c.node_b, evidence.c.node_a))
_APART = (
    sa.select(evidence.c.evidence_id, evidence.c.node_a, evidence.c.node_b, evidence.c["class"].label("cls"))
    .where(
        evidence.c.tenant_id == _tenant,
        evidence.c.evidence_id > sa.bindparam("after"),
        evidence.c["class"].in_(("not_same_person", "not_same_household")),
        evidence.c.retracted_at.is_(None),
    )
    .order_by(evidence.c.evidence_id)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)


@dataclass(slots=True)
class _Gathered:
    """What belongs to one person while a page is read."""

    nodes: list[Any] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    phones: list[str] = field(default_factory=list)
    masks: set[str] = field(default_factory=set)
    weak: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    reps: set[str] = field(default_factory=set)
    household: str = ""
    value: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Records of up to `limit` persons; `last` is where the next page goes on, None = that was all."""

    records: tuple[Record, ...]
    last: int | None


async def page(conn: Conn, policy: Policy, *, after: int, limit: int) -> Page:
    """Persons after an id, in order of id; those of whom nothing can be compared are left out."""
    rows = await conn.rows(_PERSONS, {"tenant": conn.tenant_id, "after": after, "limit": limit})
    ids = [r.person_id for r in rows]
    found = await gathered(conn, policy, ids) if ids else []
    return Page(records=tuple(found), last=ids[-1] if len(ids) == limit else None)


async def gathered(conn: Conn, policy: Policy, person_ids: Collection[int]) -> list[Record]:
    """The records of these persons."""
    asked = {"tenant": conn.tenant_id, "persons": sorted(person_ids)}
    persons: dict[int, _Gathered] = defaultdict(_Gathered)
    owner: dict[int, int] = {}
    for row in await conn.rows(_NODES, asked):
        persons[row.person_id].nodes.append(row)
        owner[row.node_id] = row.person_id
    for row in await conn.rows(_HOMES, asked):
        persons[row.person_id].household = str(row.household_id)
    if owner:
        await _open(conn, persons, owner)
        await _surroundings(conn, persons, owner)
    made = (_record(policy, p, found) for p, found in sorted(persons.items()) if found.nodes)
    return [r for r in made if _says_something(r)]


async def _open(conn: Conn, persons: Mapping[int, _Gathered], owner: Mapping[int, int]) -> None:
    """Names and telephones in the clear."""
    named = await conn.rows(_NAMES, {"tenant": conn.tenant_id, "nodes": sorted(owner)})
    nodes = [n for p in persons.values() for n in p.nodes]
    sealed = {key_id_of(n.value) for n in nodes if n.kind in _OPENED}
    sealed |= {key_id_of(n.name) for n in nodes if n.name} | {key_id_of(r.name) for r in named}
    keys = await keys_left(conn, sealed)
    for n in nodes:
        person_ = persons[owner[n.node_id]]
        if n.name and key_id_of(n.name) in keys:
            name = open_sealed(keys[key_id_of(n.name)], n.name, "node", n.node_id, "name")
            person_.names.append(name.decode())
        if n.kind in _OPENED and n.state == "active" and key_id_of(n.value) in keys:
            value = open_sealed(keys[key_id_of(n.value)], n.value, "node", n.node_id, "value")
            _dial(person_, n.kind, value.decode())
    for r in named:
        if key := keys.get(key_id_of(r.name)):
            name = open_sealed(key, r.name, "node_name", r.node_id, r.name_key.hex(), "name")
            persons[owner[r.node_id]].names.append(name.decode())


def _dial(found: _Gathered, kind: str, value: str) -> None:
    if kind == "phone":
        found.phones.append(digits(value))
        found.masks.update(masks(value))
    elif mask := mask_of(value):
        found.masks.add(mask)


async def _surroundings(conn: Conn, persons: Mapping[int, _Gathered], owner: Mapping[int, int]) -> None:
    """Devices, addresses, who looks after them, what they bought."""
    asked = {"tenant": conn.tenant_id, "nodes": sorted(owner)}
    for statement in _USES:
        for r in await conn.rows(statement, asked):
            persons[owner[r.mine]].weak[r.kind].add(str(r.other))
    for r in await conn.rows(_REPS, asked):
        found = persons[owner[r.node_id]]
        found.value += 3
        if r.rep_id is not None:
            found.reps.add(str(r.rep_id))
    for r in await conn.rows(_ORDERS, asked):
        persons[owner[r.buyer_id]].value += 10 * r.n


def _record(policy: Policy, person_id: int, found: _Gathered) -> Record:
    said = of_names(found.names)
    first = min(
        found.nodes, key=lambda n: (not policy.kind(n.kind).merge, n.first_at, n.first_key, n.birth_id)
    )
    exclusive = [n for n in found.nodes if policy.kind(n.kind).exclusive]
    return Record(
        person_id=person_id,
        node_id=first.node_id,
        nodes=tuple(n.node_id for n in found.nodes[:_MANY]),
        names=tuple(said.full),
        surname=said.surname,
        gender=said.gender,
        nicknames=tuple(said.nicknames),
        children=tuple(said.children),
        phones=tuple(sorted(found.phones)[:_MANY]),
        masks=tuple(sorted(found.masks)[:_MANY]),
        devices=tuple(sorted(found.weak["device"] | found.weak["app_anon"])[:_MANY]),
        addresses=tuple(sorted(found.weak["address"])[:_MANY]),
        reps=tuple(sorted(found.reps)[:_MANY]),
        household=found.household,
        exclusive=tuple((n.kind, n.scope, str(n.node_id)) for n in exclusive),
        size=len(found.nodes),
        learner=any(n.kind == "learner" for n in found.nodes),
        value=found.value + len(found.nodes),
    )


def _says_something(r: Record) -> bool:
    return bool(r.names or r.surname or r.nicknames or r.children or r.masks or r.devices or r.addresses)


async def apart(conn: Conn, *, after: int, limit: int) -> Sequence[Any]:
    """Evidence that keeps identifiers apart: evidence_id, node_a, node_b, class; in order of id."""
    return await conn.rows(_APART, {"tenant": conn.tenant_id, "after": after, "limit": limit})
