"""SQL of persons as projected: whose a node is and when, what a person is called."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.identity.rules.values import Span
from scrm.identity.store import corrected
from scrm.identity.store.nodes import COLUMNS, Known, known, opened_name
from scrm.schema import node, node_person, person, person_alias
from scrm.seal import key_id_of

#: From the beginning of time: an event older than the node's first belongs to the same person.
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
#: Of one person: identifiers are capped by the policy, the devices that hang on them only by how busy these
#: may be. Eight times as much, a household, is what SQLite takes as parameters of one statement.
_MOST = 4000
_np = node_person.c
_tenant: sa.BindParameter[int] = sa.bindparam("tenant")
_INTERVALS = (
    sa.select(_np.node_id, _np.from_at, _np.until_at)
    .where(_np.tenant_id == _tenant, _np.person_id == sa.bindparam("person"))
    .order_by(_np.node_id, _np.from_at)
    .limit(_MOST)
)
_SPANS = (
    sa.select(_np.node_id, _np.from_at, _np.until_at, _np.person_id)
    .where(_np.tenant_id == _tenant, _np.node_id.in_(sa.bindparam("nodes", expanding=True)))
    .order_by(_np.node_id, _np.from_at)
)
_TODAY = sa.select(_np.node_id, _np.person_id).where(
    _np.tenant_id == _tenant,
    _np.node_id.in_(sa.bindparam("nodes", expanding=True)),
    _np.until_at.is_(None),
)
_OF_PERSONS = (
    sa.select(*COLUMNS, _np.from_at, _np.until_at, _np.person_id)
    .join(node, sa.and_(node.c.tenant_id == _np.tenant_id, node.c.node_id == _np.node_id))
    .where(_np.tenant_id == _tenant, _np.person_id.in_(sa.bindparam("persons", expanding=True)))
)
_THERE = sa.select(person.c.person_id, person.c.first_at, person.c.name_node_id).where(
    person.c.tenant_id == _tenant, person.c.person_id.in_(sa.bindparam("persons", expanding=True))
)

_UNOWN = sa.delete(node_person).where(
    _np.tenant_id == _tenant, _np.node_id.in_(sa.bindparam("nodes", expanding=True))
)
_GONE = sa.delete(person).where(
    person.c.tenant_id == _tenant, person.c.person_id.in_(sa.bindparam("persons", expanding=True))
)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A person's own row."""

    person_id: int
    first_at: datetime
    name_node_id: int | None


# -- reading -----------------------------------------------------------------------------------------------
async def person_now(conn: Conn, any_id: int) -> int | None:
    """The person an id stands for today; an absorbed person's id resolves for ever."""
    stmt = (
        sa.select(_np.person_id)
        .join(node, sa.and_(node.c.tenant_id == _np.tenant_id, node.c.node_id == _np.node_id))
        .where(node.c.tenant_id == conn.tenant_id, node.c.birth_id == any_id)
    )
    # Its first owner founded it; whoever has the value today founded another.
    found: int | None = await conn.scalar(stmt.order_by(_np.from_at).limit(1))
    return found if found is not None else await _later_owner(conn, any_id)


async def _later_owner(conn: Conn, any_id: int) -> int | None:
    c = person_alias.c
    stmt = sa.select(c.node_id, c.epoch).where(c.tenant_id == conn.tenant_id, c.person_id == any_id)
    row = await conn.row(stmt)
    if row is None:
        return None
    spans = (await spans_of(conn, [row.node_id])).get(row.node_id, ())
    return spans[min(row.epoch, len(spans) - 1)].person_id if spans else None


async def persons_of(conn: Conn, node_ids: Collection[int]) -> dict[int, int]:
    """Today's person of each node."""
    if not node_ids:
        return {}
    rows = await conn.rows(_TODAY, {"tenant": conn.tenant_id, "nodes": sorted(node_ids)})
    return {r.node_id: r.person_id for r in rows}


async def intervals(conn: Conn, person_id: int) -> list[Interval]:
    """Every node of a person and when it belonged to them."""
    found = await conn.rows(_INTERVALS, {"tenant": conn.tenant_id, "person": person_id})
    return [Interval(**r._mapping) for r in found]


async def nodes_of(conn: Conn, person_ids: Collection[int]) -> dict[int, int]:
    """Person by node, for every node these persons have today."""
    stmt = sa.select(_np.node_id, _np.person_id).where(
        _np.tenant_id == conn.tenant_id, _np.person_id.in_(person_ids), _np.until_at.is_(None)
    )
    return {r.node_id: r.person_id for r in await conn.rows(stmt)} if person_ids else {}


async def shown(conn: Conn, person_ids: Collection[int]) -> dict[int, Shown]:
    """Names and avatars by person id; an unnamed person has name "". A colleague's correction comes first."""
    c = node.c
    stmt = (
        sa.select(person.c.person_id, c.node_id, c.name, c.avatar)
        .outerjoin(node, sa.and_(c.tenant_id == person.c.tenant_id, c.node_id == person.c.name_node_id))
        .where(person.c.tenant_id == conn.tenant_id, person.c.person_id.in_(person_ids))
    )
    rows = await conn.rows(stmt) if person_ids else []
    keys = await conn.keys({key_id_of(r.name) for r in rows if r.name is not None})
    better = await corrected.names(conn, {r.person_id for r in rows})
    return {
        r.person_id: Shown(
            person_id=r.person_id,
            name=better.get(r.person_id) or opened_name(keys, r),
            avatar=r.avatar or "",
        )
        for r in rows
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


# -- the projection ----------------------------------------------------------------------------------------
async def spans_of(conn: Conn, node_ids: Collection[int]) -> dict[int, tuple[Span, ...]]:
    """Whose each node is and was, oldest first."""
    if not node_ids:
        return {}
    rows = await conn.rows(_SPANS, {"tenant": conn.tenant_id, "nodes": sorted(node_ids)})
    found: dict[int, list[Span]] = defaultdict(list)
    for r in rows:
        found[r.node_id].append(_span(r))
    return {n: tuple(spans) for n, spans in found.items()}


def _span(row: Any) -> Span:
    from_at = None if row.from_at == ALWAYS else row.from_at
    return Span(person_id=row.person_id, from_at=from_at, until_at=row.until_at)


@dataclass(frozen=True, slots=True)
class Held:
    """A node of a person, and when it was theirs."""

    known: Known
    span: Span


async def held_by(conn: Conn, person_ids: Collection[int]) -> dict[int, list[tuple[int, Span]]]:
    """Every node these persons have or had, and when."""
    found = await holdings(conn, person_ids)
    return {p: [(one.known.node_id, one.span) for one in mine] for p, mine in found.items()}


async def holdings(conn: Conn, person_ids: Collection[int]) -> dict[int, list[Held]]:
    """The same, with what is known of each."""
    if not person_ids:
        return {}
    rows = await conn.rows(_OF_PERSONS, {"tenant": conn.tenant_id, "persons": sorted(person_ids)})
    found: dict[int, list[Held]] = defaultdict(list)
    for r in rows:
        found[r.person_id].append(Held(known(r), _span(r)))
    return found


async def set_spans(conn: Conn, changed: Mapping[int, Sequence[Span]], *, stale: Collection[int]) -> None:
    """Whose these nodes are; `stale` are those that belonged to somebody else until now."""
    if stale:
        await conn.run(_UNOWN, {"tenant": conn.tenant_id, "nodes": sorted(stale)})
    rows = [
        {
            "tenant_id": conn.tenant_id,
            "node_id": n,
            "from_at": span.from_at or ALWAYS,
            "until_at": span.until_at,
            "person_id": span.person_id,
        }
        for n, spans in sorted(changed.items())
        for span in spans
    ]
    await conn.insert(node_person, rows)


async def set_aliases(conn: Conn, found: Mapping[int, tuple[int, int]]) -> None:
    """Ids of persons founded by a later owner: (node, how manieth owner) by person id."""
    rows = [
        {"tenant_id": conn.tenant_id, "person_id": p, "node_id": n, "epoch": epoch}
        for p, (n, epoch) in sorted(found.items())
    ]
    await conn.insert_new(person_alias, rows)


async def rows_of(conn: Conn, person_ids: Collection[int]) -> dict[int, Row]:
    if not person_ids:
        return {}
    found = await conn.rows(_THERE, {"tenant": conn.tenant_id, "persons": sorted(person_ids)})
    return {
        r.person_id: Row(person_id=r.person_id, first_at=r.first_at, name_node_id=r.name_node_id)
        for r in found
    }


async def set_rows(conn: Conn, rows: Sequence[Row], *, gone: Collection[int]) -> None:
    """Persons that are, and those that are no more (their ids still resolve by birth)."""
    if gone:
        await conn.run(_GONE, {"tenant": conn.tenant_id, "persons": sorted(gone)})
    full = [
        {
            "tenant_id": conn.tenant_id,
            "person_id": r.person_id,
            "first_at": r.first_at,
            "name_node_id": r.name_node_id,
            "version": 1,
        }
        for r in rows
    ]
    await conn.upsert(person, full, key=["tenant_id", "person_id"], change=_projected)


def _projected(new: Any) -> dict[str, Any]:
    return {"first_at": new.first_at, "name_node_id": new.name_node_id, "version": person.c.version + 1}
