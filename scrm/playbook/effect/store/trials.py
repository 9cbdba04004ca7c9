"""SQL of trials: two versions of a script side by side, and the uses that tell them apart."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.playbook.effect.rules import GOALS, Arm, Goal, Seen
from scrm.schema import outcome, script_version, suggestion, trial

_t, _s, _o, _v = trial.c, suggestion.c, outcome.c, script_version.c
_MOST, _USES = 200, 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    trial_id: int
    code: str
    version_a: int
    version_b: int
    goal: Goal
    #: running | stopped
    state: str
    verdict: str
    by_id: int | None
    started_at: datetime
    stopped_at: datetime | None

    def version(self, arm: Arm) -> int:
        return self.version_a if arm == "a" else self.version_b


async def add(conn: Conn, one: Trial) -> None:
    row = {name: getattr(one, name) for name in Trial.__slots__}
    await conn.insert(trial, [{"tenant_id": conn.tenant_id, **row}])


async def get(conn: Conn, trial_id: int) -> Trial | None:
    row = await conn.row(sa.select(trial).where(_t.tenant_id == conn.tenant_id, _t.trial_id == trial_id))
    return Trial(**{name: getattr(row, name) for name in Trial.__slots__}) if row else None


async def page(conn: Conn, *, state: str = "", code: str = "", limit: int = _MOST) -> list[Trial]:
    """Newest first."""
    stmt = sa.select(trial).where(_t.tenant_id == conn.tenant_id)
    if state:
        stmt = stmt.where(_t.state == state)
    if code:
        stmt = stmt.where(_t.code == code)
    rows = await conn.rows(stmt.order_by(_t.trial_id.desc()).limit(limit))
    return [Trial(**{name: getattr(r, name) for name in Trial.__slots__}) for r in rows]


async def stop(conn: Conn, trial_id: int, verdict: str, *, now: datetime) -> bool:
    """False when it was stopped before."""
    stmt = sa.update(trial).where(
        _t.tenant_id == conn.tenant_id, _t.trial_id == trial_id, _t.state == "running"
    )
    return bool(await conn.run(stmt.values(state="stopped", verdict=verdict, stopped_at=now)))


async def seen(conn: Conn, one: Trial, *, now: datetime) -> list[Seen]:
    """The uses whose time for an answer is over, in the order of time.

    Those that were answered at once wait as long as the others: counted earlier they would lead.
    """
    until = min(now, one.stopped_at or now) - GOALS[one.goal]
    same = sa.and_(_o.tenant_id == _s.tenant_id, _o.suggestion_id == _s.suggestion_id, _o.goal == one.goal)
    stmt = (
        sa.select(_s.arm, _o.suggestion_id.label("hit"))
        .select_from(suggestion.outerjoin(outcome, same))
        .where(_s.tenant_id == conn.tenant_id, _s.script_id == one.code, _s.arm.in_(("a", "b")))
        .where(_s.state.in_(("used", "edited")), _s.created_at >= one.started_at, _s.used_at <= until)
        .order_by(_s.used_at, _s.suggestion_id)
        .limit(_USES)
    )
    if one.stopped_at is not None:
        stmt = stmt.where(_s.created_at <= one.stopped_at)
    return [Seen(arm=r.arm, hit=r.hit is not None) for r in await conn.rows(stmt)]


async def contents(
    conn: Conn, wanted: Collection[tuple[str, int]]
) -> dict[tuple[str, int], Mapping[str, Any]]:
    """These versions of scripts; those that only a file holds are left out."""
    if not wanted:
        return {}
    codes, versions = {code for code, _ in wanted}, {version for _, version in wanted}
    stmt = sa.select(_v.code, _v.version, _v.content).where(
        _v.tenant_id == conn.tenant_id, _v.code.in_(codes), _v.version.in_(versions)
    )
    rows = await conn.rows(stmt.order_by(_v.code, _v.version).limit(_MOST))
    return {(r.code, r.version): r.content for r in rows if (r.code, r.version) in wanted}
