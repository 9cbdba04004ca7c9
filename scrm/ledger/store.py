"""SQL of the audit trail (names of fields, never values) and of answers kept for a repeated request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import audit_entry, idempotency_key
from scrm.seal import new_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    audit_id: int
    at: datetime
    actor: str
    action: str
    subject: str
    fields: list[str]


async def audit(
    conn: Conn, actor: str, action: str, *, now: datetime, subject: str = "", fields: Sequence[str] = ()
) -> None:
    """One entry; `actor` and `subject` are `<kind>:<id>`. It fails with the transaction, never silently."""
    row = {
        "tenant_id": conn.tenant_id,
        "audit_id": new_id(),
        "at": now,
        "actor": actor,
        "action": action,
        "subject": subject,
        "fields": list(fields),
    }
    await conn.run(sa.insert(audit_entry), [row])


async def entries(conn: Conn, *, limit: int) -> list[Entry]:
    """Newest first, at most `limit`."""
    c = audit_entry.c
    stmt = sa.select(c.audit_id, c.at, c.actor, c.action, c.subject, c.fields).where(
        c.tenant_id == conn.tenant_id
    )
    return [Entry(**r._mapping) for r in await conn.rows(stmt.order_by(c.audit_id.desc()).limit(limit))]


async def about(conn: Conn, subject: str, *, since: datetime, limit: int) -> list[Entry]:
    """What was done to one thing and its versions since then, newest first, at most `limit`."""
    c = audit_entry.c
    theirs = sa.or_(c.subject == subject, c.subject.startswith(f"{subject}@", autoescape=True))
    stmt = sa.select(c.audit_id, c.at, c.actor, c.action, c.subject, c.fields).where(
        c.tenant_id == conn.tenant_id, c.at >= since, theirs
    )
    # By time, not by id: that is what the index holds, and what bounds the search.
    return [
        Entry(**r._mapping)
        for r in await conn.rows(stmt.order_by(c.at.desc(), c.audit_id.desc()).limit(limit))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an Idempotency-Key was answered with."""

    request_hash: bytes
    status: int
    body: bytes


async def answered(conn: Conn, actor: str, key: str) -> Answer | None:
    c = idempotency_key.c
    stmt = sa.select(c.request_hash, c.status, c.body).where(
        c.tenant_id == conn.tenant_id, c.actor == actor, c.key == key
    )
    row = await conn.row(stmt)
    return Answer(**row._mapping) if row else None


async def keep_answer(
    conn: Conn, actor: str, key: str, request_hash: bytes, status: int, body: bytes, *, now: datetime
) -> None:
    """Raises when the key was taken meanwhile: the transaction, and with it the effect, is rolled back."""
    row = {
        "tenant_id": conn.tenant_id,
        "actor": actor,
        "key": key,
        "request_hash": request_hash,
        "status": status,
        "body": body,
        "created_at": now,
    }
    await conn.run(sa.insert(idempotency_key), [row])
