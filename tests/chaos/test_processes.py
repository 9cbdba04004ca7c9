"""PostgreSQL, Redis, several processes: each dies by `kill -9` under load, nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests import services
from tests.chaos.conftest import NewServer, Tell
from tests.chaos.harness import (
    NOWHERE,
    SCRM,
    SLUG,
    Api,
    Findings,
    Ledger,
    Load,
    Profile,
    Sendings,
    Server,
    Web,
    Workers,
    judge,
    judge_sendings,
    seed,
    states_of_pushes,
    until,
    verdict,
)
from tests.chaos.phones import Vendor, say, simulated
from tests.services import Cluster

#: Kills of each kind: web processes, workers, and workers whose message is on the phone but not on record.
ROUNDS = 4
HERE = Path(__file__).parent


@pytest.fixture
def scaled(cluster: Cluster, redis_url: str) -> Iterator[Profile]:
    """Two processes of each kind on PostgreSQL and Redis."""
    url = cluster.new_database(services.migrated)
    yield Profile(database_url=url, owner_url=cluster.superuser(url), redis_url=redis_url, workers=2)
    cluster.drop(url)


@dataclass
class Pair:
    """The web processes, and the workers beside them."""

    web: Web
    workers: Workers


@pytest.fixture
async def pair(scaled: Profile, tmp_path: Path) -> AsyncIterator[Pair]:
    folder = tmp_path / "server"
    made = Pair(Web(folder, profile=scaled), Workers(folder, profile=scaled))
    yield made
    for one in (made.web, made.workers):
        await one.end()


async def one_dies(server: Server, rng: random.Random) -> None:
    """One process under the supervisor, at any moment of its work; back before the next may die."""
    before = {child.pid for child in server.children()}
    assert len(before) == server.profile.workers
    victim = rng.choice(sorted(before))
    os.kill(victim, signal.SIGKILL)
    await until(
        lambda: len({c.pid for c in server.children()} - {victim}) == server.profile.workers,
        "another process in its place",
    )


async def all_die(workers: Workers) -> None:
    """Every worker at once: the one that holds a message is among them."""
    before = {child.pid for child in workers.children()}
    for pid in sorted(before):
        os.kill(pid, signal.SIGKILL)
    await until(
        lambda: len({c.pid for c in workers.children()} - before) == workers.profile.workers, "new workers"
    )


async def senders_die(
    pair: Pair, api: Api, vendor: Vendor, talks: list[str], number: int, promised: list[str]
) -> None:
    """Pushes of which one is on the phone and not yet on record when its sender dies."""
    vendor.held.clear()
    vendor.holding = True
    few = 5 * len(talks) // ROUNDS  # the vendor allows five answers a customer
    async with asyncio.TaskGroup() as group:
        for n in range(few):
            talk = talks[(number * few + n) % len(talks)]
            group.create_task(say(api, talk, f"回复 {number}.{n}", promised))
        await until(vendor.held.is_set, "a push is between the phone and our record")
        await all_die(pair.workers)
        pair.workers.outlive_leases()


def of_load(ledger: Ledger, timelines: dict[str, list[str]]) -> dict[str, list[str]]:
    """The customers under load; those of the simulator wrote only to be answered."""
    openids = {word.openid for word in ledger.tried.values()}
    return {openid: texts for openid, texts in timelines.items() if openid in openids}


async def test_twelve_kills_of_web_worker_and_sender_lose_and_double_nothing(
    pair: Pair, http: ClientSession, tell: Tell, tmp_path: Path
) -> None:
    rng = random.Random(seed())
    load, promised = Load(pair.web.url, rng, clients=3), list[str]()
    async with simulated(pair.web) as vendor:
        await pair.web.start()
        await pair.workers.start()
        api = Api(pair.web.url, await pair.web.new_token(), http)
        for persona in vendor.world.personas:
            assert (await vendor.world.say(persona, SLUG, "在吗？")).state == "sent"
        await api.drained()
        talks = [t["id"] for t in await api.all("conversations")]
        async with load.running():
            for number in range(ROUNDS):
                await load.more(rng.randint(20, 100))
                await one_dies(pair.web, rng)
                await load.more(rng.randint(20, 100))
                await one_dies(pair.workers, rng)
                await load.more(rng.randint(20, 100))
                await senders_die(pair, api, vendor, talks, number, promised)
        await api.drained()
        timelines = await api.timelines()
        states = await states_of_pushes(api)
        sendings = judge_sendings(promised, states, vendor.phones())
        await pair.web.stop()
        await pair.workers.stop()

    found = judge(load.ledger, of_load(load.ledger, timelines))
    kept = Counter(state for (state,) in states.values())
    tell(
        f"seed {seed()}: {3 * ROUNDS} kills, {len(load.ledger.acked)} acked, {load.ledger.failures} failed "
        f"tries, ack p99 {load.ledger.p99_ms():.0f} ms, pushes {dict(kept)}"
    )
    assert found == Findings(), f"ledger: {load.ledger.save(tmp_path / 'ledger.json')}"
    assert sendings == Sendings()
    assert set(kept) == {"sent", "unknown"}
    assert kept["unknown"] >= ROUNDS
    assert len(promised) == len(set(promised)) == sum(kept.values())
    assert pair.web.rows("SELECT DISTINCT state FROM inbox") == [("done",)]
    assert pair.web.rows("SELECT source_key FROM event GROUP BY source_key HAVING count(*) > 1") == []


async def test_a_process_that_acks_before_it_stores_is_caught_on_postgresql(
    new_server: NewServer, scaled: Profile, http: ClientSession, tell: Tell
) -> None:
    alone = Profile(database_url=scaled.database_url, owner_url=scaled.owner_url)
    server, rng = new_server((str(HERE / "ack_first.py"),), alone), random.Random(seed())
    server.configure(NOWHERE)
    load = Load(server.url, rng, clients=24)

    await server.start()
    async with load.running():
        for _ in range(3):
            await load.more(rng.randint(100, 300))
            await server.kill()
            await server.start()
    await server.stop()
    server.program = SCRM
    await server.start()
    found, _ = await verdict(server, load, http)

    tell(f"ack first: {len(found.lost)} of {len(load.ledger.acked)} acked lost")
    assert found.lost
    assert found == Findings(lost=found.lost)


async def test_a_worker_that_notes_its_work_in_a_second_transaction_is_caught(
    new_server: NewServer, scaled: Profile, http: ClientSession, tell: Tell
) -> None:
    alone = Profile(database_url=scaled.database_url, owner_url=scaled.owner_url)
    server, rng = new_server((str(HERE / "two_transactions.py"),), alone), random.Random(seed())
    server.configure(NOWHERE)
    load = Load(server.url, rng)

    await server.start()
    async with load.running():
        for _ in range(3):
            await load.more(rng.randint(100, 200))
            await server.kill()
            await server.start()
    found, _ = await verdict(server, load, http)

    tell(f"two transactions: {len(found.doubled)} of {len(load.ledger.acked)} doubled")
    assert found.doubled
    assert found.lost == ()
