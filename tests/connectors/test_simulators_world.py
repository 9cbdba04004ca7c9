"""The simulated people: who they are, how they chat, what their phones show."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient, TestServer

from connectors.kit.phones import phones
from connectors.kit.world import ANSWERS, LINES, Persona, World, answer, live, load
from tests.connectors.stage import APP_ID, Stage, staged


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as running:
        yield running


@pytest.fixture
def person(stage: Stage) -> Persona:
    return stage.world.personas[0]


# ---------------------------------------------------------------- the world


def test_the_same_seed_makes_the_same_people() -> None:
    one, same, other = (World(random.Random(seed)).personas for seed in (1, 1, 2))

    assert one == same
    assert {p.unionid for p in one}.isdisjoint(p.unionid for p in other)


def test_the_people_are_enough_distinct_and_spread_over_the_channels() -> None:
    people = World(random.Random(1), people=30).personas

    assert len({p.name for p in people}) == len({p.unionid for p in people}) == 30
    assert len({p.openid(APP_ID) for p in people} | {p.openid("wxother") for p in people}) == 60
    assert {c for p in people for c in p.channels} == {"wechat_oa", "wecom_kf"}
    assert sum(len(p.channels) == 2 for p in people) >= 4
    assert all(topic in LINES for p in people for topic in p.agenda)


def test_customers_take_up_what_the_rep_said_and_never_repeat_themselves(person: Persona) -> None:
    rng, used = random.Random(3), set[str]()

    replies = []
    for _ in range(12):
        replies.append(answer(person, "现在报名有优惠券，可以先来上一节试听课", used, rng))
        used.add(replies[-1])

    fitting = {line for words, lines in ANSWERS if "试听" in words or "优惠" in words for line in lines}
    assert len(fitting & set(replies[:6])) >= 2
    assert len(set(replies)) == 12
    assert not any("{" in line for line in replies)


async def test_live_customers_open_talks_and_answer_the_rep(stage: Stage) -> None:
    kf, _ = await stage.kf()
    await stage.oa()
    driver = asyncio.create_task(live(stage.world, 0.002, random.Random(5)))
    everyone = stage.world.personas

    try:
        await stage.hooks.until(lambda: all(any(b.mine for b in stage.world.phone(p)) for p in everyone))
        before = {p.number: len(stage.world.phone(p)) for p in everyone}
        for persona in everyone:
            if "wecom_kf" in persona.channels:
                await kf.human_says(persona, stage.world.staff[0], "您好，孩子几年级了？")
        talkers = [p for p in everyone if "wecom_kf" in p.channels and p.mood == "eager"]
        await stage.hooks.until(
            lambda: all(len(stage.world.phone(p)) > before[p.number] + 1 for p in talkers)
        )
    finally:
        driver.cancel()
        await asyncio.gather(driver, return_exceptions=True)

    said = {b.text for p in everyone for b in stage.world.phone(p) if b.mine}
    assert len(said) >= 24


async def test_load_sends_every_message_once_and_in_order_per_customer(stage: Stage) -> None:
    await stage.oa()

    bubbles = await load(stage.world, 2000, total=200, rng=random.Random(1))

    assert [bubble.state for bubble in bubbles] == ["sent"] * 200
    assert len({bubble.text for bubble in bubbles}) == 200
    for persona in stage.world.personas:
        ids = [int(bubble.id) for bubble in stage.world.phone(persona)]
        assert ids == sorted(ids)


async def test_waiting_for_an_arrival_wakes_on_the_next_message(stage: Stage, person: Persona) -> None:
    wecom, _ = await stage.wecom()
    waiting = asyncio.create_task(stage.world.arrival(person, 1))

    for text in ("一", "二"):
        wecom.chat(person, stage.world.staff[0], text)
        await asyncio.sleep(0)

    assert (await waiting).text == "二"


# ---------------------------------------------------------------- the phones


async def test_a_phone_shows_the_talk_and_lets_one_type_as_the_customer(
    stage: Stage, person: Persona
) -> None:
    wecom, _ = await stage.wecom()
    await stage.oa()
    wecom.chat(person, stage.world.staff[0], "<b>您好</b>")
    page = TestClient(TestServer(phones(stage.world), host="127.0.0.1"))
    stage.clients.append(page)
    await page.start_server()

    async with page.get("/phones") as everyone:
        listed = await everyone.text()
    async with page.post("/phones/1", data={"slug": "wechat_oa", "text": "多少钱？"}) as shown:
        assert (shown.status, shown.method) == (200, "GET")
        assert '<iframe src="/phones/1/screen"' in await shown.text()
    async with page.get("/phones/1/screen") as screen:
        text = await screen.text()
    async with page.get("/phones/1.json") as answer:
        talk = (await answer.json())["messages"]

    assert all(p.name in listed for p in stage.world.personas)
    assert "&lt;b&gt;您好&lt;/b&gt;" in text
    assert 'http-equiv="refresh"' in text
    assert [(m["text"], m["mine"], m["slug"]) for m in talk] == [
        ("<b>您好</b>", False, "wecom"),
        ("多少钱？", True, "wechat_oa"),
    ]
    for path, data, origin, status in (
        ("/phones/1", {"slug": "wechat_oa", "text": "x"}, "http://evil.example", 403),
        ("/phones/1", {"slug": "no", "text": "x"}, "", 400),
        ("/phones/999", {"slug": "wechat_oa", "text": "x"}, "", 404),
    ):
        headers = {"Origin": origin} if origin else {}
        async with page.post(path, data=data, headers=headers) as refused:
            assert refused.status == status
