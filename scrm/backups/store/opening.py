"""SQL of opening a restored database: what was running when the backup was made runs no longer."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from scrm.db import Conn
from scrm.outbox import OPEN
from scrm.schema import due, oauth_state, outbox, session, tenant, vendor_token


async def tenants(conn: Conn) -> list[int]:
    """On a connection that sees all of them."""
    return [r.tenant_id for r in await conn.rows(sa.select(tenant.c.tenant_id).order_by(tenant.c.tenant_id))]


async def free_leases(conn: Conn, *, now: datetime) -> None:
    """Whoever held a due row or a push is gone; the push is then settled by the sender's own rule.

    A vendor's token of then is fetched anew.
    """
    c = due.c
    held = sa.and_(c.tenant_id == conn.tenant_id, c.lease_until.is_not(None))
    await conn.run(sa.update(due).where(held).values(lease_until=None))
    await conn.run(sa.delete(vendor_token).where(vendor_token.c.tenant_id == conn.tenant_id))
    o = outbox.c
    going = sa.and_(o.tenant_id == conn.tenant_id, o.state == "sending")
    await conn.run(sa.update(outbox).where(going).values(lease_until=now - timedelta(seconds=1)))


async def doubt_pushes(conn: Conn, why: str, *, now: datetime) -> int:
    """Nobody knows whether these went out after the backup was made; how many."""
    c = outbox.c
    stmt = sa.update(outbox).where(c.tenant_id == conn.tenant_id, c.state.in_(OPEN))
    return await conn.run(stmt.values(state="unknown", error=why, lease_until=None, updated_at=now))


async def end_sign_ins(conn: Conn, *, now: datetime) -> int:
    """Sessions that were ended after the backup was made must not come back to life; how many ended."""
    s = session.c
    stmt = sa.update(session).where(s.tenant_id == conn.tenant_id, s.ended_at.is_(None))
    await conn.run(sa.delete(oauth_state).where(oauth_state.c.tenant_id == conn.tenant_id))
    return await conn.run(stmt.values(ended_at=now))
