"""Work on the database that nobody awaits too long, nor cancels: a late commit is a commit all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import TypeVar

from scrm.errors import Unavailable

T = TypeVar("T")

#: What was given up may hang in the driver still; no more of it than this at a time, then it is cancelled.
_HANGING = 4
_HOPELESS_S = 30.0
_CLOSE_S = 2.0


class Attempts:
    """What is tried at a time; `ended_late` is called when something given up succeeded after all."""

    def __init__(self, ended_late: Callable[[], None]) -> None:
        self._ended_late = ended_late
        self._hanging: dict[asyncio.Task[object], float] = {}

    async def within(self, work: Coroutine[object, object, T], limit_s: float) -> T:
        """Raises `Unavailable` when it takes longer, or when too much hangs already."""
        self._give_up_hopeless()
        if len(self._hanging) >= _HANGING:
            work.close()
            raise Unavailable
        task = asyncio.create_task(work)
        try:
            await asyncio.wait({task}, timeout=limit_s)
        finally:
            if not task.done():
                self._hanging[task] = monotonic()
                task.add_done_callback(self._late)
        if not task.done():
            raise Unavailable
        return task.result()

    def _late(self, task: asyncio.Task[object]) -> None:
        self._hanging.pop(task, None)
        if not task.cancelled() and task.exception() is None:
            self._ended_late()

    def _give_up_hopeless(self) -> None:
        for task, since in list(self._hanging.items()):
            if monotonic() - since > _HOPELESS_S:
                task.cancel()

    async def close(self) -> None:
        hanging = list(self._hanging)
        for task in hanging:
            task.cancel()
        if hanging:
            await asyncio.wait(hanging, timeout=_CLOSE_S)
