"""Being here, being away, and the people a conversation may go to with what they already have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from scrm.db import Conn
from scrm.desk import rules, store
from scrm.desk.rules import Candidate
from scrm.desk.store import Seat

#: An open page says so about this often; several pages of one person say it once.
_EVERY = timedelta(seconds=8)


async def needs_touch(conn: Conn, staff_id: int, *, now: datetime) -> bool:
    """Whether presence must be renewed: read first, because most of the time another page just did it."""
    seat = await store.seat(conn, staff_id)
    return seat is not None and (seat.seen_at is None or seat.seen_at <= now - _EVERY)


async def here(conn: Conn, staff_id: int, *, now: datetime) -> None:
    """They have a page open."""
    await store.touch(conn, staff_id, now=now)


async def set_away(conn: Conn, staff_id: int, *, away: bool, now: datetime) -> None:
    """Away takes no new conversation, however many pages are open; those they have stay theirs."""
    await store.touch(conn, staff_id, now=now)
    await store.set_away(conn, staff_id, now if away else None)


async def online(conn: Conn, team_id: int | None, *, now: datetime) -> list[Seat]:
    return await store.online(conn, team_id, since=now - rules.ONLINE)


def candidates(seats: Sequence[Seat], loads: Mapping[int, int]) -> list[Candidate]:
    """Those seats that were ever taken, with the number of conversations each has."""
    return [
        Candidate(
            staff_id=s.staff_id,
            load=loads.get(s.staff_id, 0),
            capacity=s.capacity,
            seen_at=s.seen_at,
            away_at=s.away_at,
            assigned_at=s.assigned_at,
        )
        for s in seats
        if s.seen_at is not None
    ]
