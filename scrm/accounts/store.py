"""SQL of tenants and accounts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from scrm.contract import Account
from scrm.db import Conn
from scrm.schema import account, tenant
from scrm.seal import new_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    tenant_id: int
    slug: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    account: Account
    team_id: int | None


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
        found.append(Stored(account=opened, team_id=r.team_id))
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
