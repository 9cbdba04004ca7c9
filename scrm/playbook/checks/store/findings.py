"""SQL of findings: what was said and should not have been, once per key."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import finding, promise

_f = finding.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`facts` are the numbers its sentence names."""

    finding_id: int
    key: str
    kind: Literal["promise", "words"]
    rule: str
    level: str
    event_id: int | None
    conversation_id: int | None
    node_id: int | None
    staff_id: int | None
    team_id: int | None
    promise_id: int | None
    facts: Mapping[str, Any]
    state: str = "open"
    at: datetime
    closed_at: datetime | None = None
    closed_by: int | None = None
    note: str = ""


async def add(conn: Conn, found: Sequence[Finding]) -> set[int]:
    """The ids of those nobody knew."""
    rows = [
        {name: getattr(f, name) for name in Finding.__slots__} | {"tenant_id": conn.tenant_id} for f in found
    ]
    return {r.finding_id for r in await conn.insert_new(finding, rows, _f.finding_id)} if rows else set()


async def reopen(conn: Conn, keys: Collection[str], *, note: str) -> set[int]:
    """Those that were closed by nobody and with this note stand again; their ids."""
    stmt = sa.select(_f.finding_id).where(
        _f.tenant_id == conn.tenant_id,
        _f.key.in_(keys),
        _f.state == "closed",
        _f.closed_by.is_(None),
        _f.note == note,
    )
    rows = await conn.rows(stmt.order_by(_f.finding_id).with_for_update()) if keys else []
    ids = {r.finding_id for r in rows}
    again = sa.update(finding).where(_f.tenant_id == conn.tenant_id, _f.finding_id.in_(ids))
    if ids:
        await conn.run(again.values(state="open", closed_at=None, note=""))
    return ids


async def on_promises(
    conn: Conn, node_ids: Collection[int], *, limit: int = 200
) -> list[tuple[Finding, int]]:
    """Those not closed about these addresses that stand on a promise, and to whom that was made."""
    stmt = (
        sa.select(finding, promise.c.node_id.label("promised_to"))
        .join(
            promise,
            sa.and_(promise.c.tenant_id == _f.tenant_id, promise.c.promise_id == _f.promise_id),
        )
        .where(_f.tenant_id == conn.tenant_id, _f.node_id.in_(node_ids), _f.state != "closed")
    )
    rows = await conn.rows(stmt.order_by(_f.finding_id.desc()).limit(limit)) if node_ids else []
    return [(_of(r), r.promised_to) for r in rows]


async def close(conn: Conn, finding_ids: Collection[int], *, by: int | None, note: str, now: datetime) -> int:
    """Those that were not closed yet; how many."""
    stmt = sa.update(finding).where(
        _f.tenant_id == conn.tenant_id, _f.finding_id.in_(finding_ids), _f.state != "closed"
    )
    values = {"state": "closed", "closed_at": now, "closed_by": by, "note": note}
    return await conn.run(stmt.values(**values)) if finding_ids else 0


async def hand(conn: Conn, finding_id: int, note: str) -> bool:
    """Compliance decides; False when it was not open."""
    stmt = sa.update(finding).where(
        _f.tenant_id == conn.tenant_id, _f.finding_id == finding_id, _f.state == "open"
    )
    return bool(await conn.run(stmt.values(state="handed", note=note)))


async def close_of_events(conn: Conn, event_ids: Collection[int], *, note: str, now: datetime) -> int:
    """What was said there is not said any more."""
    stmt = sa.update(finding).where(
        _f.tenant_id == conn.tenant_id, _f.event_id.in_(event_ids), _f.state != "closed"
    )
    return await conn.run(stmt.values(state="closed", closed_at=now, note=note)) if event_ids else 0


async def some(conn: Conn, finding_ids: Collection[int]) -> list[Finding]:
    stmt = sa.select(finding).where(_f.tenant_id == conn.tenant_id, _f.finding_id.in_(finding_ids))
    return [_of(r) for r in await conn.rows(stmt.order_by(_f.finding_id))] if finding_ids else []


async def get(conn: Conn, finding_id: int) -> Finding | None:
    row = await conn.row(
        sa.select(finding).where(_f.tenant_id == conn.tenant_id, _f.finding_id == finding_id)
    )
    return _of(row) if row else None


async def of_nodes(conn: Conn, node_ids: Collection[int], *, limit: int = 5) -> list[Finding]:
    """Open ones about these addresses, the newest first."""
    stmt = sa.select(finding).where(
        _f.tenant_id == conn.tenant_id, _f.node_id.in_(node_ids), _f.state == "open"
    )
    return [_of(r) for r in await conn.rows(stmt.order_by(_f.finding_id.desc()).limit(limit))]


async def page(
    conn: Conn, *, team_ids: Collection[int | None] | None, state: str, before: int | None, limit: int
) -> list[Finding]:
    """Newest first, at most `limit`, below the finding `before`; of these teams, None = of all."""
    stmt = sa.select(finding).where(_f.tenant_id == conn.tenant_id)
    if team_ids is not None:
        known = [t for t in team_ids if t is not None]
        stmt = stmt.where(
            sa.or_(_f.team_id.in_(known), _f.team_id.is_(None) if None in team_ids else sa.false())
        )
    if state:
        stmt = stmt.where(_f.state == state)
    if before is not None:
        stmt = stmt.where(_f.finding_id < before)
    return [_of(r) for r in await conn.rows(stmt.order_by(_f.finding_id.desc()).limit(limit))]


async def count(conn: Conn, *, team_id: int | None) -> int:
    """Open ones of a team."""
    stmt = sa.select(sa.func.count()).where(
        _f.tenant_id == conn.tenant_id, _f.state == "open", _f.team_id == team_id
    )
    return int(await conn.scalar(stmt) or 0)


async def forget(conn: Conn, node_ids: Collection[int], promise_ids: Collection[int]) -> None:
    """No sentence about these, nor about promises made to them, is left."""
    about = sa.or_(_f.node_id.in_(node_ids), _f.promise_id.in_(promise_ids))
    stmt = sa.update(finding).where(_f.tenant_id == conn.tenant_id, about)
    await conn.run(stmt.values(facts={}, note=""))


def _of(row: Any) -> Finding:
    return Finding(**{name: getattr(row, name) for name in Finding.__slots__})
