"""PostgreSQL crashes sixty times and stays away for five minutes, or what the time allows: `make soak`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.chaos.conftest import Tell
from tests.chaos.harness import Findings, seed
from tests.chaos.outages import Stand, away, crashes, durable, profile, stand, writing
from tests.chaos.soak import minutes
from tests.services import Postgres

CRASHES, STOPPED_S = 60, 300.0


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    with durable() as one:
        yield one


async def test_sixty_crashes_and_five_minutes_without_a_database_lose_nothing(
    postgres: Postgres, http: ClientSession, tell: Tell, tmp_path: Path
) -> None:
    async with stand(tmp_path / "ours", profile(postgres, workers=2), http) as ours:
        async with writing(ours):
            times = await crashed(postgres, ours)
            stopped_s = min(STOPPED_S, minutes() * 60 / 10)
            acks = await away(partial(postgres.stop, "fast"), postgres.start, ours, stopped_s)
        drained_s = await ours.drained()
        found = await ours.findings()

    ledger = ours.load.ledger
    tell(
        f"seed {seed()}: {times} crashes, then stopped {stopped_s:.0f} s: {acks}; {len(ledger.acked)} acked, "
        f"failed tries {dict(ledger.refusals)}, drained in {drained_s:.1f} s"
    )
    assert found == Findings(), f"ledger: {ledger.save(tmp_path / 'ledger.json')}"
    assert ours.given_up == 0
    assert ours.server.rows("SELECT DISTINCT state FROM inbox") == [("done",)]


async def crashed(postgres: Postgres, ours: Stand) -> int:
    """How often, before a tenth of the time was over."""
    began, times = time.monotonic(), 0
    while times < CRASHES and time.monotonic() - began < minutes() * 60 / 10:
        await crashes(postgres, ours, 1)
        times += 1
    return times
