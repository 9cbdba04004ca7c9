"""SQL of proposals: made once per pair and question, read by person or by worth, closed once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.identity.match.store.opening import keys_left
from scrm.schema import evidence, household_member, match_model, node_person, proposal
from scrm.seal import close, key_id_of, new_id, open_sealed

OPEN = ("open", "later")
_c = proposal.c
_LISTED = (
    _c.proposal_id, _c.node_a, _c.node_b, _c["class"].label("cls"), _c.source, _c.model_version, _c.batch,
    _c.weight, _c.likely, _c.value, _c.rank, _c.reasons, _c.state, _c.until_at, _c.created_at, _c.updated_at,
    _c.decided_at, _c.decided_by, _c.decided_why, _c.evidence_id,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """A proposal to be; `node_a < node_b`, reasons as JSON."""

    node_a: int
    node_b: int
    cls: str
    source: str
    reasons: bytes
    weight: int
    likely: int
    value: int
    rank: int
    model_version: str = ""
    batch: str = ""
    sides: str = "[[], []]"


async def add(conn: Conn, news: Sequence[New], *, now: datetime) -> int:
    """What nobody has decided is brought up to date where it weighs more; the number that are new."""
    keys = await conn.keys_for([f"node:{n.node_a}" for n in news])
    rows = []
    for n in sorted(news, key=lambda n: (n.node_a, n.node_b, n.cls)):
        ident = new_id()
        key, where = keys[f"node:{n.node_a}"], (n.node_a, n.node_b, n.cls)
        rows.append(
            {
                "tenant_id": conn.tenant_id, "proposal_id": ident, "node_a": n.node_a, "node_b": n.node_b,
                "class": n.cls, "source": n.source, "model_version": n.model_version, "batch": n.batch,
                "weight": n.weight, "likely": n.likely, "value": n.value, "rank": n.rank, "sides": n.sides,
                # By the pair, not the row: a repeat keeps the older row's id.
                "reasons": close(key, n.reasons, "proposal", *where, "reasons"),
                "state": "open", "created_at": now, "updated_at": now,
            }
        )  # fmt: skip
    pairs = {(n.node_a, n.node_b, n.cls) for n in news}
    known = await _known(conn, pairs)
    await conn.upsert(proposal, rows, key=["tenant_id", "node_a", "node_b", "class"], change=_heavier)
    return len(pairs - known)


async def _known(conn: Conn, pairs: Collection[tuple[int, int, str]]) -> set[tuple[int, int, str]]:
    stmt = sa.select(_c.node_a, _c.node_b, _c["class"].label("cls")).where(
        _c.tenant_id == conn.tenant_id, _c.node_a.in_({a for a, _, _ in pairs})
    )
    rows = await conn.rows(stmt) if pairs else []
    return {(r.node_a, r.node_b, r.cls) for r in rows} & set(pairs)


_UPDATED = (
    "source",
    "model_version",
    "batch",
    "weight",
    "likely",
    "value",
    "rank",
    "reasons",
    "sides",
    "updated_at",
)


def _heavier(new: Any) -> dict[str, Any]:
    """A decision stands; of two opinions the weightier is kept, and a model's newer word on its own."""
    # Spelled out: this is compiled once, and a list would be filled in later.
    undecided = sa.or_(*(_c.state == state for state in OPEN))
    better = sa.and_(undecided, sa.or_(new.weight >= _c.weight, new.source == _c.source))
    return {name: sa.case((better, new[name]), else_=_c[name]) for name in _UPDATED}


async def of_nodes(
    conn: Conn, node_ids: Collection[int], *, states: Collection[str] = OPEN, limit: int = 200
) -> list[Any]:
    """Proposals that speak of one of these, best first."""
    found: dict[int, Any] = {}
    for mine in (_c.node_a, _c.node_b):
        stmt = sa.select(*_LISTED).where(
            _c.tenant_id == conn.tenant_id, mine.in_(node_ids), _c.state.in_(states)
        )
        rows = await conn.rows(stmt.order_by(_c.rank.desc(), _c.proposal_id).limit(limit)) if node_ids else []
        found |= {r.proposal_id: r for r in rows}
    return sorted(found.values(), key=lambda r: (-r.weight, r.proposal_id))[:limit]


async def queue(conn: Conn, *, before: tuple[int, int] | None, limit: int, now: datetime) -> list[Any]:
    """Open ones by worth, below (rank, proposal_id)."""
    due = sa.or_(_c.state == "open", sa.and_(_c.state == "later", _c.until_at <= now))
    stmt = sa.select(*_LISTED).where(_c.tenant_id == conn.tenant_id, _c.state.in_(OPEN), due)
    if before is not None:
        rank, ident = before
        stmt = stmt.where(sa.or_(_c.rank < rank, sa.and_(_c.rank == rank, _c.proposal_id < ident)))
    return list(await conn.rows(stmt.order_by(_c.rank.desc(), _c.proposal_id.desc()).limit(limit)))


async def get(conn: Conn, proposal_id: int) -> Any | None:
    """One row, held until the transaction ends."""
    stmt = sa.select(*_LISTED).where(_c.tenant_id == conn.tenant_id, _c.proposal_id == proposal_id)
    return await conn.row(stmt.with_for_update())


async def close_one(conn: Conn, proposal_id: int, *, since: Collection[str] = OPEN, **values: Any) -> bool:
    """Decided, put off or moot; False when somebody else was first."""
    stmt = sa.update(proposal).where(
        _c.tenant_id == conn.tenant_id, _c.proposal_id == proposal_id, _c.state.in_(since)
    )
    return await conn.run(stmt.values(**values)) == 1


async def counts(conn: Conn) -> dict[str, int]:
    stmt = sa.select(_c.state, sa.func.count().label("n")).where(_c.tenant_id == conn.tenant_id)
    return {r.state: r.n for r in await conn.rows(stmt.group_by(_c.state))}


async def accepted_by(conn: Conn, model_version: str, *, after: int, limit: int) -> Sequence[Any]:
    """Accepted ones of a model, in order of id: proposal_id, evidence_id."""
    stmt = sa.select(_c.proposal_id, _c.evidence_id).where(
        _c.tenant_id == conn.tenant_id,
        _c.state == "accepted",
        _c.model_version == model_version,
        _c.proposal_id > after,
    )
    return await conn.rows(stmt.order_by(_c.proposal_id).limit(limit))


async def stale(conn: Conn, *, batch: str, source: str, cls: str, limit: int) -> int:
    """Withdraw open ones of earlier runs that this one no longer makes; how many (at most `limit`)."""
    which = (
        sa.select(_c.proposal_id)
        .where(
            _c.tenant_id == conn.tenant_id,
            _c.state.in_(OPEN),
            _c.source == source,
            _c["class"] == cls,
            _c.batch != batch,
        )
        .order_by(_c.proposal_id)
        .limit(limit)
    )
    ids = [r.proposal_id for r in await conn.rows(which)]
    if ids:
        stmt = sa.update(proposal).where(
            _c.tenant_id == conn.tenant_id, _c.proposal_id.in_(ids), _c.state.in_(OPEN)
        )
        await conn.run(stmt.values(state="withdrawn"))
    return len(ids)


async def forget(conn: Conn, node_ids: Collection[int]) -> None:
    """Everything proposed about these identifiers: reasons quote both sides."""
    for mine in (_c.node_a, _c.node_b):
        await conn.run(sa.delete(proposal).where(_c.tenant_id == conn.tenant_id, mine.in_(node_ids)))


async def opened(conn: Conn, rows: Sequence[Any]) -> dict[int, bytes]:
    """The reasons by proposal; those of an erased customer are left out."""
    keys = await keys_left(conn, {key_id_of(r.reasons) for r in rows})
    return {
        r.proposal_id: open_sealed(
            keys[key_id_of(r.reasons)], r.reasons, "proposal", r.node_a, r.node_b, r.cls, "reasons"
        )
        for r in rows
        if key_id_of(r.reasons) in keys
    }


async def keep_model(conn: Conn, version: str, body: str, *, now: datetime) -> None:
    row = {"tenant_id": conn.tenant_id, "version": version, "at": now, "body": body}
    await conn.insert_new(match_model, [row])


async def owners(conn: Conn, node_ids: Collection[int]) -> Mapping[int, int]:
    """Today's person of each identifier."""
    np = node_person.c
    stmt = sa.select(np.node_id, np.person_id).where(
        np.tenant_id == conn.tenant_id, np.node_id.in_(node_ids), np.until_at.is_(None)
    )
    return {r.node_id: r.person_id for r in await conn.rows(stmt)} if node_ids else {}


async def nodes_of(conn: Conn, person_ids: Collection[int]) -> Mapping[int, int]:
    """Person by identifier, of everything these persons have today."""
    np = node_person.c
    stmt = sa.select(np.node_id, np.person_id).where(
        np.tenant_id == conn.tenant_id, np.person_id.in_(person_ids), np.until_at.is_(None)
    )
    return {r.node_id: r.person_id for r in await conn.rows(stmt)} if person_ids else {}


async def kept_apart(conn: Conn, left: Collection[int], right: Collection[int], cls: str) -> bool:
    """Whether standing evidence says that these are not one person, or not one family."""
    e = evidence.c
    either = sa.or_(
        sa.and_(e.node_a.in_(left), e.node_b.in_(right)),
        sa.and_(e.node_a.in_(right), e.node_b.in_(left)),
    )
    stmt = sa.select(sa.literal(1)).where(
        e.tenant_id == conn.tenant_id,
        e["class"] == f"not_{cls}",
        e.retracted_at.is_(None),
        either,
    )
    return bool(left and right) and await conn.row(stmt.limit(1)) is not None


async def households(conn: Conn, person_ids: Collection[int]) -> Mapping[int, int]:
    """Household by person; who is alone is their own."""
    h = household_member.c
    stmt = sa.select(h.person_id, h.household_id).where(
        h.tenant_id == conn.tenant_id, h.person_id.in_(person_ids)
    )
    rows = await conn.rows(stmt) if person_ids else []
    return {p: p for p in person_ids} | {r.person_id: r.household_id for r in rows}
