"""One step of a run: decided and done in one transaction, so that it happens once however often we die."""

from __future__ import annotations

from datetime import datetime

from scrm.db import Conn
from scrm.desk.tasks import service as tasks
from scrm.pipeline.sops import effects, turns
from scrm.pipeline.sops.turns import Came, Means, Turn
from scrm.playbook.sops import rules, service, versions
from scrm.playbook.sops.rules import Action, Over, Pause
from scrm.playbook.sops.store import runs

NO_PLAN = "这个流程的这个版本已经不在了。"
SENTENCES = (NO_PLAN,)


async def take(conn: Conn, means: Means, run_id: int, *, now: datetime) -> Came:
    """At most one step of this run, with what it does."""
    row = await runs.hold(conn, run_id)
    if row is None or row.state != "running":
        return Came()
    plan = (await versions.of(conn, [(row.code, row.version)])).get((row.code, row.version))
    if plan is None:
        over = Over(state="failed", why=NO_PLAN)
        return Came(changes=tasks.changes(await service.ended(conn, row, over, now=now)))
    turn = await turns.look(conn, means, row, plan, now=now)
    action = rules.step(plan, service.standing(row), turn.facts, turn.calendar, now=now)
    return await _carry_out(turn, action)


async def _carry_out(turn: Turn, action: Action) -> Came:
    conn, row, came, now = turn.conn, turn.row, turn.came, turn.now
    if isinstance(action, Over):
        came.changes += tasks.changes(await service.ended(conn, row, action, now=now))
    elif isinstance(action, Pause):
        step = turn.plan.step(row.step)
        if action.begun and step is not None:
            await effects.ask_of(turn, step)
        await service.paused(conn, row, action)
        came.again_at = action.until
    else:
        did = await effects.do(turn, action)
        await service.took(conn, row, action, did, now=now)
        came.again_at = now
    return came
