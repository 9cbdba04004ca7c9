"""What both ends have read: never backwards, and nothing for channels that do not say."""

from __future__ import annotations

from scrm.db import Database
from scrm.timeline.store import conversations, visits
from tests.ground import NOW, entry, later, said, settle, talk_of


async def test_what_a_customer_has_seen_never_goes_backwards(database: Database) -> None:
    async with database.begin(1) as conn:
        await settle(conn, entry(said("在吗"), "1"))
        talk = await talk_of(conn, "anna")
        before = await visits.seen(conn, {talk.conversation_id})

        moved = [await visits.mark_seen(conn, talk.conversation_id, now=later(s)) for s in (9, 5, 9, 12)]
        after = await visits.seen(conn, {talk.conversation_id})

    assert before == {}
    assert moved == [True, False, False, True]
    assert after == {talk.conversation_id: later(12)}


async def test_a_conversation_is_unread_until_we_look_and_again_when_the_customer_speaks(
    database: Database,
) -> None:
    async with database.begin(1) as conn:
        await settle(conn, entry(said("在吗"), "1"))
        talk = await talk_of(conn, "anna")
        states = [await visits.unread(conn, talk.conversation_id)]
        await conversations.mark_read(conn, talk.conversation_id, now=later(1))
        states.append(await visits.unread(conn, talk.conversation_id))
        await settle(conn, entry(said("还在吗", at=later(5)), "2"))
        states.append(await visits.unread(conn, talk.conversation_id))
        reading = await visits.reading(conn, talk.account_id, talk.node_id)

    assert states == [True, False, True]
    assert reading is not None
    assert (reading.read_at, reading.seen_at) == (later(1), None)


async def test_another_tenant_neither_sees_nor_marks(database: Database) -> None:
    async with database.begin(1) as conn:
        await settle(conn, entry(said("在吗"), "1"))
        talk = await talk_of(conn, "anna")
    async with database.begin(2) as conn:
        assert not await visits.mark_seen(conn, talk.conversation_id, now=NOW)
        assert await visits.reading(conn, talk.account_id, talk.node_id) is None
    async with database.read(1) as conn:
        assert await visits.seen(conn, {talk.conversation_id}) == {}
