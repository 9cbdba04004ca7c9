"""React: rules and suggestions, in messages a second of one worker."""

from __future__ import annotations

from time import perf_counter

from scrm.app import TENANT
from scrm.bench.ground import Figures, pipeline, service, store, talk

ROWS = 5_000


async def run(rows: int = ROWS) -> Figures:
    """Suggestions ranked and stored for every message; and settle and react of one worker together."""
    async with service() as one:
        await store(one, [said.raw for said in talk(rows, people=max(1, rows // 10))])
        line, began = pipeline(one), perf_counter()
        while await line.settle(TENANT):
            pass
        settled = perf_counter()
        while await line.react(TENANT):
            pass
        done = perf_counter()
    reacted = rows / (done - settled)
    return {
        "rows": rows,
        "react_rows_s": round(reacted),
        "react_us_a_row": round(1e6 / reacted, 1),
        "settle_and_react_rows_s": round(rows / (done - began)),
        "bound_rows_s": 500,
        "ratio": round(reacted / 500, 2),
        "bar": 1.0,
    }
