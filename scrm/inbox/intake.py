"""The way in: group commit without a timer, once for ever, and our own words beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any

import sqlalchemy as sa

from scrm.contract import Account, Raw
from scrm.db import Conn, Database, Visit
from scrm.errors import Busy
from scrm.inbox.rows import AT_ONCE, BULK, NORMAL, URGENT
from scrm.schema import cursor, inbox, seen
from scrm.seal import close, new_id
from scrm.shapes import bounded, storable

_COMMIT_ROWS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A poll's new cursor, saved in the transaction that stores its rows."""

    stream: str
    cursor: str


@dataclass(slots=True, kw_only=True)
class Arrival:
    """One call of `accept`, and whoever waits for its answer."""

    account: Account
    raws: Sequence[Raw]
    received_at: datetime
    bulk: bool
    moved: Moved | None
    done: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    #: On the monotonic clock: how long has it waited?
    came: float = field(default_factory=monotonic)

    def settle(self, new: int) -> None:
        """Answer, unless it was answered elsewhere."""
        if not self.done.done():
            self.done.set_result(new)


class Inbox:
    """Group commit without a timer: the next batch is what arrived while the last one was committing."""

    def __init__(self, db: Database, *, pending: int, stored: Callable[[], None]) -> None:
        self._db = db
        self._limit = pending
        #: Called after each commit that stored something new.
        self.stored = stored
        #: Told tenant, account, how many new rows there were and when they came.
        self.counted: Callable[[int, int, datetime, int], None] = lambda *_: None
        self._waiting: list[Arrival] = []
        self._writer: asyncio.Task[None] | None = None

    async def accept(
        self,
        account: Account,
        raws: Sequence[Raw],
        *,
        received_at: datetime,
        bulk: bool = False,
        moved: Moved | None = None,
    ) -> int:
        """Durable when it returns; how many raws were new. All or nothing per call.

        Raises `Busy` when too much waits or the database does not take it; the vendor will try again.
        """
        if not raws and moved is None:
            return 0
        if len(self._waiting) >= self._limit:
            raise Busy
        arrival = Arrival(account=account, raws=raws, received_at=received_at, bulk=bulk, moved=moved)
        self._waiting.append(arrival)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._drain(), name="inbox-commit")
        # A caller who goes away abandons the answer, not the row: it is in the batch already.
        return await arrival.done

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def flush(self) -> None:
        """Wait until everything handed in so far is answered."""
        if self._writer is not None:
            await asyncio.wait([self._writer])

    async def _drain(self) -> None:
        while self._waiting:
            tenant_id = self._waiting[0].account.tenant_id
            batch = [a for a in self._waiting if a.account.tenant_id == tenant_id][:_COMMIT_ROWS]
            taken = set(map(id, batch))
            self._waiting = [a for a in self._waiting if id(a) not in taken]
            await self._commit(tenant_id, batch)

    async def _commit(self, tenant_id: int, batch: list[Arrival]) -> None:
        """Answer every arrival of the batch; a row that cannot be stored fails alone."""
        try:
            fresh = await self._write(tenant_id, batch)
        except Busy:
            self._fail(batch, Busy("消息暂时存不进来，请稍后重试。"))
        except Exception as error:
            if len(batch) == 1:
                return self._fail(batch, error)
            middle = len(batch) // 2
            await self._commit(tenant_id, batch[:middle])
            await self._commit(tenant_id, batch[middle:])
        else:
            for arrival, count in zip(batch, fresh, strict=True):
                arrival.settle(count)
                if count:
                    account = arrival.account
                    self.counted(account.tenant_id, account.account_id, arrival.received_at, count)
            if any(fresh):
                self.stored()

    @staticmethod
    def _fail(batch: list[Arrival], error: Exception) -> None:
        for arrival in batch:
            if not arrival.done.done():
                arrival.done.set_exception(error)
                arrival.done.exception()  # a client that went away must not make the loop complain

    async def _write(self, tenant_id: int, batch: list[Arrival]) -> list[int]:
        rows = [await self._rows(a) for a in batch]
        flat = [row for group in rows for row in group]
        keys = [{k: row[k] for k in ("tenant_id", "account_id", "source_key", "inbox_id")} for row in flat]
        # One order for everybody: two processes that store the same repeats must not wait for each other.
        keys.sort(key=lambda row: (row["account_id"], row["source_key"]))
        cursors = _cursors(tenant_id, batch)

        def store(visit: Visit) -> set[int]:
            won = {r.inbox_id for r in visit.insert_new(seen, keys, seen.c.inbox_id)}
            visit.insert(inbox, [row for row in flat if row["inbox_id"] in won])
            visit.upsert(cursor, cursors, key=["tenant_id", "account_id", "stream"], change=_moved)
            return won

        won = await self._db.at_once(tenant_id, store)
        return [sum(row["inbox_id"] in won for row in group) for group in rows]

    async def _rows(self, arrival: Arrival) -> list[dict[str, Any]]:
        """Sealed rows, made before the transaction begins."""
        account = arrival.account
        owner = f"day:{account.account_id}:{arrival.received_at:%Y-%m-%d}"
        key = await self._db.key(account.tenant_id, owner)
        made = []
        for raw in arrival.raws:
            inbox_id = new_id()
            made.append(
                {
                    "tenant_id": account.tenant_id,
                    "inbox_id": inbox_id,
                    "account_id": account.account_id,
                    "source_key": bounded(raw.source_key),
                    "lane": self._db.vault.lane(account.account_id, storable(raw.lane)),
                    "rank": URGENT if raw.urgent else BULK if arrival.bulk else NORMAL,
                    "payload": close(key, raw.payload, "inbox", inbox_id, "payload"),
                    "received_at": arrival.received_at,
                    "next_at": AT_ONCE,
                }
            )
        return made


def _cursors(tenant_id: int, arrivals: Sequence[Arrival]) -> list[dict[str, Any]]:
    return [
        {
            "tenant_id": tenant_id,
            "account_id": a.account.account_id,
            "stream": a.moved.stream,
            "cursor": a.moved.cursor,
            "moved_at": a.received_at,
        }
        for a in arrivals
        if a.moved
    ]


def _moved(new: Any) -> dict[str, Any]:
    return {"cursor": new.cursor, "moved_at": new.moved_at}


async def cursor_of(conn: Conn, account_id: int, stream: str) -> str:
    """Where the next poll of this stream starts; "" at the very beginning."""
    c = cursor.c
    stmt = sa.select(c.cursor).where(
        c.tenant_id == conn.tenant_id, c.account_id == account_id, c.stream == stream
    )
    return await conn.scalar(stmt) or ""


async def add_ours(conn: Conn, account_id: int, source_key: str, lane: bytes, *, now: datetime) -> int:
    """A row for something we say ourselves, already settled, so that react reviews it like anything else."""
    inbox_id = new_id()
    row = {
        "tenant_id": conn.tenant_id,
        "account_id": account_id,
        "source_key": source_key,
        "inbox_id": inbox_id,
    }
    payload = await conn.seal(f"day:{account_id}:{now:%Y-%m-%d}", b"", "inbox", inbox_id, "payload")
    await conn.run(sa.insert(seen), [row])
    extra = {
        "lane": lane,
        "rank": URGENT,
        "state": "settled",
        "payload": payload,
        "received_at": now,
        "next_at": AT_ONCE,
    }
    await conn.run(sa.insert(inbox), [row | extra])
    return inbox_id
