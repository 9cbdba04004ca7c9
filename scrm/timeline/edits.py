"""Edited messages: the event keeps its id and place and reads anew; what it said before stays.

The first words move to a version of their own; those in between stand in the edits themselves.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from scrm.db import Conn
from scrm.timeline.store import edits as store
from scrm.timeline.store import events
from scrm.timeline.store.events import Stored


async def waiting(conn: Conn, account_id: int, source_keys: Collection[str]) -> set[str]:
    """Of these messages, those whose edit arrived first."""
    return await store.edited(conn, account_id, source_keys)


async def first(conn: Conn, event: Stored) -> Stored:
    """An edited event as it was first said."""
    return (await store.originals(conn, [event])).get(event.event_id, event)


async def apply(conn: Conn, account_id: int, source_key: str, *, now: datetime) -> Stored | None:
    """Make the message say what its newest edit says; None when it is not here yet or says so already."""
    message = await store.held(conn, account_id, source_key)
    said = (await store.edits_of(conn, account_id, [source_key])).get(source_key)
    if message is None or not said:
        return None
    newest = said[-1]
    bodies = await events.bodies(conn, [message, newest])
    if (message.edited_at, message.text) == (newest.at, newest.text):
        return None
    if message.edited_at is None:
        await store.keep_original(conn, message, bodies[message.event_id], now=now)
    await store.reword(conn, message, newest, bodies[newest.event_id])
    return message


async def history(conn: Conn, shown: Collection[Stored]) -> dict[int, list[Stored]]:
    """What edited events said before, oldest first, by the event shown."""
    edited = [e for e in shown if e.edited_at is not None]
    found = {ident: [one] for ident, one in (await store.originals(conn, edited)).items()}
    for account_id in sorted({e.account_id for e in edited}):
        mine = {e.source_key: e.event_id for e in edited if e.account_id == account_id}
        for key, several in (await store.edits_of(conn, account_id, list(mine))).items():
            found.setdefault(mine[key], []).extend(several[:-1])
    return found
