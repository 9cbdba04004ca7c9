"""Facts: what a vendor says is so now, one row per (account, kind, key); the newest version wins."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.errors import Unsealable
from scrm.schema import fact
from scrm.seal import close, key_id_of, new_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One fact on its way in. `rank` is the vendor's version, else microseconds of when it was said."""

    account_id: int
    kind: str
    key: str
    body: Mapping[str, Any]
    rank: int
    at: datetime
    gone: bool = False
    node_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What we were told last."""

    fact_id: int
    account_id: int
    kind: str
    key: str
    node_id: int | None
    body: Mapping[str, Any]
    at: datetime
    gone_at: datetime | None


_Place = tuple[int, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    fact_id: int
    rank: int
    node_id: int | None


async def put_all(conn: Conn, said: Sequence[Said]) -> None:
    """Take over what is not older than what we know; order of arrival matters within one rank only."""
    newest: dict[_Place, Said] = {}
    for one in sorted(said, key=lambda s: s.rank):
        place = (one.account_id, one.kind, one.key)
        newest[place] = _over(newest[place], one) if place in newest else one
    if not newest:
        return
    known = await _held(conn, newest)
    missing = {place: new_id() for place in sorted(newest) if place not in known}
    if missing:
        rows = await _rows(conn, {ident: newest[place] for place, ident in missing.items()})
        made = {r.fact_id for r in await conn.insert_new(fact, rows, fact.c.fact_id)}
        if len(made) < len(missing):  # another process said it first: its row, our comparison
            lost = {place: newest[place] for place, ident in missing.items() if ident not in made}
            known |= await _held(conn, lost)
    newer = {
        held.fact_id: _over(held, newest[place])
        for place, held in sorted(known.items())
        if newest[place].rank >= held.rank
    }
    for row in await _rows(conn, newer):
        which = sa.and_(fact.c.tenant_id == conn.tenant_id, fact.c.fact_id == row["fact_id"])
        kept = {k: v for k, v in row.items() if k != "body" or not _is_silent(newer[row["fact_id"]])}
        await conn.run(sa.update(fact).where(which).values(kept))


def _is_silent(one: Said) -> bool:
    """What is gone without a word keeps what was known of it: its history is still somebody's."""
    return one.gone and not one.body


def _over(held: Said | _Held, one: Said) -> Said:
    """The newer word. Whom it is about stays known when it does not say so: their key seals it."""
    body = held.body if isinstance(held, Said) and _is_silent(one) else one.body
    return replace(one, body=body, node_id=held.node_id if one.node_id is None else one.node_id)


async def _held(conn: Conn, wanted: Mapping[_Place, Said]) -> dict[_Place, _Held]:
    """Those we have, locked in one order."""
    c, places = fact.c, {_blind(conn, *place): place for place in wanted}
    # The hash covers account and kind; they are named for the index.
    stmt = sa.select(c.fact_id, c.key, c.rank, c.node_id).where(
        c.tenant_id == conn.tenant_id,
        c.account_id.in_({account_id for account_id, _, _ in wanted}),
        c.kind.in_({kind for _, kind, _ in wanted}),
        c.key.in_(places),
    )
    rows = await conn.rows(stmt.order_by(c.fact_id).with_for_update())
    return {places[r.key]: _Held(fact_id=r.fact_id, rank=r.rank, node_id=r.node_id) for r in rows}


def _blind(conn: Conn, account_id: int, kind: str, key: str) -> str:
    """Keys hold vendors' ids of people: they are found by a keyed hash, and read from the sealed body."""
    return conn.vault.blind(str(conn.tenant_id), "fact", str(account_id), kind, key).hex()


async def _rows(conn: Conn, said: Mapping[int, Said]) -> list[dict[str, Any]]:
    """By id as the table keeps them; every key is had in one go."""
    keys = await conn.keys_for([_owner(one) for one in said.values()])
    return [
        {
            "tenant_id": conn.tenant_id,
            "fact_id": ident,
            "account_id": one.account_id,
            "kind": one.kind,
            "key": _blind(conn, one.account_id, one.kind, one.key),
            "node_id": one.node_id,
            "body": close(keys[_owner(one)], _packed(one), "fact", ident, "body"),
            "rank": one.rank,
            "at": one.at,
            "gone_at": one.at if one.gone else None,
        }
        for ident, one in said.items()
    ]


def _owner(one: Said) -> str:
    return f"node:{one.node_id}" if one.node_id is not None else "tenant"


def _packed(one: Said) -> bytes:
    return json.dumps({"key": one.key, "body": dict(one.body)}, ensure_ascii=False).encode()


async def of_nodes(
    conn: Conn, node_ids: Collection[int], kinds: Collection[str], *, gone: bool = False
) -> list[Known]:
    """What holds now about these customers or chats, oldest first; with `gone` also what no longer does."""
    if not node_ids:
        return []
    c = fact.c
    stmt = sa.select(fact).where(c.tenant_id == conn.tenant_id, c.node_id.in_(node_ids), c.kind.in_(kinds))
    if not gone:
        stmt = stmt.where(c.gone_at.is_(None))
    return await _opened(conn, stmt.order_by(c.fact_id).limit(2_000))


async def page(
    conn: Conn, account_id: int, kind: str, *, before: int | None = None, limit: int = 50
) -> list[Known]:
    """Facts of one kind that hold, newest first, at most `limit`, below the fact `before`."""
    c = fact.c
    stmt = sa.select(fact).where(
        c.tenant_id == conn.tenant_id, c.account_id == account_id, c.kind == kind, c.gone_at.is_(None)
    )
    if before is not None:
        stmt = stmt.where(c.fact_id < before)
    return await _opened(conn, stmt.order_by(c.fact_id.desc()).limit(limit))


async def get(conn: Conn, account_id: int, kind: str, key: str) -> Known | None:
    """Also when it is gone by now."""
    c = fact.c
    stmt = sa.select(fact).where(
        c.tenant_id == conn.tenant_id,
        c.account_id == account_id,
        c.kind == kind,
        c.key == _blind(conn, account_id, kind, key),
    )
    return next(iter(await _opened(conn, stmt.limit(1))), None)


async def some(conn: Conn, account_id: int, kind: str, keys: Collection[str]) -> dict[str, Known]:
    """Those of these keys that hold."""
    if not keys:
        return {}
    c = fact.c
    stmt = sa.select(fact).where(
        c.tenant_id == conn.tenant_id,
        c.account_id == account_id,
        c.kind == kind,
        c.key.in_([_blind(conn, account_id, kind, key) for key in keys]),
    )
    found = await _opened(conn, stmt.where(c.gone_at.is_(None)).order_by(c.fact_id).limit(2_000))
    return {one.key: one for one in found}


async def _opened(conn: Conn, stmt: sa.Select[Any]) -> list[Known]:
    """Those whose key still exists: an erased customer's facts are nobody's."""
    found, rows = [], await conn.rows(stmt)
    with suppress(Unsealable):  # had in one go; which of them are gone is found out one by one
        await conn.keys({key_id_of(r.body) for r in rows})
    for r in rows:
        try:
            said = json.loads(await conn.unseal(r.body, "fact", r.fact_id, "body"))
        except Unsealable:
            continue
        values = {name: getattr(r, name) for name in Known.__slots__ if name not in said}
        found.append(Known(**said, **values))
    return found
