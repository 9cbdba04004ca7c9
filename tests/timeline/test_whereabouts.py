"""Where things happen to a family: the accounts of its newest events, and what is rare under much else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from scrm.db import Database
from scrm.identity.store import Interval
from scrm.timeline.store import events, whereabouts

DAY, TENANT = datetime(2026, 11, 1, tzinfo=UTC), 1
TALK, APP, SHOP, ELSEWHERE = 1, 2, 3, 4
MOTHER, FATHER, STRANGER = 11, 12, 13
MINUTE = timedelta(minutes=1)


def always(node_id: int) -> Interval:
    return Interval(node_id=node_id, from_at=DAY, until_at=None)


def row(n: int, node_id: int, account_id: int, genre: str = "event") -> dict[str, object]:
    return {
        "node_id": node_id,
        "at": DAY + n * MINUTE,
        "seq": 0,
        "event_id": n + 1,
        "account_id": account_id,
        "part": "actor",
        "genre": genre,
    }


@pytest.fixture
async def family(database: Database) -> Database:
    """The mother bought once, then did much in the app; the father talks; a stranger is elsewhere."""
    rows = [row(0, MOTHER, SHOP, "order"), *(row(n, MOTHER, APP) for n in range(1, 400))]
    rows += [row(500, FATHER, TALK, "talk"), row(501, STRANGER, ELSEWHERE)]
    async with database.begin(TENANT) as conn:
        await events.link(conn, rows)
    return database


async def test_what_is_rare_is_found_under_much_else_and_a_stranger_s_is_not(family: Database) -> None:
    async with family.read(TENANT) as conn:
        assert await whereabouts.accounts(conn, [always(MOTHER)]) == {APP, SHOP}
        assert await whereabouts.accounts(conn, [always(MOTHER), always(FATHER)]) == {TALK, APP, SHOP}
        assert await whereabouts.accounts(conn, []) == set()


async def test_only_what_happened_while_the_identifier_was_theirs(family: Database) -> None:
    until = Interval(node_id=MOTHER, from_at=DAY, until_at=DAY + MINUTE)
    since = Interval(node_id=MOTHER, from_at=DAY + MINUTE, until_at=None)

    async with family.read(TENANT) as conn:
        assert await whereabouts.accounts(conn, [until]) == {SHOP}
        assert await whereabouts.accounts(conn, [since]) == {APP}


async def test_a_family_of_very_many_identifiers_is_asked_in_parts(family: Database) -> None:
    strangers = [always(node_id) for node_id in range(1000, 1100)]

    async with family.read(TENANT) as conn:
        assert await whereabouts.accounts(conn, [*strangers, always(FATHER)]) == {TALK}
    async with family.read(TENANT + 1) as conn:
        assert await whereabouts.accounts(conn, [always(FATHER)]) == set()
