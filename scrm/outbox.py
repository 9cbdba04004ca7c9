"""The way out as rows: queued -> sending (lease) -> sent | retry | unknown | dead; in order within a lane."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from scrm.db import Conn
from scrm.errors import Unsealable
from scrm.schema import outbox
from scrm.shapes import bounded, storable

State = Literal["queued", "sending", "retry", "sent", "unconfirmed", "unknown", "dead"]
#: States in which a row still holds its lane.
OPEN = ("queued", "sending", "retry")
#: Longer than any vendor call may take: a lease that ran out means the sender died.
LEASE = timedelta(seconds=60)
#: Rows put off in one go; the rest find out by themselves.
_HELD = 5_000
#: Before any clock: a queued row must not wait for a clock that ran ahead and was mended.
_AT_ONCE = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One push to queue. `key` makes it happen once; `payload` is sealed by the node it goes to."""

    outbox_id: int
    account_id: int
    node_id: int
    conversation_id: int
    event_id: int
    lane: bytes
    key: str
    kind: str
    payload: bytes
    state: State = "queued"
    deadline_at: datetime | None = None
    purpose: str = "reply"
    #: Not before then.
    planned_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """A claimed row, opened; payload None = its key is gone, for one because the customer was erased."""

    outbox_id: int
    account_id: int
    node_id: int
    conversation_id: int
    event_id: int
    kind: str
    attempts: int
    deadline_at: datetime | None
    created_at: datetime
    payload: bytes | None
    key: str = ""
    purpose: str = "reply"
    planned_at: datetime | None = None


async def enqueue(conn: Conn, order: Order, *, now: datetime) -> bool:
    """False when this key was queued before: nothing is added."""
    row = {name: getattr(order, name) for name in Order.__slots__} | {
        "tenant_id": conn.tenant_id,
        "next_at": order.planned_at or _AT_ONCE,
        "created_at": now,
        "updated_at": now,
        "payload": await conn.seal(
            f"node:{order.node_id}", order.payload, "outbox", order.outbox_id, "payload"
        ),
    }
    return bool(await conn.insert_new(outbox, [row], outbox.c.outbox_id))


async def waiting(conn: Conn, *, now: datetime, resting: Sequence[int] = ()) -> bool:
    """Whether there may be anything for `claim` or `abandoned`."""
    c = outbox.c
    ready = sa.and_(c.state.in_(["queued", "retry"]), c.next_at <= now, *_awake(resting))
    lost = sa.and_(c.state == "sending", c.lease_until < now)
    stmt = sa.select(c.outbox_id).where(c.tenant_id == conn.tenant_id, sa.or_(ready, lost))
    return await conn.row(stmt.limit(1)) is not None


def _awake(resting: Sequence[int]) -> list[sa.ColumnElement[bool]]:
    return [outbox.c.account_id.not_in(resting)] if resting else []


async def claim(conn: Conn, *, now: datetime, limit: int, resting: Sequence[int] = ()) -> list[Sending]:
    """Lease what may go out now: the first open row of each lane, oldest first.

    Rows of accounts that are `resting` wait.
    """
    c, earlier = outbox.c, outbox.alias()
    blocked = sa.exists().where(
        earlier.c.tenant_id == c.tenant_id,
        earlier.c.lane == c.lane,
        earlier.c.outbox_id < c.outbox_id,
        earlier.c.state.in_(OPEN),
    )
    stmt = (
        sa.select(outbox)
        .where(c.tenant_id == conn.tenant_id, c.state.in_(["queued", "retry"]), c.next_at <= now, ~blocked)
        .where(*_awake(resting))
    )
    return await _leased(conn, stmt.order_by(c.next_at, c.outbox_id).limit(limit), now=now)


async def abandoned(conn: Conn, *, now: datetime, limit: int, sending: Collection[int] = ()) -> list[Sending]:
    """Rows whose sender died between the call and its result: nobody knows whether they went out.

    `sending` are the asker's own: a clock that jumped does not make them lost.
    """
    c = outbox.c
    stmt = sa.select(outbox).where(c.tenant_id == conn.tenant_id, c.state == "sending", c.lease_until < now)
    if sending:
        stmt = stmt.where(c.outbox_id.not_in(sending))
    return await _leased(conn, stmt.order_by(c.outbox_id).limit(limit), now=now)


async def _leased(conn: Conn, stmt: sa.Select[Any], *, now: datetime) -> list[Sending]:
    """Take these rows; those that another sender is taking at this moment are left to it."""
    rows = await conn.rows(stmt.with_for_update(skip_locked=True))
    c = outbox.c
    lease = sa.update(outbox).where(
        c.tenant_id == conn.tenant_id, c.outbox_id.in_([r.outbox_id for r in rows])
    )
    if rows:
        await conn.run(lease.values(state="sending", lease_until=now + LEASE, updated_at=now))
    return [await _opened(conn, r) for r in rows]


async def _opened(conn: Conn, row: Any) -> Sending:
    payload: bytes | None = None
    with suppress(Unsealable):  # the sender gives this row up; the others go on
        payload = await conn.unseal(row.payload, "outbox", row.outbox_id, "payload")
    values = {name: getattr(row, name) for name in Sending.__slots__ if name != "payload"}
    return Sending(payload=payload, **values)


async def finish(
    conn: Conn,
    outbox_id: int,
    state: State,
    *,
    now: datetime,
    external_id: str = "",
    code: str = "",
    error: str = "",
    effect: str = "",
    retry_at: datetime | None = None,
) -> None:
    """Record the result of a claimed row; a retry counts one attempt."""
    c = outbox.c
    change: dict[Any, Any] = {
        "state": state,
        "code": storable(code),
        "error": storable(error),
        "effect": effect,
        "lease_until": None,
        "updated_at": now,
    }
    if external_id:
        change["external_id"] = bounded(external_id)
    if state == "retry":
        change |= {"next_at": retry_at or now, "attempts": c.attempts + 1}
    stmt = sa.update(outbox).where(c.tenant_id == conn.tenant_id, c.outbox_id == outbox_id)
    await conn.run(stmt.values(change))


async def put_off(conn: Conn, outbox_id: int, *, until: datetime, late: timedelta, now: datetime) -> None:
    """A claimed row must wait until then after all; no attempt is counted."""
    c = outbox.c
    stmt = sa.update(outbox).where(c.tenant_id == conn.tenant_id, c.outbox_id == outbox_id)
    times = {"next_at": until, "planned_at": until, "deadline_at": until + late}
    await conn.run(stmt.values(state="queued", lease_until=None, updated_at=now, **times))


async def hold(conn: Conn, account_id: int, *, until: datetime, now: datetime) -> None:
    """The platform takes nothing from this account until then: what is queued waits, in its order."""
    c = outbox.c
    stmt = sa.select(c.outbox_id).where(
        c.tenant_id == conn.tenant_id,
        c.account_id == account_id,
        c.state.in_(["queued", "retry"]),
        c.next_at < until,
        c.kind != "welcome",
    )
    rows = await conn.rows(stmt.order_by(c.outbox_id).limit(_HELD).with_for_update(skip_locked=True))
    if rows:
        these = sa.update(outbox).where(
            c.tenant_id == conn.tenant_id, c.outbox_id.in_([r.outbox_id for r in rows])
        )
        await conn.run(these.values(next_at=until, updated_at=now))


async def call_off(conn: Conn, event_id: int, *, error: str, now: datetime) -> bool:
    """Never send what is still waiting for its time; False when it is too late for that."""
    c = outbox.c
    which = sa.and_(c.tenant_id == conn.tenant_id, c.event_id == event_id, c.state == "queued")
    stmt = sa.update(outbox).where(which, c.planned_at > now)
    return bool(await conn.run(stmt.values(state="dead", code="called_off", error=error, updated_at=now)))


async def failed_later(
    conn: Conn, account_id: int, external_id: str, error: str, *, effect: str = "", at: datetime
) -> Sending | None:
    """The vendor says that a message did not arrive at that time; the row it concerns, or None.

    What was said since then is newer than the refusal: hence the vendor's time.
    """
    c = outbox.c
    which = sa.and_(
        c.tenant_id == conn.tenant_id, c.account_id == account_id, c.external_id == bounded(external_id)
    )
    row = await conn.row(sa.select(outbox).where(which).order_by(c.outbox_id.desc()).limit(1))
    if row is None:
        return None
    await finish(conn, row.outbox_id, "dead", now=at, error=error, effect=effect)
    values = {name: getattr(row, name) for name in Sending.__slots__ if name != "payload"}
    return Sending(payload=None, **values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of a push."""

    outbox_id: int
    key: str
    account_id: int
    conversation_id: int
    event_id: int
    kind: str
    state: State
    code: str
    error: str
    created_at: datetime
    updated_at: datetime
    planned_at: datetime | None = None


_DELIVERY = [outbox.c[name] for name in Delivery.__slots__]


async def deliveries(conn: Conn, event_ids: Sequence[int]) -> dict[int, Delivery]:
    """By event id."""
    c = outbox.c
    stmt = sa.select(*_DELIVERY).where(c.tenant_id == conn.tenant_id, c.event_id.in_(event_ids))
    return {r.event_id: Delivery(**r._mapping) for r in await conn.rows(stmt)} if event_ids else {}


async def by_key(conn: Conn, key: str) -> Delivery | None:
    c = outbox.c
    row = await conn.row(sa.select(*_DELIVERY).where(c.tenant_id == conn.tenant_id, c.key == key))
    return Delivery(**row._mapping) if row else None


async def page(conn: Conn, *, state: str, before: int | None, limit: int) -> list[Delivery]:
    """Newest first, at most `limit`, older than the row `before`; every state when `state` is empty."""
    c = outbox.c
    stmt = sa.select(*_DELIVERY).where(c.tenant_id == conn.tenant_id)
    if state:
        stmt = stmt.where(c.state == state)
    if before is not None:
        stmt = stmt.where(c.outbox_id < before)
    return [Delivery(**r._mapping) for r in await conn.rows(stmt.order_by(c.outbox_id.desc()).limit(limit))]


async def counts(conn: Conn) -> dict[str, int]:
    """How many rows are in each state that is not finished well."""
    c = outbox.c
    stmt = sa.select(c.state, sa.func.count().label("number")).where(
        c.tenant_id == conn.tenant_id, c.state.in_([*OPEN, "unknown", "dead"])
    )
    found = {r.state: r.number for r in await conn.rows(stmt.group_by(c.state))}
    return {state: found.get(state, 0) for state in (*OPEN, "unknown", "dead")}


async def broken(conn: Conn) -> dict[int, dict[str, int]]:
    """By account, how many were not sent for good (dead) or may have been (unknown)."""
    c = outbox.c
    stmt = sa.select(c.account_id, c.state, sa.func.count().label("n")).where(
        c.tenant_id == conn.tenant_id, c.state.in_(["unknown", "dead"])
    )
    found: dict[int, dict[str, int]] = {}
    for r in await conn.rows(stmt.group_by(c.account_id, c.state)):
        found.setdefault(r.account_id, {})[r.state] = r.n
    return found


async def judge(conn: Conn, outbox_id: int, *, delivered: bool, now: datetime) -> Delivery | None:
    """An admin has looked it up: a row nobody knew about was delivered, or was not. None = no such row."""
    c = outbox.c
    which = sa.and_(c.tenant_id == conn.tenant_id, c.outbox_id == outbox_id, c.state == "unknown")
    state = "sent" if delivered else "dead"
    if not await conn.run(sa.update(outbox).where(which).values(state=state, updated_at=now)):
        return None
    row = await conn.row(sa.select(*_DELIVERY).where(c.tenant_id == conn.tenant_id, c.outbox_id == outbox_id))
    return Delivery(**row._mapping) if row else None


async def again(conn: Conn, outbox_id: int, *, until: datetime, now: datetime) -> Delivery | None:
    """Queue a row once more that certainly did not arrive; None = there is none, or it would be of no use."""
    c = outbox.c
    which = sa.and_(
        c.tenant_id == conn.tenant_id, c.outbox_id == outbox_id, c.state == "dead", c.kind != "welcome"
    )
    change = {"state": "queued", "attempts": 0, "code": "", "error": "", "next_at": _AT_ONCE}
    stmt = sa.update(outbox).where(which)
    if not await conn.run(stmt.values(deadline_at=until, updated_at=now, **change)):
        return None
    row = await conn.row(sa.select(*_DELIVERY).where(c.tenant_id == conn.tenant_id, c.outbox_id == outbox_id))
    return Delivery(**row._mapping) if row else None
