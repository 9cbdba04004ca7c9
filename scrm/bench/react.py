"""React: rules and suggestions, in messages a second of one worker, and of several on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from scrm.app import TENANT
from scrm.bench.crew import crew
from scrm.bench.ground import Figures, talk
from scrm.bench.site import Site, pipeline, service, site, store

ROWS = 5_000
#: On PostgreSQL: so many processes over one backlog.
CREWS = (1, 2, 4)


async def run(rows: int = ROWS, *, database: str = "", crews: Sequence[int] = CREWS) -> Figures:
    """Suggestions ranked and stored for every message; and settle and react of one worker together."""
    async with site(database) as place:
        settled, reacted = await _alone(place, rows)
    figures: Figures = {
        "rows": rows,
        "react_rows_s": round(rows / reacted),
        "react_us_a_row": round(reacted / rows * 1e6, 1),
        "settle_and_react_rows_s": round(rows / (settled + reacted)),
    }
    for size in crews if database else ():
        async with site(database) as place:
            await _fill(place, rows)
            first = await crew(place, "settle", size, rows)
            then = await crew(place, "react", size, rows)
            figures[f"react_{size}_processes_s"] = round(then.rate)
            figures[f"settle_and_react_{size}_processes_s"] = round(rows / (first.seconds + then.seconds))
    return figures | {"bound_rows_s": 500, "ratio": round(rows / reacted / 500, 2), "bar": 1.0}


async def _fill(place: Site, rows: int) -> None:
    async with service(place) as one:
        await store(one, [said.raw for said in talk(rows, people=max(1, rows // 10))])


async def _alone(place: Site, rows: int) -> tuple[float, float]:
    """Seconds one worker takes to settle, and to react, in this process."""
    await _fill(place, rows)
    async with service(place) as one:
        line, moved, began = pipeline(one), 0, perf_counter()
        while moved < rows:
            moved += await line.settle(TENANT)
        settled, moved = perf_counter(), 0
        while moved < rows:
            moved += await line.react(TENANT)
        return settled - began, perf_counter() - settled
