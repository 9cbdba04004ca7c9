"""Several processes on one backlog: how many rows they moved between their common start and the last row."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from scrm.bench.site import Site, said, started

_START_S, _WORK_S = 60.0, 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """What all of them did together."""

    rows: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


async def crew(place: Site, mode: str, size: int, rows: int) -> Worked:
    """`size` processes `settle` or `react` until nothing is left; `RuntimeError` unless it was `rows`."""
    config = place.config()
    async with AsyncExitStack() as stack:
        words = ("scrm.bench.host", mode, config)
        members = [await stack.enter_async_context(started(*words, cwd=place.folder)) for _ in range(size)]
        async with asyncio.timeout(_START_S):
            for one in members:
                await said(one, "ready")
        for one in members:
            assert one.stdin is not None
            one.stdin.write(b"go\n")
        async with asyncio.timeout(_WORK_S):
            done = [(await said(one, "done")).split() for one in members]
    moved = sum(int(d[0]) for d in done)
    if moved != rows:
        raise RuntimeError(f"{moved} rows were moved, {rows} were there")
    began, ended = min(float(d[1]) for d in done), max(float(d[2]) for d in done)
    return Worked(rows=moved, seconds=ended - began)
