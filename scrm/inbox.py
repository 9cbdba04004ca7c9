"""The durable inbox: everything a channel told us is committed here, once, before the channel is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from scrm.contract import Account, Raw
from scrm.db import Conn, Database, Visit
from scrm.errors import Busy, Unsealable
from scrm.schema import cursor, inbox, seen
from scrm.seal import close, new_id

Stage = Literal["translate", "settle", "react"]
URGENT, NORMAL, BULK = 0, 1, 2

_COMMIT_ROWS = 500
#: Bulk may fill this share of a claimed batch while anything else waits.
_BULK_SHARE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A poll's new cursor, saved in the transaction that stores its rows."""

    stream: str
    cursor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One claimed row. The payload is opened for settling only; None = its key is gone or it was altered."""

    inbox_id: int
    account_id: int
    source_key: str
    lane: bytes
    rank: int
    attempts: int
    payload: bytes | None
    received_at: datetime


@dataclass(slots=True, kw_only=True)
class _Arrival:
    account: Account
    raws: Sequence[Raw]
    received_at: datetime
    bulk: bool
    moved: Moved | None
    done: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Inbox:
    """Group commit without a timer: the next batch is what arrived while the last one was committing."""

    def __init__(self, db: Database, *, pending: int, stored: Callable[[], None]) -> None:
        self._db = db
        self._limit = pending
        #: Called after each commit that stored something new.
        self.stored = stored
        self._waiting: list[_Arrival] = []
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
        arrival = _Arrival(account=account, raws=raws, received_at=received_at, bulk=bulk, moved=moved)
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

    async def _commit(self, tenant_id: int, batch: list[_Arrival]) -> None:
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
                if not arrival.done.done():
                    arrival.done.set_result(count)
            if any(fresh):
                self.stored()

    @staticmethod
    def _fail(batch: list[_Arrival], error: Exception) -> None:
        for arrival in batch:
            if not arrival.done.done():
                arrival.done.set_exception(error)
                arrival.done.exception()  # a client that went away must not make the loop complain

    async def _write(self, tenant_id: int, batch: list[_Arrival]) -> list[int]:
        rows = [await self._rows(a) for a in batch]
        flat = [row for group in rows for row in group]
        keys = [{k: row[k] for k in ("tenant_id", "account_id", "source_key", "inbox_id")} for row in flat]
        cursors = _cursors(tenant_id, batch)

        def store(visit: Visit) -> set[int]:
            won = {r.inbox_id for r in visit.insert_new(seen, keys, seen.c.inbox_id)}
            visit.insert(inbox, [row for row in flat if row["inbox_id"] in won])
            visit.upsert(cursor, cursors, key=["tenant_id", "account_id", "stream"], change=_moved)
            return won

        won = await self._db.at_once(store)
        return [sum(row["inbox_id"] in won for row in group) for group in rows]

    async def _rows(self, arrival: _Arrival) -> list[dict[str, Any]]:
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
                    "source_key": raw.source_key,
                    "lane": self._db.vault.lane(account.account_id, raw.lane),
                    "rank": URGENT if raw.urgent else BULK if arrival.bulk else NORMAL,
                    "payload": close(key, raw.payload, "inbox", inbox_id, "payload"),
                    "received_at": arrival.received_at,
                    "next_at": arrival.received_at,
                }
            )
        return made


def _cursors(tenant_id: int, arrivals: Sequence[_Arrival]) -> list[dict[str, Any]]:
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


async def claim(conn: Conn, state: Literal["new", "settled"], *, now: datetime, limit: int) -> list[Item]:
    """Rows to work on, each lane in order: lanes with an urgent row first, bulk in a capped share.

    A lane is taken with all its earlier rows, so urgency never reorders a conversation.
    """
    picked: dict[int, Any] = {}
    for rank in (URGENT, NORMAL, BULK):
        room = limit - len(picked)
        if rank == BULK and picked:
            room = min(room, max(1, int(limit * _BULK_SHARE)))
        if room <= 0:
            break
        for row in await _ranked(conn, state, rank, now=now, limit=room):
            picked.setdefault(row.inbox_id, row)
    rows = sorted(picked.values(), key=lambda row: row.inbox_id)
    return [_item(r, await _payload(conn, r) if state == "new" else b"") for r in rows]


def _claiming() -> sa.Select[Any]:
    """Built once: three times a batch, building it costs more than running it."""
    c, lane, head = inbox.c, inbox.alias().c, inbox.alias().c
    tenant_id: sa.BindParameter[int] = sa.bindparam("tenant")
    state: sa.BindParameter[str] = sa.bindparam("state")
    limit: sa.BindParameter[int] = sa.bindparam("limit", type_=sa.Integer)
    now = sa.bindparam("now", type_=c.next_at.type)
    mine = (lane.tenant_id == tenant_id, lane.state == state, lane.lane == c.lane)
    front = sa.select(sa.func.min(lane.inbox_id)).where(*mine).correlate(inbox).scalar_subquery()
    # A long lane whose first row waits must not fill the batch with rows that may not go.
    waits = sa.exists().where(head.tenant_id == tenant_id, head.inbox_id == front, head.next_at > now)
    ranked = (c.tenant_id == tenant_id, c.state == state, c.rank == sa.bindparam("rank"), c.next_at <= now)
    first = sa.select(c.lane).where(*ranked, ~waits).order_by(c.inbox_id).limit(limit).subquery()
    lanes = sa.select(first.c.lane).distinct()
    columns = (
        c.inbox_id,
        c.account_id,
        c.source_key,
        c.lane,
        c.rank,
        c.attempts,
        c.payload,
        c.received_at,
        c.next_at,
    )
    found = sa.select(*columns).where(c.tenant_id == tenant_id, c.state == state, c.lane.in_(lanes))
    return found.order_by(c.inbox_id).limit(limit)


_CLAIM = _claiming()


async def _ranked(conn: Conn, state: str, rank: int, *, now: datetime, limit: int) -> Sequence[Any]:
    asked = {"tenant": conn.tenant_id, "state": state, "rank": rank, "now": now, "limit": limit}
    rows = await conn.rows(_CLAIM, asked)
    # A row that waits for its retry holds the rest of its lane back: order before speed.
    held: set[bytes] = set()
    free = []
    for row in rows:
        if row.next_at > now:
            held.add(row.lane)
        if row.lane not in held:
            free.append(row)
    return free


async def _payload(conn: Conn, row: Any) -> bytes | None:
    try:
        return await conn.unseal(row.payload, "inbox", row.inbox_id, "payload")
    except Unsealable:
        return None  # this row will say so; the others go on


def _item(row: Any, payload: bytes | None) -> Item:
    return Item(
        inbox_id=row.inbox_id,
        account_id=row.account_id,
        source_key=row.source_key,
        lane=row.lane,
        rank=row.rank,
        attempts=row.attempts,
        payload=payload,
        received_at=row.received_at,
    )


async def mark(
    conn: Conn, inbox_ids: Sequence[int], state: Literal["settled", "done"], *, now: datetime
) -> None:
    c = inbox.c
    stmt = sa.update(inbox).where(c.tenant_id == conn.tenant_id, c.inbox_id.in_(inbox_ids))
    await conn.run(stmt.values(state=state, attempts=0, error="", stage="", next_at=now))


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
        "next_at": now,
    }
    await conn.run(sa.insert(inbox), [row | extra])
    return inbox_id


async def put_back(
    conn: Conn, item: Item, stage: Stage, error: str, *, now: datetime, max_attempts: int
) -> bool:
    """Try the row again later, or quarantine it after `max_attempts`; True when quarantined."""
    attempts = item.attempts + 1
    given_up = attempts >= max_attempts
    change: dict[str, Any] = {"attempts": attempts, "error": error[:500], "stage": stage}
    if given_up:
        change["state"] = "quarantined"
    else:
        change["next_at"] = now + timedelta(seconds=min(60, 0.5 * 4**attempts))
    c = inbox.c
    stmt = sa.update(inbox).where(c.tenant_id == conn.tenant_id, c.inbox_id == item.inbox_id)
    await conn.run(stmt.values(change))
    return given_up


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What an admin sees of a row: never its payload."""

    inbox_id: int
    account_id: int
    source_key: str
    state: str
    stage: str
    attempts: int
    error: str
    received_at: datetime


async def counts(conn: Conn) -> dict[str, int]:
    """How many rows are in each state that still needs somebody: new, settled, quarantined."""
    c = inbox.c
    stmt = sa.select(c.state, sa.func.count().label("number")).where(
        c.tenant_id == conn.tenant_id, c.state.in_(["new", "settled", "quarantined"])
    )
    found = {r.state: r.number for r in await conn.rows(stmt.group_by(c.state))}
    return {state: found.get(state, 0) for state in ("new", "settled", "quarantined")}


async def page(conn: Conn, *, state: str, before: int | None, limit: int) -> list[Entry]:
    """Rows in a state, newest first, at most `limit`, older than the row `before`."""
    c = inbox.c
    stmt = sa.select(
        c.inbox_id, c.account_id, c.source_key, c.state, c.stage, c.attempts, c.error, c.received_at
    ).where(c.tenant_id == conn.tenant_id, c.state == state)
    if before is not None:
        stmt = stmt.where(c.inbox_id < before)
    rows = await conn.rows(stmt.order_by(c.inbox_id.desc()).limit(limit))
    return [Entry(**r._mapping) for r in rows]


async def oldest(conn: Conn) -> datetime | None:
    """When the longest-waiting unsettled row arrived; None = nothing waits."""
    c = inbox.c
    stmt = sa.select(c.received_at).where(c.tenant_id == conn.tenant_id, c.state == "new")
    found: datetime | None = await conn.scalar(stmt.order_by(c.inbox_id).limit(1))
    return found


async def replay(
    conn: Conn, *, now: datetime, inbox_ids: Sequence[int] | None = None, since: datetime | None = None
) -> int:
    """Put rows back to the start: the named ones, or all quarantined ones, or everything received `since`."""
    c = inbox.c
    stmt = sa.update(inbox).where(c.tenant_id == conn.tenant_id)
    if inbox_ids is not None:
        stmt = stmt.where(c.inbox_id.in_(inbox_ids), c.state.in_(["quarantined", "done"]))
    elif since is not None:
        stmt = stmt.where(c.received_at >= since, c.state.in_(["quarantined", "done"]))
    else:
        stmt = stmt.where(c.state == "quarantined")
    start = sa.case((c.stage == "react", "settled"), else_="new")
    return await conn.run(stmt.values(state=start, attempts=0, rank=BULK, error="", stage="", next_at=now))
