"""SQL of edited messages: their first words, the edits, and the words they have now."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import event
from scrm.seal import new_id
from scrm.timeline.store.events import Stored, body_owner

_c = event.c
_EVENT = [_c[name] for name in Stored.__slots__]
#: Of so many edits of one page the earlier versions are shown.
_MOST = 500
_tenant: sa.BindParameter[int] = sa.bindparam("tenant")
_EDITED = sa.select(_c.edits).where(
    _c.tenant_id == _tenant,
    _c.account_id == sa.bindparam("account"),
    _c.edits.in_(sa.bindparam("keys", expanding=True)),
)


async def edited(conn: Conn, account_id: int, source_keys: Collection[str]) -> set[str]:
    """Of these messages, those of which an edit is here."""
    asked = {"tenant": conn.tenant_id, "account": account_id, "keys": list(source_keys)}
    return {r.edits for r in await conn.rows(_EDITED, asked)}


async def held(conn: Conn, account_id: int, source_key: str) -> Stored | None:
    """The message as it reads now, held for this transaction."""
    stmt = sa.select(*_EVENT).where(
        _c.tenant_id == conn.tenant_id,
        _c.account_id == account_id,
        _c.source_key == source_key,
        _c.superseded_by.is_(None),
    )
    row = await conn.row(stmt.order_by(_c.version.desc()).limit(1).with_for_update())
    return Stored(**row._mapping) if row else None


async def edits_of(conn: Conn, account_id: int, source_keys: Collection[str]) -> dict[str, list[Stored]]:
    """Edits by the message they change, in the order they were made."""
    stmt = sa.select(*_EVENT, _c.edits).where(
        _c.tenant_id == conn.tenant_id,
        _c.account_id == account_id,
        _c.edits.in_(source_keys),
        _c.superseded_by.is_(None),
    )
    found: dict[str, list[Stored]] = {}
    order = (_c.at, _c.seq, _c.source_key)
    for r in await conn.rows(stmt.order_by(*order).limit(_MOST)) if source_keys else []:
        values = dict(r._mapping)
        found.setdefault(values.pop("edits"), []).append(Stored(**values))
    return found


async def originals(conn: Conn, shown: Collection[Stored]) -> dict[int, Stored]:
    """Edited events as they were first said, by the event that is shown."""
    ids = [e.event_id for e in shown if e.edited_at is not None]
    stmt = sa.select(*_EVENT, _c.superseded_by).where(
        _c.tenant_id == conn.tenant_id,
        _c.account_id.in_({e.account_id for e in shown}),
        _c.source_key.in_({e.source_key for e in shown}),
        _c.superseded_by.in_(ids),
        _c.edited_at.is_not(None),
    )
    found: dict[int, Stored] = {}
    for r in await conn.rows(stmt.order_by(_c.version)) if ids else []:
        values = dict(r._mapping)
        shown_id = values.pop("superseded_by")
        found[shown_id] = Stored(**values)
    return found


async def keep_original(conn: Conn, message: Stored, body: Mapping[str, Any], *, now: datetime) -> None:
    """A version of its own for the first words; the message itself becomes the next one."""
    c, ident = _c, new_id()
    which = sa.and_(c.tenant_id == conn.tenant_id, c.event_id == message.event_id)
    await conn.run(sa.update(event).where(which).values(version=message.version + 1))
    row = {name: getattr(message, name) for name in Stored.__slots__} | {
        "tenant_id": conn.tenant_id,
        "event_id": ident,
        "body": await _sealed(conn, message, ident, body),
        "superseded_by": message.event_id,
        # By this it is told from a reading that a better parser replaced.
        "edited_at": message.at,
        "stored_at": now,
    }
    await conn.insert(event, [row])


async def reword(conn: Conn, message: Stored, edit: Stored, body: Mapping[str, Any]) -> None:
    """Say it in the words of the edit."""
    which = sa.and_(_c.tenant_id == conn.tenant_id, _c.event_id == message.event_id)
    sealed = await _sealed(conn, message, message.event_id, body)
    await conn.run(sa.update(event).where(which).values(text=edit.text, body=sealed, edited_at=edit.at))


async def _sealed(conn: Conn, message: Stored, ident: int, body: Mapping[str, Any]) -> bytes:
    plain = json.dumps(dict(body), ensure_ascii=False).encode()
    return await conn.seal(body_owner(message.node_id), plain, "event", ident, "body")
