"""How far behind a vendor we are: known stream by stream, alarming in time, said where somebody looks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from scrm import inbox, jobs
from scrm.check import findings
from scrm.contract import Polled, Severity
from scrm.db import Database, utcnow
from scrm.errors import NotSent
from scrm.inbox import Lag
from scrm.worker import finish
from scrm.worker.following import Following
from tests.ground import Fetching, House, house, installed, later, raw, until
from tests.web.office import configured, office


class Followed(Fetching):
    """A channel with a stream that is asked from the first day on."""

    STREAMS = ("archive",)


@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    channel = Followed()
    installed(monkeypatch, channel)
    return await house(database, channel)


def vendor(home: House) -> Followed:
    assert isinstance(home.channel, Followed)
    return home.channel


@asynccontextmanager
async def working(home: House) -> AsyncIterator[None]:
    task = asyncio.create_task(home.worker.run(home.pipeline))
    try:
        yield
    finally:
        await finish(task, home.worker)


async def lags(home: House, now: datetime | None = None) -> list[Lag]:
    async with home.db.read(1) as conn:
        return await inbox.lags(conn, now=now or utcnow())


async def test_a_stream_nobody_announced_is_asked_all_the_same(home: House) -> None:
    home.channel.says[b"m1"] = []
    vendor(home).pages["archive", ""] = Polled(raws=(raw("m1"),), cursor="1", more=False)

    async with working(home):
        await until(lambda: _stored(home, "m1"))

    assert vendor(home).polled[0] == ("archive", "", "")


async def _stored(home: House, key: str) -> bool:
    return key in await home.states()


async def test_following_again_changes_nothing_that_is_under_way(home: House) -> None:
    async with home.db.begin(1) as conn:
        await inbox.following(conn, 11, "archive", now=later(0))
        await inbox.reached(conn, 11, "archive", later(60), now=later(60))
        await jobs.begin(conn, "poll", "11:archive", 11, {"stream": "archive", "hint": "first"}, at=later(60))

        await inbox.following(conn, 11, "archive", now=later(999))
        await jobs.begin(conn, "poll", "11:archive", 11, {"stream": "archive", "hint": "again"}, at=later(0))

        (found,) = await jobs.claim(conn, now=later(60), limit=9)
        assert found.payload["hint"] == "first"
        assert [lag.behind for lag in await inbox.lags(conn, now=later(100))] == [timedelta(seconds=40)]


async def test_the_place_reached_never_moves_back(home: House) -> None:
    async with home.db.begin(1) as conn:
        await jobs.begin(conn, "poll", "11:s", 11, {"stream": "s"}, at=later(0))
        for at in (later(100), later(50)):
            await inbox.reached(conn, 11, "s", at, now=later(100))

        assert [lag.behind for lag in await inbox.lags(conn, now=later(160))] == [timedelta(seconds=60)]
        assert await inbox.cursor_of(conn, 11, "s") == ""


async def test_a_stream_that_was_read_to_its_end_is_not_behind(home: House) -> None:
    vendor(home).pages["archive", ""] = Polled(raws=(), cursor="7", more=False)

    async with working(home):
        await until(lambda: _polled(home))
        await until(lambda: _reached(home, timedelta(seconds=5)))

    (lag,) = await lags(home, utcnow() + timedelta(hours=2))
    assert timedelta(hours=2) <= lag.behind < timedelta(hours=2, minutes=1)


async def _polled(home: House) -> bool:
    return bool(vendor(home).polled)


async def _reached(home: House, within: timedelta) -> bool:
    return all(lag.behind < within for lag in await lags(home))


async def test_one_that_is_behind_says_by_how_much(home: House) -> None:
    old = utcnow() - timedelta(hours=30)
    async with home.db.begin(1) as conn:
        await inbox.following(conn, home.account.account_id, "archive", now=old - timedelta(hours=50))
    vendor(home).pages["archive", ""] = Polled(raws=(), cursor="7", more=True, upto=old)
    vendor(home).pages["archive", "7"] = NotSent("断了。")

    async with working(home):
        await until(lambda: _failed(home))

    (lag,) = await lags(home)
    assert timedelta(hours=30) <= lag.behind < timedelta(hours=30, minutes=1)
    assert lag.sentence == "拉取落后 30.0 小时，平台只保留几天，请尽快处理。最近一次失败的原因：断了。"


async def _failed(home: House) -> bool:
    return any(lag.error for lag in await lags(home))


async def test_one_that_never_worked_counts_from_its_first_day(home: House) -> None:
    vendor(home).pages["archive", ""] = NotSent("断了。")

    async with working(home):
        await until(lambda: _failed(home))

    (lag,) = await lags(home, utcnow() + timedelta(days=1))
    assert lag.behind >= timedelta(days=1)


async def test_a_stream_that_is_over_is_not_asked_again(home: House) -> None:
    async with home.db.begin(1) as conn:
        payload = {"stream": "archive:again:1", "hint": "sealed"}
        await jobs.begin(conn, "poll", "again", home.account.account_id, payload, at=await conn.now())
    vendor(home).pages["archive:again:1", ""] = Polled(raws=(), cursor="", more=False, over=True)

    async with working(home):
        await until(lambda: _asked(home, "archive:again:1"))
        await until(lambda: _gone(home))

    assert [s for s, _, _ in vendor(home).polled].count("archive:again:1") == 1


async def _asked(home: House, stream: str) -> bool:
    return any(s == stream for s, _, _ in vendor(home).polled)


async def _gone(home: House) -> bool:
    async with home.db.begin(1) as conn:
        left = await jobs.claim(conn, now=utcnow() + timedelta(days=1), limit=9)
    return all(job.key != "again" for job in left)


@pytest.mark.parametrize(("hours", "alarmed"), [(11, False), (13, True)])
async def test_the_log_raises_an_alarm_while_the_vendor_still_has_it_all(
    home: House, hours: int, alarmed: bool
) -> None:
    premises = home.worker.errands._on  # noqa: SLF001 - what the errands of a worker are run with
    watching = Following(premises, timedelta(hours=12))
    async with home.db.begin(1) as conn:
        now = await conn.now()
        await jobs.begin(
            conn, "poll", f"{home.account.account_id}:archive", home.account.account_id, {}, at=now
        )
        began = now - timedelta(hours=hours)
        await inbox.following(conn, home.account.account_id, "archive", now=began)

    with capture_logs() as lines:
        await watching.watch(1)
        await watching.watch(1)

    said: list[Any] = [line["hours"] for line in lines if line["event"] == "stream behind"]
    assert said == ([hours] if alarmed else [])


async def test_whoever_looks_is_told(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        there = desk.service.house
        ident = next(p for p in there.directory.all(1) if p.account.slug == "oa-a").account.account_id
        async with there.db.begin(1) as conn:
            now = await conn.now()
            await inbox.following(conn, ident, "s", now=now - timedelta(hours=20))
            await jobs.begin(conn, "poll", f"{ident}:s", ident, {"stream": "s"}, at=now + timedelta(hours=1))
        text = (await desk.bare("GET", "/metrics")).text

    found = {
        (sample.labels["account"], sample.labels["stream"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "scrm_stream_lag_seconds"
    }
    assert 72_000 <= found["oa-a", "s"] < 72_100
    said = [one async for one in findings(configured(tmp_path))]
    (alarm,) = [one for one in said if "落后" in one.sentence]
    assert alarm.severity is Severity.ERROR
    assert alarm.sentence.startswith("账号 oa-a：拉取落后 20.0 小时")
