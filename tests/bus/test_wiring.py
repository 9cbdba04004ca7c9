"""The bus in a whole service: loops of other processes wake, screens hear, check and metrics tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import ClientSession, ClientTimeout

from scrm.app import waking, web_app
from scrm.check import findings
from scrm.contract import Severity
from scrm.db import Database
from scrm.live import Change, Live
from scrm.web.pages import topic
from scrm.web.serving import listening
from tests.bus.room import Air, Ear, Process, acquainted, process
from tests.ground import Channel, House, house, installed, until
from tests.web.office import Office, configured, office

ENGINES = ["postgresql"]


@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    channel = Channel()
    installed(monkeypatch, channel)
    return await house(database, channel)


@pytest.mark.parametrize("name", ["settle", "react", "send", "due"])
async def test_waking_a_loop_wakes_it_here_and_in_every_other_process(home: House, name: str) -> None:
    air = Air("a")
    async with process(Ear(air)) as one, process(Ear(air)) as two:
        await acquainted(one, two)
        loops = {n: getattr(home.worker, n) for n in ("settle", "react", "send", "due")}
        for loop in loops.values():
            loop.clear()

        waking(home.worker, two.bus)  # its worker is the one above
        one.bus.publish("wake", "something a later release knows")
        one.bus.publish("wake", name)

        async with asyncio.timeout(30):
            await loops[name].wait(60)


async def test_a_wake_is_told_to_the_others(home: House) -> None:
    air = Air("a")
    async with process(Ear(air)) as one, process(Ear(air)) as two:
        heard: list[str] = []
        two.bus.hear("wake", heard.append)
        await acquainted(one, two)

        for wake in waking(home.worker, one.bus).values():
            wake()

        async def told() -> bool:
            return len(heard) == 4

        await until(told)
        assert sorted(heard) == ["due", "react", "send", "settle"]


async def test_metrics_say_which_wires_work(tmp_path: Path, service_url: str, redis_url: str) -> None:
    async with office(tmp_path, people=False, database_url=service_url, redis_url=redis_url) as desk:

        async def shown() -> bool:
            text = (await desk.ask("GET", "/metrics")).text
            return all(f'scrm_bus_up{{wire="{w}"}} 1.0' in text for w in ("redis", "postgresql"))

        await until(shown)


@pytest.mark.parametrize(("answers", "severity"), [(True, Severity.OK), (False, Severity.WARN)])
async def test_check_says_whether_redis_answers(
    tmp_path: Path, service_url: str, redis_url: str, answers: bool, severity: Severity
) -> None:
    url = redis_url if answers else "redis://127.0.0.1:9/0"
    given = configured(tmp_path, database_url=service_url, redis_url=url)

    found = [f async for f in findings(given) if f.sentence.startswith("Redis")]

    assert [f.severity for f in found] == [severity]


async def test_check_says_that_the_embedded_database_has_no_use_for_redis(tmp_path: Path) -> None:
    given = configured(tmp_path, redis_url="redis://127.0.0.1:9/0")

    found = [f async for f in findings(given) if f.sentence.startswith("redis_url")]

    assert [f.severity for f in found] == [Severity.WARN]


# -- a screen ----------------------------------------------------------------------------------------------
@asynccontextmanager
async def screen(desk: Office, one: Process) -> AsyncIterator[asyncio.Queue[str]]:
    """What a stream says that hangs on this bus, event by event."""
    house = desk.service.house
    said: asyncio.Queue[str] = asyncio.Queue()
    headers = {"Cookie": f"scrm={desk.sessions['rep']}"}
    query = {"topics": topic(house.db.vault, "team", 0)}

    async def read(port: int) -> None:
        async with ClientSession(timeout=ClientTimeout(total=None)) as http:
            async with http.get(f"http://127.0.0.1:{port}/live", headers=headers, params=query) as stream:
                async for line in stream.content:
                    if line.startswith(b"event: "):
                        said.put_nowait(line.decode().removeprefix("event: ").strip())

    live = Live(one.bus)
    async with listening(web_app(replace(house, live=live)), "127.0.0.1", 0) as port:
        reading = asyncio.create_task(read(port))
        try:
            yield said
        finally:
            live.close()
            await reading


async def test_a_screen_looks_by_itself_again_and_again_while_its_process_is_deaf(
    tmp_path: Path, service_url: str
) -> None:
    air = Air("a", still=True)
    async with office(tmp_path, database_url=service_url) as desk, process(Ear(air)) as one:
        async with screen(desk, one) as said:
            async with asyncio.timeout(30):
                assert [await said.get() for _ in range(3)] == ["fresh"] * 3


async def test_a_screen_of_another_process_is_told_of_a_change(tmp_path: Path, service_url: str) -> None:
    air = Air("a")
    async with (
        office(tmp_path, database_url=service_url) as desk,
        process(Ear(air)) as one,
        process(Ear(air)) as two,
    ):
        await acquainted(one, two)
        async with screen(desk, two) as said:
            async with asyncio.timeout(30):
                assert await said.get() == "fresh"
                Live(one.bus).publish(1, [Change(topic="team:0", ident=7, version=1)])
                assert await said.get() == "change"
