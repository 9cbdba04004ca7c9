"""SQL of rulings and the commission ledger: both only ever added to."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from scrm.db import Conn
from scrm.ownership.rules.booking import Ruled
from scrm.ownership.rules.money import Entry, Line
from scrm.ownership.rules.values import Reason, Rejected, Share, claimant
from scrm.schema import commission_entry, ruling
from scrm.seal import new_id

Trigger = Literal["deal", "claim", "identity", "refund", "decide", "appeal"]
_RULED = [ruling.c[n] for n in ("ruling_id", "deal_id", "at", "trigger", "state", "shares", "reasons",
                                "rejected", "inputs", "policy_version", "by_id", "note")]  # fmt: skip
_ENTRY = [commission_entry.c[name] for name in Entry.__slots__]


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """A line of the ledger with what it belongs to."""

    entry: Entry
    deal_id: int
    ruling_id: int
    at: datetime


# -- rulings -----------------------------------------------------------------------------------------------
async def add(conn: Conn, one: Ruled) -> None:
    row = {
        "ruling_id": one.ruling_id,
        "deal_id": one.deal_id,
        "at": one.at,
        "trigger": one.trigger,
        "state": one.state,
        "shares": _json([{"by": s.by.label, "bp": s.bp, "claim_id": s.claim_id} for s in one.shares]),
        "reasons": _json([{"rule": r.rule, "facts": dict(r.facts)} for r in one.reasons]),
        "rejected": _json(
            [
                {"claim_id": r.claim_id, "by": r.by.label, "rule": r.why.rule, "facts": dict(r.why.facts)}
                for r in one.rejected
            ]
        ),
        "inputs": one.inputs,
        "policy_version": one.policy_version,
        "by_id": one.by_id,
        "note": await conn.seal("tenant", one.note.encode(), "ruling", one.ruling_id, "note")
        if one.note
        else None,
    }
    await conn.insert(ruling, [{"tenant_id": conn.tenant_id, **row}])


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


async def _ruled(conn: Conn, row: Any) -> Ruled:
    note = await conn.unseal(row.note, "ruling", row.ruling_id, "note") if row.note else b""
    return Ruled(
        ruling_id=row.ruling_id,
        deal_id=row.deal_id,
        at=row.at,
        trigger=row.trigger,
        state=row.state,
        shares=tuple(
            Share(by=claimant(s["by"]), bp=s["bp"], claim_id=s["claim_id"]) for s in json.loads(row.shares)
        ),
        reasons=tuple(Reason(**r) for r in json.loads(row.reasons)),
        rejected=tuple(_rejected(r) for r in json.loads(row.rejected)),
        inputs=row.inputs,
        policy_version=row.policy_version,
        by_id=row.by_id,
        note=note.decode(),
    )


def _rejected(said: Mapping[str, Any]) -> Rejected:
    why = Reason(rule=said["rule"], facts=said["facts"])
    return Rejected(claim_id=said["claim_id"], by=claimant(said["by"]), why=why)


async def last(conn: Conn, deal_id: int, *, final: bool = False) -> Ruled | None:
    """The newest ruling of a deal; with `final` the one in force."""
    c = ruling.c
    stmt = sa.select(*_RULED).where(c.tenant_id == conn.tenant_id, c.deal_id == deal_id)
    if final:
        stmt = stmt.where(c.state == "final")
    row = await conn.row(stmt.order_by(c.ruling_id.desc()).limit(1))
    return await _ruled(conn, row) if row else None


async def get(conn: Conn, ruling_id: int) -> Ruled | None:
    c = ruling.c
    row = await conn.row(sa.select(*_RULED).where(c.tenant_id == conn.tenant_id, c.ruling_id == ruling_id))
    return await _ruled(conn, row) if row else None


async def tell(conn: Conn, deal_id: int, *, now: datetime) -> list[Ruled]:
    """Those in force of this deal that nobody was told of, oldest first; told from now on."""
    c = ruling.c
    which = sa.and_(c.tenant_id == conn.tenant_id, c.deal_id == deal_id, c.state == "final")
    stmt = sa.select(*_RULED).where(which, c.told_at.is_(None)).order_by(c.ruling_id).limit(100)
    rows = await conn.rows(stmt)
    found = [await _ruled(conn, r) for r in rows]
    if found:
        ids = [r.ruling_id for r in found]
        await conn.run(sa.update(ruling).where(which, c.ruling_id.in_(ids)).values(told_at=now))
    return found


async def page(
    conn: Conn,
    *,
    before: int | None,
    limit: int,
    deal_ids: Collection[int] | None = None,
    waiting: bool = False,
) -> list[Ruled]:
    """Newest first, at most `limit`, below the ruling `before`; `waiting`: those that need a human now."""
    c, newer = ruling.c, ruling.alias().c
    stmt = sa.select(*_RULED).where(c.tenant_id == conn.tenant_id)
    if deal_ids is not None:
        stmt = stmt.where(c.deal_id.in_(deal_ids))
    if waiting:
        later = sa.exists().where(
            newer.tenant_id == c.tenant_id, newer.deal_id == c.deal_id, newer.ruling_id > c.ruling_id
        )
        stmt = stmt.where(c.state == "pending", ~later)
    if before is not None:
        stmt = stmt.where(c.ruling_id < before)
    rows = await conn.rows(stmt.order_by(c.ruling_id.desc()).limit(limit))
    return [await _ruled(conn, r) for r in rows]


# -- the ledger --------------------------------------------------------------------------------------------
async def entries(conn: Conn, deal_id: int) -> list[Entry]:
    """Oldest first."""
    c = commission_entry.c
    stmt = sa.select(*_ENTRY).where(c.tenant_id == conn.tenant_id, c.deal_id == deal_id)
    return [Entry(**r._mapping) for r in await conn.rows(stmt.order_by(c.entry_id))]


async def book(conn: Conn, deal_id: int, ruling_id: int, lines: Sequence[Line], *, at: datetime) -> None:
    """One posting per sort, so that each adds up to nothing by itself."""
    postings = {sort: new_id() for sort in dict.fromkeys(line.sort for line in lines)}
    rows = [
        {
            "tenant_id": conn.tenant_id,
            "entry_id": new_id(),
            "deal_id": deal_id,
            "ruling_id": ruling_id,
            "posting_id": postings[line.sort],
            "account": line.account,
            "amount": line.amount,
            "sort": line.sort,
            "reverses_entry_id": line.reverses_entry_id,
            "at": at,
        }
        for line in lines
    ]
    await conn.insert(commission_entry, rows)


async def ledger(
    conn: Conn, *, before: int | None, limit: int, deal_ids: Collection[int] | None = None, account: str = ""
) -> list[Booked]:
    """Newest first, at most `limit`, below the entry `before`."""
    c = commission_entry.c
    stmt = sa.select(*_ENTRY, c.deal_id, c.ruling_id, c.at).where(c.tenant_id == conn.tenant_id)
    if deal_ids is not None:
        stmt = stmt.where(c.deal_id.in_(deal_ids))
    if account:
        stmt = stmt.where(c.account == account)
    if before is not None:
        stmt = stmt.where(c.entry_id < before)
    rows = await conn.rows(stmt.order_by(c.entry_id.desc()).limit(limit))
    return [
        Booked(
            entry=Entry(**{n: getattr(r, n) for n in Entry.__slots__}),
            deal_id=r.deal_id,
            ruling_id=r.ruling_id,
            at=r.at,
        )
        for r in rows
    ]
