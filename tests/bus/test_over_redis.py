"""Redis killed, frozen, flushed, full: publishing never waits, screens look afresh, it heals by itself."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from connectors.kit.buckets import Buckets, Limit
from scrm.bus import hub
from scrm.bus.levels import SharedLevels
from scrm.bus.over_redis import TIMEOUT_S, RedisWire
from scrm.errors import BadConfig, Busy, NotSent
from tests import services
from tests.bus.room import Air, Ear, Process, acquainted, process
from tests.ground import until
from tests.services import Redis

OWNER, API = (1, 7), "/cgi-bin/x"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_AGAIN_S", 0.05)
    monkeypatch.setattr(hub, "_AGAIN_MAX_S", 0.1)


@pytest.fixture
def server() -> Iterator[Redis]:
    """A Redis that may be broken."""
    with services.redis() as one:
        yield one


@asynccontextmanager
async def on(url: str, *more: Ear) -> AsyncIterator[tuple[Process, RedisWire]]:
    wire = RedisWire(url)
    try:
        async with process(wire, *more) as one:
            yield one, wire
    finally:
        await wire.close()


async def up(one: Process, *, is_up: bool = True) -> None:
    async def so() -> bool:
        return one.bus.wires["redis"] is is_up

    await until(so)


async def test_processes_hear_each_other_over_redis(redis_url: str) -> None:
    async with on(redis_url) as (one, _), on(redis_url) as (two, _):
        await acquainted(one, two)

        one.bus.publish("word", "你好")

        await two.hears("你好")
        assert one.heard == []


async def test_a_killed_redis_is_noticed_and_when_it_is_back_everybody_looks_afresh(server: Redis) -> None:
    async with on(server.url) as (one, _), on(server.url) as (two, _):
        await acquainted(one, two)
        before = two.missed

        server.kill()
        await up(two, is_up=False)
        one.bus.publish("word", "lost")
        server.start()
        await up(one)
        await up(two)

        async def again() -> bool:
            one.bus.publish("word", "again")
            return "again" in two.heard

        await until(again)
        assert two.missed > before


async def test_while_redis_is_frozen_nobody_waits_and_the_second_wire_carries_on(server: Redis) -> None:
    air = Air("second")
    async with on(server.url, Ear(air)) as (one, wire), on(server.url, Ear(air)) as (two, _):
        await acquainted(one, two)
        server.freeze()
        try:
            began = time.monotonic()
            one.bus.publish("word", "said in the frost")
            published_s = time.monotonic() - began

            await two.hears("said in the frost")
            with pytest.raises(Busy):
                await wire.ask(lambda client: client.get("x"))
            # Known to be silent: not asked at all, so nothing of ours can hang on it.
            await up(one, is_up=False)
            await up(two, is_up=False)
            asked = [wire.ask(lambda client: client.get("x")) for _ in range(1000)]
            began = time.monotonic()
            found = await asyncio.gather(*asked, return_exceptions=True)
            assert all(isinstance(each, Busy) for each in found)
            refused_s = time.monotonic() - began
        finally:
            server.thaw()
        await up(one)
        await up(two)

    # Far below one wait for Redis, let alone a thousand.
    assert published_s < TIMEOUT_S
    assert refused_s < 1000 * TIMEOUT_S / 100


async def test_a_silent_redis_is_noticed_although_nobody_says_anything(server: Redis) -> None:
    async with on(server.url) as (one, _):
        await up(one)

        server.freeze()
        await up(one, is_up=False)
        server.thaw()

        await up(one)


async def test_a_flushed_redis_goes_on(server: Redis) -> None:
    async with on(server.url) as (one, _), on(server.url) as (two, _):
        await acquainted(one, two)

        server.flush()
        one.bus.publish("word", "after the flush")

        await two.hears("after the flush")


async def test_a_full_redis_still_carries_messages_but_counts_nothing(server: Redis) -> None:
    async with on(server.url) as (one, wire), on(server.url) as (two, _):
        await acquainted(one, two)
        levels = SharedLevels(wire)
        assert await levels.take(OWNER, API, burst=5, per_s=1) == 0

        server.limit(1)
        assert await levels.take(OWNER, "/cgi-bin/y", burst=5, per_s=1) is None
        one.bus.publish("word", "full")

        await two.hears("full")
        assert one.bus.wires == {"redis": True}
        server.limit(0)
        assert await levels.take(OWNER, "/cgi-bin/y", burst=5, per_s=1) == 0


async def test_a_wrong_password_is_an_outage_and_a_wrong_address_a_wrong_configuration(
    redis_url: str,
) -> None:
    wrong = redis_url.replace("redis://:", "redis://:not-")
    async with on(wrong) as (one, wire):
        await asyncio.sleep(0.2)
        assert one.bus.deaf
        with pytest.raises(Busy):
            await wire.ask(lambda client: client.get("x"))

    with pytest.raises(BadConfig):
        RedisWire("http://127.0.0.1:1")


# -- rate limits -------------------------------------------------------------------------------------------
async def taken(buckets: Buckets, tries: int, owner: tuple[int, int] = OWNER) -> int:
    """How many of so many calls may go out."""
    made = 0
    for _ in range(tries):
        try:
            await buckets.take(owner, API)
        except NotSent:
            continue
        made += 1
    return made


async def test_processes_share_one_limit(redis_url: str) -> None:
    limits = {API: Limit(burst=20, per_s=0.001)}
    async with on(redis_url) as (one, first), on(redis_url) as (two, second):
        await acquainted(one, two)
        both = [Buckets(limits, shared=SharedLevels(wire)) for wire in (first, second)]

        made = await asyncio.gather(*(taken(buckets, 30) for buckets in both))

        assert sum(made) == 20
        assert await taken(both[0], 5, owner=(2, 7)) == 5  # another tenant's account
        with pytest.raises(NotSent) as full:
            await both[1].take(OWNER, API)
        assert 900 < (full.value.retry_after_s or 0) <= 1000


async def test_a_shared_bucket_fills_again_with_time(redis_url: str) -> None:
    async with on(redis_url) as (one, wire):
        await up(one)
        buckets = Buckets({API: Limit(burst=2, per_s=50)}, shared=SharedLevels(wire))
        assert await taken(buckets, 2) == 2

        async def again() -> bool:
            return await taken(buckets, 1) == 1

        await until(again)


async def test_a_block_by_the_vendor_holds_for_every_process(redis_url: str) -> None:
    async with on(redis_url) as (one, first), on(redis_url) as (two, second):
        await acquainted(one, two)
        mine, theirs = Buckets(shared=SharedLevels(first)), Buckets(shared=SharedLevels(second))

        await mine.block(OWNER, API, 60)

        with pytest.raises(NotSent) as blocked:
            await theirs.take(OWNER, API)
        assert 55 < (blocked.value.retry_after_s or 0) <= 60
        await theirs.take(OWNER, "/cgi-bin/another")


@pytest.mark.parametrize("how", ["killed", "frozen", "full"])
async def test_without_redis_each_process_has_its_part_of_the_limit(server: Redis, how: str) -> None:
    limits = {API: Limit(burst=20, per_s=0.001)}
    air = Air("second")
    async with on(server.url, Ear(air)) as (one, first), on(server.url, Ear(air)) as (two, second):
        await acquainted(one, two)
        both = [
            Buckets(limits, shared=SharedLevels(wire), share=lambda p=p: p.bus.share)  # type: ignore[misc]
            for p, wire in ((one, first), (two, second))
        ]

        match how:
            case "killed":
                server.kill()
            case "frozen":
                server.freeze()
            case _:
                server.limit(1)
        made = await asyncio.gather(*(taken(buckets, 30) for buckets in both))
        if how == "frozen":
            server.signal(signal.SIGCONT)

        assert made == [10, 10]


async def test_what_went_out_before_the_outage_counts_after_it(server: Redis) -> None:
    async with on(server.url) as (one, wire):
        await up(one)
        buckets = Buckets({API: Limit(burst=20, per_s=0.001)}, shared=SharedLevels(wire))
        assert await taken(buckets, 15) == 15

        server.kill()

        assert await taken(buckets, 30) == 5
