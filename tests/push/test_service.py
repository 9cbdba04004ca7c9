"""The door out: said once per key, refused with a reason when closed, on the timeline at once."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from scrm import inbox, outbox
from scrm.contract import Media, Window
from scrm.db import Conn, Database, utcnow
from scrm.errors import BadInput, Conflict
from scrm.push import service as push
from scrm.push.service import Said, Word
from scrm.schema import outbox as table
from scrm.staff.rules import Scope
from scrm.timeline.store import conversations, events
from tests.ground import NOW, Channel, Talking, entry, later, plugged, said, settle, talk_of

WINDOW = (Window(opens=("message.",), seconds=48 * 3600, count=5),)
PICTURE = Media(name="a.png", mime="image/png", content=b"\x89PNG\r\n\x1a\n....")


def channel(**changes: Any) -> Talking:
    made = Talking()
    vars(made).update({"WINDOWS": WINDOW} | changes)
    return made


async def asked(conn: Conn) -> None:
    await settle(conn, entry(said("多少钱", at=NOW, thread="t-7"), "m1"))


async def say(conn: Conn, word: Word, *, through: Channel | None = None, after_s: float = 1) -> Said:
    plug = plugged(through or channel())
    return await push.say(conn, plug, await talk_of(conn, "anna"), word, now=later(after_s))


async def deliveries(conn: Conn) -> list[tuple[str, str]]:
    rows = await outbox.page(conn, state="", before=None, limit=99)
    return [(d.key, d.state) for d in reversed(rows)]


async def test_saying_writes_event_outbox_and_inbox_row_in_one_go(database: Database) -> None:
    async with database.begin(1) as conn:
        await asked(conn)
        done = await say(conn, Word(key="w1", text="三百元", staff_id=7))
        (event,) = await events.by_ids(conn, done.event_ids)
        talk = await talk_of(conn, "anna")
        (ours,) = await inbox.claim(conn, "settled", now=later(9), limit=9)

        assert (event.direction, event.text, event.staff_id) == ("out", "三百元", 7)
        assert (talk.waiting_since, talk.rep_id, talk.last_text) == (None, 7, "三百元")
        assert await deliveries(conn) == [("w1:0", "queued")]
        assert ours.source_key == event.source_key


async def test_what_the_worker_claims_is_the_push_that_was_meant(database: Database) -> None:
    async with database.begin(1) as conn:
        await asked(conn)
        await say(conn, Word(key="w1", text="三百元"))
        (row,) = await outbox.claim(conn, now=later(9), limit=9)
        one, again = await push.opened(conn, row, now=utcnow()), await push.opened(conn, row, now=utcnow())

    assert (one.kind, one.text, one.thread, one.handle.value) == ("text", "三百元", "t-7", "anna")
    assert one.push_id == again.push_id
    assert len(one.push_id) <= 32


async def test_the_same_key_is_said_once_even_when_the_door_has_closed_since(database: Database) -> None:
    async with database.begin(1) as conn:
        await asked(conn)
        first = await say(conn, Word(key="w1", text="三百元"))
        again = await say(conn, Word(key="w1", text="三百元"))
        late = await say(conn, Word(key="w1", text="三百元"), after_s=99 * 86400)

        assert (first.repeated, again.repeated, late.repeated) == (False, True, True)
        assert first.event_ids == again.event_ids == late.event_ids
        assert await deliveries(conn) == [("w1:0", "queued")]


@pytest.mark.parametrize(
    ("session", "after_s", "through"),
    [
        ("human", 1, channel()),  # a person answers inside the vendor's app
        ("ended", 1, channel()),
        ("api", 48 * 3600, channel()),  # the window is over
        ("api", 1, channel(TALKS=False)),  # the channel says nothing but welcomes
        ("api", 1, Channel()),  # the channel cannot send at all
    ],
    ids=["human", "ended", "over", "welcomes-only", "mute"],
)
async def test_a_closed_door_says_why_and_leaves_no_trace(
    database: Database, session: str, after_s: float, through: Channel
) -> None:
    async with database.begin(1) as conn:
        await asked(conn)
        await conversations.set_session(conn, (await talk_of(conn, "anna")).conversation_id, session)

        with pytest.raises(Conflict) as refused:
            await say(conn, Word(key="w1", text="三百元"), after_s=after_s, through=through)

        assert refused.value.sentence.endswith("。")
        assert await deliveries(conn) == []
        assert [e.text for e in await events.of_account(conn, [11], before=None, limit=9)] == ["多少钱"]


async def test_the_sixth_push_waits_for_the_customer(database: Database) -> None:
    async with database.begin(1) as conn:
        await asked(conn)
        for n in range(5):
            await say(conn, Word(key=f"w{n}", text=f"{n}"), after_s=n + 1)
        with pytest.raises(Conflict, match="最多发 5 条"):
            await say(conn, Word(key="w5", text="5"), after_s=9)

        await settle(conn, entry(said("嗯", at=later(10), thread="t-7"), "m2"))

        assert not (await say(conn, Word(key="w5", text="5"), after_s=11)).repeated


async def test_a_place_is_free_again_when_the_push_certainly_did_not_arrive(database: Database) -> None:
    async with database.begin(1) as conn:
        await asked(conn)
        for n in range(5):
            await say(conn, Word(key=f"w{n}", text=f"{n}"), after_s=n + 1)
        for key, state in (("w0:0", "unknown"), ("w1:0", "dead")):  # it may have arrived; it did not
            found = await outbox.by_key(conn, key)
            assert found is not None
            await outbox.finish(conn, found.outbox_id, state, now=later(9))  # type: ignore[arg-type]

        await say(conn, Word(key="w5", text="5"), after_s=10)
        with pytest.raises(Conflict):
            await say(conn, Word(key="w6", text="6"), after_s=11)


async def test_a_long_text_goes_out_in_parts_and_in_order(database: Database) -> None:
    text = "第一段。" * 10
    async with database.begin(1) as conn:
        await asked(conn)
        done = await say(conn, Word(key="w1", text=text), through=channel(TEXT_LIMIT=60))
        parts = [e.text for e in await events.by_ids(conn, done.event_ids)]

        assert "".join(parts) == text
        assert len(parts) == 2
        assert await deliveries(conn) == [("w1:0", "queued"), ("w1:1", "queued")]
        assert len(await outbox.claim(conn, now=later(99), limit=9)) == 1  # one lane: the second waits


async def test_a_text_of_more_parts_than_places_is_refused_whole(database: Database) -> None:
    async with database.begin(1) as conn:
        await asked(conn)

        with pytest.raises(Conflict, match="6 条"):
            await say(conn, Word(key="w1", text="一二三四五。" * 6), through=channel(TEXT_LIMIT=20))

        assert await deliveries(conn) == []


async def test_a_picture_travels_sealed_with_the_customers_key(database: Database) -> None:
    async with database.begin(1) as conn:
        await asked(conn)
        await say(conn, Word(key="w1", media=PICTURE))
        (row,) = await outbox.claim(conn, now=later(9), limit=9)
        one = await push.opened(conn, row, now=utcnow())

    assert (one.kind, one.media) == ("image", PICTURE)


async def test_a_welcome_needs_no_window_and_takes_no_place(database: Database) -> None:
    async with database.begin(1) as conn:
        await asked(conn)
        await say(conn, Word(key="hi", text="欢迎", code="CODE"), through=channel(TALKS=False))
        verdict = await push.check(
            conn, plugged(channel()), await talk_of(conn, "anna"), in_app=False, now=later(2)
        )
        (row,) = await outbox.claim(conn, now=later(9), limit=9)
        one = await push.opened(conn, row, now=utcnow())

    assert (one.kind, one.code, verdict.left) == ("welcome", "CODE", 5)


@pytest.mark.parametrize(
    "word",
    [
        Word(key="w", text="  \n "),  # nothing
        Word(key="w", text="长" * 4001),  # too much
        Word(key="w", media=Media(name="x", mime="image/svg+xml", content=b"<svg/>")),  # no picture of ours
        Word(key="w", media=Media(name="x", mime="image/png", content=b"x" * (2 * 1024 * 1024 + 1))),
    ],
)
async def test_what_cannot_be_said_is_refused_in_words(database: Database, word: Word) -> None:
    async with database.begin(1) as conn:
        await asked(conn)
        with pytest.raises(BadInput):
            await say(conn, word)
        with pytest.raises(BadInput):
            await push.record(
                conn, plugged(channel()), await talk_of(conn, "anna"), word, certain=True, now=later(1)
            )

        assert await deliveries(conn) == []


@pytest.mark.parametrize(
    ("content", "mime"), [(b"\xff\xd8\xff\xe0", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png")]
)
def test_an_upload_is_what_its_bytes_are(content: bytes, mime: str) -> None:
    assert push.sniffed("x.exe", content).mime == mime


@pytest.mark.parametrize("content", [b"<svg onload=alert(1)>", b"GIF89a", b"", b"\x89PN"])
def test_an_upload_that_is_no_picture_is_refused(content: bytes) -> None:
    with pytest.raises(BadInput):
        push.sniffed("photo.png", content)


async def test_a_key_of_one_conversation_does_not_tell_about_another(database: Database) -> None:
    async with database.begin(1) as conn:
        await asked(conn)
        await settle(conn, entry(said("我是本", by="ben"), "m2"))
        await say(conn, Word(key="w1", text="给安娜"))

        with pytest.raises(Conflict, match="编号"):
            await push.say(
                conn, plugged(channel()), await talk_of(conn, "ben"), Word(key="w1", text="x"), now=later(2)
            )


# -- what the rep sent by hand -----------------------------------------------------------------------------
async def record(conn: Conn, *, certain: bool, key: str = "js1") -> Said:
    talk = await talk_of(conn, "anna")
    return await push.record(
        conn, plugged(Channel()), talk, Word(key=key, text="手发"), certain=certain, now=later(5)
    )


@pytest.mark.parametrize(("certain", "state"), [(True, "unconfirmed"), (False, "unknown")])
async def test_what_was_sent_by_hand_is_recorded_and_never_sent_by_us(
    database: Database, certain: bool, state: str
) -> None:
    async with database.begin(1) as conn:
        await asked(conn)
        done = await record(conn, certain=certain)

        assert await deliveries(conn) == [("js1:0", state)]
        assert await outbox.claim(conn, now=later(99), limit=9) == []
        assert [e.text for e in await events.by_ids(conn, done.event_ids)] == ["手发"]


async def test_learning_later_that_it_was_sent_makes_it_unconfirmed_and_never_back(
    database: Database,
) -> None:
    async with database.begin(1) as conn:
        await asked(conn)
        first = await record(conn, certain=False)
        second = await record(conn, certain=True)
        third = await record(conn, certain=False)

        assert first.event_ids == second.event_ids == third.event_ids
        assert await deliveries(conn) == [("js1:0", "unconfirmed")]


async def test_the_payload_in_the_database_says_nothing(database: Database) -> None:
    async with database.begin(1) as conn:
        await asked(conn)
        await say(conn, Word(key="w1", text="plain-words-canary"))
        stored = await conn.scalar(sa.select(table.c.payload))
        assert await conversations.queue(conn, Scope(everything=True), "all", now=NOW, limit=1)

    assert b"canary" not in stored
    assert b"anna" not in stored
