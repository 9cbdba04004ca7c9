"""SQL of runs: households on their way through SOPs, and every step that was taken."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import sop_run, sop_step

_r, _t = sop_run.c, sop_step.c
_MOST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One household's way through one version of one SOP."""

    run_id: int
    code: str
    version: int
    key: str
    node_id: int
    conversation_id: int | None
    staff_id: int | None
    event_id: int | None
    state: str
    step: str
    taken: int
    memory: Mapping[str, Any]
    started_at: datetime
    next_at: datetime | None
    ended_at: datetime | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One step that was taken."""

    run_id: int
    n: int
    step: str
    kind: str
    state: str
    planned_at: datetime
    at: datetime
    why: str = ""
    event_id: int | None = None
    task_id: int | None = None
    coupon_id: int | None = None


async def start(conn: Conn, one: Row) -> bool:
    """False when this trigger started a run of it before."""
    row = {name: getattr(one, name) for name in Row.__slots__} | {"tenant_id": conn.tenant_id}
    return bool(await conn.insert_new(sop_run, [row], _r.run_id))


async def hold(conn: Conn, run_id: int) -> Row | None:
    """Nobody else takes a step of it until the transaction ends."""
    stmt = sa.select(sop_run).where(_r.tenant_id == conn.tenant_id, _r.run_id == run_id)
    row = await conn.row(stmt.with_for_update())
    return _run(row) if row else None


async def change(conn: Conn, run_id: int, **values: Any) -> None:
    stmt = sa.update(sop_run).where(_r.tenant_id == conn.tenant_id, _r.run_id == run_id)
    await conn.run(stmt.values(**values))


async def end(conn: Conn, run_ids: Collection[int], state: str, why: str, *, now: datetime) -> int:
    """Those that still run; how many."""
    if not run_ids:
        return 0
    stmt = sa.update(sop_run).where(
        _r.tenant_id == conn.tenant_id, _r.run_id.in_(run_ids), _r.state == "running"
    )
    return await conn.run(stmt.values(state=state, why=why, ended_at=now, next_at=None))


async def running(conn: Conn, node_ids: Collection[int]) -> list[Row]:
    """Runs that these addresses are on, in the order of their ids; held."""
    if not node_ids:
        return []
    stmt = sa.select(sop_run).where(
        _r.tenant_id == conn.tenant_id, _r.node_id.in_(node_ids), _r.state == "running"
    )
    return [_run(r) for r in await conn.rows(stmt.order_by(_r.run_id).limit(_MOST).with_for_update())]


async def beside(conn: Conn, node_ids: Collection[int]) -> list[Row]:
    """The same as they are now, held by nobody."""
    if not node_ids:
        return []
    stmt = sa.select(sop_run).where(
        _r.tenant_id == conn.tenant_id, _r.node_id.in_(node_ids), _r.state == "running"
    )
    return [_run(r) for r in await conn.rows(stmt.order_by(_r.run_id).limit(_MOST))]


async def forget(conn: Conn, node_ids: Collection[int], why: str, *, now: datetime) -> None:
    """These are led no further; what runs remember of them is gone."""
    theirs = (_r.tenant_id == conn.tenant_id, _r.node_id.in_(node_ids))
    ran = sa.select(_r.run_id).where(*theirs)
    over = {"state": "stopped", "ended_at": now, "next_at": None}
    await conn.run(sa.update(sop_run).where(*theirs, _r.state == "running").values(**over))
    await conn.run(sa.update(sop_run).where(*theirs).values(memory={}, why=why))
    await conn.run(
        sa.update(sop_step).where(_t.tenant_id == conn.tenant_id, _t.run_id.in_(ran)).values(why="")
    )


async def any_running(conn: Conn) -> bool:
    stmt = sa.select(_r.run_id).where(_r.tenant_id == conn.tenant_id, _r.state == "running").limit(1)
    return await conn.row(stmt) is not None


async def begun_by(conn: Conn, code: str, keys: Collection[str]) -> set[str]:
    """Of these triggers, those that started a run of it before."""
    stmt = sa.select(_r.key).where(_r.tenant_id == conn.tenant_id, _r.code == code, _r.key.in_(keys))
    return {r.key for r in await conn.rows(stmt)} if keys else set()


async def overdue(conn: Conn, *, before: datetime, limit: int) -> list[tuple[int, int]]:
    """Run and account of those that should have gone on before then, the longest first."""
    stmt = sa.select(_r.run_id, _r.memory).where(
        _r.tenant_id == conn.tenant_id, _r.state == "running", _r.next_at < before
    )
    rows = await conn.rows(stmt.order_by(_r.next_at, _r.run_id).limit(limit))
    return [(r.run_id, int(r.memory.get("account", 0))) for r in rows]


async def standing_at(conn: Conn, code: str, *, but: int) -> list[tuple[int, str]]:
    """Version and step where runs of other versions than `but` stand."""
    stmt = sa.select(_r.version, _r.step).where(
        _r.tenant_id == conn.tenant_id, _r.code == code, _r.state == "running", _r.version != but
    )
    rows = await conn.rows(stmt.group_by(_r.version, _r.step).order_by(_r.version, _r.step).limit(_MOST))
    return [(int(r.version), r.step) for r in rows]


async def move(conn: Conn, code: str, place: tuple[int, str], to: tuple[int, str]) -> int:
    """Every run that stands at this version and step stands at that one; how many."""
    stmt = sa.update(sop_run).where(
        _r.tenant_id == conn.tenant_id,
        _r.code == code,
        _r.state == "running",
        _r.version == place[0],
        _r.step == place[1],
    )
    return await conn.run(stmt.values(version=to[0], step=to[1]))


async def of_nodes(conn: Conn, node_ids: Collection[int], *, limit: int = 50) -> list[Row]:
    """Every run of these addresses, the newest first."""
    if not node_ids:
        return []
    stmt = sa.select(sop_run).where(_r.tenant_id == conn.tenant_id, _r.node_id.in_(node_ids))
    return [_run(r) for r in await conn.rows(stmt.order_by(_r.run_id.desc()).limit(limit))]


async def lately(conn: Conn, code: str, node_ids: Collection[int], *, since: datetime) -> bool:
    """Whether any of these addresses began it from then on."""
    stmt = sa.select(_r.run_id).where(
        _r.tenant_id == conn.tenant_id, _r.node_id.in_(node_ids), _r.code == code, _r.started_at > since
    )
    return await conn.row(stmt.limit(1)) is not None


async def get(conn: Conn, run_id: int) -> Row | None:
    row = await conn.row(sa.select(sop_run).where(_r.tenant_id == conn.tenant_id, _r.run_id == run_id))
    return _run(row) if row else None


async def page(conn: Conn, code: str, *, state: str = "", before: int | None = None, limit: int) -> list[Row]:
    """Runs of one SOP, newest first, at most `limit`, below the run `before`."""
    stmt = sa.select(sop_run).where(_r.tenant_id == conn.tenant_id, _r.code == code)
    if state:
        stmt = stmt.where(_r.state == state)
    if before is not None:
        stmt = stmt.where(_r.run_id < before)
    return [_run(r) for r in await conn.rows(stmt.order_by(_r.run_id.desc()).limit(limit))]


async def counts(conn: Conn) -> dict[str, dict[tuple[int, str], int]]:
    """By code, how many runs of each version are in each state."""
    stmt = (
        sa.select(_r.code, _r.version, _r.state, sa.func.count().label("n"))
        .where(_r.tenant_id == conn.tenant_id)
        .group_by(_r.code, _r.version, _r.state)
    )
    found: dict[str, dict[tuple[int, str], int]] = {}
    for r in await conn.rows(stmt):
        found.setdefault(r.code, {})[r.version, r.state] = int(r.n)
    return found


async def take(conn: Conn, one: Taken) -> bool:
    """Write down that the step is taken; False when it was taken before."""
    row = {name: getattr(one, name) for name in Taken.__slots__} | {"tenant_id": conn.tenant_id}
    return bool(await conn.insert_new(sop_step, [row], _t.n))


async def steps(conn: Conn, run_ids: Sequence[int]) -> dict[int, list[Taken]]:
    """What each run did, in order."""
    stmt = sa.select(sop_step).where(_t.tenant_id == conn.tenant_id, _t.run_id.in_(run_ids))
    found: dict[int, list[Taken]] = {ident: [] for ident in run_ids}
    for r in await conn.rows(stmt.order_by(_t.run_id, _t.n)) if run_ids else []:
        found[r.run_id].append(Taken(**{name: getattr(r, name) for name in Taken.__slots__}))
    return found


def _run(row: Any) -> Row:
    return Row(**{name: getattr(row, name) for name in Row.__slots__})
