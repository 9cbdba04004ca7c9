"""Rolling restarts under callback load: no callback fails, and what was acked is all there."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests import services
from tests.chaos.conftest import NewServer, Tell
from tests.chaos.harness import NOWHERE, Findings, Load, Profile, Server, seed, until, verdict
from tests.services import Cluster

SEED = seed()
TIMES = 10
#: Of both the right and the wrong way, so that they can be compared.
CLIENTS = 24
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervised(Profile):
    """Behind a supervisor even where one process serves."""

    @property
    def flags(self) -> tuple[str, ...]:
        return ("--workers", str(self.workers))


@pytest.fixture
def scaled(cluster: Cluster) -> Iterator[Supervised]:
    """Three processes on PostgreSQL."""
    url = cluster.new_database(services.migrated)
    yield Supervised(database_url=url, owner_url=cluster.superuser(url), workers=3)
    cluster.drop(url)


async def renewed(server: Server, times: int) -> None:
    every = server.profile.workers
    done = f'"processes": {every}, "of": {every}, "event": "renewed"'
    await until(lambda: server.said().count(done) >= times, "all processes are renewed")


async def rolled(server: Server, load: Load, enough: Callable[[], bool] = lambda: False) -> None:
    """Renew every process, again and again, while callbacks come in."""
    await server.start()
    async with load.running():
        for number in range(TIMES):
            if enough():
                return
            await load.more(100)
            os.kill(server.pid, signal.SIGHUP)
            await renewed(server, number + 1)
        await load.more(100)


async def judged(server: Server, load: Load, http: ClientSession, tell: Tell, name: str) -> Findings:
    found, stored = await verdict(server, load, http)
    await server.stop()
    tell(f"{name}: {len(load.ledger.acked)} acked, {stored} stored, {TIMES} renewals, "
         f"failed tries {dict(load.ledger.refusals)}")  # fmt: skip
    return found


async def test_ten_rolling_restarts_of_three_processes_fail_no_callback(
    new_server: NewServer, scaled: Supervised, http: ClientSession, tell: Tell
) -> None:
    server = new_server(profile=scaled)
    server.configure(NOWHERE)
    load = Load(server.url, random.Random(SEED), clients=CLIENTS, fresh=True)

    await rolled(server, load)
    found = await judged(server, load, http, tell, "PostgreSQL, three processes")

    assert (load.ledger.refusals, found) == ({}, Findings())


async def test_ten_restarts_of_the_embedded_service_fail_no_callback(
    new_server: NewServer, http: ClientSession, tell: Tell
) -> None:
    server = new_server(profile=Supervised())
    server.configure(NOWHERE)
    load = Load(server.url, random.Random(SEED), clients=4, fresh=True)

    await rolled(server, load)
    found = await judged(server, load, http, tell, "SQLite, one process")

    assert (load.ledger.refusals, found) == ({}, Findings())
    assert server.intact()


async def test_connections_that_are_kept_open_fail_no_callback_either(
    new_server: NewServer, http: ClientSession, tell: Tell
) -> None:
    server = new_server(profile=Supervised())
    server.configure(NOWHERE)
    load = Load(server.url, random.Random(SEED), clients=4)

    await rolled(server, load)
    found = await judged(server, load, http, tell, "SQLite, connections kept open")

    assert (load.ledger.refusals, found) == ({}, Findings())


async def test_processes_with_sockets_of_their_own_refuse_callbacks(
    new_server: NewServer, scaled: Supervised, tell: Tell
) -> None:
    server = new_server((str(HERE / "own_sockets.py"),), profile=scaled)
    server.configure(NOWHERE)
    load = Load(server.url, random.Random(SEED), fresh=True, clients=CLIENTS)

    await rolled(server, load, enough=lambda: load.ledger.failures > 0)

    tell(f"sockets of their own: {load.ledger.failures} failed tries, {len(load.ledger.acked)} acked")
    assert load.ledger.failures > 0
