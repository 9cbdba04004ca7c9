"""SQL of relations and roles, and of the few looks that finding the other one takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.identity.kin.rules import Assigned
from scrm.schema import (
    conversation,
    event,
    event_node,
    household_member,
    node,
    node_person,
    relation,
    role_assignment,
)
from scrm.seal import new_id

#: More learners of one name are nobody in particular.
_NAMESAKES = 64
_ROWS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """A row of `relation`: `node_a` is the `type` of `node_b`."""

    relation_id: int
    key: str
    at: datetime
    event_id: int
    account_id: int
    node_a: int
    type: str
    rule: str
    staff_id: int | None = None
    node_b: int | None = None
    kin: str = ""
    strength: int = 0
    said_from: int = 0
    said_to: int = 0
    target: str = ""
    name_key: bytes | None = None
    full_key: bytes | None = None
    tied_at: datetime | None = None
    origin: str = "auto"


_RELATED = [relation.c[name] for name in Related.__slots__]
_ASSIGNED = [role_assignment.c[name] for name in Assigned.__slots__]


def name_key(conn: Conn, name: str) -> bytes:
    """A child's name as it is looked up: without saying it."""
    return conn.vault.blind(str(conn.tenant_id), "learner-name", name)


# -- relations ---------------------------------------------------------------------------------------------
async def note(conn: Conn, rows: Sequence[Related]) -> set[int]:
    """Write down what was not written down before; the ids of those."""
    full = [{"tenant_id": conn.tenant_id} | {n: getattr(r, n) for n in Related.__slots__} for r in rows]
    return {r.relation_id for r in await conn.insert_new(relation, full, relation.c.relation_id)}


async def settle(conn: Conn, rows: Sequence[Related], *, now: datetime) -> None:
    """The other one is found, and it became evidence."""
    c = relation.c
    for r in sorted(rows, key=lambda r: r.relation_id):
        stmt = sa.update(relation).where(c.tenant_id == conn.tenant_id, c.relation_id == r.relation_id)
        await conn.run(stmt.values(node_b=r.node_b, tied_at=now))


async def near(
    conn: Conn, node_id: int, rules: Collection[str], since: datetime, until: datetime
) -> list[Related]:
    """What this one said or forwarded in a stretch of time, oldest first."""
    c = relation.c
    stmt = sa.select(*_RELATED).where(
        c.tenant_id == conn.tenant_id, c.node_a == node_id, c.at >= since, c.at <= until, c.rule.in_(rules)
    )
    return _related(await conn.rows(stmt.order_by(c.at, c.relation_id).limit(20)))


async def forwarded(conn: Conn, node_ids: Collection[int], rule: str) -> list[Related]:
    """Cards of these that have not become evidence, oldest first."""
    c = relation.c
    stmt = sa.select(*_RELATED).where(
        c.tenant_id == conn.tenant_id, c.node_b.in_(node_ids), c.rule == rule, c.tied_at.is_(None)
    )
    rows = await conn.rows(stmt.order_by(c.at, c.relation_id).limit(_ROWS)) if node_ids else []
    return _related(rows)


async def named_by(conn: Conn, event_ids: Collection[int], rule: str) -> list[Related]:
    """What names of people said first when these events came in, and nobody has understood yet."""
    c = relation.c
    stmt = sa.select(*_RELATED).where(
        c.tenant_id == conn.tenant_id, c.event_id.in_(event_ids), c.rule == rule, c.tied_at.is_(None)
    )
    return _related(await conn.rows(stmt.order_by(c.relation_id).limit(_ROWS))) if event_ids else []


async def waiting(conn: Conn, keys: Collection[bytes]) -> list[Related]:
    """What was said of children of these names whom nobody knew then."""
    c = relation.c
    stmt = sa.select(*_RELATED).where(
        c.tenant_id == conn.tenant_id, c.name_key.in_(keys), c.tied_at.is_(None), c.target == "child"
    )
    rows = await conn.rows(stmt.order_by(c.at, c.relation_id).limit(_ROWS)) if keys else []
    return _related(rows)


async def of_nodes(conn: Conn, node_ids: Collection[int], *, limit: int = 200) -> list[Related]:
    """Everything said by or of these, newest first."""
    c = relation.c
    stmt = sa.select(*_RELATED).where(
        c.tenant_id == conn.tenant_id, sa.or_(c.node_a.in_(node_ids), c.node_b.in_(node_ids))
    )
    rows = await conn.rows(stmt.order_by(c.at.desc(), c.relation_id.desc()).limit(limit)) if node_ids else []
    return _related(rows)


def _related(rows: Sequence[Any]) -> list[Related]:
    return [Related(**r._mapping) for r in rows]


# -- finding the other one -----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Learner:
    """Somebody of this name who learns here."""

    node_id: int
    name_key: bytes
    full_key: bytes | None


async def learners(conn: Conn, keys: Collection[bytes]) -> list[Learner]:
    c = role_assignment.c
    stmt = (
        sa.select(c.node_id, c.name_key, c.full_key)
        .where(c.tenant_id == conn.tenant_id, c.name_key.in_(keys), c.role == "user")
        .distinct()
        .order_by(c.node_id, c.full_key)
        .limit(_NAMESAKES)
    )
    return [Learner(**r._mapping) for r in await conn.rows(stmt)] if keys else []


async def households(conn: Conn, node_ids: Collection[int]) -> dict[int, int]:
    """Today's household of each node; somebody alone is one under their own id."""
    np, hm = node_person.c, household_member.c
    stmt = (
        sa.select(np.node_id, np.person_id, hm.household_id)
        .join_from(
            node_person,
            household_member,
            sa.and_(hm.tenant_id == np.tenant_id, hm.person_id == np.person_id),
            isouter=True,
        )
        .where(np.tenant_id == conn.tenant_id, np.node_id.in_(node_ids), np.until_at.is_(None))
    )
    rows = await conn.rows(stmt) if node_ids else []
    return {r.node_id: r.household_id or r.person_id for r in rows}


async def members(conn: Conn, household_id: int) -> dict[int, int]:
    """Person by node, of everybody in this household."""
    hm, np = household_member.c, node_person.c
    ours = sa.select(hm.person_id).where(hm.tenant_id == conn.tenant_id, hm.household_id == household_id)
    stmt = sa.select(np.node_id, np.person_id).where(
        np.tenant_id == conn.tenant_id,
        np.until_at.is_(None),
        sa.or_(np.person_id == household_id, np.person_id.in_(ours)),
    )
    return {r.node_id: r.person_id for r in await conn.rows(stmt.order_by(np.node_id).limit(_ROWS))}


async def met_by(conn: Conn, node_ids: Collection[int], rep_id: int) -> set[int]:
    """Those of the nodes that this rep has in their care."""
    c = conversation.c
    stmt = sa.select(c.node_id).where(
        c.tenant_id == conn.tenant_id, c.node_id.in_(node_ids), c.rep_id == rep_id
    )
    return {r.node_id for r in await conn.rows(stmt)} if node_ids else set()


async def added(conn: Conn, node_ids: Collection[int], kind: str) -> list[tuple[int, datetime]]:
    """When each of these was added as a contact, the earliest first."""
    en, e = event_node.c, event.c
    stmt = (
        sa.select(en.node_id, en.at)
        .join_from(event_node, event, sa.and_(e.tenant_id == en.tenant_id, e.event_id == en.event_id))
        .where(en.tenant_id == conn.tenant_id, en.node_id.in_(node_ids), e.kind == kind)
        .order_by(en.at, en.node_id)
        .limit(50)
    )
    return [(r.node_id, r.at) for r in await conn.rows(stmt)] if node_ids else []


async def kind_of(conn: Conn, node_ids: Collection[int], kind: str) -> list[tuple[int, datetime]]:
    """The nodes of this kind among them and when they were first seen, the oldest first."""
    c = node.c
    stmt = sa.select(c.node_id, c.first_at).where(
        c.tenant_id == conn.tenant_id, c.node_id.in_(node_ids), c.kind == kind
    )
    rows = await conn.rows(stmt.order_by(c.first_at, c.first_key, c.node_id)) if node_ids else []
    return [(r.node_id, r.first_at) for r in rows]


async def texts(conn: Conn, node_id: int, since: datetime, until: datetime) -> list[str]:
    """What this one wrote in a stretch of time, oldest first."""
    en, e = event_node.c, event.c
    stmt = (
        sa.select(e.text)
        .join_from(event_node, event, sa.and_(e.tenant_id == en.tenant_id, e.event_id == en.event_id))
        .where(
            en.tenant_id == conn.tenant_id,
            en.node_id == node_id,
            en.at >= since,
            en.at <= until,
            e.direction == "in",
        )
        .order_by(en.at, en.seq, en.event_id)
        .limit(50)
    )
    return [r.text for r in await conn.rows(stmt)]


# -- roles -------------------------------------------------------------------------------------------------
async def assign(conn: Conn, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows by their key; the highest version of a document speaks, in whatever order they come."""
    full = [
        {"tenant_id": conn.tenant_id, "role_id": new_id(), "name_key": None, "full_key": None}
        | {"valid_to": None, "event_id": None, "actor_id": None, "why": "", "origin": "auto"}
        | {"version": 0, "confidence": 100}
        | dict(r)
        for r in sorted(rows, key=lambda r: str(r["key"]))
    ]
    await conn.upsert(role_assignment, full, key=["tenant_id", "key"], change=_newer)
    for context_type, context_id in sorted({(r["context_type"], r["context_id"]) for r in full}):
        if context_id:
            await _close_older(conn, context_type, context_id)


def _newer(new: Any) -> dict[str, Any]:
    """The same part told again: it holds from when it was first told, by the newest word."""
    c = role_assignment.c
    later = new.version >= c.version
    taken = ("confidence", "event_id", "name_key", "full_key")
    values = {name: sa.case((later, new[name]), else_=c[name]) for name in taken}
    values["told_at"] = sa.case((later, new.told_at), else_=c.told_at)
    values["version"] = sa.case((later, new.version), else_=c.version)
    values["valid_from"] = sa.case((new.valid_from < c.valid_from, new.valid_from), else_=c.valid_from)
    return values


async def _close_older(conn: Conn, context_type: str, context_id: str) -> None:
    """What the newest version of a document does not say any more ended when that version began."""
    c = role_assignment.c
    mine = sa.and_(
        c.tenant_id == conn.tenant_id,
        c.context_type == context_type,
        c.context_id == context_id,
        c.origin == "auto",
    )
    stmt = (
        sa.select(c.role_id, c.version, c.told_at, c.valid_from, c.valid_to).where(mine).order_by(c.role_id)
    )
    rows = await conn.rows(stmt.limit(_ROWS))
    newest = max((r.version for r in rows), default=0)
    began = min((r.told_at for r in rows if r.version == newest), default=None)
    for r in rows:
        until = None if r.version == newest else max(began, r.valid_from) if began else None
        if until != r.valid_to:
            await conn.run(
                sa.update(role_assignment)
                .where(c.tenant_id == conn.tenant_id, c.role_id == r.role_id)
                .values(valid_to=until)
            )


async def take_back(conn: Conn, role_id: int, *, now: datetime) -> Assigned | None:
    """A human's word is withdrawn; None when there is none that still holds."""
    c = role_assignment.c
    mine = sa.and_(
        c.tenant_id == conn.tenant_id,
        c.role_id == role_id,
        c.origin != "auto",
        c.taken_back_at.is_(None),
    )
    row = await conn.row(sa.select(*_ASSIGNED).where(mine))
    if row is None or not await conn.run(sa.update(role_assignment).where(mine).values(taken_back_at=now)):
        return None
    return Assigned(**row._mapping)


async def assigned(conn: Conn, node_ids: Collection[int], *, limit: int = _ROWS) -> list[Assigned]:
    """Every part these nodes ever had; what a human said of a context in which they have one too."""
    c = role_assignment.c
    stmt = sa.select(*_ASSIGNED).where(c.tenant_id == conn.tenant_id, c.node_id.in_(node_ids))
    rows = await conn.rows(stmt.order_by(c.role_id.desc()).limit(limit)) if node_ids else []
    contexts = sorted({r.context_id for r in rows if r.context_id})
    said = sa.select(*_ASSIGNED).where(
        c.tenant_id == conn.tenant_id, c.context_id.in_(contexts), c.origin != "auto"
    )
    more = await conn.rows(said.order_by(c.role_id.desc()).limit(limit)) if contexts else []
    return [Assigned(**r._mapping) for r in {r.role_id: r for r in (*rows, *more)}.values()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    node_id: int
    text: str


async def words(conn: Conn, node_ids: Collection[int], *, limit: int = 200) -> list[Words]:
    """What these said last, newest first."""
    en, e = event_node.c, event.c
    stmt = (
        sa.select(en.node_id, e.text)
        .join_from(event_node, event, sa.and_(e.tenant_id == en.tenant_id, e.event_id == en.event_id))
        .where(
            en.tenant_id == conn.tenant_id,
            en.node_id.in_(node_ids),
            en.part == "actor",
            en.genre == "talk",
            e.direction == "in",
            e.superseded_by.is_(None),
            e.recalled_at.is_(None),
        )
        .order_by(en.at.desc(), en.seq.desc(), en.event_id.desc())
        .limit(limit)
    )
    return [Words(node_id=r.node_id, text=r.text) for r in await conn.rows(stmt)] if node_ids else []
