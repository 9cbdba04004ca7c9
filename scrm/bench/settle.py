"""Settle: from the inbox to the timeline with identity, against the same rows inserted raw."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from scrm.app import TENANT
from scrm.bench import bound
from scrm.bench.crew import crew
from scrm.bench.ground import Figures, profiles, talk
from scrm.bench.site import Site, pipeline, service, site, store

ROWS = 20_000
#: On PostgreSQL: so many processes over one backlog.
CREWS = (1, 2, 4)


async def run(rows: int = ROWS, *, database: str = "", crews: Sequence[int] = CREWS) -> Figures:
    """A tenth of the rows are profiles that join two identifiers; the rest is talk of as many people."""
    figures: Figures = {"rows": rows, "people": max(1, rows // 10)}
    async with site(database) as place:
        before = await _fill(place, rows)
        batch = place.settings.settle_rows
        alone = await _alone(place, rows)
        added, ways = await bound.raw_inserts(place, before, batches=max(1, rows // batch))
    best = min(ways.values())
    figures |= {
        "rows_a_transaction": batch,
        "rows_written": added,
        "settle_rows_s": round(rows / alone),
        "settle_us_a_row": round(alone / rows * 1e6, 1),
        **({f"raw_{way}_rows_s": round(rows / took) for way, took in ways.items()} if len(ways) > 1 else {}),
        "raw_rows_s": round(rows / best),
        "raw_us_a_row": round(best / rows * 1e6, 1),
    }
    for size in crews if database else ():
        async with site(database) as place:
            await _fill(place, rows)
            figures[f"settle_{size}_processes_s"] = round((await crew(place, "settle", size, rows)).rate)
    return figures | {"ratio": round(best / alone, 3), "bar": 0.20}


async def _fill(place: Site, rows: int) -> dict[str, int]:
    """The backlog, and how many rows each table had before anybody worked on it."""
    people = max(1, rows // 10)
    async with service(place) as one:
        raws = [*(said.raw for said in talk(rows - people, people=people)), *profiles(people)]
        await store(one, _shuffled(raws))
    return await asyncio.to_thread(bound.counts, place)


async def _alone(place: Site, rows: int) -> float:
    """Seconds one worker takes, in this process."""
    async with service(place) as one:
        line, moved, began = pipeline(one), 0, perf_counter()
        while moved < rows:
            moved += await line.settle(TENANT)
        return perf_counter() - began


def _shuffled(raws: list[Any]) -> list[Any]:
    """Profiles arrive between messages: every tenth row, not all at the end."""
    talk_rows = [r for r in raws if r.urgent]
    others = [r for r in raws if not r.urgent]
    step = max(1, len(talk_rows) // max(1, len(others)))
    mixed: list[Any] = []
    for number, row in enumerate(others):
        mixed += [*talk_rows[number * step : (number + 1) * step], row]
    return [*mixed, *talk_rows[len(others) * step :]]
