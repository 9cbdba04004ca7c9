"""What visitors may ask is counted by all processes together, in a Redis that learns nobody's address."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis as Client

from scrm.app import TENANT
from scrm.bus import hub
from scrm.bus.levels import SharedLevels
from scrm.bus.over_redis import RedisWire
from scrm.errors import TooMany
from scrm.web import limits
from scrm.web.limits import RATES, Limits
from tests import services
from tests.bus.room import Air, Ear, Process, acquainted, process
from tests.ground import until
from tests.services import Redis
from tests.web.office import Office, office
from tests.web.visiting import Visitor, open_site

ENGINES = ["postgresql"]
SHOP, ADDRESS = (1, 7), "81.69.216.43"
EACH = 12


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_AGAIN_S", 0.05)
    monkeypatch.setattr(hub, "_AGAIN_MAX_S", 0.1)
    # So slowly filled again that what is counted here is exact.
    monkeypatch.setattr(limits, "RATES", {**RATES, "message": ((EACH, 1e-4), (10 * EACH, 1e-4))})


@pytest.fixture
def server() -> Iterator[Redis]:
    """A Redis that may be broken."""
    with services.redis() as one:
        yield one


@asynccontextmanager
async def counting(url: str, air: Air) -> AsyncIterator[tuple[Process, Limits]]:
    """One process: on the bus, over Redis and something that always works."""
    wire = RedisWire(url)
    try:
        async with process(wire, Ear(air)) as one:
            yield one, Limits(shared=SharedLevels(wire), share=lambda: one.bus.share)
    finally:
        await wire.close()


async def spent(counted: Limits, visitor: str, tries: int) -> int:
    made = 0
    for _ in range(tries):
        try:
            await counted.take("message", SHOP, visitor, visitor)
        except TooMany:
            continue
        made += 1
    return made


async def test_two_processes_allow_a_visitor_what_one_would(server: Redis) -> None:
    air = Air("second")
    async with counting(server.url, air) as (one, first), counting(server.url, air) as (two, second):
        await acquainted(one, two)

        found = [await spent(first, "v1", EACH - 2), await spent(second, "v1", EACH)]

        assert found == [EACH - 2, 2]
        assert await spent(second, "v2", 2) == 2


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_without_redis_each_process_allows_its_part(server: Redis, how: str) -> None:
    air = Air("second")
    async with counting(server.url, air) as (one, first), counting(server.url, air) as (two, second):
        await acquainted(one, two)

        server.kill() if how == "killed" else server.freeze()
        await first.take("message", SHOP, "somebody", "somewhere")  # at the latest now it is noticed

        async def down() -> bool:
            return one.bus.wires["redis"] is two.bus.wires["redis"] is False

        await until(down)
        made = [await spent(counted, "v1", EACH) for counted in (first, second)]
        if how == "frozen":
            server.thaw()

        assert made == [EACH // 2, EACH // 2]


async def test_a_visitor_who_changes_processes_is_still_one(
    tmp_path: Path, service_url: str, redis_url: str
) -> None:
    key = tmp_path / "master.key"
    shared: dict[str, Any] = {
        "database_url": service_url,
        "redis_url": redis_url,
        "master_key_file": str(key),
    }
    async with (
        office(tmp_path / "a", **shared) as desk,
        office(tmp_path / "b", people=False, **shared) as twin,
    ):
        await open_site(desk)
        house = twin.service.house
        async with house.db.read(TENANT) as conn:
            await house.directory.load(conn)
        await hearing(desk, twin)
        visitor = await Visitor(desk, headers={"X-Forwarded-For": ADDRESS}).come()
        other = Visitor(twin, token=visitor.token, headers=visitor.headers)

        statuses = [(await who.says("好")).status for _ in range(EACH) for who in (visitor, other)]
        kept = await names(redis_url)

    assert statuses.count(201) == EACH
    assert any("visit-message" in name for name in kept)
    assert not [name for name in kept if ADDRESS in name or visitor.token[:20] in name]


async def hearing(*desks: Office) -> None:
    async def so() -> bool:
        return all(desk.service.bus.wires["redis"] for desk in desks)

    await until(so)


async def names(url: str) -> list[str]:
    client = Client.from_url(url, decode_responses=True)
    try:
        return [name async for name in client.scan_iter("scrm:*")]
    finally:
        await client.aclose()
