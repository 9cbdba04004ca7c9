"""Erasing a customer: their keys, and the marks by which their words were found."""

from __future__ import annotations

from datetime import datetime

from scrm.db import Conn
from scrm.identity import erasing
from scrm.identity import store as identity
from scrm.timeline.store import search


async def erase(conn: Conn, person_id: int, *, by: str, now: datetime) -> int:
    """How many identifiers were emptied. Raises `NotFound`. Nobody can undo it."""
    today = await identity.person_now(conn, person_id)
    mine = await identity.nodes_of(conn, [today] if today is not None else [])
    await search.forget_nodes(conn, mine)
    return await erasing.erase(conn, person_id, by=by, now=now)
