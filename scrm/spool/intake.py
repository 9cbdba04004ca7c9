"""The way in with a spool behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from time import monotonic

from scrm.contract import Account, Raw
from scrm.db import Database
from scrm.errors import Busy, Unavailable
from scrm.inbox import Arrival, Inbox, Moved
from scrm.spool.host import Spool


class SpooledInbox(Inbox):
    """An inbox that answers within about a second whatever the database does.

    What a poll brings with a new cursor never goes to the spool: the poll fails and is repeated.
    """

    def __init__(self, db: Database, *, pending: int, stored: Callable[[], None], spool: Spool) -> None:
        super().__init__(db, pending=pending, stored=stored)
        self._spool = spool
        spool.stored = stored

    async def accept(
        self,
        account: Account,
        raws: Sequence[Raw],
        *,
        received_at: datetime,
        bulk: bool = False,
        moved: Moved | None = None,
    ) -> int:
        """As `Inbox.accept`; raises `Busy` only when the spool does not take it either."""
        if raws and moved is None and self.waiting >= self._limit:
            return await self._spool.take(account, raws, received_at=received_at, bulk=bulk)
        return await super().accept(account, raws, received_at=received_at, bulk=bulk, moved=moved)

    async def _write(self, tenant_id: int, batch: list[Arrival]) -> list[int]:
        spool = self._spool
        if not spool.breaker.is_open:
            waited_s = monotonic() - min(a.came for a in batch)
            try:
                return await spool.attempts.within(
                    super()._write(tenant_id, batch), spool.breaker.left_s(waited_s)
                )
            except Busy:
                spool.failed()
        await asyncio.gather(*map(self._shelter, batch))
        return [0] * len(batch)  # they are answered, and nothing new is in the database

    async def _shelter(self, arrival: Arrival) -> None:
        try:
            if arrival.moved is not None:
                raise Unavailable
            new = await self._spool.take(
                arrival.account, arrival.raws, received_at=arrival.received_at, bulk=arrival.bulk
            )
        except Exception as error:
            self._fail([arrival], error)
        else:
            arrival.settle(new)
