"""SQL of deeds: asked once per key, the answer sealed; and how many customers each contact way brought."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import deed, tally
from scrm.seal import new_id
from scrm.shapes import storable

_OWNER = "tenant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    deed_id: int
    account_id: int
    kind: str
    key: str
    fields: Mapping[str, Any]
    state: str
    item: str
    result: Mapping[str, Any]
    code: str
    error: str
    staff_id: int | None
    attempts: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What one contact way brought."""

    name: str
    customers: int
    last_at: datetime


async def add(
    conn: Conn,
    *,
    account_id: int,
    kind: str,
    key: str,
    fields: Mapping[str, Any],
    staff_id: int | None,
    now: datetime,
) -> int | None:
    """The new deed; None when this key was asked before."""
    ident = new_id()
    row = {
        "tenant_id": conn.tenant_id,
        "deed_id": ident,
        "account_id": account_id,
        "kind": kind,
        "key": key,
        "fields": await _sealed(conn, ident, "fields", fields),
        "state": "asked",
        "staff_id": staff_id,
        "created_at": now,
        "updated_at": now,
    }
    return ident if await conn.insert_new(deed, [row], deed.c.deed_id) else None


async def get(conn: Conn, deed_id: int, *, lock: bool = False) -> Asked | None:
    c = deed.c
    stmt = sa.select(deed).where(c.tenant_id == conn.tenant_id, c.deed_id == deed_id)
    row = await conn.row(stmt.with_for_update() if lock else stmt)
    return await _opened(conn, row) if row else None


async def of_key(conn: Conn, key: str) -> Asked | None:
    c = deed.c
    row = await conn.row(sa.select(deed).where(c.tenant_id == conn.tenant_id, c.key == key))
    return await _opened(conn, row) if row else None


async def page(
    conn: Conn, account_ids: list[int], *, before: int | None = None, limit: int = 50
) -> list[Asked]:
    """Newest first, at most `limit`, below the deed `before`."""
    c = deed.c
    stmt = sa.select(deed).where(c.tenant_id == conn.tenant_id, c.account_id.in_(account_ids))
    if before is not None:
        stmt = stmt.where(c.deed_id < before)
    rows = await conn.rows(stmt.order_by(c.deed_id.desc()).limit(limit))
    return [await _opened(conn, row) for row in rows]


async def change(
    conn: Conn,
    deed_id: int,
    state: str,
    *,
    now: datetime,
    item: str | None = None,
    result: Mapping[str, Any] | None = None,
    code: str = "",
    error: str = "",
    attempts: int | None = None,
) -> None:
    """How it stands now; `item` and `result` stay as they are when nothing new is known."""
    c = deed.c
    values: dict[str, Any] = {
        "state": state,
        "code": code,
        "error": storable(error)[:500],
        "updated_at": now,
    }
    if item is not None:
        values["item"] = storable(item)[:500]
    if result is not None:
        values["result"] = await _sealed(conn, deed_id, "result", result)
    if attempts is not None:
        values["attempts"] = attempts
    await conn.run(sa.update(deed).where(c.tenant_id == conn.tenant_id, c.deed_id == deed_id).values(values))


async def brought(conn: Conn, account_id: int, prefix: str, *, limit: int = 100) -> list[Brought]:
    """Customers by what they are counted under, the most first: each customer once."""
    c = tally.c
    customers = sa.func.count(sa.distinct(c.node_id)).label("customers")
    stmt = sa.select(c.name, customers, sa.func.max(c.last_at).label("last_at")).where(
        c.tenant_id == conn.tenant_id,
        c.account_id == account_id,
        c.name.startswith(prefix, autoescape=True),
    )
    stmt = stmt.group_by(c.name).order_by(customers.desc(), c.name).limit(limit)
    return [
        Brought(name=r.name.removeprefix(prefix), customers=r.customers, last_at=r.last_at)
        for r in await conn.rows(stmt)
    ]


async def _sealed(conn: Conn, deed_id: int, column: str, value: Mapping[str, Any]) -> bytes:
    content = json.dumps(dict(value), ensure_ascii=False).encode("utf-8", "replace")
    return await conn.seal(_OWNER, content, "deed", deed_id, column)


async def _opened(conn: Conn, row: Any) -> Asked:
    values = {name: getattr(row, name) for name in Asked.__slots__}
    values["fields"] = json.loads(await conn.unseal(row.fields, "deed", row.deed_id, "fields"))
    result = row.result
    values["result"] = (
        json.loads(await conn.unseal(result, "deed", row.deed_id, "result")) if result is not None else {}
    )
    return Asked(**values)
