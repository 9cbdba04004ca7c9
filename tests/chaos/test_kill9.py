"""`kill -9` under load: what was acked is on the timeline once and in order; what went out went out once."""

from __future__ import annotations

import asyncio
import random
import statistics
from collections import Counter
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.chaos.conftest import NewServer, Tell
from tests.chaos.harness import (
    NOWHERE,
    SCRM,
    SLUG,
    Api,
    Findings,
    Ledger,
    Load,
    Sendings,
    Server,
    Word,
    judge,
    judge_sendings,
    seed,
    states_of_pushes,
    until,
    verdict,
)
from tests.chaos.phones import Vendor, say, simulated

SEED = seed()
KILLS, KILLS_OUT = 30, 4
HERE = Path(__file__).parent


# -- the way in --------------------------------------------------------------------------------------------
async def under_fire(server: Server, load: Load, kills: int, rng: random.Random) -> None:
    """Kill the server `kills` times while it acks, each time at another moment of its work."""
    await server.start()
    async with load.running():
        for _ in range(kills):
            await load.more(rng.randint(50, 300))
            await asyncio.sleep(rng.uniform(0, 0.05))
            await server.kill()
            await server.start()


async def test_thirty_kills_under_load_lose_nothing_double_nothing_and_keep_the_order(
    new_server: NewServer, http: ClientSession, tell: Tell, tmp_path: Path
) -> None:
    server, rng = new_server(), random.Random(SEED)
    server.configure(NOWHERE)
    load = Load(server.url, rng)

    await under_fire(server, load, KILLS, rng)
    found, stored = await verdict(server, load, http)
    await server.stop()

    acked, p50 = len(load.ledger.acked), statistics.median(server.starts)
    tell(f"seed {SEED}: {acked} acked, {stored} stored, {KILLS} kills, restart p50 {p50 * 1000:.0f} ms")
    assert found == Findings(), f"ledger: {load.ledger.save(tmp_path / 'ledger.json')}"
    assert acked > KILLS * 50
    assert load.ledger.failures > 0  # the kills did hit callbacks
    assert server.intact()
    assert server.rows("SELECT DISTINCT state FROM inbox") == [("done",)]
    assert server.rows("SELECT source_key FROM event GROUP BY source_key HAVING count(*) > 1") == []


async def test_a_server_that_acks_before_it_stores_is_caught(
    new_server: NewServer, http: ClientSession, tell: Tell
) -> None:
    server, rng = new_server((str(HERE / "ack_first.py"),)), random.Random(SEED)
    server.configure(NOWHERE)
    load = Load(server.url, rng, clients=32)

    await under_fire(server, load, 3, rng)
    await server.stop()
    server.program = SCRM  # the right one tells us what the wrong one left behind
    await server.start()
    found, _ = await verdict(server, load, http)

    tell(f"ack first: {len(found.lost)} of {len(load.ledger.acked)} acked lost")
    assert found.lost
    assert found == Findings(lost=found.lost)


@pytest.mark.parametrize(
    ("shown", "wrong"),
    [
        # An acked word is missing.
        ({"o1": ["b"]}, Findings(lost=("a",))),
        # The same word stands there twice.
        ({"o1": ["a", "a", "b"]}, Findings(doubled=("a",))),
        # Within one second the vendor's ids say who spoke first.
        ({"o1": ["b", "a"]}, Findings(misplaced=("a",))),
        # A word on another customer's timeline.
        ({"o1": ["a"], "o2": ["b"]}, Findings(strange=("b",))),
        # Never acked but stored: its answer was lost on the way, the platform will not mind.
        ({"o1": ["a", "b", "c"]}, Findings()),
    ],
)
def test_the_judge_sees_each_kind_of_fault(shown: dict[str, list[str]], wrong: Findings) -> None:
    words = [Word(msg_id=n, openid="o1", at=7, text=t) for n, t in enumerate("abc")]
    ledger = Ledger(tried={w.text: w for w in words}, acked={"a", "b"})

    assert judge(ledger, shown) == wrong


# -- the way out -------------------------------------------------------------------------------------------
async def sent_under_fire(
    server: Server, vendor: Vendor, http: ClientSession, rounds: int
) -> tuple[Sendings, dict[str, list[str]]]:
    """Each round kills the server at the moment a message is on the phone and its record is not written."""
    await server.start()
    api = Api(server.url, await server.new_token(), http)
    for persona in vendor.world.personas:
        assert (await vendor.world.say(persona, SLUG, "在吗？")).state == "sent"
    await api.drained()
    talks, promised = [t["id"] for t in await api.all("conversations")], list[str]()
    few = 5 * len(talks) // KILLS_OUT  # the vendor allows five answers a customer
    for number in range(rounds):
        vendor.held.clear()
        vendor.holding = True
        mine = [talks[(number * few + n) % len(talks)] for n in range(few)]
        async with asyncio.TaskGroup() as group:
            for n, talk in enumerate(mine):
                group.create_task(say(api, talk, f"回复 {number}.{n}", promised))
            await until(vendor.held.is_set, "a push is between the phone and our record")
            await server.kill()
            server.outlive_leases()
            await server.start()
    await api.drained()
    states = await states_of_pushes(api)
    return judge_sendings(promised, states, vendor.phones()), states


async def test_a_push_is_never_sent_twice_whenever_the_sender_dies(
    new_server: NewServer, http: ClientSession, tell: Tell
) -> None:
    server = new_server()

    async with simulated(server) as vendor:
        found, states = await sent_under_fire(server, vendor, http, KILLS_OUT)
        await server.stop()

    kept = Counter(state for (state,) in states.values())
    unclear = {text for text, (state,) in states.items() if state == "unknown"}
    tell(f"{sum(kept.values())} pushes, {KILLS_OUT} kills between send and record: {dict(kept)}")
    assert found == Sendings()
    assert set(kept) == {"sent", "unknown"}
    assert len(unclear & vendor.phones().keys()) >= KILLS_OUT
    assert server.intact()


async def test_a_server_that_blindly_sends_again_is_caught(
    new_server: NewServer, http: ClientSession
) -> None:
    server = new_server((str(HERE / "blind_retry.py"),))

    async with simulated(server) as vendor:
        found, _ = await sent_under_fire(server, vendor, http, 1)

    assert found.twice


@pytest.mark.parametrize(
    ("states", "phones", "wrong"),
    [
        # Two of the same on the phone.
        ({"a": ["sent"]}, {"a": 2}, Sendings(twice=("a",))),
        # Recorded as sent, never arrived.
        ({"a": ["sent"]}, {}, Sendings(missing=("a",))),
        # Given up, yet it arrived.
        ({"a": ["dead"]}, {"a": 1}, Sendings(denied=("a",))),
        # Promised to the rep, then gone.
        ({}, {}, Sendings(forgotten=("a",))),
        # Unclear is honest, arrived or not.
        ({"a": ["unknown"]}, {"a": 1}, Sendings()),
    ],
)
def test_the_judge_of_sendings_sees_each_kind_of_fault(
    states: dict[str, list[str]], phones: dict[str, int], wrong: Sendings
) -> None:
    assert judge_sendings(["a"], states, Counter(phones)) == wrong
