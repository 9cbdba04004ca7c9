"""Errand: every few minutes take down tasks nobody needs any more, and remind of promises that end soon."""

from __future__ import annotations

from datetime import datetime, timedelta

from scrm import jobs
from scrm.db import Conn, utcnow
from scrm.desk.calendar.rules import ZONE
from scrm.desk.tasks import service as tasks
from scrm.desk.tasks.service import Wanted
from scrm.live import Change
from scrm.pipeline import doing
from scrm.playbook.promises import service as ledger
from scrm.playbook.promises import store as promises
from scrm.playbook.promises.store import Row
from scrm.worker.errands import Premises

KIND = "board"
#: So long before a promise ends its rep is reminded.
AHEAD = timedelta(hours=24)
_EVERY, _FIRST = timedelta(minutes=5), timedelta(seconds=10)
_BATCH = 200
#: So long before the end it should have been said.
_BEFORE = timedelta(hours=3)
_QUOTED = 40
#: Midnight is told as the end of the day before.
_MINUTE = timedelta(minutes=1)

ENDS = "答应的优惠快到期，提醒客户"
OVER = "这个承诺已经不再有效"
SENTENCES = (ENDS, OVER)


class Boarding:
    LASTING = True

    def __init__(self, premises: Premises, *, batch: int = _BATCH) -> None:
        self._on = premises
        self._batch = batch
        self._begun: set[int] = set()

    async def begin(self, tenant_id: int) -> None:
        """One due row a tenant, which stays."""
        if tenant_id in self._begun:
            return
        async with self._on.db.begin(tenant_id) as conn:
            await jobs.begin(conn, KIND, "sweep", 0, {}, at=await conn.now() + _FIRST)
        self._begun.add(tenant_id)

    async def run(self, tenant_id: int, job: jobs.Due) -> timedelta | None:
        del job  # it is always the same
        more = True
        while more and not self._on.stopping():
            async with self._on.db.begin(tenant_id) as conn:
                now = utcnow()
                over = await tasks.expire(conn, now=now, limit=self._batch)
                self._tell(conn, await doing.ended(conn, over, now=now))
            more = len(over) == self._batch
        after, found = 0, self._batch
        while found == self._batch and not self._on.stopping():
            async with self._on.db.begin(tenant_id) as conn:
                after, found, changes = await remind(conn, after=after, limit=self._batch, now=utcnow())
                self._tell(conn, changes)
        async with self._on.db.begin(tenant_id) as conn:
            self._tell(conn, await _withdraw(conn, now=utcnow()))
            await ledger.expire(conn, now=utcnow())
        return _EVERY

    def _tell(self, conn: Conn, changes: list[Change]) -> None:
        conn.after_commit(lambda: self._on.live.publish(conn.tenant_id, changes))

    async def give_up(self, tenant_id: int, job: jobs.Due, why: str) -> None:
        """Never: it comes round again."""


async def remind(conn: Conn, *, after: int, limit: int, now: datetime) -> tuple[int, int, list[Change]]:
    """A task for each promise that ends soon, once; where to go on, how many there were, who must look."""
    rows = await promises.ending(conn, since=now, until=now + AHEAD, after=after, limit=limit)
    made = await tasks.put(conn, [_wanted(row, now) for row in rows if row.until_at], now=now)
    return (rows[-1].promise_id if rows else after), len(rows), tasks.changes(made)


def _wanted(row: Row, now: datetime) -> Wanted:
    until = row.until_at or now
    said = (row.quote or row.text)[:_QUOTED]
    return Wanted(
        key=f"promise:{row.promise_id}",
        kind="quote",
        title=ENDS,
        why=f"“{said}” → {until.astimezone(ZONE) - _MINUTE:%m-%d %H:%M}",
        source="promise",
        node_id=row.node_id,
        conversation_id=row.conversation_id,
        # Whoever looks after the customer now; who promised it, where that is nobody.
        staff_id=row.staff_id if row.conversation_id is None else None,
        promise_id=row.promise_id,
        value=row.fen or 0,
        due_at=max(now, until - _BEFORE),
        expires_at=until,
    )


async def _withdraw(conn: Conn, *, now: datetime) -> list[Change]:
    """Reminders of promises that were kept, replaced or withdrawn meanwhile are needed no more."""
    asked = await tasks.of_promises(conn)
    found = await promises.some(conn, {task.promise_id for task in asked if task.promise_id})
    live = {row.promise_id for row in found if row.state == "live"}
    gone = [task.task_id for task in asked if task.promise_id not in live]
    return tasks.changes(await tasks.withdraw(conn, gone, OVER, now=now))
