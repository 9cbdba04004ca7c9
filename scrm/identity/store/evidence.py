"""SQL of evidence: why two nodes are one person or one family, or are not, and who was seen with a device."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.identity.rules.sayings import words
from scrm.identity.rules.values import Edge
from scrm.identity.store.nodes import instant
from scrm.schema import evidence
from scrm.seal import new_id

_e = evidence.c
_tenant: sa.BindParameter[int] = sa.bindparam("tenant")
_COLUMNS = (
    _e.evidence_id,
    _e.node_a,
    _e.node_b,
    _e["class"].label("cls"),
    _e.rule,
    _e.strength,
    _e.first_at,
    _e.last_at,
    _e.key,
    _e.n,
    _e.origin,
)
_PERSONS = ("same_person", "not_same_person")
_FAMILIES = ("same_household", "not_same_household")
_KEY = ("tenant_id", "node_a", "node_b", "class", "rule")
_ids: sa.BindParameter[int] = sa.bindparam("nodes", expanding=True)


def _around(mine: sa.Column[Any], classes: Sequence[str]) -> sa.Select[Any]:
    return sa.select(*_COLUMNS).where(
        # Spelled out: what is told anew each time is taken apart anew each time.
        _e.tenant_id == _tenant,
        mine.in_(_ids),
        _e["class"].in_([sa.literal_column(f"'{cls}'") for cls in classes]),
        _e.retracted_at.is_(None),
    )


def _either(*classes: str) -> sa.CompoundSelect[Any]:
    return sa.union_all(_around(_e.node_a, classes), _around(_e.node_b, classes))


_HUMAN = _e.origin.in_([sa.literal_column(f"'{origin}'") for origin in ("rep", "admin")])


def _said(*classes: str) -> sa.CompoundSelect[Any]:
    return sa.union_all(_around(_e.node_a, classes).where(_HUMAN), _around(_e.node_b, classes).where(_HUMAN))


_SAID, _SAID_OF_KIN = _said(*_PERSONS), _said(*_FAMILIES)
_NEAR, _USED = _either(*_PERSONS), _either("uses")


def _counted(mine: sa.Column[Any], other: sa.Column[Any]) -> sa.Select[Any]:
    """What a human says of a pair again and again is one piece."""
    piece = sa.case((_HUMAN, -other), else_=_e.evidence_id)
    many = sa.func.count(sa.distinct(piece)).label("n")
    stmt = sa.select(mine.label("node_id"), _e["class"].label("cls"), many)
    standing = stmt.where(_e.tenant_id == _tenant, mine.in_(_ids), _e.retracted_at.is_(None))
    return standing.group_by(mine, _e["class"])


_CLASSES = sa.union_all(_counted(_e.node_a, _e.node_b), _counted(_e.node_b, _e.node_a))
_KIN_AND_USED = _either(*_FAMILIES, "uses")
_ALL = _either(*_PERSONS, *_FAMILIES, "uses")
_PAIRS = (
    sa.select(_e.evidence_id, _e.node_a, _e.node_b)
    .where(_e.tenant_id == _tenant, _e.evidence_id > sa.bindparam("after"), _e.retracted_at.is_(None))
    .order_by(_e.evidence_id)
    .limit(sa.bindparam("most"))
)
#: What the rows of evidence are asked for at a time: SQLite takes 32,766 parameters.
_AT_ONCE = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Saw:
    """Evidence as an event says it; `a < b`."""

    a: int
    b: int
    cls: str
    rule: str
    strength: int
    event_id: int
    at: datetime
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What became of it."""

    edge: Edge
    new: bool
    #: So often this time.
    added: int
    #: It began earlier than we knew, or says so for the first time.
    older: bool
    standing: bool


async def add(conn: Conn, rows: Sequence[Saw], *, batch: str = "") -> list[Kept]:
    """The same evidence again only counts up; what was retracted stays so until its rule is a later one."""
    folded: dict[tuple[int, int, str, str], dict[str, Any]] = {}
    for r in rows:
        one = folded.get((r.a, r.b, r.cls, r.rule))
        if one is None:
            folded[r.a, r.b, r.cls, r.rule] = _row(conn, r, batch)
            continue
        one["n"] += 1
        one["last_at"] = max(one["last_at"], r.at)
        if (r.at, r.key) < (one["first_at"], one["key"]):
            one |= {"first_at": r.at, "key": r.key, "strength": r.strength, "first_event_id": r.event_id}
    given = list(folded.values())
    found = await conn.upsert(evidence, given, *_COLUMNS, _e.retracted_at, key=_KEY, change=_counted_up)
    return [_kept(r, folded[r.node_a, r.node_b, r.cls, r.rule]) for r in found]


def _row(conn: Conn, r: Saw, batch: str) -> dict[str, Any]:
    return {
        "tenant_id": conn.tenant_id,
        "evidence_id": new_id(),
        "node_a": r.a,
        "node_b": r.b,
        "class": r.cls,
        "rule": r.rule,
        "strength": r.strength,
        "first_event_id": r.event_id,
        "first_at": r.at,
        "last_at": r.at,
        "key": r.key,
        "n": 1,
        "batch": batch,
    }


def _kept(row: Any, given: Mapping[str, Any]) -> Kept:
    """What an upsert returns comes as the driver has it: times are numbers."""
    new = row.evidence_id == given["evidence_id"]
    edge = _edge(row)
    edge.first_at, edge.last_at = instant(row.first_at), instant(row.last_at)
    return Kept(
        edge=edge,
        new=new,
        added=given["n"],
        older=new or (edge.first_at, edge.key) == (given["first_at"], given["key"]),
        standing=row.retracted_at is None,
    )


def _counted_up(new: Any) -> dict[str, Any]:
    older = sa.or_(new.first_at < _e.first_at, sa.and_(new.first_at == _e.first_at, new.key < _e.key))
    return {
        "n": _e.n + new.n,
        "first_at": sa.case((older, new.first_at), else_=_e.first_at),
        "key": sa.case((older, new.key), else_=_e.key),
        "strength": sa.case((older, new.strength), else_=_e.strength),
        "first_event_id": sa.case((older, new.first_event_id), else_=_e.first_event_id),
        "last_at": sa.case((new.last_at > _e.last_at, new.last_at), else_=_e.last_at),
    }


def _edge(row: Any) -> Edge:
    # In the order of `_COLUMNS`; what an upsert returns has another column behind them.
    ident, a, b, cls, rule, strength, first_at, last_at, key, n, origin, *_ = row
    return Edge(
        evidence_id=ident,
        a=a,
        b=b,
        cls=cls,
        rule=rule,
        strength=strength,
        first_at=first_at,
        last_at=last_at,
        key=key,
        n=n,
        origin=origin,
    )


# -- around nodes ------------------------------------------------------------------------------------------
async def near(conn: Conn, node_ids: Collection[int]) -> list[Edge]:
    """Standing evidence about persons that touches these nodes."""
    return await _touching(conn, _NEAR, node_ids)


async def said(conn: Conn, node_ids: Collection[int]) -> list[Edge]:
    """What humans said about persons that touches these nodes, however much else does."""
    return await _touching(conn, _SAID, node_ids)


async def said_of_kin(conn: Conn, node_ids: Collection[int]) -> list[Edge]:
    """What humans said about families that touches these nodes."""
    return await _touching(conn, _SAID_OF_KIN, node_ids)


async def used(conn: Conn, node_ids: Collection[int]) -> list[Edge]:
    """Who was seen with these devices, or with which devices these were seen."""
    return await _touching(conn, _USED, node_ids)


async def kin_and_used(conn: Conn, node_ids: Collection[int]) -> list[Edge]:
    return await _touching(conn, _KIN_AND_USED, node_ids)


async def touching(conn: Conn, node_ids: Collection[int]) -> list[Edge]:
    """All standing evidence that touches these nodes."""
    return await _touching(conn, _ALL, node_ids)


async def pairs(conn: Conn, after: int, *, limit: int) -> Sequence[Any]:
    """Who is tied to whom, however: (evidence_id, node_a, node_b) above this one, in order."""
    return await conn.rows(_PAIRS, {"tenant": conn.tenant_id, "after": after, "most": limit})


async def _touching(conn: Conn, stmt: Any, node_ids: Collection[int]) -> list[Edge]:
    found: dict[int, Edge] = {}
    wanted = sorted(node_ids)
    for start in range(0, len(wanted), _AT_ONCE):
        asked = {"tenant": conn.tenant_id, "nodes": wanted[start : start + _AT_ONCE]}
        found |= {r.evidence_id: _edge(r) for r in await conn.rows(stmt, asked)}
    return list(found.values())


async def classes(conn: Conn, node_ids: Collection[int]) -> list[tuple[int, str, int]]:
    """Standing evidence of each node, counted anew: (node, class, how much); a node may come twice."""
    if not node_ids:
        return []
    found = await conn.rows(_CLASSES, {"tenant": conn.tenant_id, "nodes": sorted(node_ids)})
    return [(r.node_id, r.cls, r.n) for r in found]


# -- what screens and the API ask --------------------------------------------------------------------------
async def evidence_of(conn: Conn, node_ids: Collection[int]) -> Sequence[Any]:
    """Evidence rows among these nodes: node_a, node_b, rule, strength, first_at, n."""
    columns = (_e.node_a, _e.node_b, _e.rule, _e.strength, _e.first_at, _e.n, _e.first_event_id)
    stmt = sa.select(*columns).where(
        _e.tenant_id == conn.tenant_id,
        _e.node_a.in_(node_ids),
        _e["class"] != "uses",
        _e.retracted_at.is_(None),
    )
    return await conn.rows(stmt.order_by(_e.first_at, _e.evidence_id).limit(5000)) if node_ids else []


# -- decisions ---------------------------------------------------------------------------------------------
async def decide(conn: Conn, row: Mapping[str, Any]) -> int:
    """Write a human's word down: its id. Said again while it stands it is another: each is undone alone.

    Of no more than `WORDS`: after that the oldest is said anew.
    """
    full = {"tenant_id": conn.tenant_id, "evidence_id": new_id(), **row}
    await conn.lock(f"said:{full['node_a']}:{full['node_b']}")
    stmt = sa.select(_e.rule, _e.last_at).where(
        *(_e[name] == full[name] for name in ("tenant_id", "node_a", "node_b", "class")),
        _e.rule.in_(words(row["rule"])),
        _e.retracted_at.is_(None),
    )
    said = {r.rule: r.last_at for r in await conn.rows(stmt)}
    free = [rule for rule in words(row["rule"]) if rule not in said]
    full["rule"] = free[0] if free else min(said, key=lambda rule: (said[rule], rule))
    (kept,) = await conn.upsert(evidence, [full], _e.evidence_id, key=_KEY, change=_said_again)
    return int(kept.evidence_id)


def _said_again(new: Any) -> dict[str, Any]:
    return {
        "n": _e.n + 1,
        "last_at": new.last_at,
        "first_at": sa.case((_e.retracted_at.is_(None), _e.first_at), else_=new.first_at),
        "origin": new.origin,
        "actor_id": new.actor_id,
        "why": new.why,
        "batch": new.batch,
        "retracted_at": sa.null(),
        "retracted_by": sa.null(),
        "retracted_why": "",
    }


async def by_ids(conn: Conn, ids: Collection[int], *, hold: bool = False) -> list[Edge]:
    """Standing rows, in order of id; `hold`: nobody else takes them back meanwhile."""
    if not ids:
        return []
    stmt = sa.select(*_COLUMNS).where(
        _e.tenant_id == conn.tenant_id, _e.evidence_id.in_(sorted(ids)), _e.retracted_at.is_(None)
    )
    stmt = stmt.order_by(_e.evidence_id)
    return [_edge(r) for r in await conn.rows(stmt.with_for_update() if hold else stmt)]


async def retracted(conn: Conn, ids: Collection[int]) -> list[Edge]:
    """Rows that were retracted, in order of id, held."""
    if not ids:
        return []
    stmt = sa.select(*_COLUMNS).where(
        _e.tenant_id == conn.tenant_id, _e.evidence_id.in_(sorted(ids)), _e.retracted_at.is_not(None)
    )
    return [_edge(r) for r in await conn.rows(stmt.order_by(_e.evidence_id).with_for_update())]


async def retract(conn: Conn, ids: Collection[int], *, by: int | None, why: str, now: datetime) -> None:
    stmt = sa.update(evidence).where(_e.tenant_id == conn.tenant_id, _e.evidence_id.in_(sorted(ids)))
    if ids:
        await conn.run(stmt.values(retracted_at=now, retracted_by=by, retracted_why=why))


async def restore(conn: Conn, ids: Collection[int]) -> None:
    """What was retracted stands again, as if it never had been."""
    stmt = sa.update(evidence).where(_e.tenant_id == conn.tenant_id, _e.evidence_id.in_(sorted(ids)))
    if ids:
        await conn.run(stmt.values(retracted_at=None, retracted_by=None, retracted_why=""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Evidence to take back in bulk; what is not said does not narrow."""

    rule: str = ""
    rule_version: int | None = None
    batch: str = ""
    actor_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def says_nothing(self) -> bool:
        return not (self.rule or self.batch or self.actor_id is not None or self.since or self.until)


async def found(conn: Conn, which: Which, *, limit: int) -> list[Edge]:
    """Standing evidence that fits, oldest first, at most `limit`."""
    c = [_e.tenant_id == conn.tenant_id, _e.retracted_at.is_(None)]
    if which.rule:
        c.append(_e.rule.in_(words(which.rule)))
    if which.rule_version is not None:
        c.append(_e.rule_version == which.rule_version)
    if which.batch:
        c.append(_e.batch == which.batch)
    if which.actor_id is not None:
        c.append(_e.actor_id == which.actor_id)
    if which.since is not None:
        c.append(_e.first_at >= which.since)
    if which.until is not None:
        c.append(_e.first_at < which.until)
    stmt = sa.select(*_COLUMNS).where(*c).order_by(_e.evidence_id).limit(limit)
    return [_edge(r) for r in await conn.rows(stmt)]
