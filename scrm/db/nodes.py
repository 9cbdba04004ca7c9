"""The number a process marks its ids with: held in the database, so that no two processes share one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import asyncpg
import structlog

from scrm.db.outages import translated
from scrm.errors import Unavailable
from scrm.seal import IDS, NODES

_log = structlog.get_logger()

#: The class of our session locks; the other ones of this database are of one number, not two.
CLASS = 0x1D5
#: Seconds between two looks at the connection.
CHECK_S = 5.0
_TAKE = "SELECT node FROM unnest($1::int[]) AS node WHERE pg_try_advisory_lock($2, node) LIMIT 1"
_AGAIN_S, _CLOSE_S = 1.0, 2.0


class Node:
    """One number held by a connection of its own, from `open` to `close`; a process opens one database.

    When the connection is lost the ids go on with the same number; where somebody was faster, with another.
    """

    def __init__(self, dsn: str, **connecting: Any) -> None:
        self._dsn = dsn
        self._connecting: Mapping[str, Any] = connecting
        self._held: Any = None
        self._keeper: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Raises `Unavailable` when nobody answers there."""
        await self._take()
        self._keeper = asyncio.create_task(self._keep(), name="ids-node")

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if self._held is not None:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                await self._held.close(timeout=_CLOSE_S)

    async def _take(self) -> None:
        with translated():
            conn: Any = await asyncpg.connect(self._dsn, **self._connecting)
            try:
                others = random.sample(range(NODES), NODES)
                node = await conn.fetchval(_TAKE, [IDS.node, *others], CLASS)
            except BaseException:
                conn.terminate()
                raise
        self._held = conn
        if node is None:
            _log.error("more processes than ids can tell apart", processes=NODES)
        elif node != IDS.node:
            IDS.use(node)

    async def _keep(self) -> None:
        """Look at the connection now and then; a lost one is replaced."""
        while True:
            await asyncio.sleep(CHECK_S)
            try:
                with translated():
                    await self._held.fetchval("SELECT 1")
            except Unavailable:
                self._held.terminate()
                await self._taken_again()

    async def _taken_again(self) -> None:
        while True:
            with suppress(Unavailable):
                return await self._take()
            await asyncio.sleep(_AGAIN_S)
