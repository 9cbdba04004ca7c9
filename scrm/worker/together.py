"""Several works at once, each to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable


async def all_of(*works: Awaitable[None]) -> None:
    """Each to its end: what fails does not cut off the others, and is reported when all have ended."""
    ended = await asyncio.gather(*works, return_exceptions=True)
    if failed := [e for e in ended if isinstance(e, Exception)]:
        raise ExceptionGroup("some work failed", failed)
