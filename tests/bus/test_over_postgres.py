"""Without Redis several processes hear each other through PostgreSQL; it alone is enough."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from scrm.bus import hub
from scrm.bus.links import linked
from scrm.db import Database
from scrm.live import Change, Live
from scrm.seal import Vault
from tests.bus.room import Process, acquainted
from tests.ground import until
from tests.services import Cluster

#: What only the scaled engine does.
ENGINES = ["postgresql"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_AGAIN_S", 0.05)
    monkeypatch.setattr(hub, "_AGAIN_MAX_S", 0.1)


@asynccontextmanager
async def on(url: str, vault: Vault, redis_url: str = "") -> AsyncIterator[tuple[Process, Live]]:
    db = await Database.open(url, vault)
    try:
        async with linked(db, redis_url) as links:
            yield Process(links.bus), Live(links.bus)
    finally:
        await db.close()


async def test_a_screen_of_one_process_hears_what_another_changed(postgresql_url: str, vault: Vault) -> None:
    async with on(postgresql_url, vault) as (one, mine), on(postgresql_url, vault) as (two, theirs):
        await acquainted(one, two)
        change = Change(topic="node:5", ident=7, version=2)

        with theirs.subscribe(1, ["node:5"]) as screen, theirs.subscribe(2, ["node:5"]) as stranger:
            mine.publish(1, [change])

            assert await screen.take(30) == [change]
            assert await stranger.take(0) == []


async def test_a_broken_listener_listens_again_and_screens_look_afresh(
    postgresql_url: str, cluster: Cluster, vault: Vault
) -> None:
    async with on(postgresql_url, vault) as (one, _), on(postgresql_url, vault) as (two, _):
        await acquainted(one, two)
        before = two.missed

        cluster.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' "
            "OR query = 'SELECT 1'",
        )

        async def again() -> bool:
            one.bus.publish("word", "again")
            return two.missed > before and "again" in two.heard

        await until(again)


async def test_a_redis_that_never_answers_changes_nothing(postgresql_url: str, vault: Vault) -> None:
    nowhere = "redis://127.0.0.1:9/0"
    async with on(postgresql_url, vault, nowhere) as (one, _), on(postgresql_url, vault, nowhere) as (two, _):
        await acquainted(one, two)

        one.bus.publish("word", "all the same")

        await two.hears("all the same")
        assert one.bus.wires == {"redis": False, "postgresql": True}


async def test_the_embedded_engine_has_nobody_to_tell(sqlite_url: str, vault: Vault) -> None:
    async with on(sqlite_url, vault, "redis://127.0.0.1:9/0") as (one, _):
        one.bus.publish("word", "x")

        assert (one.bus.wires, one.bus.deaf) == ({}, False)
