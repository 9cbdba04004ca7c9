"""Flow: whether what waits grows while messages come in at a steady rate; settle and react as in service."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import islice
from time import perf_counter

from scrm import jobs
from scrm.app import TENANT, Service
from scrm.bench.ground import SLUG, Figures, platform, talk, text_message
from scrm.bench.site import Site, process, service, site, waiting
from scrm.contract import Raw
from scrm.db import utcnow

RATE, SECONDS, WORKERS, PEOPLE = 1_000, 20.0, 2, 500
_SOON = timedelta(minutes=1)
_TICK_S, _SAMPLE_S, _DRAIN_S = 0.02, 0.5, 120.0


async def run(
    rate: int = RATE,
    seconds: float = SECONDS,
    workers: int = WORKERS,
    people: int = PEOPLE,
    *,
    database: str = "",
) -> Figures:
    """`rate` messages a second of known customers into the inbox, in batches of a fiftieth of a second.

    On PostgreSQL `workers` processes of `scrm worker` work them off, on SQLite the one there can be.
    """
    async with site(database) as place, platform() as api, _service(place, api, workers) as one:
        await _meet(one, people)
        offered = asyncio.create_task(_offer(one, rate, seconds, people))
        samples = []
        while not offered.done():
            samples.append(await _backlog(one))
            await asyncio.sleep(_SAMPLE_S)
        sent, took = await offered
        end, began = await _backlog(one), perf_counter()
        async with asyncio.timeout(_DRAIN_S):
            while await _backlog(one):  # noqa: ASYNC110 - another process's queue rings no bell of ours
                await asyncio.sleep(_TICK_S)
        drained = perf_counter() - began
    quarter = max(1, len(samples) // 4)
    before = statistics.fmean(samples[-2 * quarter : -quarter] or [0])
    last = statistics.fmean(samples[-quarter:])
    return {
        "workers": workers if database else 1,
        "offered_s": rate,
        "sent": sent,
        "sent_s": round(sent / took),
        "backlog_third_quarter": round(before),
        "backlog_last_quarter": round(last),
        "backlog_end": end,
        "growth_s": round((last - before) / (took / 4), 1),
        "drained_s": round(drained, 2),
        "ratio": round((sent - end) / sent, 3),
        "bar": 0.97,
    }


@asynccontextmanager
async def _service(place: Site, api: str, workers: int) -> AsyncIterator[Service]:
    async with service(place, api, work=not place.many) as one:
        if not place.many:
            yield one
            return
        words = ("scrm", "--config", place.config(api), "worker", "--processes", str(workers))
        async with process(*words, cwd=place.folder):
            yield one


async def _meet(one: Service, people: int) -> None:
    """Everybody has said something once, and their profiles were fetched."""
    account, now = one.house.directory.by_slug(SLUG).account, utcnow()
    hello = [_greeting(number, int(now.timestamp())) for number in range(people)]
    await one.house.inbox.accept(account, hello, received_at=now)
    async with asyncio.timeout(_DRAIN_S):
        while await _backlog(one) or await _due(one):  # noqa: ASYNC110 - as above
            await asyncio.sleep(_SAMPLE_S)


def _greeting(number: int, at: int) -> Raw:
    return text_message(f"o_bench_{number:022d}", str(6 * 10**18 + number), at, "在吗").raw


async def _due(one: Service) -> bool:
    async with one.house.db.read(TENANT) as conn:
        at = await jobs.next_at(conn)
    # What is looked at every hour does not belong to anybody's arrival.
    return at is not None and at < utcnow() + _SOON


async def _offer(one: Service, rate: int, seconds: float, people: int) -> tuple[int, float]:
    """How many were stored, and in how many seconds."""
    raws = iter([said.raw for said in talk(int(rate * seconds), people=people)])
    account, box, sent, began = one.house.directory.by_slug(SLUG).account, one.house.inbox, 0, perf_counter()
    while (spent := perf_counter() - began) < seconds:
        if batch := list(islice(raws, int(rate * spent) - sent)):
            sent += await box.accept(account, batch, received_at=utcnow())
        await asyncio.sleep(_TICK_S)
    return sent, perf_counter() - began


async def _backlog(one: Service) -> int:
    counts = await waiting(one)
    return counts["new"] + counts["settled"]
