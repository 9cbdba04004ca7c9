"""SQL of tenants and accounts."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from scrm.accounts.pulse import NAMES, Beat
from scrm.contract import Account
from scrm.db import Conn
from scrm.schema import account, pulse, tenant
from scrm.seal import new_id

#: paused: what comes in is kept and waits, nothing is asked for, nothing goes out. draining: nothing new is
#: asked for or goes out, what came in is worked off; then it is paused.
State = Literal["running", "draining", "paused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    tenant_id: int
    slug: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    account: Account
    team_id: int | None
    state: State


async def tenants(conn: Conn) -> list[Tenant]:
    rows = await conn.rows(
        sa.select(tenant.c.tenant_id, tenant.c.slug, tenant.c.name).order_by(tenant.c.tenant_id)
    )
    return [Tenant(**r._mapping) for r in rows]


async def add_tenant(conn: Conn, slug: str, name: str, *, now: datetime) -> None:
    """The tenant of `conn`, once; a changed name is taken over."""
    await conn.lock("tenant")  # processes that start together all do this
    row = {"tenant_id": conn.tenant_id, "slug": slug, "name": name, "created_at": now}
    await conn.upsert(tenant, [row], key=["tenant_id"], change=lambda new: {"name": new.name})


async def accounts(conn: Conn) -> list[Stored]:
    """Every account of the tenant, opened."""
    stmt = sa.select(account).where(account.c.tenant_id == conn.tenant_id).order_by(account.c.account_id)
    found = []
    for r in await conn.rows(stmt):
        secrets = json.loads(await conn.unseal(r.secrets, "account", r.account_id, "secrets"))
        opened = Account(
            tenant_id=r.tenant_id,
            account_id=r.account_id,
            slug=r.slug,
            channel=r.channel,
            name=r.name,
            max_age_s=r.max_age_s,
            options=r.options,
            secrets=secrets,
        )
        found.append(Stored(account=opened, team_id=r.team_id, state=r.state))
    return found


async def save(
    conn: Conn,
    *,
    slug: str,
    channel: str,
    name: str,
    max_age_s: int,
    options: Mapping[str, str],
    secrets: Mapping[str, str],
    team_id: int | None,
    now: datetime,
) -> int:
    """Insert or replace by slug; the account's id stays the same for ever."""
    await conn.lock(f"account:{slug}")
    known = await conn.scalar(
        sa.select(account.c.account_id).where(account.c.tenant_id == conn.tenant_id, account.c.slug == slug)
    )
    account_id = int(known or new_id())
    sealed = await conn.seal("tenant", json.dumps(dict(secrets)).encode(), "account", account_id, "secrets")
    row = {
        "tenant_id": conn.tenant_id,
        "account_id": account_id,
        "slug": slug,
        "channel": channel,
        "name": name,
        "max_age_s": max_age_s,
        "options": dict(options),
        "secrets": sealed,
        "team_id": team_id,
        "updated_at": now,
    }
    taken = ("channel", "name", "max_age_s", "options", "secrets", "team_id", "updated_at")
    await conn.upsert(
        account, [row], key=["tenant_id", "account_id"], change=lambda new: {k: new[k] for k in taken}
    )
    return account_id


async def set_state(conn: Conn, account_id: int, state: State, *, was: Collection[State]) -> bool:
    """False when it is in none of the states `was` any more: somebody else has changed it."""
    c = account.c
    which = sa.and_(c.tenant_id == conn.tenant_id, c.account_id == account_id, c.state.in_(was))
    return bool(await conn.run(sa.update(account).where(which).values(state=state)))


# -- pulse -------------------------------------------------------------------------------------------------
async def add_beats(conn: Conn, beats: Sequence[Beat]) -> None:
    """What one process has counted, added to what the others have."""
    rows = [
        {"tenant_id": conn.tenant_id, "account_id": b.account_id, "slot": b.slot, "last_at": b.last_at}
        | {name: getattr(b, name) for name in NAMES}
        for b in beats
    ]
    await conn.upsert(pulse, rows, key=["tenant_id", "account_id", "slot"], change=_added)


def _added(new: Any) -> dict[str, Any]:
    later = sa.case((pulse.c.last_at > new.last_at, pulse.c.last_at), else_=new.last_at)
    return {name: pulse.c[name] + new[name] for name in NAMES} | {"last_at": later}


async def beats(conn: Conn, *, since: datetime) -> dict[int, list[Beat]]:
    """By account, the slots since then, oldest first."""
    stmt = sa.select(pulse).where(pulse.c.tenant_id == conn.tenant_id, pulse.c.slot >= since)
    found: dict[int, list[Beat]] = {}
    for r in await conn.rows(stmt.order_by(pulse.c.account_id, pulse.c.slot).limit(100_000)):
        found.setdefault(r.account_id, []).append(Beat(**r._mapping))
    return found


async def sweep_beats(conn: Conn, *, before: datetime) -> None:
    await conn.run(sa.delete(pulse).where(pulse.c.tenant_id == conn.tenant_id, pulse.c.slot < before))
