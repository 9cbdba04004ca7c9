"""SQL of claims: written once per key, found by identifier, claimant, mask and device."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.ownership.rules import masks
from scrm.ownership.rules.values import Claim, claimant
from scrm.schema import claim, node_person
from scrm.seal import new_id

#: Claims of one household that are looked at.
_MOST = 2000
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A claim to be written. A claim without a claimant's identity is nobody's and not made."""

    node_id: int
    claimant: str
    kind: str
    at: datetime
    told_at: datetime
    key: str
    line: str = ""
    event_id: int | None = None
    account_id: int | None = None
    policy_version: int = 1
    named: bool = True
    phoned: bool = True
    #: The number in full or masked, as `rules.masks` writes it; "" = none.
    phone: str = ""
    token: str = ""
    device: str = ""
    own_phone: bool = False
    by_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A claim as it stands, with what only people and the search for fraud ask for."""

    claim: Claim
    own_phone: bool
    event_id: int | None
    account_id: int | None
    by_id: int | None
    device_key: bytes | None


_KEPT = [
    claim.c[name]
    for name in (
        "claim_id", "node_id", "claimant", "kind", "at", "told_at", "line", "key", "event_id", "account_id",
        "named", "phoned", "masked", "token", "device_key", "own_phone", "by_id",
    )
]  # fmt: skip


async def put(conn: Conn, drafts: Sequence[Draft]) -> None:
    """The same key again is the same claim as it is read now; of several at one day the earliest stands."""
    by_key = {d.key: d for d in sorted(drafts, key=lambda d: d.at, reverse=True)}
    rows = [_row(conn, by_key[key]) for key in sorted(by_key)]
    await conn.upsert(claim, rows, key=["tenant_id", "key"], change=_read_anew)


def _row(conn: Conn, one: Draft) -> dict[str, Any]:
    head, tail = _masks(conn, one.phone)
    return {
        "tenant_id": conn.tenant_id,
        "claim_id": new_id(),
        **{name: getattr(one, name) for name in Draft.__slots__ if name not in ("phone", "device")},
        "named": int(one.named),
        "phoned": int(one.phoned),
        "own_phone": int(one.own_phone),
        "masked": int("*" in one.phone),
        "mask_head": head,
        "mask_tail": tail,
        "device_key": conn.vault.blind(str(conn.tenant_id), "claim.device", one.device)
        if one.device
        else None,
    }


def _masks(conn: Conn, phone: str) -> tuple[bytes | None, bytes | None]:
    if not phone:
        return None, None
    if "*" not in phone:
        head, tail = masks.masks_of(phone)
        return mask_key(conn, head), mask_key(conn, tail)
    key = mask_key(conn, phone)
    return (key, None) if "****" in phone else (None, key)


def mask_key(conn: Conn, mask: str) -> bytes:
    return conn.vault.blind(str(conn.tenant_id), "claim.mask", mask)


def _read_anew(new: Any) -> dict[str, Any]:
    c = claim.c
    kept = ("tenant_id", "claim_id", "key", "policy_version", "at", "told_at")
    values: dict[str, Any] = {x.name: new[x.name] for x in c if x.name not in kept}
    for name in ("at", "told_at"):
        values[name] = sa.case((new[name] < c[name], new[name]), else_=c[name])
    return values


def _kept(row: Any) -> Kept:
    one = Claim(
        claim_id=row.claim_id,
        node_id=row.node_id,
        by=claimant(row.claimant),
        kind=row.kind,
        at=row.at,
        told_at=row.told_at,
        line=row.line,
        key=row.key,
        named=bool(row.named),
        phoned=bool(row.phoned),
        masked=bool(row.masked),
        token=row.token,
    )
    return Kept(
        claim=one,
        own_phone=bool(row.own_phone),
        event_id=row.event_id,
        account_id=row.account_id,
        by_id=row.by_id,
        device_key=row.device_key,
    )


async def by_keys(conn: Conn, keys: Collection[str]) -> list[Kept]:
    c = claim.c
    stmt = sa.select(*_KEPT).where(c.tenant_id == conn.tenant_id, c.key.in_(keys))
    return [_kept(r) for r in await conn.rows(stmt.order_by(c.claim_id))] if keys else []


async def get(conn: Conn, claim_id: int) -> Kept | None:
    c = claim.c
    row = await conn.row(sa.select(*_KEPT).where(c.tenant_id == conn.tenant_id, c.claim_id == claim_id))
    return _kept(row) if row else None


async def of_nodes(conn: Conn, node_ids: Collection[int]) -> list[Kept]:
    """Oldest first; those with a full address, or none at all, of these identifiers."""
    c = claim.c
    stmt = sa.select(*_KEPT).where(c.tenant_id == conn.tenant_id, c.node_id.in_(node_ids), c.masked == 0)
    rows = await conn.rows(stmt.order_by(c.at, c.key).limit(_MOST)) if node_ids else []
    return [_kept(r) for r in rows]


async def masked(conn: Conn, phones: Collection[str]) -> list[tuple[Kept, str]]:
    """Claims whose mask fits one of these numbers, with the number; candidates, no more."""
    wanted: dict[bytes, str] = {}
    for phone in sorted(phones):
        for mask in masks.masks_of(phone):
            wanted[mask_key(conn, mask)] = phone
    c = claim.c
    stmt = (
        sa.select(*_KEPT, c.mask_head, c.mask_tail)
        .where(c.tenant_id == conn.tenant_id, c.masked == 1)
        .where(sa.or_(c.mask_head.in_(wanted), c.mask_tail.in_(wanted)))
    )
    rows = await conn.rows(stmt.order_by(c.at, c.key).limit(_MOST)) if wanted else []
    return [(_kept(r), wanted[r.mask_head or r.mask_tail]) for r in rows]


async def seen_with(conn: Conn, by: str, phone: str) -> set[int]:
    """Persons this claimant came with whose number fits a mask of `phone`."""
    head, tail = (mask_key(conn, mask) for mask in masks.masks_of(phone))
    c, p = claim.c, node_person.c
    same = sa.and_(p.tenant_id == c.tenant_id, p.node_id == c.node_id)
    stmt = (
        sa.select(p.person_id)
        .join_from(claim, node_person, same)
        .where(c.tenant_id == conn.tenant_id, c.claimant == by, c.kind == "visit", c.masked == 0)
        .where(sa.or_(c.mask_head == head, c.mask_tail == tail))
    )
    return {r.person_id for r in await conn.rows(stmt.distinct().limit(100))}


async def page(
    conn: Conn,
    *,
    before: int | None,
    limit: int,
    by: str = "",
    node_ids: Collection[int] | None = None,
) -> list[Kept]:
    """Newest first, at most `limit`, below the claim `before`."""
    c = claim.c
    stmt = sa.select(*_KEPT).where(c.tenant_id == conn.tenant_id)
    if by:
        stmt = stmt.where(c.claimant == by)
    if node_ids is not None:
        stmt = stmt.where(c.node_id.in_(node_ids))
    if before is not None:
        stmt = stmt.where(c.claim_id < before)
    return [_kept(r) for r in await conn.rows(stmt.order_by(c.claim_id.desc()).limit(limit))]


async def masks_within_a_day(conn: Conn, one: Claim) -> int:
    """Masked reports of this claimant in the day up to this one."""
    c = claim.c
    return await _count(conn, one.at, c.claimant == one.by.label, c.masked == 1)


async def from_device_within_a_day(conn: Conn, one: Kept) -> int:
    """Reports from the device of this one in the day up to it."""
    if one.device_key is None:
        return 0
    return await _count(conn, one.claim.at, claim.c.device_key == one.device_key)


async def _count(conn: Conn, at: datetime, *which: sa.ColumnElement[bool]) -> int:
    c = claim.c
    stmt = sa.select(sa.func.count()).where(
        c.tenant_id == conn.tenant_id, c.kind == "report", c.at > at - _DAY, c.at <= at, *which
    )
    return int(await conn.scalar(stmt) or 0)
