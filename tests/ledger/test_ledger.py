"""The audit trail holds names, never values, and fails with its act; answers are kept for repeats."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from scrm.db import Database
from scrm.ledger import store
from scrm.schema import audit_entry
from tests.ground import NOW


async def test_an_entry_names_who_did_what_to_whom_and_which_fields(database: Database) -> None:
    async with database.begin(1) as conn:
        await store.audit(conn, "staff:7", "reveal", now=NOW, subject="node:5", fields=["phone"])
        (entry,) = await store.entries(conn, limit=9)

    assert (entry.at, entry.actor, entry.action, entry.subject, entry.fields) == (
        NOW,
        "staff:7",
        "reveal",
        "node:5",
        ["phone"],
    )


def test_an_entry_has_no_place_for_a_value() -> None:
    assert {c.name for c in audit_entry.c} == {
        "tenant_id",
        "audit_id",
        "at",
        "actor",
        "action",
        "subject",
        "fields",
    }


async def test_newest_entries_come_first_and_no_more_than_asked(database: Database) -> None:
    async with database.begin(1) as conn:
        for n in range(5):
            await store.audit(conn, "staff:1", f"act{n}", now=NOW)

        assert [e.action for e in await store.entries(conn, limit=3)] == ["act4", "act3", "act2"]


async def test_an_act_that_rolls_back_leaves_no_entry(database: Database) -> None:
    async def export() -> None:
        async with database.begin(1) as conn:
            await store.audit(conn, "staff:1", "export", now=NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await export()
    async with database.read(1) as conn:
        assert await store.entries(conn, limit=9) == []


async def test_an_act_whose_entry_cannot_be_written_does_not_happen(database: Database) -> None:
    async def act() -> None:
        async with database.begin(1) as conn:
            await store.keep_answer(conn, "a", "k", b"h", 200, b"", now=NOW)
            await store.audit(conn, "staff:1", "\ud800", now=NOW)

    with pytest.raises((UnicodeError, sa.exc.DBAPIError)):  # as the driver says it
        await act()
    async with database.read(1) as conn:
        assert await store.answered(conn, "a", "k") is None


async def test_an_answer_is_kept_for_its_actor_and_key(database: Database) -> None:
    async with database.begin(1) as conn:
        await store.keep_answer(conn, "token:a", "k1", b"hash", 201, b"{}", now=NOW)
        kept = await store.answered(conn, "token:a", "k1")

        assert kept == store.Answer(request_hash=b"hash", status=201, body=b"{}")
        assert await store.answered(conn, "token:b", "k1") is None
        assert await store.answered(conn, "token:a", "k2") is None


async def test_a_key_taken_meanwhile_undoes_the_second_effect(database: Database) -> None:
    async def act(number: int) -> None:
        async with database.begin(1) as conn:
            await store.audit(conn, "token:a", f"effect {number}", now=NOW)
            await store.keep_answer(conn, "token:a", "k1", b"hash", 201, b"", now=NOW)

    await act(1)
    with pytest.raises(sa.exc.IntegrityError):
        await act(2)
    async with database.read(1) as conn:
        assert [e.action for e in await store.entries(conn, limit=9)] == ["effect 1"]
