"""Dead letters: quarantined rows by what is wrong with them, mended, replayed or put away with a reason."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.errors import BadInput, Conflict, NotFound, Unsealable
from scrm.inbox import masking
from scrm.inbox.rows import AT_ONCE, BULK
from scrm.schema import inbox
from scrm.shapes import storable

#: Different sentences read at once; what is beyond is in nobody's class until some are gone.
_SENTENCES = 2_000
_NUMBERS = re.compile(r"[0-9０-９]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Class:
    """Rows of one account that stopped at the same place for the same reason."""

    key: str
    account_id: int
    stage: str
    #: The sentence, numbers left out.
    error: str
    #: The sentences as they are stored.
    errors: tuple[str, ...]
    first_at: datetime
    last_at: datetime
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One row, for somebody who must not see customers."""

    inbox_id: int
    account_id: int
    source_key: str
    state: str
    stage: str
    attempts: int
    error: str
    received_at: datetime
    note: str
    #: An admin has mended it before; what the channel said is kept.
    mended: bool
    #: None = its key is gone or it was altered.
    fields: tuple[masking.Shown, ...] | None


def reason(error: str) -> str:
    """The same fault says the same, whatever number it fell over."""
    return _NUMBERS.sub("…", error)


def _key(account_id: int, stage: str, error: str) -> str:
    return hashlib.sha256(f"{account_id}|{stage}|{error}".encode()).hexdigest()[:20]


async def classes(conn: Conn) -> list[Class]:
    """What is wrong, the largest first."""
    c, number = inbox.c, sa.func.count().label("rows")
    first, last = sa.func.min(c.received_at).label("first_at"), sa.func.max(c.received_at).label("last_at")
    stmt = sa.select(c.account_id, c.stage, c.error, number, first, last).where(
        c.tenant_id == conn.tenant_id, c.state == "quarantined"
    )
    stmt = stmt.group_by(c.account_id, c.stage, c.error).order_by(number.desc(), c.error).limit(_SENTENCES)
    grouped: dict[tuple[int, str, str], list[Any]] = {}
    for r in await conn.rows(stmt):
        grouped.setdefault((r.account_id, r.stage, reason(r.error)), []).append(r)
    found = [
        Class(
            key=_key(*place),
            account_id=place[0],
            stage=place[1],
            error=place[2],
            errors=tuple(r.error for r in rows),
            first_at=min(r.first_at for r in rows),
            last_at=max(r.last_at for r in rows),
            rows=sum(r.rows for r in rows),
        )
        for place, rows in grouped.items()
    ]
    return sorted(found, key=lambda one: (-one.rows, one.key))


async def class_of(conn: Conn, key: str) -> Class:
    """Raises `NotFound` when no row is left in it."""
    found = next((one for one in await classes(conn) if one.key == key), None)
    if found is None:
        raise NotFound("这一类里已经没有消息了。")
    return found


def _of(conn: Conn, one: Class) -> sa.ColumnElement[bool]:
    c = inbox.c
    return sa.and_(
        c.tenant_id == conn.tenant_id,
        c.state == "quarantined",
        c.account_id == one.account_id,
        c.stage == one.stage,
        c.error.in_(one.errors),
    )


_LIST = [
    inbox.c[n]
    for n in ("inbox_id", "account_id", "source_key", "state", "stage", "attempts", "error", "received_at")
] + [inbox.c.note, inbox.c.payload_before.is_not(None).label("mended")]


async def letters(conn: Conn, one: Class, *, before: int | None, limit: int) -> list[Letter]:
    """Rows of a class without their payload, newest first."""
    stmt = sa.select(*_LIST).where(_of(conn, one))
    if before is not None:
        stmt = stmt.where(inbox.c.inbox_id < before)
    rows = await conn.rows(stmt.order_by(inbox.c.inbox_id.desc()).limit(limit))
    return [Letter(**r._mapping, fields=()) for r in rows]


async def letter(conn: Conn, inbox_id: int) -> Letter:
    """One row with its payload's structure. Raises `NotFound`."""
    stmt = sa.select(*_LIST, inbox.c.payload).where(
        inbox.c.tenant_id == conn.tenant_id,
        inbox.c.inbox_id == inbox_id,
        inbox.c.state.in_(["quarantined", "discarded"]),
    )
    row = await conn.row(stmt)
    if row is None:
        raise NotFound("没有这条消息，或者它已经重新处理了。")
    values = {k: v for k, v in row._mapping.items() if k != "payload"}
    try:
        payload = await conn.unseal(row.payload, "inbox", inbox_id, "payload")
    except Unsealable:
        return Letter(**values, fields=None)
    return Letter(**values, fields=tuple(masking.shown(payload)))


async def mend(conn: Conn, inbox_id: int, number: int, value: str) -> str:
    """Replace one value, keep what the channel said, and put the row back to the start.

    The pointer of the value, for the audit trail. Raises `NotFound`, `BadInput` or `Conflict`.
    """
    c = inbox.c
    which = sa.and_(c.tenant_id == conn.tenant_id, c.inbox_id == inbox_id, c.state == "quarantined")
    stmt = sa.select(c.account_id, c.received_at, c.payload, c.payload_before).where(which)
    row = await conn.row(stmt.with_for_update())
    if row is None:
        raise NotFound("没有这条消息，或者它已经重新处理了。")
    try:
        payload = await conn.unseal(row.payload, "inbox", inbox_id, "payload")
    except Unsealable:
        raise Conflict("这条消息的密钥已销毁或内容被改动，无法打开。") from None
    changed = masking.patched(payload, number, value)
    pointer = masking.shown(payload)[number].pointer
    owner = f"day:{row.account_id}:{row.received_at:%Y-%m-%d}"
    values = {"payload": await conn.seal(owner, changed, "inbox", inbox_id, "payload")} | _START
    if row.payload_before is None:
        values["payload_before"] = await conn.seal(owner, payload, "inbox", inbox_id, "payload_before")
    # A mended payload is a new one: it is understood from the start wherever it stopped before.
    await conn.run(sa.update(inbox).where(which).values(values | {"state": "new"}))
    return pointer


_START: dict[str, Any] = {"attempts": 0, "rank": BULK, "error": "", "stage": "", "next_at": AT_ONCE}


async def replay_some(conn: Conn, one: Class, *, after: int, limit: int) -> tuple[int, int]:
    """Put rows of a class behind `after` back to where they stopped: how many, and up to which."""
    c = inbox.c
    stmt = sa.select(c.inbox_id).where(_of(conn, one), c.inbox_id > after).order_by(c.inbox_id).limit(limit)
    ids = [r.inbox_id for r in await conn.rows(stmt.with_for_update())]
    if not ids:
        return 0, after
    start = sa.case((c.stage == "react", "settled"), else_="new")
    which = sa.and_(c.tenant_id == conn.tenant_id, c.inbox_id.in_(ids), c.state == "quarantined")
    return await conn.run(sa.update(inbox).where(which).values(state=start, **_START)), ids[-1]


async def discard(conn: Conn, inbox_ids: Sequence[int], why: str) -> int:
    """Put rows away for good; they are kept with the reason. How many. Raises `BadInput` without one."""
    if not why.strip():
        raise BadInput("请写下为什么不再处理。")
    c = inbox.c
    which = sa.and_(c.tenant_id == conn.tenant_id, c.inbox_id.in_(inbox_ids), c.state == "quarantined")
    return await conn.run(sa.update(inbox).where(which).values(state="discarded", note=storable(why)[:200]))


async def discard_class(conn: Conn, one: Class, why: str, *, limit: int = 5_000) -> int:
    """At most `limit` rows of a class; how many."""
    c = inbox.c
    stmt = sa.select(c.inbox_id).where(_of(conn, one)).order_by(c.inbox_id).limit(limit)
    return await discard(conn, [r.inbox_id for r in await conn.rows(stmt)], why)
