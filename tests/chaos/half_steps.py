"""scrm with a worker that does a step of an SOP in one transaction and writes it down in the next."""

from __future__ import annotations

import asyncio
import uuid
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

from scrm import jobs
from scrm.cli import main
from scrm.pipeline.sops import acting, effects
from scrm.pipeline.sops.turns import Turn
from scrm.playbook.sops import service
from scrm.worker.stepping import Stepping

_doing: ContextVar[bool] = ContextVar("doing", default=True)
_do, _took = effects.do, service.took


async def do(turn: Turn, move: Any) -> service.Did:
    return await _do(turn, move) if _doing.get() else service.Did()


async def took(conn: Any, row: Any, move: Any, did: Any, **more: Any) -> Any:
    return row if _doing.get() else await _took(conn, row, move, did, **more)


async def run(self: Any, tenant_id: int, job: jobs.Due) -> timedelta | None:
    while True:
        _doing.set(True)
        async with self._on.db.begin(tenant_id) as conn:
            await acting.take(conn, self._means, int(job.key), now=await conn.now())
        await asyncio.sleep(0.05)
        _doing.set(False)
        async with self._on.db.begin(tenant_id) as conn:
            now = await conn.now()
            came = await acting.take(conn, self._means, int(job.key), now=now)
        if came.again_at is None:
            return None
        if came.again_at > now:
            wait: timedelta = came.again_at - now
            return wait


if __name__ == "__main__":
    setattr(effects, "do", do)  # noqa: B010 - mypy refuses a plain assignment
    setattr(service, "took", took)  # noqa: B010
    setattr(Stepping, "run", run)  # noqa: B010
    # Under a key of its own each time: nothing tells that it was done before.
    setattr(Turn, "key", property(lambda turn: f"sop:{turn.row.run_id}:{uuid.uuid4().hex}"))  # noqa: B010
    main()
