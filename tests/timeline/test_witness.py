"""What a rep noted as sent by hand and the vendor's record of it are one message, whichever came first."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from scrm import inbox, outbox, schema
from scrm.contract import Envelope
from scrm.db import Database
from scrm.push import service as push
from scrm.push.service import Word
from scrm.staff import store as staff
from scrm.timeline.witness import Words, paired
from tests.ground import NOW, Channel, House, answered, house, installed, later, said, talk_of

LIN, ZHOU = 71, 72


# -- the decision ------------------------------------------------------------------------------------------
def record(event_id: int = 1, **more: Any) -> Words:
    usual = {"node_id": 5, "staff_id": LIN, "kind": "message.text", "text": "好的", "at": NOW}
    return Words(event_id=event_id, **{"source_key": f"msg:{event_id}", **usual, **more})


def note(event_id: int = 101, **more: Any) -> Words:
    usual = {"node_id": 5, "staff_id": LIN, "kind": "message.text", "text": "好的", "at": NOW}
    return Words(event_id=event_id, outbox_id=event_id, **{**usual, **more})


def pairs(records: list[Words], notes: list[Words]) -> list[tuple[int, int]]:
    return [(r.event_id, n.event_id) for r, n in paired(records, notes)]


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"text": " 好的\n"}, True),  # what the app does with spaces
        ({"text": "好"}, False),
        ({"staff_id": ZHOU}, False),  # a colleague said the same
        ({"staff_id": None}, False),
        ({"node_id": 6}, False),
        ({"kind": "message.image"}, False),
        ({"at": NOW - timedelta(minutes=2)}, True),
        ({"at": NOW - timedelta(minutes=2, seconds=1)}, False),
        ({"at": NOW + timedelta(minutes=10)}, True),
        ({"at": NOW + timedelta(minutes=10, seconds=1)}, False),
    ],
)
def test_only_the_same_words_of_the_same_member_at_about_that_time_fit(
    change: dict[str, Any], fits: bool
) -> None:
    assert pairs([record(**change)], [note()]) == ([(1, 101)] if fits else [])


def test_what_the_api_said_in_nobodys_name_fits_whoever_is_said_to_have_said_it() -> None:
    assert pairs([record(1)], [note(101, staff_id=None)]) == [(1, 101)]


def test_the_same_words_twice_confirm_two_notes_each_the_nearest() -> None:
    records = [record(2, at=later(60)), record(1, at=later(1))]
    notes = [note(102, at=later(61)), note(101, at=later(0)), note(103, at=later(400))]

    assert pairs(records, notes) == [(1, 101), (2, 102)]


def test_a_record_read_again_finds_the_note_it_confirmed_before() -> None:
    before = note(101, source_key="msg:1", at=later(-30))

    assert pairs([record(1)], [note(102), before]) == [(1, 101)]
    assert pairs([record(2)], [before]) == []


# -- on both engines ---------------------------------------------------------------------------------------
@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    """A customer who asked something, and two reps known to the vendor."""
    channel = Channel()
    installed(monkeypatch, channel)
    made = await house(database, channel)
    async with database.begin(1) as conn:
        await staff.bind(conn, made.account.realm, "lin", LIN)
        await staff.bind(conn, made.account.realm, "zhou", ZHOU)
    await take(made, "q", said("多少钱", at=later(-60)))
    return made


async def take(home: House, key: str, envelope: Envelope) -> None:
    await home.take({key: [envelope]}, lane="anna")
    while await home.pipeline.settle(1):
        pass


async def witnessed(
    home: House, key: str, text: str = "三百元", *, by: str = "lin", after_s: float = 5
) -> None:
    await take(home, key, answered(text, at=later(after_s), staff=by, witness=True))


async def noted(home: House, key: str = "js1", text: str = "三百元", *, after_s: float = 3) -> None:
    async with home.db.begin(1) as conn:
        plugged = home.directory.by_id(home.account.account_id)
        word = Word(key=key, text=text, staff_id=LIN)
        talk = await talk_of(conn, "anna")
        await push.record(conn, plugged, talk, word, certain=True, now=later(after_s))


async def shown(home: House) -> list[str]:
    """Texts on the customer's timeline, oldest first."""
    event, link = schema.event.c, schema.event_node.c
    async with home.db.read(1) as conn:
        stmt = (
            sa.select(event.text)
            .join_from(schema.event, schema.event_node, event.event_id == link.event_id)
            .where(event.tenant_id == 1, link.tenant_id == 1, event.superseded_by.is_(None))
        )
        return [r.text for r in await conn.rows(stmt.order_by(event.at, event.event_id))]


async def states(home: House) -> list[str]:
    async with home.db.read(1) as conn:
        return [d.state for d in await outbox.page(conn, state="", before=None, limit=9)]


@pytest.mark.parametrize("note_first", [True, False])
async def test_the_record_confirms_the_note_and_the_message_shows_once(home: House, note_first: bool) -> None:
    if note_first:
        await noted(home)
        assert await states(home) == ["unconfirmed"]
        await witnessed(home, "msg:9")
    else:
        await witnessed(home, "msg:9")
        assert await shown(home) == ["多少钱", "三百元"]
        await noted(home)

    assert await shown(home) == ["多少钱", "三百元"]
    assert await states(home) == ["sent"]


async def test_without_a_note_the_record_is_the_message(home: House) -> None:
    await witnessed(home, "msg:9")
    await witnessed(home, "msg:10", "四百元", after_s=9)

    assert await shown(home) == ["多少钱", "三百元", "四百元"]
    assert await states(home) == []


async def test_another_members_same_words_are_another_message(home: House) -> None:
    await noted(home)
    await witnessed(home, "msg:9", by="zhou")

    assert await shown(home) == ["多少钱", "三百元", "三百元"]
    assert await states(home) == ["unconfirmed"]


async def test_an_envelope_that_is_no_witness_confirms_nothing(home: House) -> None:
    await noted(home)
    await take(home, "msg:9", answered("三百元", at=later(5), staff="lin"))

    assert await shown(home) == ["多少钱", "三百元", "三百元"]
    assert await states(home) == ["unconfirmed"]


async def test_one_record_confirms_one_of_two_equal_notes(home: House) -> None:
    await noted(home, "js1", after_s=3)
    await noted(home, "js2", after_s=30)
    await witnessed(home, "msg:9", after_s=31)

    assert sorted(await states(home)) == ["sent", "unconfirmed"]
    await witnessed(home, "msg:10", after_s=32)
    assert await states(home) == ["sent", "sent"]
    assert await shown(home) == ["多少钱", "三百元", "三百元"]


async def test_a_replay_that_reads_the_record_differently_still_shows_one(home: House) -> None:
    await noted(home)
    envelope = answered("三百元", at=later(5), staff="lin", witness=True)
    await take(home, "msg:9", envelope)
    while await home.pipeline.react(1):
        pass
    home.channel.says[b"msg:9"] = [replace(envelope, body={"more": "fields"})]
    async with home.db.begin(1) as conn:
        await inbox.replay(conn, since=later(-999_999_999))

    while await home.pipeline.settle(1):
        pass

    assert await shown(home) == ["多少钱", "三百元"]
    assert await states(home) == ["sent"]


@pytest.mark.parametrize("recall_first", [True, False])
async def test_taking_the_record_back_takes_the_message_back(home: House, recall_first: bool) -> None:
    async def recalled() -> None:
        await take(home, "r", answered("撤回", kind="event.recalled", direction="none", recalls="msg:9"))

    await noted(home)
    if recall_first:
        await recalled()
    await witnessed(home, "msg:9")
    if not recall_first:
        await recalled()

    async with home.db.read(1) as conn:
        event = schema.event.c
        stmt = sa.select(event.source_key).where(event.tenant_id == 1, event.recalled_at.is_not(None))
        assert "ours:js1:0" in {r.source_key for r in await conn.rows(stmt)}
