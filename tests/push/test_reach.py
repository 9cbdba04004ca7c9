"""Reaching a person wherever the rules say: the channel, the hour, the household, and once per key."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from scrm import outbox
from scrm.accounts.service import Directory
from scrm.contract import Card, Link, Media, Window
from scrm.db import Conn, Database, utcnow
from scrm.desk.frequency import Limits
from scrm.desk.manners import Manners
from scrm.errors import BadInput, Conflict
from scrm.identity import decisions
from scrm.identity import store as identity
from scrm.identity.decisions import Actor
from scrm.ledger.consent import store as consents
from scrm.ledger.consent.store import Said
from scrm.push import service as push
from scrm.push.service import Reached, Word
from scrm.schema import outbox as table
from tests.desk.test_calendar import at
from tests.ground import Talking, answered, entry, handle, node_of, plugged, said, settle, talk_of

#: A Tuesday in Shanghai.
MORNING, NIGHT = at("2026-03-10 10:00"), at("2026-03-10 22:00")
WINDOW = (Window(opens=("message.",), seconds=48 * 3600, count=5),)
MANNERS = Manners()


def channel(**changes: Any) -> Talking:
    made = Talking()
    vars(made).update({"WINDOWS": WINDOW} | changes)
    return made


def directory(**channels: Talking) -> Directory:
    """Accounts 11 (`first`) and 12 (`second`)."""
    made = Directory()
    for number, one in enumerate(channels.values(), 11):
        made._by_id[number] = plugged(one, account_id=number)  # noqa: SLF001
    return made


HERE = directory(first=channel())


async def anna(conn: Conn, when: datetime = MORNING, key: str = "m1", **more: Any) -> int:
    """Anna asks something; her person."""
    await settle(conn, entry(said("多少钱", at=when - timedelta(minutes=5), **more), key), now=when)
    node_id = await node_of(conn, "anna")
    return (await identity.persons_of(conn, [node_id]))[node_id]


async def reach(
    conn: Conn,
    person: int,
    key: str = "k1",
    purpose: push.Purpose = "marketing",
    now: datetime = MORNING,
    *,
    where: Directory = HERE,
    manners: Manners = MANNERS,
    **more: Any,
) -> Reached:
    word = Word(**({"key": key, "text": "春季班开课了"} | more))
    return await push.reach(conn, where, person, word, purpose, manners=manners, now=now)


async def rows(conn: Conn) -> list[Any]:
    c = table.c
    columns = (c.key, c.state, c.purpose, c.account_id, c.planned_at, c.next_at, c.deadline_at, c.lane)
    return list(await conn.rows(sa.select(*columns).order_by(c.outbox_id)))


async def test_it_goes_out_at_once_by_day(database: Database) -> None:
    async with database.begin(1) as conn:
        done = await reach(conn, await anna(conn))
        (row,) = await rows(conn)

    assert done.decision is not None
    assert done.decision.wait_until is None
    assert (row.key, row.state, row.purpose, row.planned_at) == ("k1:0", "queued", "marketing", None)


async def test_at_night_it_waits_for_the_morning_and_an_answer_overtakes_it(database: Database) -> None:
    async with database.begin(1) as conn:
        person = await anna(conn, NIGHT)
        await reach(conn, person, now=NIGHT)
        talk = await talk_of(conn, "anna")
        await push.say(conn, plugged(channel()), talk, Word(key="w", text="三百元"), now=NIGHT)
        early = await outbox.claim(conn, now=NIGHT + timedelta(minutes=1), limit=9)
        morning = await outbox.claim(conn, now=at("2026-03-11 08:30"), limit=9)
        held, _ = await rows(conn)

    assert [r.key for r in early] == ["w:0"]
    assert [r.key for r in morning] == ["k1:0"]
    assert held.planned_at == at("2026-03-11 08:30")
    assert held.deadline_at == held.planned_at + push.LATE


async def test_advertising_is_no_answer_who_waits_for_one_still_does(database: Database) -> None:
    async with database.begin(1) as conn:
        person = await anna(conn)
        before = await talk_of(conn, "anna")
        await reach(conn, person)
        after = await talk_of(conn, "anna")
        await push.say(conn, plugged(channel()), after, Word(key="w", text="三百元"), now=MORNING)
        answered_ = await talk_of(conn, "anna")

    assert before.waiting_since is not None
    assert after.waiting_since == before.waiting_since
    assert answered_.waiting_since is None


async def test_the_same_key_reaches_once_even_when_the_rules_have_changed_since(database: Database) -> None:
    async with database.begin(1) as conn:
        person = await anna(conn)
        first = await reach(conn, person)
        again = await reach(conn, person, now=MORNING + timedelta(days=9))

        assert again.said == replace(first.said, repeated=True)
        assert len(await rows(conn)) == 1


async def test_the_second_of_a_day_waits_for_the_next(database: Database) -> None:
    async with database.begin(1) as conn:
        person = await anna(conn)
        await reach(conn, person, "k1")
        second = await reach(conn, person, "k2")
        third = await reach(conn, person, "k3", "sop")

    assert second.decision is not None
    assert second.decision.wait_until == at("2026-03-11 08:30")
    assert third.decision is not None
    assert third.decision.wait_until is None  # each purpose has its own measure


async def test_a_family_is_not_showered_though_each_of_them_has_room(database: Database) -> None:
    tight = Manners(limits={"marketing": Limits(per_day=1, household_per_day=1)})
    async with database.begin(1) as conn:
        mother, father = handle("anna"), handle("ben")
        tie = Link(a=mother, b=father, rule="one_address", kind="same_household")
        await settle(conn, entry(said("在吗", by="ben", at=MORNING), "b1"), now=MORNING)
        person = await anna(conn, links=(tie,))
        await reach(conn, person, manners=tight)
        ben = await node_of(conn, "ben")
        other = (await identity.persons_of(conn, [ben]))[ben]
        done = await reach(conn, other, "k2", manners=tight)

    assert other != person
    assert done.decision is not None
    assert done.decision.wait_until == at("2026-03-11 08:30")
    assert "这一家" in done.decision.sentence


async def test_one_no_is_the_whole_familys_until_they_turn_out_to_be_none(database: Database) -> None:
    async with database.begin(1) as conn:
        tie = Link(a=handle("anna"), b=handle("ben"), rule="order.payer", kind="same_household")
        await settle(conn, entry(said("在吗", by="ben", at=MORNING), "b1"), now=MORNING)
        person = await anna(conn, links=(tie,))
        ben = await node_of(conn, "ben")
        stop = Said(
            key="s", node_id=ben, purpose="marketing", state="withdrawn", source="customer", at=MORNING
        )
        await consents.add(conn, stop, now=MORNING)
        with pytest.raises(Conflict, match="家人已退订"):
            await reach(conn, person)
        assert (await reach(conn, person, "answer", "reply")).said is not None
        pair = await node_of(conn, "anna"), ben
        rep = Actor(origin="rep", staff_id=1)
        await decisions.apart(conn, *pair, by=rep, why="只是同事", now=MORNING, cls="not_same_household")
        assert (await reach(conn, person)).said is not None


async def test_a_relatives_blocked_account_is_no_word_of_the_family(database: Database) -> None:
    async with database.begin(1) as conn:
        tie = Link(a=handle("anna"), b=handle("ben"), rule="order.payer", kind="same_household")
        await settle(conn, entry(said("在吗", by="ben", at=MORNING), "b1"), now=MORNING)
        person = await anna(conn, links=(tie,))
        ben = await node_of(conn, "ben")
        gone = Said(key="s", node_id=ben, purpose="all", state="withdrawn", source="vendor", at=MORNING)
        await consents.add(conn, gone, now=MORNING)
        assert (await reach(conn, person)).said is not None


async def test_who_opted_out_is_not_reached_and_nothing_is_written(database: Database) -> None:
    async with database.begin(1) as conn:
        person = await anna(conn)
        node_id = await node_of(conn, "anna")
        stop = Said(
            key="s",
            node_id=node_id,
            purpose="marketing",
            state="withdrawn",
            source="customer",
            at=MORNING,
        )
        await consents.add(conn, stop, now=MORNING)
        with pytest.raises(Conflict, match="已退订"):
            await reach(conn, person)
        await reach(conn, person, "k2", "service")

        assert [r.key for r in await rows(conn)] == ["k2:0"]


async def test_the_channel_used_last_wins_and_the_next_one_steps_in(database: Database) -> None:
    both = directory(first=channel(), second=channel())
    async with database.begin(1) as conn:
        other = handle("a2", scope="app2")
        join = Link(a=handle("anna"), b=other, rule="unionid")
        person = await anna(conn, links=(join,))
        await settle(
            conn,
            entry(said("嗨", handles=(other,), at=MORNING - timedelta(hours=1)), "m2", account_id=12),
            now=MORNING,
        )
        first = await reach(conn, person, "k1", "service", where=both)
        shut = directory(first=channel(TALKS=False), second=channel())
        second = await reach(conn, person, "k2", "service", where=shut)
        none = directory(first=channel(TALKS=False), second=channel(TALKS=False))
        with pytest.raises(Conflict, match="由你本人"):
            await reach(conn, person, "k3", "service", where=none)

    assert (first.talk.account_id, second.talk.account_id) == (11, 12)


async def test_a_paused_account_is_passed_over(database: Database) -> None:
    both = directory(first=channel(), second=channel())
    both._by_id[11] = replace(both.by_id(11), state="paused")  # noqa: SLF001
    async with database.begin(1) as conn:
        other = handle("a2", scope="app2")
        join = Link(a=handle("anna"), b=other, rule="unionid")
        person = await anna(conn, links=(join,))
        await settle(
            conn,
            entry(said("嗨", handles=(other,), at=MORNING - timedelta(hours=1)), "m2", account_id=12),
            now=MORNING,
        )
        done = await reach(conn, person, where=both)

    assert done.talk.account_id == 12


async def test_two_campaigns_at_once_do_not_both_take_the_last_place(database: Database) -> None:
    async with database.begin(1) as conn:
        person = await anna(conn)

    async def one(key: str) -> datetime | None:
        async with database.begin(1) as conn:
            done = await reach(conn, person, key, where=directory(first=channel(WINDOWS=())))
            assert done.decision is not None
            return done.decision.wait_until

    waits = await asyncio.gather(*(one(f"k{n}") for n in range(4)))

    assert sorted(w is None for w in waits) == [False, False, False, True]


async def test_what_is_said_by_hand_for_later_waits_and_can_be_called_off_until_then(
    database: Database,
) -> None:
    later = at("2026-03-11 08:30")
    async with database.begin(1) as conn:
        await anna(conn, NIGHT)
        talk = await talk_of(conn, "anna")
        first = await push.say(
            conn, plugged(channel()), talk, Word(key="w1", text="早上好", at=later), now=NIGHT
        )
        second = await push.say(
            conn, plugged(channel()), talk, Word(key="w2", text="还有", at=later), now=NIGHT
        )
        assert await outbox.claim(conn, now=NIGHT + timedelta(hours=1), limit=9) == []

        await push.call_off(conn, first.event_ids[0], now=NIGHT)
        with pytest.raises(Conflict, match="不能取消"):
            await push.call_off(conn, first.event_ids[0], now=NIGHT)
        with pytest.raises(Conflict, match="不能取消"):
            await push.call_off(conn, second.event_ids[0], now=later)
        assert [r.key for r in await outbox.claim(conn, now=later, limit=9)] == ["w2:0"]
        assert [(r.key, r.state) for r in await rows(conn)] == [("w1:0", "dead"), ("w2:0", "sending")]


@pytest.mark.parametrize("when", [NIGHT, NIGHT - timedelta(minutes=1), NIGHT + timedelta(days=61)])
async def test_a_time_gone_by_or_far_away_is_refused(database: Database, when: datetime) -> None:
    async with database.begin(1) as conn:
        await anna(conn, NIGHT)
        with pytest.raises(BadInput, match="60 天"):
            await push.say(
                conn,
                plugged(channel()),
                await talk_of(conn, "anna"),
                Word(key="w", text="x", at=when),
                now=NIGHT,
            )


# -- rich content ------------------------------------------------------------------------------------------
CARD = Card(title="课程表", description="春季班", url="https://a.cn/k")


@pytest.mark.parametrize(
    ("word", "kinds", "pushes"),
    [
        (Word(key="w", card=CARD), {"text", "link"}, [("link", "", CARD)]),
        (Word(key="w", card=CARD), {"text"}, [("text", "课程表\n春季班\nhttps://a.cn/k", None)]),
        (
            Word(key="w", media=Media(name="a.pdf", mime="application/pdf", content=b"%PDF"), form="file"),
            {"text", "file"},
            [("file", "", None)],
        ),
        (
            Word(
                key="w", text="看", media=Media(name="a.png", mime="image/png", content=b"\x89PNG\r\n\x1a\n")
            ),
            {"text", "image"},
            [("image", "", None), ("text", "看", None)],
        ),
    ],
    ids=["card", "card-in-words", "file", "picture-and-words"],
)
async def test_what_the_sender_gets_is_what_the_channel_carries(
    database: Database, word: Word, kinds: set[str], pushes: list[Any]
) -> None:
    through = plugged(channel(KINDS=frozenset(kinds)))
    async with database.begin(1) as conn:
        await anna(conn)
        await push.say(conn, through, await talk_of(conn, "anna"), word, now=MORNING)
        seen = []
        while found := await outbox.claim(conn, now=MORNING + timedelta(minutes=1), limit=1):
            one = await push.opened(conn, found[0], now=utcnow())
            seen.append((one.kind, one.text, one.card))
            assert (one.media is not None) == (one.kind in ("file", "image"))
            await outbox.finish(conn, found[0].outbox_id, "sent", now=MORNING)

    assert seen == pushes


async def test_a_file_on_a_channel_of_words_is_left_to_a_hand(database: Database) -> None:
    word = Word(key="w", media=Media(name="a.pdf", mime="application/pdf", content=b"%PDF"), form="file")
    async with database.begin(1) as conn:
        await anna(conn)
        with pytest.raises(Conflict, match="手工发送"):
            await push.say(conn, plugged(channel()), await talk_of(conn, "anna"), word, now=MORNING)
        assert await rows(conn) == []


@pytest.mark.parametrize(
    "word",
    [
        Word(key="w", card=Card(title="x", url="javascript:alert(1)")),
        Word(key="w", card=Card(title="", url="https://a.cn")),
        Word(key="w", card=Card(title="x" * 129, url="https://a.cn")),
        Word(key="w", card=Card(title="x"), form="miniprogram"),
        Word(key="w", card=Card(title="x"), form="template"),
        Word(key="w", media=Media(name="x", mime="video/mp4", content=b""), form="video"),
    ],
)
async def test_a_card_or_file_that_cannot_work_is_refused_in_words(database: Database, word: Word) -> None:
    async with database.begin(1) as conn:
        await anna(conn)
        with pytest.raises(BadInput):
            await push.say(conn, plugged(channel()), await talk_of(conn, "anna"), word, now=MORNING)


async def test_what_the_release_before_queued_can_still_be_sent(database: Database) -> None:
    """And the other way round: plain words are queued as it knows them."""
    async with database.begin(1) as conn:
        await anna(conn)
        await push.say(
            conn, plugged(channel()), await talk_of(conn, "anna"), Word(key="w", text="好"), now=MORNING
        )
        (row,) = await outbox.claim(conn, now=MORNING + timedelta(minutes=1), limit=9)

        assert row.payload is not None
        assert b'"card"' not in row.payload
        assert (await push.opened(conn, row, now=utcnow())).card is None


async def test_ours_beside_it_do_not_count_as_the_customers_words(database: Database) -> None:
    async with database.begin(1) as conn:
        person = await anna(conn)
        await settle(conn, entry(answered("在的", at=MORNING), "o1"), now=MORNING)

        assert (await reach(conn, person)).talk.last_in_at == datetime(2026, 3, 10, 1, 55, tzinfo=UTC)
