"""SQL of the identity log: everything identity did, in order; what consumers rebuild from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import identity_log
from scrm.seal import new_id

_l = identity_log.c
_LAST = sa.select(sa.func.max(_l.log_id)).where(_l.tenant_id == sa.bindparam("tenant"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One thing that was done. `body` holds who was whose before and after, by node id."""

    op: str
    body: Mapping[str, Any] = field(default_factory=dict)
    origin: str = "auto"
    actor_id: int | None = None
    evidence_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    log_id: int
    at: datetime
    op: str
    origin: str
    actor_id: int | None
    evidence_id: int | None
    body: Mapping[str, Any]
    policy_version: int


async def write(conn: Conn, deeds: Sequence[Deed], *, version: int, now: datetime) -> None:
    """In the order given. The caller holds the lock of identity: a reader by cursor misses nothing."""
    if not deeds:
        return
    last = await conn.scalar(_LAST, {"tenant": conn.tenant_id}) or 0
    rows = []
    for deed in deeds:
        # Clocks of hosts differ: what comes later has the greater number all the same.
        last = max(last + 1, new_id())
        rows.append(
            {
                "tenant_id": conn.tenant_id,
                "log_id": last,
                "at": now,
                "op": deed.op,
                "origin": deed.origin,
                "actor_id": deed.actor_id,
                "evidence_id": deed.evidence_id,
                "body": json.dumps(deed.body, ensure_ascii=False, separators=(",", ":")),
                "policy_version": version,
            }
        )
    await conn.insert(identity_log, rows)


async def page(conn: Conn, *, after: int = 0, limit: int, ops: Sequence[str] = ()) -> list[Logged]:
    """What came after this cursor, oldest first."""
    stmt = sa.select(identity_log).where(_l.tenant_id == conn.tenant_id, _l.log_id > after)
    if ops:
        stmt = stmt.where(_l.op.in_(ops))
    rows = await conn.rows(stmt.order_by(_l.log_id).limit(limit))
    return [_logged(r) for r in rows]


async def newest(conn: Conn, *, before: int | None = None, limit: int) -> list[Logged]:
    """The newest first, below `before`."""
    stmt = sa.select(identity_log).where(_l.tenant_id == conn.tenant_id)
    if before is not None:
        stmt = stmt.where(_l.log_id < before)
    return [_logged(r) for r in await conn.rows(stmt.order_by(_l.log_id.desc()).limit(limit))]


def _logged(row: Any) -> Logged:
    return Logged(
        log_id=row.log_id,
        at=row.at,
        op=row.op,
        origin=row.origin,
        actor_id=row.actor_id,
        evidence_id=row.evidence_id,
        body=json.loads(row.body),
        policy_version=row.policy_version,
    )
