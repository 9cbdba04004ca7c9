"""20,000 events doubled, shuffled, late, recalled before they came: the timeline of an orderly day."""

from __future__ import annotations

import random
import time

import pytest

from scrm.db import Database
from tests.chaos import disorder
from tests.chaos.conftest import Tell
from tests.chaos.harness import seed
from tests.ground import House, Talking, house, installed

EVENTS, CUSTOMERS = 20_000, 250


@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    channel = Talking()
    installed(monkeypatch, channel)
    return await house(database, channel, settle_rows=500)


async def test_the_timeline_of_a_disorderly_day_equals_the_orderly_one(
    database: Database, home: House, tell: Tell
) -> None:
    rng = random.Random(seed())
    told = disorder.happened(rng, EVENTS, CUSTOMERS)
    arrived = disorder.arrivals(rng, told)
    wanted = disorder.expected(told)
    began = time.monotonic()

    await disorder.pour(home, arrived)

    found = await disorder.timelines(database, home, sorted(wanted))
    early = disorder.recalled_before_it_came(arrived)
    rate = len(arrived) / (time.monotonic() - began)
    tell(f"seed {seed()}: {len(arrived)} arrivals of {EVENTS} events, {early} recalls early, {rate:.0f}/s")
    assert len(arrived) > EVENTS
    assert early > 50
    assert [c for c in wanted if repr(found[c]) != repr(wanted[c])] == []
    assert {state for state in (await home.states()).values()} == {"settled"}


async def test_a_timeline_by_our_own_clock_is_caught(database: Database, home: House) -> None:
    rng = random.Random(seed())
    told = disorder.happened(rng, 500, 5)
    wanted = disorder.expected(told)

    await disorder.pour(home, disorder.arrivals(rng, told), clock=disorder.our_own_clock)

    found = await disorder.timelines(database, home, sorted(wanted))
    assert all(
        [line.key for line in found[customer]] != [line.key for line in wanted[customer]]
        for customer in wanted
    )
    assert {c: {line.key for line in found[c]} for c in wanted} == {
        c: {line.key for line in wanted[c]} for c in wanted
    }
