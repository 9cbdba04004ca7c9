"""PostgreSQL crashes, hangs, stops or is slow under load: the spool acks callbacks, nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.chaos.conftest import Tell
from tests.chaos.harness import Findings, seed
from tests.chaos.outages import FORGETFUL, Stand, away, crashes, durable, profile, side_by_side, writing
from tests.chaos.proxy import Proxy
from tests.services import Postgres

CRASHES = 5
FROZEN_S, STOPPED_S, SLOW_S = 8.0, 30.0, 5.0
#: Each way; a commit takes several ways there and back, and no callback waits for that.
LATENCY_S = 1.2
#: What a callback may wait typically while the database is too slow.
TYPICAL_MS = 1200


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with durable() as one:
        yield one


async def test_five_crashes_of_the_database_lose_and_double_nothing(
    postgres: Postgres, http: ClientSession, tell: Tell, tmp_path: Path
) -> None:
    right_on, wrong_on = profile(postgres, workers=2), profile(postgres, workers=1)
    async with side_by_side(tmp_path, http, right_on, wrong_on, FORGETFUL) as (ours, wrong):
        async with writing(ours, wrong):
            await crashes(postgres, ours, CRASHES)
        told = f"{ours.acks()}; {await come_through(ours, tmp_path)}"
        await wrong.drained()
        caught = await wrong.findings()

    lost = f"{len(caught.lost)} of {len(wrong.load.ledger.acked)} acked"
    tell(f"seed {seed()}, {CRASHES} crashes: {told}; a server without memory lost {lost}")
    assert postgres.log.count("was not properly shut down") == CRASHES
    assert caught.lost
    assert caught == Findings(lost=caught.lost)


async def test_callbacks_are_acked_while_the_database_hangs_and_while_it_is_stopped(
    postgres: Postgres, http: ClientSession, tell: Tell, tmp_path: Path
) -> None:
    right_on, wrong_on = profile(postgres, workers=2), profile(postgres, workers=1)
    async with side_by_side(tmp_path, http, right_on, wrong_on, spool_max_rows=0) as (ours, wrong):
        async with writing(ours, wrong):
            frozen = await away(postgres.freeze, postgres.thaw, ours, FROZEN_S)
            stop = partial(postgres.stop, "fast")
            stopped = await away(stop, postgres.start, ours, STOPPED_S)
        told = await come_through(ours, tmp_path)
        await wrong.drained()
        refused = await wrong.findings()

    tell(f"frozen {FROZEN_S:.0f} s: {frozen}\nstopped {STOPPED_S:.0f} s: {stopped}")
    tell(f"{told}; {turned_away(wrong)}")
    assert wrong.given_up > 0
    assert refused == Findings()


async def test_callbacks_do_not_wait_for_a_slow_database(
    postgres: Postgres, http: ClientSession, tell: Tell, tmp_path: Path
) -> None:
    async with Proxy(postgres.port).running() as way:

        def slow() -> None:
            way.latency_s = LATENCY_S

        right_on, wrong_on = (profile(postgres, workers=n, port=way.port) for n in (2, 1))
        async with side_by_side(tmp_path, http, right_on, wrong_on, spool_max_rows=0) as (ours, wrong):
            async with writing(ours, wrong):
                acks = await away(slow, way.heal, ours, SLOW_S)
            told = await come_through(ours, tmp_path)

    tell(f"{LATENCY_S:.1f} s of latency each way: {acks}; {told}; {turned_away(wrong)}")
    assert acks.ms(0.5) < TYPICAL_MS
    assert wrong.given_up > 0


async def come_through(ours: Stand, folder: Path) -> str:
    """Every word was acked and stands on its timeline once, in its place; by which way they came."""
    took_s = await ours.drained()
    found, forwarded = await ours.findings(), await ours.metric("scrm_spool_forwarded_total")
    ledger = ours.load.ledger
    # First what tells most about a word that is missing.
    assert ours.blamed() == {}
    assert ours.server.rows("SELECT DISTINCT state, stage, error FROM inbox") == [("done", "", "")]
    assert found == Findings(), f"ledger: {ledger.save(folder / 'ledger.json')}"
    assert ours.given_up == 0, f"failed tries: {dict(ledger.refusals)}"
    assert 0 < forwarded < len(ledger.acked), "the spool was not in use, or nothing else was"
    return (
        f"{forwarded:.0f} of {len(ledger.acked)} through the spool, failed tries {dict(ledger.refusals)}, "
        f"drained in {took_s:.1f} s"
    )


def turned_away(wrong: Stand) -> str:
    return f"without a spool {wrong.given_up} of {len(wrong.load.ledger.tried)} given up"
