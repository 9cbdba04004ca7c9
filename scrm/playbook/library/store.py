"""SQL of the library: packs of a tenant, where its scripts stand, and every version of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.playbook.library.rules import tick
from scrm.playbook.library.values import Placed, Version
from scrm.schema import pack, script, script_version

_p, _s, _v = pack.c, script.c, script_version.c
_PLACED = [_s[name] for name in Placed.__slots__]
_VERSION = [_v[name] for name in Version.__slots__]
#: Rows read at a time when all are wanted.
_CHUNK = 1000
_MOST = 100
#: Of a script that has drafts only: nothing in force changed.
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


# -- packs -------------------------------------------------------------------------------------------------
async def trades(conn: Conn) -> tuple[str, ...]:
    stmt = sa.select(_p.trade).where(_p.tenant_id == conn.tenant_id).order_by(_p.trade).limit(_MOST)
    return tuple(r.trade for r in await conn.rows(stmt))


async def add_trades(conn: Conn, names: Collection[str], *, now: datetime) -> None:
    rows = [{"tenant_id": conn.tenant_id, "trade": name, "since": now} for name in sorted(names)]
    await conn.insert_new(pack, rows)


async def drop_trades(conn: Conn, names: Collection[str]) -> None:
    if names:
        await conn.run(sa.delete(pack).where(_p.tenant_id == conn.tenant_id, _p.trade.in_(sorted(names))))


# -- where scripts stand -----------------------------------------------------------------------------------
async def changed(conn: Conn) -> datetime | None:
    """When what is in force changed last; None = it never did."""
    stmt = sa.select(_s.changed_at).where(_s.tenant_id == conn.tenant_id, _s.changed_at > NEVER)
    found: datetime | None = await conn.scalar(stmt.order_by(_s.changed_at.desc()).limit(1))
    return found


async def placed(conn: Conn, code: str) -> Placed | None:
    stmt = sa.select(*_PLACED).where(_s.tenant_id == conn.tenant_id, _s.code == code)
    row = await conn.row(stmt)
    return Placed(**row._mapping) if row else None


async def all_placed(conn: Conn) -> dict[str, Placed]:
    """Every script that somebody here wrote or changed, by code."""
    found: dict[str, Placed] = {}
    after = ""
    while True:
        stmt = sa.select(*_PLACED).where(_s.tenant_id == conn.tenant_id, _s.code > after)
        rows = await conn.rows(stmt.order_by(_s.code).limit(_CHUNK))
        found |= {r.code: Placed(**r._mapping) for r in rows}
        if len(rows) < _CHUNK:
            return found
        after = rows[-1].code


async def hold(conn: Conn, one: Placed) -> None:
    """Keep its place, if it has none; what is in force stays as it is."""
    row = {name: getattr(one, name) for name in Placed.__slots__}
    await conn.insert_new(script, [row | {"tenant_id": conn.tenant_id, "changed_at": NEVER}])


async def place(conn: Conn, one: Placed) -> Placed:
    """Put it there, with a time of change that is later than all before. Hold the library's lock."""
    at = tick(await changed(conn), one.changed_at)
    row = {name: getattr(one, name) for name in Placed.__slots__}
    await conn.upsert(
        script,
        [row | {"tenant_id": conn.tenant_id, "changed_at": at}],
        key=("tenant_id", "code"),
        change=_moved,
    )
    return Placed(**row | {"changed_at": at})


def _moved(new: Any) -> Mapping[str, Any]:
    return {"live_version": new.live_version, "changed_at": new.changed_at}


# -- versions ----------------------------------------------------------------------------------------------
async def live(conn: Conn) -> dict[str, list[Version]]:
    """Every published version, by code, the newest first."""
    found: dict[str, list[Version]] = {}
    after = ("", 0)
    while True:
        stmt = sa.select(*_VERSION).where(
            _v.tenant_id == conn.tenant_id,
            _v.state == "live",
            sa.or_(_v.code > after[0], sa.and_(_v.code == after[0], _v.version > after[1])),
        )
        rows = await conn.rows(stmt.order_by(_v.code, _v.version).limit(_CHUNK))
        for r in rows:
            found.setdefault(r.code, []).insert(0, Version(**r._mapping))
        if len(rows) < _CHUNK:
            return found
        after = (rows[-1].code, rows[-1].version)


async def versions(conn: Conn, code: str, *, before: int | None = None, limit: int = 50) -> list[Version]:
    """The newest first."""
    stmt = sa.select(*_VERSION).where(_v.tenant_id == conn.tenant_id, _v.code == code)
    if before is not None:
        stmt = stmt.where(_v.version < before)
    rows = await conn.rows(stmt.order_by(_v.version.desc()).limit(limit))
    return [Version(**r._mapping) for r in rows]


async def heads(conn: Conn, codes: Collection[str]) -> dict[str, Version]:
    """The newest version of each that has one."""
    if not codes:
        return {}
    newest = (
        sa.select(_v.code, sa.func.max(_v.version).label("version"))
        .where(_v.tenant_id == conn.tenant_id, _v.code.in_(codes))
        .group_by(_v.code)
        .subquery()
    )
    on = sa.and_(_v.code == newest.c.code, _v.version == newest.c.version)
    stmt = sa.select(*_VERSION).join(newest, on).where(_v.tenant_id == conn.tenant_id)
    rows = await conn.rows(stmt.order_by(_v.code).limit(len(codes)))
    return {r.code: Version(**r._mapping) for r in rows}


async def version(conn: Conn, code: str, number: int) -> Version | None:
    stmt = sa.select(*_VERSION).where(_v.tenant_id == conn.tenant_id, _v.code == code, _v.version == number)
    row = await conn.row(stmt)
    return Version(**row._mapping) if row else None


async def waiting(conn: Conn, *, limit: int = 50) -> list[Version]:
    """What waits for a review, in the order of codes."""
    stmt = sa.select(*_VERSION).where(_v.tenant_id == conn.tenant_id, _v.state == "review")
    rows = await conn.rows(stmt.order_by(_v.code, _v.version).limit(limit))
    return [Version(**r._mapping) for r in rows]


async def add(conn: Conn, one: Version) -> None:
    row = {name: getattr(one, name) for name in Version.__slots__}
    await conn.insert(script_version, [row | {"tenant_id": conn.tenant_id}])


async def rewrite(conn: Conn, one: Version) -> bool:
    """New words for a draft. False when it is a draft no longer."""
    stmt = sa.update(script_version).where(
        _v.tenant_id == conn.tenant_id,
        _v.code == one.code,
        _v.version == one.version,
        _v.state.in_(("draft", "refused")),
    )
    names = ("state", "content", "digest", "note", "created_at", "starts_at", "expires_at")
    return bool(await conn.run(stmt.values({name: getattr(one, name) for name in names})))


async def turn(
    conn: Conn,
    code: str,
    number: int,
    *,
    before: Collection[str],
    state: str,
    reviewer_id: int | None = None,
    note: str | None = None,
    now: datetime,
) -> bool:
    """False when it is not as it was."""
    stmt = sa.update(script_version).where(
        _v.tenant_id == conn.tenant_id,
        _v.code == code,
        _v.version == number,
        _v.state.in_(before),
    )
    new: dict[str, Any] = {"state": state, "decided_at": now, "reviewer_id": reviewer_id}
    return bool(await conn.run(stmt.values(new if note is None else new | {"note": note})))


async def retire(conn: Conn, code: str, numbers: Collection[int] | None = None) -> None:
    """Published versions, these or all, are so no longer."""
    stmt = sa.update(script_version).where(
        _v.tenant_id == conn.tenant_id, _v.code == code, _v.state == "live"
    )
    if numbers is not None:
        stmt = stmt.where(_v.version.in_(numbers))
    if numbers is None or numbers:
        await conn.run(stmt.values(state="retired"))
