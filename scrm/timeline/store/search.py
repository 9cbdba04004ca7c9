"""SQL of the search: what events are found by, and pages of what was found, newest first."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.errors import Unsealable
from scrm.identity.store import Interval
from scrm.schema import conversation, event, event_media, event_node, node_person, search_doc
from scrm.schema.search import INDEX
from scrm.seal import Vault
from scrm.staff.rules import Scope
from scrm.timeline import finding
from scrm.timeline.genres import genre_of
from scrm.timeline.store.conversations import visible
from scrm.timeline.store.events import Stored

_MARK_BITS = 22
_LARGEST = (1 << 63) - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Two events of one millisecond rarely have one mark; so often the next one is tried.
_TRIES = 8
#: Addresses in one statement: SQLite nests no condition deeper than 1000.
_AT_ONCE = 400
_d = search_doc.c
_e = event.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One event that has every word; `search_id` is its place on the page."""

    search_id: int
    event_id: int


# -- keeping -----------------------------------------------------------------------------------------------
async def index(conn: Conn, event_ids: Collection[int]) -> None:
    """Make these events findable as they read now; those that nobody reads any more are forgotten."""
    left = sorted(event_ids)
    for shift in range(_TRIES):
        if not left:
            return
        left = await _index(conn, left, shift)


async def _index(conn: Conn, event_ids: Collection[int], shift: int) -> list[int]:
    """Those whose place was taken, or whose event another process has made findable meanwhile: it may have
    read other words. What is known is read before what an event says, so that a later edit is never undone.
    """
    stmt = sa.select(_d.event_id, _d.words).where(_d.tenant_id == conn.tenant_id, _d.event_id.in_(event_ids))
    known = {r.event_id: r.words for r in await conn.rows(stmt)}
    found = await _readable(conn, event_ids)
    said = await transcripts(conn, list(found))
    rows = {i: _row(conn, e, f"{e.text}\n{said.get(i, '')}") for i, e in found.items()}
    wanted = {i: row for i, row in rows.items() if row is not None}
    await forget(conn, [i for i, words in known.items() if i not in wanted or wanted[i]["words"] != words])
    new = {
        i: row | {"search_id": row["search_id"] + shift}
        for i, row in wanted.items()
        if known.get(i) != row["words"]
    }
    rows_made = await conn.insert_new(search_doc, list(new.values()), search_doc.c.event_id, any_key=True)
    made = {r.event_id for r in rows_made}
    return [i for i in new if i not in made]


async def forget(conn: Conn, event_ids: Collection[int]) -> None:
    """They are found no more."""
    if event_ids:
        await conn.run(
            sa.delete(search_doc).where(_d.tenant_id == conn.tenant_id, _d.event_id.in_(event_ids))
        )


async def forget_nodes(conn: Conn, node_ids: Collection[int]) -> None:
    """Nothing of these customers is found any more."""
    if node_ids:
        await conn.run(sa.delete(search_doc).where(_d.tenant_id == conn.tenant_id, _d.node_id.in_(node_ids)))


async def _readable(conn: Conn, event_ids: Collection[int]) -> dict[int, Stored]:
    columns = [_e[name] for name in Stored.__slots__]
    stmt = sa.select(*columns).where(
        _e.tenant_id == conn.tenant_id,
        _e.event_id.in_(event_ids),
        _e.superseded_by.is_(None),
        _e.edits.is_(None),
        _e.node_id.is_not(None),
    )
    rows = [Stored(**r._mapping) for r in await conn.rows(stmt)]
    return {e.event_id: e for e in rows if genre_of(e.kind) != "event"}


async def transcripts(conn: Conn, event_ids: Collection[int]) -> dict[int, str]:
    """What was said in the recordings, and what files are called."""
    c = event_media.c
    stmt = sa.select(c.event_id, c.n, c.name, c.transcript).where(
        c.tenant_id == conn.tenant_id, c.event_id.in_(event_ids)
    )
    rows = await conn.rows(stmt.order_by(c.event_id, c.n)) if event_ids else []
    said: dict[int, str] = {}
    for r in rows:
        words = [said.get(r.event_id, ""), r.name]
        with suppress(Unsealable):  # an erased customer's words are nobody's
            if r.transcript:
                plain = await conn.unseal(r.transcript, "event_media", r.event_id, r.n, "transcript")
                words.append(plain.decode())
        said[r.event_id] = "\n".join(words)
    return said


def _row(conn: Conn, e: Stored, text: str) -> dict[str, Any] | None:
    found = finding.terms(text)
    if not found:
        return None
    own = marks(conn.vault, conn.tenant_id, [f"n:{e.node_id}", *found])
    return {
        "tenant_id": conn.tenant_id,
        "search_id": place(e.at) | (e.event_id * 0x9E3779B97F4A7C15 >> 20 & ((1 << _MARK_BITS) - 1)),
        "event_id": e.event_id,
        "node_id": e.node_id,
        "words": " ".join(dict.fromkeys(own)),
    }


def place(at: datetime) -> int:
    """The first search id of this moment."""
    millis = max(0, (at - _EPOCH) // timedelta(milliseconds=1))
    # A vendor may say the year 2361: still a place, and one that leaves room for the mark.
    return min(millis, _LARGEST >> _MARK_BITS) << _MARK_BITS


def marks(vault: Vault, tenant_id: int, terms: Sequence[str]) -> list[str]:
    """Terms as the index has them."""
    return [_mark(vault, tenant_id, term) for term in terms]


@lru_cache(maxsize=100_000)
def _mark(vault: Vault, tenant_id: int, term: str) -> str:
    """A term as the index has it: 30 bits that say nothing without the key, and are no other tenant's."""
    return base64.b32encode(vault.blind("search", str(tenant_id), term)[:5]).decode().lower()[:6]


# -- finding -----------------------------------------------------------------------------------------------
async def page(
    conn: Conn,
    question: str,
    *,
    scope: Scope,
    spans: Sequence[Interval] | None = None,
    recalled: bool = False,
    before: int | None = None,
    limit: int,
) -> list[Hit]:
    """Newest first: what has every word asked for, of customers in scope, or of these nodes.

    `recalled`: also what was taken back. A customer whose nodes are given must have been seen in scope.
    """
    wanted = finding.asked(question)
    if not wanted or spans == []:
        return []
    found: set[Hit] = set()
    for begin in range(0, len(spans or (0,)), _AT_ONCE):
        some = spans and spans[begin : begin + _AT_ONCE]
        found |= set(await _part(conn, wanted, scope, some, recalled=recalled, before=before, limit=limit))
    return sorted(found, key=lambda hit: hit.search_id, reverse=True)[:limit]


async def _part(
    conn: Conn,
    wanted: Sequence[str],
    scope: Scope,
    spans: Sequence[Interval] | None,
    *,
    recalled: bool,
    before: int | None,
    limit: int,
) -> list[Hit]:
    within = sorted({s.node_id for s in spans or ()})
    named = marks(conn.vault, conn.tenant_id, [f"n:{node}" for node in within])
    stmt = _matching(conn, marks(conn.vault, conn.tenant_id, wanted), named).where(
        _d.tenant_id == conn.tenant_id, _e.tenant_id == conn.tenant_id, _e.superseded_by.is_(None)
    )
    if spans is not None:
        stmt = stmt.where(sa.or_(*(_during(s) for s in spans)))
    elif not scope.everything:
        stmt = stmt.where(_d.node_id.in_(_theirs(conn, scope)))
    if not recalled:
        stmt = stmt.where(_e.recalled_at.is_(None))
    rows = await conn.rows(stmt, {"before": _LARGEST if before is None else before, "limit": limit})
    return [Hit(search_id=r.search_id, event_id=r.event_id) for r in rows]


def _matching(conn: Conn, wanted: Sequence[str], named: Sequence[str]) -> sa.Select[Any]:
    """The engine's own index, read backwards from a place."""
    limit: sa.BindParameter[int] = sa.bindparam("limit", type_=sa.Integer)
    before: sa.BindParameter[int] = sa.bindparam("before", type_=sa.BigInteger)
    if conn.many:
        found = sa.table(INDEX, sa.column("tenant_id"), sa.column("search_id"), sa.column("words"))
        either = f" & ({' | '.join(map(_lexeme, named))})" if named else ""
        query = sa.literal(" & ".join(map(_lexeme, wanted)) + either, sa.Text)
        matches = found.c.words.op("@@")(sa.cast(query, _Query))
        key, mine = found.c.search_id, sa.and_(found.c.tenant_id == conn.tenant_id, matches)
    else:
        found = sa.table(INDEX, sa.column("rowid"), sa.column(INDEX))
        either = f" AND ({' OR '.join(named)})" if named else ""
        key, mine = found.c.rowid, found.c[INDEX].op("MATCH")(" AND ".join(wanted) + either)
    joined = found.join(search_doc, _d.search_id == key).join(event, _e.event_id == _d.event_id)
    stmt = sa.select(_d.search_id, _d.event_id).select_from(joined).where(mine, key < before)
    return stmt.order_by(key.desc()).limit(limit)


class _Query(sa.types.UserDefinedType[str]):
    cache_ok = True

    def get_col_spec(self, **_more: Any) -> str:
        return "tsquery"


def _lexeme(mark: str) -> str:
    return f"'{mark}'"


def _during(span: Interval) -> sa.ColumnElement[bool]:
    until = _LARGEST if span.until_at is None else place(span.until_at)
    return sa.and_(_d.node_id == span.node_id, _d.search_id >= place(span.from_at), _d.search_id < until)


def _theirs(conn: Conn, scope: Scope) -> sa.Select[Any]:
    """Every node of every person whom this scope sees in some conversation."""
    c, seen, other = conversation.c, node_person.alias("seen"), node_person.alias("theirs")
    persons = (
        sa.select(seen.c.person_id)
        .join(conversation, sa.and_(c.tenant_id == seen.c.tenant_id, c.node_id == seen.c.node_id))
        .where(seen.c.tenant_id == conn.tenant_id, seen.c.until_at.is_(None), visible(scope))
    )
    return sa.select(other.c.node_id).where(
        other.c.tenant_id == conn.tenant_id, other.c.until_at.is_(None), other.c.person_id.in_(persons)
    )


# -- filling up --------------------------------------------------------------------------------------------
async def following(conn: Conn, *, after: int, limit: int) -> list[int]:
    """Ids of the next events after this one, in the order they were stored, at most `limit`."""
    stmt = sa.select(_e.event_id).where(_e.tenant_id == conn.tenant_id, _e.event_id > after)
    return [r.event_id for r in await conn.rows(stmt.order_by(_e.event_id).limit(limit))]


async def shelve(conn: Conn, event_ids: Collection[int]) -> None:
    """Say on which shelf events of an earlier release stand, where their own customer's page looks."""
    n = event_node.c
    stmt = sa.select(_e.event_id, _e.node_id, _e.at, _e.seq, _e.kind).where(
        _e.tenant_id == conn.tenant_id, _e.event_id.in_(event_ids), _e.node_id.is_not(None)
    )
    rows = await conn.rows(stmt) if event_ids else []
    await conn.run(
        sa.update(event_node)
        .where(
            n.tenant_id == conn.tenant_id,
            n.node_id == sa.bindparam("b_node"),
            n.at == sa.bindparam("b_at", type_=n.at.type),
            n.seq == sa.bindparam("b_seq"),
            n.event_id == sa.bindparam("b_event"),
            n.genre == "",
        )
        .values(genre=sa.bindparam("b_genre")),
        [
            {
                "b_node": r.node_id,
                "b_at": r.at,
                "b_seq": r.seq,
                "b_event": r.event_id,
                "b_genre": genre_of(r.kind),
            }
            for r in rows
        ],
    )
