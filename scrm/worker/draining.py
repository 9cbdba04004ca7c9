"""Accounts at rest: paused once nothing of theirs waits any more, and in nobody's way while they are."""

from __future__ import annotations

import structlog

from scrm import inbox
from scrm.accounts import service as accounts
from scrm.accounts.service import Directory
from scrm.db import Database, utcnow
from scrm.ledger.store import audit

log = structlog.get_logger()


async def rest(db: Database, directory: Directory, tenant_id: int) -> int:
    """Pause accounts that have drained; how many."""
    rested = 0
    for plugged in directory.all(tenant_id):
        ident = plugged.account.account_id
        if plugged.state != "draining":
            continue
        async with db.read(tenant_id) as conn:
            if not await inbox.is_idle(conn, ident):
                continue
        async with db.begin(tenant_id) as conn:
            if await accounts.drained(conn, ident):
                await audit(conn, "worker", "account.paused", now=utcnow(), subject=f"account:{ident}")
                log.info("account drained", account=plugged.account.slug)
                rested += 1
    return rested


async def make_way(db: Database, directory: Directory, tenant_id: int) -> None:
    """Rows of paused accounts out of the way of the others, and back once their account runs again."""
    paused = directory.paused(tenant_id)
    for ident in paused:
        more = True
        while more:
            async with db.begin(tenant_id) as conn:
                more = await inbox.hold(conn, ident)
    async with db.read(tenant_id) as conn:
        held = await inbox.any_held(conn, paused)
    while held:
        async with db.begin(tenant_id) as conn:
            held = await inbox.release(conn, paused)
