"""A million events out of order, or as many as a fifth of the time allows; run by `make soak`."""

from __future__ import annotations

import random
import time

import pytest

from scrm.db import Database
from tests.chaos import disorder
from tests.chaos.conftest import Tell
from tests.chaos.harness import seed
from tests.chaos.soak import minutes
from tests.ground import Talking, house, installed

EVENTS, CUSTOMERS = 1_000_000, 5_000
_SLICE = 10_000


async def test_the_timeline_of_a_disorderly_year_equals_the_orderly_one(
    database: Database, monkeypatch: pytest.MonkeyPatch, tell: Tell
) -> None:
    channel, rng = Talking(), random.Random(seed())
    installed(monkeypatch, channel)
    home = await house(database, channel, settle_rows=500)
    arrived = disorder.arrivals(rng, disorder.happened(rng, EVENTS, CUSTOMERS))
    began, poured = time.monotonic(), 0
    enough_s = minutes() * 60 / 10  # on each of two engines

    while poured < len(arrived) and time.monotonic() - began < enough_s:
        await disorder.pour(home, arrived[poured : poured + _SLICE])
        poured += _SLICE

    told = list({one.key: one for one in arrived[:poured]}.values())
    wanted = disorder.expected(told)
    found = await disorder.timelines(database, home, sorted(wanted))
    tell(f"seed {seed()}: {len(told)} of {EVENTS} events, {poured / (time.monotonic() - began):.0f}/s")
    assert [c for c in wanted if repr(found[c]) != repr(wanted[c])] == []
