"""SQL of events: append once, supersede on replay, recall, and pages by keyset over a person's nodes."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.identity.store import Interval
from scrm.schema import event, event_node
from scrm.seal import close, key_id_of, open_sealed
from scrm.timeline.genres import STARTS, Genre
from scrm.timeline.rules import are_words

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
    edited_at: datetime | None
    body: bytes

    @property
    def place(self) -> Place:
        return (self.at, self.seq, self.event_id)


_EVENT = [event.c[name] for name in Stored.__slots__]


# What the loops ask for all the time, built once: building costs more than running.
_tenant: sa.BindParameter[int] = sa.bindparam("tenant")
_account: sa.BindParameter[int] = sa.bindparam("account")
_RECALLED = sa.select(event.c.recalls).where(
    event.c.tenant_id == _tenant,
    event.c.account_id == _account,
    event.c.recalls.in_(sa.bindparam("keys", expanding=True)),
)
_n = event_node.c
_EVER, _NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
#: Identifiers in one statement: SQLite joins no more than 500 parts, one for each and each shelf.
_AT_ONCE = 64
_PLACE = sa.tuple_(
    sa.bindparam("at", type_=_n.at.type),
    sa.bindparam("seq", type_=_n.seq.type),
    sa.bindparam("event", type_=_n.event_id.type),
)
_LAST_WORDS = (
    sa.select(event.c.text, event.c.direction, event.c.kind)
    .join_from(event_node, event, sa.and_(event.c.tenant_id == _n.tenant_id, event.c.event_id == _n.event_id))
    .where(
        _n.tenant_id == _tenant,
        _n.node_id == sa.bindparam("node"),
        _n.account_id == _account,
        _n.at >= sa.bindparam("since", type_=_n.at.type),
        sa.tuple_(_n.at, _n.seq, _n.event_id) <= _PLACE,
    )
    .order_by(_n.at.desc(), _n.seq.desc(), _n.event_id.desc())
    .limit(sa.bindparam("limit", type_=sa.Integer))
)


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


async def supersede(conn: Conn, old_id: int, new_id: int, *, node_ids: Collection[int] = ()) -> None:
    """The old version leaves every page but stays in the table. `node_ids`: those it very likely hung on."""
    c, n = event.c, event_node.c
    mine = sa.and_(c.tenant_id == conn.tenant_id, c.event_id == old_id)
    await conn.run(sa.update(event).where(mine).values(superseded_by=new_id))
    hung = sa.delete(event_node).where(n.tenant_id == conn.tenant_id, n.event_id == old_id)
    old = await conn.row(sa.select(c.at, c.seq, c.node_id).where(mine)) if node_ids else None
    if old is not None:
        here = n.node_id.in_({*node_ids, old.node_id or 0})
        if await conn.run(hung.where(here, n.at == old.at, n.seq == old.seq)) == len(node_ids):
            return
    # The key leads with the node, so anywhere else it must be looked for everywhere: after a parser fix.
    await conn.run(hung)


async def recall(conn: Conn, account_id: int, source_keys: Collection[str], *, now: datetime) -> None:
    """Mark messages as taken back; they stay readable as history."""
    c = event.c
    stmt = sa.update(event).where(
        c.tenant_id == conn.tenant_id,
        c.account_id == account_id,
        c.source_key.in_(source_keys),
        c.recalled_at.is_(None),
    )
    if not await conn.run(stmt.values(recalled_at=now)):
        return
    # What a record of the vendor's confirmed is taken back with the record.
    gone = event.alias().c
    read = sa.select(gone.superseded_by).where(
        gone.tenant_id == conn.tenant_id,
        gone.account_id == account_id,
        gone.source_key.in_(source_keys),
        gone.superseded_by.is_not(None),
    )
    shown = sa.update(event).where(c.tenant_id == conn.tenant_id, c.event_id.in_(read))
    await conn.run(shown.where(c.recalled_at.is_(None)).values(recalled_at=now))


async def recalled_before(conn: Conn, account_id: int, source_keys: Collection[str]) -> set[str]:
    """Of these messages, those whose recall arrived first."""
    asked = {"tenant": conn.tenant_id, "account": account_id, "keys": list(source_keys)}
    return {r.recalls for r in await conn.rows(_RECALLED, asked)}


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
    genres: Collection[Genre] = (),
) -> list[Stored]:
    """Newest first, at most `limit`: the merge of each node's index range within its interval."""
    found: dict[int, Stored] = {}
    since = _EVER
    for begin in range(0, len(nodes), _AT_ONCE):
        some = nodes[begin : begin + _AT_ONCE]
        more = await _part(
            conn, some, since=since, before=before, limit=limit, account_ids=account_ids, genres=genres
        )
        if len(some) == len(nodes):
            return more
        found |= {e.event_id: e for e in more}
        newest = sorted(found.values(), key=lambda e: e.place, reverse=True)[:limit]
        found = {e.event_id: e for e in newest}
        if len(newest) == limit:  # what is older than all of these is on no page before them
            since = newest[-1].at
    return list(found.values())


async def _part(
    conn: Conn,
    nodes: Sequence[Interval],
    *,
    since: datetime,
    before: Place | None,
    limit: int,
    account_ids: Collection[int],
    genres: Collection[Genre],
) -> list[Stored]:
    asked: dict[str, Any] = {"tenant": conn.tenant_id, "limit": limit}
    if account_ids:
        asked["accounts"] = list(account_ids)
    for number, span in enumerate(nodes):
        until_at = span.until_at or _NEVER
        from_at = max(span.from_at, since)
        asked |= {f"node{number}": span.node_id, f"from{number}": from_at, f"until{number}": until_at}
    if before is not None:
        asked |= dict(zip(("at", "seq", "event"), before, strict=True))
    kinds = tuple(sorted(set(genres)))
    stmt = _paging(len(nodes), before=before is not None, filtered=bool(account_ids), genres=kinds)
    rows = await conn.rows(stmt, asked)
    return [Stored(**r._mapping) for r in rows]


@lru_cache(maxsize=256)
def _paging(spans: int, *, before: bool, filtered: bool, genres: tuple[Genre, ...]) -> sa.Select[Any]:
    """Built once per shape: building it costs several times more than running it."""
    limit: sa.BindParameter[int] = sa.bindparam("limit", type_=sa.Integer)
    shelves: list[sa.ColumnElement[bool] | None] = [_n.genre == genre for genre in genres]
    if genres:  # rows of a release that did not say are told apart by their event's kind
        shelves.append(sa.and_(_n.genre == "", _unsaid(genres)))
    parts = [
        _range(number, limit, before=before, filtered=filtered, shelf=shelf)
        for number in range(spans)
        for shelf in shelves or [None]
    ]
    ids = (sa.union(*parts) if len(parts) > 1 else parts[0]).subquery()
    order = (ids.c.at.desc(), ids.c.seq.desc(), ids.c.event_id.desc())
    top = sa.select(ids.c.event_id).order_by(*order).limit(limit).subquery()
    c = event.c
    stmt = sa.select(*_EVENT).where(c.tenant_id == _tenant, c.event_id.in_(sa.select(top.c.event_id)))
    return stmt.order_by(c.at.desc(), c.seq.desc(), c.event_id.desc())


def _unsaid(genres: Collection[Genre]) -> sa.ColumnElement[bool]:
    """The event's kind stands on one of these shelves."""
    kind = event.c.kind
    starts = {g: sa.or_(*(kind.like(f"{start}%") for start in STARTS[g])) for g in STARTS}
    other = sa.not_(sa.or_(*starts.values()))
    starts |= {"talk": sa.and_(kind.like("message.%"), other), "event": sa.and_(kind.like("event.%"), other)}
    same = sa.and_(event.c.tenant_id == _n.tenant_id, event.c.event_id == _n.event_id)
    return sa.exists().where(same, sa.or_(*(starts[g] for g in genres)))


def _range(
    number: int,
    limit: sa.BindParameter[int],
    *,
    before: bool,
    filtered: bool,
    shelf: sa.ColumnElement[bool] | None,
) -> sa.Select[Any]:
    """One node's events within its interval."""
    stmt = sa.select(_n.event_id, _n.at, _n.seq).where(
        _n.tenant_id == _tenant,
        _n.node_id == sa.bindparam(f"node{number}"),
        _n.at >= sa.bindparam(f"from{number}", type_=_n.at.type),
        _n.at < sa.bindparam(f"until{number}", type_=_n.at.type),
    )
    if before:
        stmt = stmt.where(sa.tuple_(_n.at, _n.seq, _n.event_id) < _PLACE)
    if filtered:
        stmt = stmt.where(_n.account_id.in_(sa.bindparam("accounts", expanding=True)))
    if shelf is not None:
        stmt = stmt.where(shelf)
    inner = stmt.order_by(_n.at.desc(), _n.seq.desc(), _n.event_id.desc()).limit(limit).subquery()
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
    asked = {
        "tenant": conn.tenant_id,
        "node": event_.node_id or 0,
        "account": event_.account_id,
        "since": event_.at - timedelta(days=2),
        "at": event_.at,
        "seq": event_.seq,
        "event": event_.event_id,
        "limit": 4 * limit,
    }
    found = await conn.rows(_LAST_WORDS, asked)
    said = [e.text for e in found if e.direction == "in" and are_words(e.kind, e.text)]
    return said[:limit]
