"""Erasing a person's values: keys destroyed, names gone; identifiers and evidence stay, saying nothing."""

from __future__ import annotations

from datetime import datetime

from scrm.db import Conn
from scrm.errors import NotFound
from scrm.identity import hints, proposals
from scrm.identity import store as persons
from scrm.identity.explain import store
from scrm.ledger.store import audit


async def erase(conn: Conn, person_id: int, *, by: str, now: datetime) -> int:
    """How many identifiers were emptied. The graph stays as it is; whoever comes again is somebody new.

    Once done nobody can undo it. Erasing again finds nothing left to erase. A number that has another
    owner today is theirs and stays. Raises `NotFound`.
    """
    today = await persons.person_now(conn, person_id)
    if today is None:
        raise NotFound
    mine = sorted(await persons.nodes_of(conn, [today]))
    await store.empty(conn, mine)
    await proposals.forget(conn, mine)
    await hints.forget(conn, mine)
    await audit(conn, by, "person.erased", now=now, subject=f"person:{today}")
    return len(mine)
