"""SQL of SOPs and their versions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import sop, sop_version

_s, _v = sop.c, sop_version.c
_MOST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """`live_version` 0 = none; `state` off = no new runs."""

    code: str
    trade: str
    live_version: int
    state: str
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    code: str
    version: int
    state: str
    content: Mapping[str, Any]
    digest: str
    source: str
    author_id: int | None
    note: str
    created_at: datetime
    published_at: datetime | None


async def heads(conn: Conn) -> list[Head]:
    stmt = sa.select(sop).where(_s.tenant_id == conn.tenant_id).order_by(_s.code).limit(_MOST)
    return [Head(**{name: getattr(r, name) for name in Head.__slots__}) for r in await conn.rows(stmt)]


async def head(conn: Conn, code: str, *, hold: bool = False) -> Head | None:
    """With `hold` nobody else publishes or switches it until the transaction ends."""
    stmt = sa.select(sop).where(_s.tenant_id == conn.tenant_id, _s.code == code)
    row = await conn.row(stmt.with_for_update() if hold else stmt)
    return Head(**{name: getattr(row, name) for name in Head.__slots__}) if row else None


async def put_head(conn: Conn, one: Head) -> None:
    row = {name: getattr(one, name) for name in Head.__slots__} | {"tenant_id": conn.tenant_id}
    await conn.upsert(sop, [row], key=["tenant_id", "code"], change=_as_given)


def _as_given(new: Any) -> dict[str, Any]:
    return {name: new[name] for name in ("trade", "live_version", "state", "changed_at")}


async def live(conn: Conn) -> list[tuple[str, int]]:
    """Code and version of what new runs may begin with."""
    stmt = sa.select(_s.code, _s.live_version).where(
        _s.tenant_id == conn.tenant_id, _s.state == "on", _s.live_version > 0
    )
    return [(r.code, int(r.live_version)) for r in await conn.rows(stmt.order_by(_s.code).limit(_MOST))]


async def digests(conn: Conn, wanted: Collection[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """What each of these versions says, in short; one that is not there is left out."""
    if not wanted:
        return {}
    rows = await conn.rows(sa.select(_v.code, _v.version, _v.digest).where(*_among(conn, wanted)))
    found = {(r.code, int(r.version)): str(r.digest) for r in rows}
    return {pair: found[pair] for pair in sorted(wanted) if pair in found}


async def contents(
    conn: Conn, wanted: Collection[tuple[str, int]]
) -> dict[tuple[str, int], Mapping[str, Any]]:
    """The same in full."""
    if not wanted:
        return {}
    rows = await conn.rows(sa.select(_v.code, _v.version, _v.content).where(*_among(conn, wanted)))
    found = {(r.code, int(r.version)): r.content for r in rows}
    return {pair: found[pair] for pair in sorted(wanted) if pair in found}


def _among(conn: Conn, wanted: Collection[tuple[str, int]]) -> list[sa.ColumnElement[bool]]:
    """These and a few more: every code with every number."""
    return [
        _v.tenant_id == conn.tenant_id,
        _v.code.in_(sorted({code for code, _ in wanted})),
        _v.version.in_(sorted({number for _, number in wanted})),
    ]


async def versions(conn: Conn, code: str) -> list[Version]:
    """Newest first."""
    stmt = sa.select(sop_version).where(_v.tenant_id == conn.tenant_id, _v.code == code)
    return [_version(r) for r in await conn.rows(stmt.order_by(_v.version.desc()).limit(_MOST))]


async def drafts(conn: Conn) -> dict[str, int]:
    """By code the number of the youngest draft."""
    stmt = sa.select(_v.code, sa.func.max(_v.version).label("n")).where(
        _v.tenant_id == conn.tenant_id, _v.state == "draft"
    )
    rows = await conn.rows(stmt.group_by(_v.code).order_by(_v.code).limit(_MOST))
    return {r.code: int(r.n) for r in rows}


async def version(conn: Conn, code: str, number: int) -> Version | None:
    stmt = sa.select(sop_version).where(_v.tenant_id == conn.tenant_id, _v.code == code, _v.version == number)
    row = await conn.row(stmt)
    return _version(row) if row else None


async def add_version(conn: Conn, one: Version) -> bool:
    """False when this number is there already."""
    row = {name: getattr(one, name) for name in Version.__slots__} | {"tenant_id": conn.tenant_id}
    return bool(await conn.insert_new(sop_version, [row], _v.version))


async def change_version(conn: Conn, code: str, number: int, **values: Any) -> None:
    stmt = sa.update(sop_version).where(_v.tenant_id == conn.tenant_id, _v.code == code, _v.version == number)
    await conn.run(stmt.values(**values))


def _version(row: Any) -> Version:
    return Version(**{name: getattr(row, name) for name in Version.__slots__})
