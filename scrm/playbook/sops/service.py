"""SOPs at work: runs begin once per trigger, go step by step, end by goal or stop of anybody in the family.

A run's step is taken in one transaction with what it does: `hold`, `rules.step`, the effect, `took`.
Locks are taken in one order: the household, its runs, then what hangs on them (tasks).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from scrm import jobs
from scrm.db import Conn
from scrm.desk.tasks import service as tasks
from scrm.playbook.sops import rules, versions
from scrm.playbook.sops.rules import Facts, Happened, Move, Over, Pause, Run
from scrm.playbook.sops.store import runs as store
from scrm.playbook.sops.store.runs import Row, Taken
from scrm.playbook.sops.values import Plan
from scrm.seal import new_id

#: The errand that takes steps; one due row a run.
DUE = "sop"
#: What is older than that is history: it may end runs, but starts none.
STALE = timedelta(days=3)
TAKEN_OVER = "同组的“{title}”优先，这个流程停下。"
BESIDE = "这一家已经在走“{title}”，后开始的停下。"
GAVE_UP = "反复出错，已停下：{why}"
BY_PERSON = "同事手工停下。"
SENTENCES = (TAKEN_OVER, BESIDE, GAVE_UP, BY_PERSON)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whom:
    """A household at the moment something happened to it."""

    #: Of every member; `node_id` is the one it happened to.
    nodes: Collection[int]
    node_id: int
    account_id: int = 0
    conversation_id: int | None = None
    staff_id: int | None = None
    event_id: int | None = None


@dataclass(slots=True, kw_only=True)
class Heeded:
    """What came of it."""

    ended: list[Row] = field(default_factory=list)
    begun: list[Row] = field(default_factory=list)
    #: Nobody needs these any more: the boards must be looked at again.
    cancelled: list[tasks.Task] = field(default_factory=list)


async def heed(
    conn: Conn, whom: Whom, happened: Happened, facts: Facts, *, key: str, now: datetime
) -> Heeded:
    """Ends the runs this meets or stops, lets go on those that waited for it, begins those it starts.

    A run keeps to the version it began with. `key` names what happened, so that a replay begins nothing
    twice.
    """
    # Before looking: two things that happen at once must not both begin a run.
    await conn.lock(_lock(whom))
    running = await store.running(conn, whom.nodes)
    plans = await versions.of(conn, {(r.code, r.version) for r in running})
    made = Heeded()
    left: list[tuple[Row, Plan | None]] = []
    for row in running:
        plan = plans.get((row.code, row.version))
        over = rules.over(plan, happened) if plan and _after(row, happened, key) else None
        if over is not None:
            made.cancelled += await ended(conn, row, over, now=now)
            made.ended.append(row)
            continue
        left.append((row, plan))
        if plan is not None and waits(plan, row):
            await wake(conn, [row], now=now)
    if now - happened.at <= STALE:
        for plan in await versions.in_force(conn):
            if rules.starts(plan, happened, facts):
                await _begin(conn, plan, whom, left, made, key=key, at=happened.at, now=now)
    return made


def _lock(whom: Whom) -> str:
    return f"sop:{min(whom.nodes, default=whom.node_id)}"


def _after(row: Row, happened: Happened, key: str) -> bool:
    """By the clock of whoever told us both; what began the run does not end it."""
    began = _time(row.memory.get("at")) or row.started_at
    return happened.at >= began and key != row.key


def waits(plan: Plan, row: Row) -> bool:
    """Whether it stands where something that happens may let it go on before its time."""
    step = plan.step(row.step)
    if step is None:
        return False
    return bool((step.wait and step.wait.until_reply) or (step.task and step.task.wait))


async def wake(conn: Conn, rows: Collection[Row], *, now: datetime) -> None:
    """They look at once whether they may go on; wake the `due` loop after the commit."""
    for row in sorted(rows, key=lambda r: r.run_id):
        await jobs.put(conn, DUE, str(row.run_id), int(row.memory.get("account", 0)), {}, at=now)


async def woken_by(conn: Conn, run_ids: Collection[int | None], *, now: datetime) -> None:
    """Their tasks were done: `tasks.finish` and `tasks.heed` say which runs."""
    found = [await store.get(conn, ident) for ident in sorted({i for i in run_ids if i})]
    await wake(conn, [row for row in found if row is not None and row.state == "running"], now=now)


async def start(conn: Conn, plan: Plan, whom: Whom, *, key: str, now: datetime) -> Heeded:
    """By hand: whatever starts it otherwise, its conditions aside."""
    await conn.lock(_lock(whom))
    running = await store.running(conn, whom.nodes)
    plans = await versions.of(conn, {(r.code, r.version) for r in running})
    made = Heeded()
    left = [(row, plans.get((row.code, row.version))) for row in running]
    await _begin(conn, plan, whom, left, made, key=key, at=now, now=now)
    return made


async def _begin(
    conn: Conn,
    plan: Plan,
    whom: Whom,
    running: list[tuple[Row, Plan | None]],
    made: Heeded,
    *,
    key: str,
    at: datetime,
    now: datetime,
) -> None:
    """A new run, unless the household is on it, was lately, or is on one as important of its group."""
    if any(r.code == plan.code for r, _ in running):
        return
    rivals = [(row, p) for row, p in running if p is not None and plan.group and p.group == plan.group]
    if any(rival.priority >= plan.priority for _, rival in rivals):
        return
    since = now - timedelta(days=plan.again_after_days)
    if await store.lately(conn, plan.code, whom.nodes, since=since):
        return
    row = _fresh(plan, whom, key=key, at=at, now=now)
    if not await store.start(conn, row):
        return
    over = Over(state="stopped", why=TAKEN_OVER.format(title=plan.title))
    for rival in rivals:
        made.cancelled += await ended(conn, rival[0], over, now=now)
        made.ended.append(rival[0])
        running.remove(rival)
    await wake(conn, [row], now=now)
    made.begun.append(row)
    running.append((row, plan))


def _fresh(plan: Plan, whom: Whom, *, key: str, at: datetime, now: datetime) -> Row:
    return Row(
        run_id=new_id(),
        code=plan.code,
        version=plan.version,
        key=key,
        node_id=whom.node_id,
        conversation_id=whom.conversation_id,
        staff_id=whom.staff_id,
        event_id=whom.event_id,
        state="running",
        step=plan.steps[0].id,
        taken=0,
        memory={"since": now.isoformat(), "at": at.isoformat(), "account": whom.account_id},
        started_at=now,
        next_at=now,
        ended_at=None,
        why="",
    )


# -- step by step ------------------------------------------------------------------------------------------
def standing(row: Row) -> Run:
    """Where it stands, for the rules."""
    memory: Mapping[str, Any] = row.memory
    return Run(
        ident=row.run_id,
        step=row.step,
        taken=row.taken,
        started_at=row.started_at,
        began_at=_time(memory.get("at")),
        since=_time(memory.get("since")) or row.started_at,
        spoke_at=_time(memory.get("spoke_at")),
        spread_to=_time(memory.get("spread_to")),
        held_to=_time(memory.get("held_to")),
    )


def _time(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Did:
    """What a step's effect was, to be written down with it."""

    event_id: int | None = None
    task_id: int | None = None
    coupon_id: int | None = None
    #: It spoke to the household.
    spoke: bool = False
    #: Why it came to nothing after all; "" = it worked.
    failed: str = ""


async def took(conn: Conn, row: Row, move: Move, did: Did, *, now: datetime) -> Row:
    """The step is taken; the run as it stands then. Raises nothing: a step taken before changes nothing."""
    state = "skipped" if did.failed else move.state
    taken = Taken(
        run_id=row.run_id,
        n=row.taken,
        step=move.step.id,
        kind=move.kind,
        state=state,
        planned_at=standing(row).since,
        at=now,
        why=did.failed or move.why,
        event_id=did.event_id,
        task_id=did.task_id,
        coupon_id=did.coupon_id,
    )
    await store.take(conn, taken)
    memory = {k: v for k, v in row.memory.items() if k not in ("spread_to", "held_to")}
    memory["since"] = (move.at or now).isoformat()
    if did.spoke:
        memory["spoke_at"] = now.isoformat()
    await store.change(conn, row.run_id, step=move.to, taken=row.taken + 1, memory=memory, next_at=now)
    return replace(row, step=move.to, taken=row.taken + 1, memory=memory, next_at=now)


async def paused(conn: Conn, row: Row, pause: Pause) -> None:
    """Nothing before then."""
    memory = dict(row.memory)
    for name in ("spread_to", "held_to"):
        if (at := getattr(pause, name)) is not None:
            memory[name] = at.isoformat()
    await store.change(conn, row.run_id, memory=memory, next_at=pause.until)


async def ended(conn: Conn, row: Row, over: Over, *, now: datetime) -> list[tasks.Task]:
    """It is over; what it still asked for is not needed any more, unless it went to its end."""
    await store.end(conn, [row.run_id], over.state, over.why, now=now)
    if over.state == "done":
        return []
    return await tasks.cancel(conn, [row.run_id], over.why, now=now)


async def stop(conn: Conn, run_id: int, why: str, *, now: datetime) -> list[tasks.Task]:
    """Somebody says that it must not go on; one that is over stays as it ended."""
    row = await store.hold(conn, run_id)
    if row is None or row.state != "running":
        return []
    return await ended(conn, row, Over(state="stopped", why=why.strip() or BY_PERSON), now=now)


async def stop_some(
    conn: Conn, code: str, why: str, *, now: datetime, most: int = 200
) -> tuple[int, list[tasks.Task]]:
    """The next of its runs stop; how many did, again until none is left."""
    going = await store.page(conn, code, state="running", limit=most)
    cancelled: list[tasks.Task] = []
    for row in sorted(going, key=lambda r: r.run_id):
        cancelled += await stop(conn, row.run_id, why, now=now)
    return len(going), cancelled
