"""A customer who asks us to stop is heard by the pipeline, once, and it can be taken back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scrm import inbox
from scrm.db import Database, utcnow
from scrm.ledger.consent import rules, store
from scrm.push import heeding
from tests.ground import House, Talking, house, installed, node_of, said


@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    channel = Talking()
    installed(monkeypatch, channel)
    return await house(database, channel)


async def hear(home: House, *texts: str) -> None:
    now = utcnow() - timedelta(minutes=5)
    for n, text in enumerate(texts):
        await home.take({f"m{n}": [said(text, at=now + timedelta(seconds=n))]}, lane="anna")
    while await home.pipeline.settle(1) or await home.pipeline.react(1):
        pass


async def entries(home: House) -> list[rules.Entry]:
    async with home.db.read(1) as conn:
        return await store.of_nodes(conn, [await node_of(conn, "anna")])


async def test_the_word_is_written_down_and_shown_on_the_timeline(home: House) -> None:
    await hear(home, "你们的课多少钱", "不要再给我发广告了")

    (entry,) = await entries(home)
    assert (entry.state, entry.purpose, entry.source, entry.channel) == (
        "withdrawn",
        "marketing",
        "customer",
        "",
    )
    assert entry.event_id is not None
    assert (await home.texts())[-1].startswith("已退订营销消息：客户说“不要再给我发广告")


async def test_it_is_heard_once_however_often_the_message_is_replayed(home: House) -> None:
    await hear(home, "TD")
    async with home.db.begin(1) as conn:
        await inbox.replay(conn, inbox_ids=None)
    while await home.pipeline.settle(1) or await home.pipeline.react(1):
        pass

    assert len(await entries(home)) == 1
    assert len(await home.texts()) == 2


async def test_ordinary_talk_is_no_word_about_it(home: House) -> None:
    await hear(home, "我要退订这门课", "好的谢谢")

    assert await entries(home) == []


async def test_a_customer_comes_back_by_their_own_word(home: House) -> None:
    await hear(home, "退订", "恢复订阅")

    held = rules.standing(await entries(home), "marketing", "testing")
    assert held is not None
    assert held.state == "granted"


async def test_one_of_us_can_take_it_back_and_both_stay_on_record(home: House) -> None:
    await hear(home, "退订")
    async with home.db.begin(1) as conn:
        node_id = await node_of(conn, "anna")
        order = heeding.Order(key="page:1", state="granted", reason="电话里同意", staff_id=7)
        assert await heeding.note(conn, home.account.account_id, node_id, order, now=utcnow())
        assert not await heeding.note(conn, home.account.account_id, node_id, order, now=utcnow())

    found = await entries(home)
    held = rules.standing(found, "marketing", "testing")
    assert held is not None
    assert (held.state, held.source, len(found)) == ("granted", "staff", 2)
    assert "已恢复接收：营销消息（电话里同意）" in await home.texts()
