"""SQL of enclosures: which there are, and what vendors hold of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.contract import Media
from scrm.db import Conn
from scrm.schema import enclosure, media, uploaded
from scrm.seal import new_id

_e, _u = enclosure.c, uploaded.c
#: Nobody's customer: the company's own.
_OWNER = "tenant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A file that talk-tracks may name."""

    digest: str
    media_id: int
    name: str
    mime: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a vendor holds of it for one account; `name` is the vendor's."""

    account_id: int
    media_id: int
    name: str = ""
    until_at: datetime | None = None
    tried_at: datetime
    error: str = ""


_KEPT = [_e[name] for name in Kept.__slots__]
_HELD = [_u[name] for name in Held.__slots__]
_KEY = ["tenant_id", "account_id", "media_id"]


async def add(conn: Conn, digest: str, one: Media, *, author_id: int | None, now: datetime) -> Kept:
    """The same file again finds it where it is."""
    known = (await of_digests(conn, [digest])).get(digest)
    if known is not None:
        return known
    media_id = new_id()
    row = {"digest": digest, "media_id": media_id, "name": one.name, "mime": one.mime}
    row |= {"size": len(one.content), "author_id": author_id, "created_at": now}
    if not await conn.insert_new(enclosure, [{"tenant_id": conn.tenant_id, **row}], _e.digest):
        return (await of_digests(conn, [digest]))[digest]  # somebody else was faster
    content = await conn.seal(_OWNER, one.content, "media", media_id, "content")
    kept = {"tenant_id": conn.tenant_id, "media_id": media_id, "name": one.name, "mime": one.mime}
    await conn.insert_new(media, [kept | {"content": content, "created_at": now, "node_id": None}])
    return Kept(digest=digest, media_id=media_id, name=one.name, mime=one.mime, size=len(one.content))


async def of_digests(conn: Conn, digests: Collection[str]) -> dict[str, Kept]:
    if not digests:
        return {}
    stmt = sa.select(*_KEPT).where(_e.tenant_id == conn.tenant_id, _e.digest.in_(sorted(digests)))
    return {r.digest: Kept(**r._mapping) for r in await conn.rows(stmt.order_by(_e.digest))}


async def of_media(conn: Conn, media_ids: Collection[int]) -> dict[int, Kept]:
    """Those of these files that are enclosures: anybody of ours may see and send them."""
    if not media_ids:
        return {}
    stmt = sa.select(*_KEPT).where(_e.tenant_id == conn.tenant_id, _e.media_id.in_(sorted(media_ids)))
    return {r.media_id: Kept(**r._mapping) for r in await conn.rows(stmt.order_by(_e.media_id))}


# -- what vendors hold -------------------------------------------------------------------------------------
async def held(conn: Conn, media_ids: Collection[int] | None = None) -> dict[tuple[int, int], Held]:
    """By account and file."""
    stmt = sa.select(*_HELD).where(_u.tenant_id == conn.tenant_id)
    if media_ids is not None:
        stmt = stmt.where(_u.media_id.in_(sorted(media_ids)))
    rows = await conn.rows(stmt.order_by(_u.account_id, _u.media_id))
    return {(r.account_id, r.media_id): Held(**r._mapping) for r in rows}


async def hold(conn: Conn, one: Held) -> None:
    row = {name: getattr(one, name) for name in Held.__slots__}
    await conn.upsert(uploaded, [{"tenant_id": conn.tenant_id, **row}], key=_KEY, change=_taken)


async def refused(conn: Conn, account_id: int, media_id: int, why: str, *, now: datetime) -> None:
    """The vendor would not take it; what it holds already stays good until its end."""
    row = {"account_id": account_id, "media_id": media_id, "tried_at": now, "error": why[:200]}
    await conn.upsert(uploaded, [{"tenant_id": conn.tenant_id, **row}], key=_KEY, change=_refused)


def _taken(new: Any) -> dict[str, Any]:
    return {"name": new.name, "until_at": new.until_at, "tried_at": new.tried_at, "error": ""}


def _refused(new: Any) -> dict[str, Any]:
    return {"tried_at": new.tried_at, "error": new.error}


async def forget(conn: Conn, pairs: Collection[tuple[int, int]]) -> None:
    for account_id, media_id in sorted(pairs):
        stmt = sa.delete(uploaded).where(
            _u.tenant_id == conn.tenant_id, _u.account_id == account_id, _u.media_id == media_id
        )
        await conn.run(stmt)
