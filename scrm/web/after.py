"""What follows a decision about who is who: deals are looked at again, open screens are told."""

from __future__ import annotations

from datetime import datetime

from scrm.db import Conn
from scrm.identity import store as identity
from scrm.identity.decisions import Outcome
from scrm.live import Change
from scrm.ownership import service as ownership
from scrm.web.house import House

#: Nodes told of at a time; who shows more than these looks again by itself.
_TOLD = 500


async def follow(found: House, conn: Conn, done: Outcome, *, now: datetime) -> None:
    """In the transaction that decided."""
    if await ownership.touched(conn, done.persons, done.households, now=now):
        conn.after_commit(found.wake_due)
    people = set(done.persons)
    for members in (await identity.members(conn, done.households)).values():
        people |= set(members)
    await tell(found, conn, people)


async def tell(found: House, conn: Conn, person_ids: set[int]) -> None:
    """Whoever shows one of these looks again."""
    nodes = sorted(await identity.nodes_of(conn, person_ids))[:_TOLD]
    changes = [Change(topic=f"node:{n}", ident=n, version=1) for n in nodes]
    conn.after_commit(lambda: found.live.publish(conn.tenant_id, changes))
