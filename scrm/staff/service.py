"""Sign-in, sessions and tokens. The secret part of each exists only at its holder; we keep a hash."""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import cast

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from scrm.db import Conn
from scrm.errors import BadInput, NotFound, NotSignedIn
from scrm.seal import token_hash
from scrm.staff import store
from scrm.staff.rules import ROLES, Actor, Role

_hasher = PasswordHasher()
#: Each check takes 64 MiB: strangers who try passwords queue here.
_hashing = ThreadPoolExecutor(2, "scrm-password")
#: Verified when the login is unknown, so that both cases take the same time.
_DUMMY = _hasher.hash("nobody")
_MAX_FAILURES = 10
_LOCK = timedelta(minutes=15)
_STATE_LIFE = timedelta(minutes=5)


async def add(
    conn: Conn,
    *,
    login: str,
    name: str,
    role: str,
    team: str = "",
    password: str = "",
    capacity: int | None = None,
    now: datetime,
) -> int:
    """Add or change a member; the id. Raises `BadInput` for an unknown role or a short password.

    `capacity` is how many conversations they take at the same time; None leaves it as it is.
    """
    if capacity is not None and not 0 <= capacity <= 1000:
        raise BadInput("同时接待的会话数应在 0 到 1000 之间。")
    if role not in ROLES:
        raise BadInput(f"角色只能是 {'、'.join(ROLES)}，现在是 {role!r}。")
    if password and len(password) < 10:
        raise BadInput("密码至少 10 个字符。")
    team_id = await store.team_id(conn, team) if team else None
    hashed = _hasher.hash(password) if password else ""
    staff_id = await store.add(
        conn, login=login, name=name, role=role, team_id=team_id, password=hashed, now=now
    )
    if capacity is not None:
        await store.set_capacity(conn, staff_id, capacity)
    # Whoever was signed in with the old password or role signs in again.
    await store.end_sessions(conn, staff_id, now=now)
    return staff_id


async def hash_of(conn: Conn, login: str) -> str:
    """What `fits` compares with; for an unknown login something that nothing fits."""
    row = await store.by_login(conn, login)
    return str(row.password) if row else _DUMMY


async def fits(hashed: str, password: str) -> bool:
    """Whether this is the password. Slow on purpose: hold no connection meanwhile."""
    return await asyncio.get_running_loop().run_in_executor(_hashing, _verify, hashed, password)


async def check_in(conn: Conn, login: str, *, good: bool, hashed: str, now: datetime) -> int | None:
    """The member's id, or None; `good` is what `fits` said of `hashed`.

    Ten failures close the login for 15 minutes. A password that was changed meanwhile fits no longer.
    """
    row = await store.by_login(conn, login, lock=True)
    if row is None or row.state != "active" or (row.locked_until and row.locked_until > now):
        return None
    if not good or row.password != hashed:
        locked = now + _LOCK if row.failures + 1 >= _MAX_FAILURES else None
        await store.count_failure(conn, row.staff_id, locked_until=locked)
        return None
    await store.clear_failures(conn, row.staff_id)
    return int(row.staff_id)


def _verify(hashed: str, password: str) -> bool:
    try:
        return _hasher.verify(hashed or _DUMMY, password) and bool(hashed)
    except (VerifyMismatchError, InvalidHashError):
        return False


async def open_session(conn: Conn, staff_id: int, *, now: datetime, hours: int) -> str:
    """A new session; its token, which leads with the tenant."""
    token = f"{conn.tenant_id}.{secrets.token_urlsafe(32)}"
    await store.add_session(conn, token_hash(token), staff_id, now=now, until=now + timedelta(hours=hours))
    return token


async def actor_of_session(conn: Conn, token: str, *, now: datetime) -> Actor | None:
    member = await store.session_member(conn, token_hash(token), now=now)
    return None if member is None else _actor(conn.tenant_id, member)


async def open_door(conn: Conn, account_id: int, back: str, *, now: datetime) -> str:
    """A one-time state for a vendor's sign-in page, good for five minutes."""
    state = secrets.token_urlsafe(24).replace("-", "a").replace("_", "b")
    await store.add_state(conn, token_hash(state), account_id, back, now=now, until=now + _STATE_LIFE)
    return state


async def close_door(conn: Conn, account_id: int, state: str, *, now: datetime) -> str:
    """Where the visitor wanted to go. Raises `NotSignedIn` for an unknown, used or expired state."""
    back = await store.take_state(conn, token_hash(state), account_id, now=now)
    if back is None:
        raise NotSignedIn("登录链接已失效，请重新登录。")
    return back


async def new_token(conn: Conn, role: str, login: str, *, now: datetime) -> str:
    """An API token: of a member (their scope), or of a machine when `login` is empty (the role's scope)."""
    if role not in ROLES:
        raise BadInput(f"角色只能是 {'、'.join(ROLES)}，现在是 {role!r}。")
    member = await store.by_login(conn, login) if login else None
    if login and member is None:
        raise NotFound(f"没有登录名为 {login} 的员工，请先用 scrm staff add 添加。")
    token = f"scrm_{conn.tenant_id}_{secrets.token_urlsafe(32)}"
    staff_id = member.staff_id if member else None
    await store.add_token(conn, token_hash(token), role, staff_id, name=login or role, now=now)
    return token


async def actor_of_token(conn: Conn, token: str) -> Actor | None:
    row = await store.token(conn, token_hash(token))
    if row is None:
        return None
    if row.staff_id is None:
        return Actor(tenant_id=conn.tenant_id, role=cast(Role, row.role), by_token=True, name=row.role)
    member = (await store.members(conn, [row.staff_id])).get(row.staff_id)
    if member is None or member.state != "active":
        return None
    return _actor(conn.tenant_id, member, by_token=True)


def _actor(tenant_id: int, member: store.Member, *, by_token: bool = False) -> Actor:
    return Actor(
        tenant_id=tenant_id,
        role=cast(Role, member.role),
        staff_id=member.staff_id,
        team_id=member.team_id,
        name=member.name,
        login=member.login,
        locale=member.locale,
        theme=member.theme,
        shortcuts=bool(member.shortcuts),
        by_token=by_token,
    )
