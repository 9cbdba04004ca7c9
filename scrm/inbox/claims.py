"""Claims: whose turn it is, a few shards at a time, each lane in order, urgent lanes first."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Literal

import sqlalchemy as sa

from scrm.db import Conn
from scrm.errors import Overtaken, Unsealable
from scrm.inbox.rows import AT_ONCE, BULK, HELD, NORMAL, URGENT, Item, Stage
from scrm.schema import inbox

#: Bulk may fill this share of a claimed batch, also when nothing else waits: whoever comes meanwhile, like a
#: new contact to be welcomed, waits for the batch to end.
_BULK_SHARE = 0.25
#: Lanes fall into this many shards; a worker holds as many as fill a batch, so that others find some too.
_SHARDS = 64
#: Rows looked at to find shards with work.
_LOOK_AHEAD = 1000


def _shard(lane: sa.ColumnElement[bytes]) -> sa.ColumnElement[int]:
    return sa.func.get_byte(lane, 0, type_=sa.Integer).bitwise_and(_SHARDS - 1)


def _free(now: sa.BindParameter[Any]) -> sa.ColumnElement[bool]:
    """Whether the first row of a row's lane may go: while it waits for its retry, the whole lane waits."""
    lane = inbox.alias().c
    mine = (lane.tenant_id == sa.bindparam("tenant"), lane.state == sa.bindparam("state"))
    front = sa.select(lane.next_at).where(*mine, lane.lane == inbox.c.lane).order_by(lane.inbox_id).limit(1)
    return front.correlate(inbox).scalar_subquery() <= now


@cache
def _ready(*, past: bool, choosy: bool) -> sa.Select[Any]:
    c = inbox.c
    now = sa.bindparam("now", type_=c.next_at.type)
    rows = (
        sa.select(_shard(c.lane).label("shard"))
        .where(c.tenant_id == sa.bindparam("tenant"), c.state == sa.bindparam("state"), c.next_at <= now)
        .where(c.rank < HELD)
    )
    if choosy:
        rows = rows.where(c.account_id.not_in(sa.bindparam("paused", expanding=True)))
    if past:
        rows = rows.where(_free(now))
    shard = rows.order_by(c.rank, c.inbox_id).limit(_LOOK_AHEAD).subquery().c.shard
    return sa.select(shard, sa.func.count().label("rows")).group_by(shard)


async def own(
    conn: Conn,
    state: Literal["new", "settled"],
    *,
    now: datetime,
    limit: int,
    paused: Sequence[int] = (),
) -> list[Item]:
    """Rows to work on, of shards that are ours alone until the transaction ends.

    Rows of accounts that are `paused` stay where they are.
    """
    for past in (False, True):
        shards = await own_shards(conn, state, now=now, limit=limit, past=past, paused=paused)
        items = await claim(conn, state, now=now, limit=limit, shards=shards, paused=paused)
        if items or not shards:
            break
    return items


async def own_shards(
    conn: Conn,
    state: Literal["new", "settled"],
    *,
    now: datetime,
    limit: int = _LOOK_AHEAD,
    past: bool = False,
    paused: Sequence[int] = (),
) -> list[int] | None:
    """Shards with `limit` rows or all there are, ours alone until the transaction ends; None = one writer.

    `past` looks past lanes that wait for a retry, however long they are; that costs more.
    """
    if not conn.many:
        return None
    asked = {"tenant": conn.tenant_id, "state": state, "now": now} | _left_out(paused)
    found = await conn.rows(_ready(past=past, choosy=bool(paused)), asked)
    ready = [(int(r.shard), int(r.rows)) for r in found]
    names = {f"inbox:{state}:{shard}": shard for shard in _enough(ready, limit)}
    return [names[name] for name in await conn.try_locks(list(names))] if names else []


def _left_out(paused: Sequence[int]) -> dict[str, Any]:
    return {"paused": list(paused)} if paused else {}


def _enough(ready: Sequence[tuple[int, int]], limit: int) -> list[int]:
    """Any shards until they hold a batch: a batch of eight rows costs nearly as much as one of a hundred."""
    some, rows = [], 0
    for shard, number in random.sample(ready, len(ready)):
        if rows >= limit:
            break
        some.append(shard)
        rows += number
    return some


async def claim(
    conn: Conn,
    state: Literal["new", "settled"],
    *,
    now: datetime,
    limit: int,
    shards: Sequence[int] | None = None,
    paused: Sequence[int] = (),
) -> list[Item]:
    """Rows to work on, each lane in order: lanes with an urgent row first, bulk in a capped share.

    A lane is taken with all its earlier rows, so urgency never reorders a conversation.
    """
    if shards == []:
        return []
    picked: dict[int, Any] = {}
    for rank in (URGENT, NORMAL, BULK):
        room = limit - len(picked)
        if rank == BULK:
            room = min(room, max(1, int(limit * _BULK_SHARE)))
        if room <= 0:
            break
        asked = {"state": state, "rank": rank, "now": now, "limit": room} | _left_out(paused)
        for row in await _ranked(conn, asked, now=now, shards=shards):
            picked.setdefault(row.inbox_id, row)
    rows = sorted(picked.values(), key=lambda row: row.inbox_id)
    return [_item(r, await _payload(conn, r) if state == "new" else b"") for r in rows]


@cache
def _claiming(*, sharded: bool, choosy: bool) -> sa.Select[Any]:
    """Built once: three times a batch, building it costs more than running it."""
    c = inbox.c
    tenant_id: sa.BindParameter[int] = sa.bindparam("tenant")
    state: sa.BindParameter[str] = sa.bindparam("state")
    limit: sa.BindParameter[int] = sa.bindparam("limit", type_=sa.Integer)
    now = sa.bindparam("now", type_=c.next_at.type)
    ranked = [c.tenant_id == tenant_id, c.state == state, c.rank == sa.bindparam("rank"), c.next_at <= now]
    if choosy:
        ranked.append(c.account_id.not_in(sa.bindparam("paused", expanding=True)))
    if sharded:
        ranked.append(_shard(c.lane).in_(sa.bindparam("shards", expanding=True)))
    # A long lane whose first row waits must not fill the batch with rows that may not go.
    first = sa.select(c.lane).where(*ranked, _free(now)).order_by(c.inbox_id).limit(limit).subquery()
    lanes = sa.select(first.c.lane).distinct()
    columns = [c[name] for name in (*Item.__slots__, "next_at")]
    found = sa.select(*columns).where(c.tenant_id == tenant_id, c.state == state)
    if not sharded:
        # By an index, rows would come in order, and all that wait for a pause be read to find the few.
        by = c.inbox_id + 0 if choosy else c.inbox_id
        return found.where(c.lane.in_(lanes)).order_by(by).limit(limit)
    # Lane by lane, by the index: PostgreSQL knows how many rows are in a state only as it was at its last
    # look, and would join a backlog of thousands as if it were one row.
    one = lanes.subquery()
    rows = found.where(c.lane == one.c.lane).order_by(c.inbox_id).limit(limit).lateral()
    return sa.select(rows).select_from(one.join(rows, sa.true())).order_by(rows.c.inbox_id).limit(limit)


async def _ranked(
    conn: Conn, asked: dict[str, Any], *, now: datetime, shards: Sequence[int] | None
) -> Sequence[Any]:
    stmt = _claiming(sharded=shards is not None, choosy="paused" in asked)
    mine = {} if shards is None else {"shards": list(shards)}
    rows = await conn.rows(stmt, asked | {"tenant": conn.tenant_id} | mine)
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


_BEFORE = {"settled": "new", "done": "settled"}


async def mark(conn: Conn, inbox_ids: Sequence[int], state: Literal["settled", "done"]) -> None:
    """The first statement of the transaction that does the work: the rows are locked from here on.

    Raises `Overtaken` when one of them is no longer where it was claimed: the shard's lock was lost, or
    taken on an older view; nothing may be written a second time.
    """
    c = inbox.c
    stmt = sa.update(inbox).where(
        c.tenant_id == conn.tenant_id, c.inbox_id.in_(inbox_ids), c.state == _BEFORE[state]
    )
    moved = await conn.run(stmt.values(state=state, attempts=0, error="", stage="", next_at=AT_ONCE))
    if moved != len(inbox_ids):
        raise Overtaken


async def put_back(
    conn: Conn, item: Item, stage: Stage, error: str, *, now: datetime, max_attempts: int
) -> bool:
    """Try the row again later, or quarantine it after `max_attempts`; True when quarantined.

    Raises `Overtaken` when it is no longer where it was claimed.
    """
    attempts = item.attempts + 1
    given_up = attempts >= max_attempts
    change: dict[str, Any] = {"attempts": attempts, "error": error[:500], "stage": stage}
    if given_up:
        change["state"] = "quarantined"
    else:
        change["next_at"] = now + timedelta(seconds=min(60, 0.5 * 4**attempts))
    c = inbox.c
    before = "settled" if stage == "react" else "new"
    stmt = sa.update(inbox).where(
        c.tenant_id == conn.tenant_id, c.inbox_id == item.inbox_id, c.state == before
    )
    if not await conn.run(stmt.values(change)):
        raise Overtaken
    return given_up


#: One statement may take a moment only.
_AT_A_TIME = 5_000


async def hold(conn: Conn, account_id: int) -> bool:
    """Put rows of a paused account out of the way: they cost the others nothing then. Whether more are left.

    A lane is one account's: its order is by id, whatever the rank.
    """
    return await _ranked_anew(conn, inbox.c.account_id == account_id, inbox.c.rank < HELD, HELD)


async def release(conn: Conn, paused: Sequence[int]) -> bool:
    """What waits for no pause any more comes after everything live; whether more are left."""
    return await _ranked_anew(conn, inbox.c.account_id.not_in(paused), inbox.c.rank == HELD, BULK)


async def any_held(conn: Conn, paused: Sequence[int]) -> bool:
    """Whether `release` has anything to do."""
    c = inbox.c
    which = sa.and_(c.tenant_id == conn.tenant_id, c.state.in_(["new", "settled"]), c.rank == HELD)
    return (
        await conn.row(sa.select(c.inbox_id).where(which, c.account_id.not_in(paused)).limit(1)) is not None
    )


async def _ranked_anew(
    conn: Conn, whose: sa.ColumnElement[bool], now: sa.ColumnElement[bool], rank: int
) -> bool:
    c = inbox.c
    which = sa.and_(c.tenant_id == conn.tenant_id, c.state.in_(["new", "settled"]), now, whose)
    some = sa.select(c.inbox_id).where(which).order_by(c.inbox_id).limit(_AT_A_TIME)
    ids = [r.inbox_id for r in await conn.rows(some.with_for_update(skip_locked=True))]
    if ids:
        mine = sa.and_(c.tenant_id == conn.tenant_id, c.inbox_id.in_(ids))
        await conn.run(sa.update(inbox).where(mine, now).values(rank=rank))
    return len(ids) == _AT_A_TIME
