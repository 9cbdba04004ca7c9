"""SQL of what accounts may answer by themselves, and of what went out so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.playbook.answers.rules import Kind
from scrm.schema import answer_leave, suggestion

_l, _s = answer_leave.c, suggestion.c
_SENT = ("used", "edited")
_MOST = 3000


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """Switched on or off by somebody here."""

    account_id: int
    kind: Kind
    on: bool
    by_id: int | None
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A talk-track that went out without anybody."""

    suggestion_id: int
    script_id: str
    conversation_id: int
    event_id: int
    at: datetime


async def decided(conn: Conn) -> dict[int, dict[Kind, Decided]]:
    """By account and case."""
    stmt = sa.select(_l.account_id, _l.kind, _l.state, _l.by_id, _l.changed_at).where(
        _l.tenant_id == conn.tenant_id
    )
    found: dict[int, dict[Kind, Decided]] = {}
    for r in await conn.rows(stmt.order_by(_l.account_id, _l.kind).limit(_MOST)):
        one = Decided(
            account_id=r.account_id,
            kind=r.kind,
            on=r.state == "on",
            by_id=r.by_id,
            changed_at=r.changed_at,
        )
        found.setdefault(one.account_id, {})[one.kind] = one
    return found


async def decide(
    conn: Conn, account_id: int, kind: Kind, *, on: bool | None, by_id: int | None, now: datetime
) -> None:
    """None = as the setting has it."""
    if on is None:
        same = (_l.tenant_id == conn.tenant_id, _l.account_id == account_id, _l.kind == kind)
        await conn.run(sa.delete(answer_leave).where(*same))
        return
    row: dict[str, Any] = {"account_id": account_id, "kind": kind, "state": "on" if on else "off"}
    row |= {"tenant_id": conn.tenant_id, "by_id": by_id, "changed_at": now}
    await conn.upsert(answer_leave, [row], key=["tenant_id", "account_id", "kind"], change=_newer)


def _newer(new: Any) -> dict[str, Any]:
    return {"state": new.state, "by_id": new.by_id, "changed_at": new.changed_at}


async def gone(conn: Conn, *, limit: int) -> list[Gone]:
    """The last ones, newest first."""
    stmt = sa.select(_s.suggestion_id, _s.script_id, _s.conversation_id, _s.used_event_id, _s.used_at).where(
        _s.tenant_id == conn.tenant_id,
        _s.state.in_(_SENT),
        _s.staff_id.is_(None),
        _s.used_event_id.is_not(None),
        _s.used_at.is_not(None),
    )
    rows = await conn.rows(stmt.order_by(_s.suggestion_id.desc()).limit(limit))
    return [
        Gone(
            suggestion_id=r.suggestion_id,
            script_id=r.script_id,
            conversation_id=r.conversation_id,
            event_id=r.used_event_id,
            at=r.used_at,
        )
        for r in rows
    ]
