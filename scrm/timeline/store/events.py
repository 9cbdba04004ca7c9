"""SQL of events: append once, supersede on replay, recall, and pages by keyset over a person's nodes."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.identity.store import Interval
from scrm.schema import event, event_node
from scrm.seal import close, key_id_of, open_sealed

#: Where a page begins: strictly before this (at, seq, event id).
Place = tuple[datetime, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One event as it is read; `body` stays sealed until somebody asks for it."""

    event_id: int
    account_id: int
    source_key: str
    version: int
    kind: str
    direction: str
    at: datetime
    seq: int
    text: str
    node_id: int | None
    conversation_id: int | None
    staff_id: int | None
    recalled_at: datetime | None
    body: bytes

    @property
    def place(self) -> Place:
        return (self.at, self.seq, self.event_id)


_EVENT = [event.c[name] for name in Stored.__slots__]


def body_owner(node_id: int | None) -> str:
    """Whose key seals an event's body: the customer's node, so that erasing it erases the body."""
    return f"node:{node_id}" if node_id else "tenant"


async def insert(conn: Conn, rows: Sequence[dict[str, Any]]) -> set[int]:
    """Append events; the ids of those that were new. `body` is given plain and sealed here."""
    if not rows:
        return set()
    keys = await conn.keys_for([body_owner(r["node_id"]) for r in rows])
    sealed = [
        r
        | {
            "tenant_id": conn.tenant_id,
            "body": close(
                keys[body_owner(r["node_id"])],
                json.dumps(r["body"], ensure_ascii=False).encode(),
                "event",
                r["event_id"],
                "body",
            ),
        }
        for r in rows
    ]
    return {r.event_id for r in await conn.insert_new(event, sealed, event.c.event_id)}


async def link(conn: Conn, rows: Sequence[Mapping[str, Any]]) -> None:
    """Hang events on their nodes."""
    await conn.insert_new(event_node, [{"tenant_id": conn.tenant_id, **r} for r in rows])


async def latest(conn: Conn, account_id: int, source_key: str) -> Stored | None:
    """The current version of what a source key became."""
    c = event.c
    stmt = sa.select(*_EVENT).where(
        c.tenant_id == conn.tenant_id, c.account_id == account_id, c.source_key == source_key
    )
    row = await conn.row(stmt.order_by(c.version.desc()).limit(1))
    return Stored(**row._mapping) if row else None


async def supersede(conn: Conn, old_id: int, new_id: int) -> None:
    """The old version leaves every page but stays in the table."""
    c, n = event.c, event_node.c
    await conn.run(
        sa.update(event)
        .where(c.tenant_id == conn.tenant_id, c.event_id == old_id)
        .values(superseded_by=new_id)
    )
    await conn.run(sa.delete(event_node).where(n.tenant_id == conn.tenant_id, n.event_id == old_id))


async def recall(conn: Conn, account_id: int, source_keys: Collection[str], *, now: datetime) -> None:
    """Mark messages as taken back; they stay readable as history."""
    c = event.c
    stmt = sa.update(event).where(
        c.tenant_id == conn.tenant_id,
        c.account_id == account_id,
        c.source_key.in_(source_keys),
        c.recalled_at.is_(None),
    )
    await conn.run(stmt.values(recalled_at=now))


async def recalled_before(conn: Conn, account_id: int, source_keys: Collection[str]) -> set[str]:
    """Of these messages, those whose recall arrived first."""
    c = event.c
    stmt = sa.select(c.recalls).where(
        c.tenant_id == conn.tenant_id, c.account_id == account_id, c.recalls.in_(source_keys)
    )
    return {r.recalls for r in await conn.rows(stmt)}


async def bodies(conn: Conn, events: Sequence[Stored]) -> dict[int, dict[str, Any]]:
    """Opened bodies by event id."""
    keys = await conn.keys({key_id_of(e.body) for e in events})
    return {
        e.event_id: json.loads(open_sealed(keys[key_id_of(e.body)], e.body, "event", e.event_id, "body"))
        for e in events
    }


async def page(
    conn: Conn,
    nodes: Sequence[Interval],
    *,
    before: Place | None,
    limit: int,
    account_ids: Collection[int] = (),
) -> list[Stored]:
    """Newest first, at most `limit`: the merge of each node's index range within its interval."""
    if not nodes:
        return []
    parts = [_range(conn, span, before, limit, account_ids) for span in nodes]
    ids = (sa.union(*parts) if len(parts) > 1 else parts[0]).subquery()
    order = (ids.c.at.desc(), ids.c.seq.desc(), ids.c.event_id.desc())
    top = sa.select(ids.c.event_id).order_by(*order).limit(limit).subquery()
    c = event.c
    stmt = sa.select(*_EVENT).where(c.tenant_id == conn.tenant_id, c.event_id.in_(sa.select(top.c.event_id)))
    rows = await conn.rows(stmt.order_by(c.at.desc(), c.seq.desc(), c.event_id.desc()))
    return [Stored(**r._mapping) for r in rows]


def _range(
    conn: Conn, span: Interval, before: Place | None, limit: int, account_ids: Collection[int]
) -> sa.Select[Any]:
    n = event_node.c
    stmt = sa.select(n.event_id, n.at, n.seq).where(
        n.tenant_id == conn.tenant_id, n.node_id == span.node_id, n.at >= span.from_at
    )
    if span.until_at is not None:
        stmt = stmt.where(n.at < span.until_at)
    if before is not None:
        place = sa.tuple_(
            *(sa.literal(v, column.type) for v, column in zip(before, (n.at, n.seq, n.event_id), strict=True))
        )
        stmt = stmt.where(sa.tuple_(n.at, n.seq, n.event_id) < place)
    if account_ids:
        stmt = stmt.where(n.account_id.in_(account_ids))
    inner = stmt.order_by(n.at.desc(), n.seq.desc(), n.event_id.desc()).limit(limit).subquery()
    return sa.select(inner.c.event_id, inner.c.at, inner.c.seq)


async def of_account(
    conn: Conn, account_ids: Collection[int], *, before: Place | None, limit: int
) -> list[Stored]:
    """Current events of accounts, newest first, at most `limit`."""
    c = event.c
    stmt = sa.select(*_EVENT).where(
        c.tenant_id == conn.tenant_id, c.account_id.in_(account_ids), c.superseded_by.is_(None)
    )
    if before is not None:
        place = sa.tuple_(
            *(sa.literal(v, column.type) for v, column in zip(before, (c.at, c.seq, c.event_id), strict=True))
        )
        stmt = stmt.where(sa.tuple_(c.at, c.seq, c.event_id) < place)
    rows = await conn.rows(stmt.order_by(c.at.desc(), c.seq.desc(), c.event_id.desc()).limit(limit))
    return [Stored(**r._mapping) for r in rows]


async def by_ids(conn: Conn, event_ids: Collection[int]) -> list[Stored]:
    c = event.c
    stmt = sa.select(*_EVENT).where(c.tenant_id == conn.tenant_id, c.event_id.in_(event_ids))
    rows = await conn.rows(stmt.order_by(c.at, c.seq, c.event_id)) if event_ids else []
    return [Stored(**r._mapping) for r in rows]


async def by_inbox(conn: Conn, inbox_ids: Collection[int]) -> dict[int, list[Stored]]:
    """Current events each inbox row became."""
    c = event.c
    stmt = sa.select(*_EVENT, c.inbox_id).where(
        c.tenant_id == conn.tenant_id, c.inbox_id.in_(inbox_ids), c.superseded_by.is_(None)
    )
    found: dict[int, list[Stored]] = {}
    for r in await conn.rows(stmt.order_by(c.inbox_id, c.at, c.seq)) if inbox_ids else []:
        values = dict(r._mapping)
        found.setdefault(values.pop("inbox_id"), []).append(Stored(**values))
    return found


async def last_words(conn: Conn, event_: Stored, *, limit: int = 4) -> list[str]:
    """What the customer said up to this event in this conversation, newest first, at most `limit`."""
    span = Interval(node_id=event_.node_id or 0, from_at=event_.at - timedelta(days=2), until_at=None)
    after = (event_.at, event_.seq, event_.event_id + 1)
    found = await page(conn, [span], before=after, limit=4 * limit, account_ids=[event_.account_id])
    said = [e.text for e in found if e.direction == "in" and e.kind.startswith("message.") and e.text]
    return said[:limit]
