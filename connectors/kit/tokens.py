"""Access tokens and tickets kept in this process: one fetch at a time, renewed before they expire."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

Fetch = Callable[[], Awaitable[tuple[str, float]]]
#: Renewed at this part of the lifetime: nobody meets a token in its last minutes.
RENEW_AT = 0.8


class MemoryTokens:
    """`contract.Tokens` for one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[str, float]] = {}
        self._fetching: dict[str, asyncio.Task[str]] = {}

    async def get(self, key: str, fetch: Fetch) -> str:
        """The kept value, or what `fetch` returns; callers who arrive meanwhile share its outcome."""
        kept = self._kept.get(key)
        if kept and self._clock() < kept[1]:
            return kept[0]
        task = self._fetching.get(key)
        if task is None:
            task = self._fetching[key] = asyncio.create_task(self._fetch(key, fetch))
            task.add_done_callback(_look_at)
        # Shielded: one caller giving up must not take the token away from the others.
        return await asyncio.shield(task)

    async def drop(self, key: str, value: str) -> None:
        """Forget `value` unless somebody has replaced it already."""
        kept = self._kept.get(key)
        if kept and kept[0] == value:
            del self._kept[key]

    async def _fetch(self, key: str, fetch: Fetch) -> str:
        try:
            value, lifetime_s = await fetch()
            self._kept[key] = (value, self._clock() + lifetime_s * RENEW_AT)
            return value
        finally:
            del self._fetching[key]


def _look_at(task: asyncio.Task[str]) -> None:
    # Every waiter may have gone; a failure nobody saw must not be reported as never retrieved.
    if not task.cancelled():
        task.exception()
