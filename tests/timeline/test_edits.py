"""Edited messages: they read as last edited, whatever arrives first, and what they said before is kept."""

from __future__ import annotations

from itertools import permutations

import pytest

from scrm.contract import Envelope
from scrm.db import Conn, Database
from scrm.identity import store as identity
from scrm.timeline import edits
from scrm.timeline.store import events
from tests.ground import entry, handle, later, node_of, said, settle


def edit(text: str, *, at: float, seq: int = 0) -> Envelope:
    return Envelope(
        kind="event.edited",
        direction="in",
        at=later(at),
        seq=seq,
        handles=(handle("anna"),),
        text=text,
        body={"new": text},
        edits="m1",
    )


async def shown(conn: Conn) -> list[events.Stored]:
    (person,) = (await identity.persons_of(conn, [await node_of(conn, "anna")])).values()
    return await events.page(conn, await identity.intervals(conn, person), before=None, limit=50)


STORY = (
    ("m1", said("九折", at=later(0), body={"old": True})),
    ("e1", edit("八五折", at=5)),
    ("e2", edit("不打折", at=9, seq=1)),
    ("e3", edit("八八折", at=9, seq=2)),
    ("m1", said("九折", at=later(0), body={"old": True})),
)


@pytest.mark.parametrize("order", range(0, 120, 7))
async def test_in_any_order_it_reads_as_last_edited_and_keeps_what_it_said(
    database: Database, order: int
) -> None:
    arrival = list(permutations(STORY))[order]
    for key, envelope in arrival:
        async with database.begin(1) as conn:
            await settle(conn, entry(envelope, key))

    async with database.read(1) as conn:
        (item,) = await shown(conn)
        before = (await edits.history(conn, [item]))[item.event_id]
        body = (await events.bodies(conn, [item]))[item.event_id]
        first = (await events.bodies(conn, [before[0]]))[before[0].event_id]

    assert (item.source_key, item.text, item.at, item.edited_at) == ("m1", "八八折", later(0), later(9))
    assert [e.text for e in before] == ["九折", "八五折", "不打折"]
    assert (body, first) == ({"new": "八八折"}, {"old": True})


async def test_all_at_once_is_the_same(database: Database) -> None:
    async with database.begin(1) as conn:
        done = await settle(conn, *(entry(envelope, key) for key, envelope in STORY[:4]))
        (item,) = await shown(conn)

        assert (item.text, len((await edits.history(conn, [item]))[item.event_id])) == ("八八折", 3)
        assert done.by_node[item.node_id or 0].count(item.event_id) == 2, "an open page looks again"


async def test_a_better_reading_of_an_edited_message_is_edited_again(database: Database) -> None:
    async with database.begin(1) as conn:
        await settle(conn, entry(STORY[0][1], "m1"))
        await settle(conn, entry(STORY[1][1], "e1"))
        await settle(conn, entry(said("九折！", at=later(0)), "m1"))
        (item,) = await shown(conn)

        assert item.text == "八五折"
        assert [e.text for e in (await edits.history(conn, [item]))[item.event_id]] == ["九折！"]


async def test_an_edit_moves_no_conversation_and_keeps_the_event_s_id(database: Database) -> None:
    async with database.begin(1) as conn:
        await settle(conn, entry(STORY[0][1], "m1"))
        (before,) = await shown(conn)
        done = await settle(conn, entry(STORY[1][1], "e1"))
        (after,) = await shown(conn)

    assert (after.event_id, done.talks) == (before.event_id, [])
