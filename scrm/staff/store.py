"""SQL of staff, teams, sessions and tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import api_token, oauth_state, session, staff, staff_handle, team
from scrm.seal import new_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    staff_id: int
    login: str
    name: str
    role: str
    team_id: int | None
    state: str
    locale: str
    theme: str
    shortcuts: int


_MEMBER = [staff.c[name] for name in Member.__slots__]


async def team_id(conn: Conn, name: str) -> int:
    """The team of this name, made when missing."""
    row = {"tenant_id": conn.tenant_id, "team_id": new_id(), "name": name}
    await conn.insert_new(team, [row])
    c = team.c
    return int(await conn.scalar(sa.select(c.team_id).where(c.tenant_id == conn.tenant_id, c.name == name)))


async def add(
    conn: Conn, *, login: str, name: str, role: str, team_id: int | None, password: str, now: datetime
) -> int:
    """Insert, or change name, role, team and password of this login; the id."""
    row = {
        "tenant_id": conn.tenant_id,
        "staff_id": new_id(),
        "login": login,
        "name": name,
        "role": role,
        "team_id": team_id,
        "password": password,
        "created_at": now,
    }
    kept = ("name", "role", "team_id", *(["password"] if password else []))
    await conn.upsert(staff, [row], key=["tenant_id", "login"], change=lambda new: {k: new[k] for k in kept})
    c = staff.c
    return int(
        await conn.scalar(sa.select(c.staff_id).where(c.tenant_id == conn.tenant_id, c.login == login))
    )


async def set_capacity(conn: Conn, staff_id: int, capacity: int) -> None:
    """How many conversations they take at the same time."""
    c = staff.c
    stmt = sa.update(staff).where(c.tenant_id == conn.tenant_id, c.staff_id == staff_id)
    await conn.run(stmt.values(capacity=capacity))


async def all_members(conn: Conn) -> list[Member]:
    c = staff.c
    stmt = sa.select(*_MEMBER).where(c.tenant_id == conn.tenant_id).order_by(c.login).limit(1000)
    return [Member(**r._mapping) for r in await conn.rows(stmt)]


async def members(conn: Conn, ids: Sequence[int]) -> dict[int, Member]:
    """By id."""
    c = staff.c
    stmt = sa.select(*_MEMBER).where(c.tenant_id == conn.tenant_id, c.staff_id.in_(set(ids)))
    return {r.staff_id: Member(**r._mapping) for r in await conn.rows(stmt)} if ids else {}


async def joined(conn: Conn, staff_id: int) -> datetime | None:
    """When this member was added."""
    c = staff.c
    stmt = sa.select(c.created_at).where(c.tenant_id == conn.tenant_id, c.staff_id == staff_id)
    found: datetime | None = await conn.scalar(stmt)
    return found


async def by_login(conn: Conn, login: str, *, lock: bool = False) -> Any:
    """Id, password hash, failures, lock and state; None when unknown. `lock`: they are going to change."""
    c = staff.c
    columns = (c.staff_id, c.password, c.failures, c.locked_until, c.state)
    stmt = sa.select(*columns).where(c.tenant_id == conn.tenant_id, c.login == login)
    return await conn.row(stmt.with_for_update() if lock else stmt)


async def count_failure(conn: Conn, staff_id: int, *, locked_until: datetime | None) -> None:
    c = staff.c
    stmt = sa.update(staff).where(c.tenant_id == conn.tenant_id, c.staff_id == staff_id)
    await conn.run(stmt.values(failures=c.failures + 1, locked_until=locked_until))


async def clear_failures(conn: Conn, staff_id: int) -> None:
    c = staff.c
    stmt = sa.update(staff).where(c.tenant_id == conn.tenant_id, c.staff_id == staff_id)
    await conn.run(stmt.values(failures=0, locked_until=None))


async def set_prefs(conn: Conn, staff_id: int, *, locale: str, theme: str, shortcuts: bool) -> None:
    c = staff.c
    stmt = sa.update(staff).where(c.tenant_id == conn.tenant_id, c.staff_id == staff_id)
    await conn.run(stmt.values(locale=locale, theme=theme, shortcuts=int(shortcuts)))


async def bind(conn: Conn, scope: str, value: str, staff_id: int) -> None:
    """This vendor user is this member of ours."""
    row = {"tenant_id": conn.tenant_id, "scope": scope, "value": value, "staff_id": staff_id}
    await conn.upsert(
        staff_handle,
        [row],
        key=["tenant_id", "scope", "value"],
        change=lambda new: {"staff_id": new.staff_id},
    )


async def bound(conn: Conn, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Staff ids by (scope, vendor user id), for those we know."""
    if not pairs:
        return {}
    c = staff_handle.c
    which = c.value.in_({value for _, value in pairs})
    rows = await conn.rows(
        sa.select(c.scope, c.value, c.staff_id).where(c.tenant_id == conn.tenant_id, which)
    )
    wanted = set(pairs)
    return {(r.scope, r.value): r.staff_id for r in rows if (r.scope, r.value) in wanted}


async def add_session(
    conn: Conn, token_hash: bytes, staff_id: int, *, now: datetime, until: datetime
) -> None:
    row = {
        "tenant_id": conn.tenant_id,
        "token_hash": token_hash,
        "staff_id": staff_id,
        "created_at": now,
        "expires_at": until,
    }
    await conn.run(sa.insert(session), [row])


async def session_member(conn: Conn, token_hash: bytes, *, now: datetime) -> Member | None:
    """The active member whose open session this is."""
    c = session.c
    stmt = (
        sa.select(*_MEMBER)
        .join(session, sa.and_(c.tenant_id == staff.c.tenant_id, c.staff_id == staff.c.staff_id))
        .where(c.tenant_id == conn.tenant_id, c.token_hash == token_hash, c.ended_at.is_(None))
        .where(c.expires_at > now, staff.c.state == "active")
    )
    row = await conn.row(stmt)
    return Member(**row._mapping) if row else None


async def end_session(conn: Conn, token_hash: bytes, *, now: datetime) -> None:
    c = session.c
    stmt = sa.update(session).where(c.tenant_id == conn.tenant_id, c.token_hash == token_hash)
    await conn.run(stmt.values(ended_at=now))


async def end_sessions(conn: Conn, staff_id: int, *, now: datetime) -> None:
    c = session.c
    stmt = sa.update(session).where(
        c.tenant_id == conn.tenant_id, c.staff_id == staff_id, c.ended_at.is_(None)
    )
    await conn.run(stmt.values(ended_at=now))


async def add_state(
    conn: Conn, state_hash: bytes, account_id: int, back: str, *, now: datetime, until: datetime
) -> None:
    """One more open door; those that closed unused are swept out."""
    c = oauth_state.c
    await conn.run(sa.delete(oauth_state).where(c.tenant_id == conn.tenant_id, c.expires_at < now))
    row = {
        "tenant_id": conn.tenant_id,
        "state_hash": state_hash,
        "account_id": account_id,
        "back": back,
        "expires_at": until,
    }
    await conn.run(sa.insert(oauth_state), [row])


async def take_state(conn: Conn, state_hash: bytes, account_id: int, *, now: datetime) -> str | None:
    """Where to go back to; each state works once and for a short time."""
    c = oauth_state.c
    which = sa.and_(c.tenant_id == conn.tenant_id, c.state_hash == state_hash)
    row = await conn.row(sa.delete(oauth_state).where(which).returning(c.account_id, c.back, c.expires_at))
    ok = row is not None and row.account_id == account_id and row.expires_at > now
    return str(row.back) if ok and row is not None else None


async def add_token(
    conn: Conn, token_hash: bytes, role: str, staff_id: int | None, *, name: str, now: datetime
) -> None:
    row = {
        "tenant_id": conn.tenant_id,
        "token_hash": token_hash,
        "role": role,
        "staff_id": staff_id,
        "name": name,
        "created_at": now,
    }
    await conn.run(sa.insert(api_token), [row])


async def token(conn: Conn, token_hash: bytes) -> Any:
    """Role and staff id of an open token; None when unknown."""
    c = api_token.c
    stmt = sa.select(c.role, c.staff_id).where(
        c.tenant_id == conn.tenant_id, c.token_hash == token_hash, c.ended_at.is_(None)
    )
    return await conn.row(stmt)
