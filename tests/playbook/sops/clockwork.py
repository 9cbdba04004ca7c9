"""A worker's errands of SOPs on a clock of the test's own, which may die between any two statements."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa

from scrm import jobs
from scrm.accounts.service import Directory, Plugged
from scrm.contract import Envelope
from scrm.db import Conn, Database
from scrm.desk.tasks import service as tasks
from scrm.identity import decisions
from scrm.identity.decisions import Actor
from scrm.pipeline.sops import acting, following, notices
from scrm.pipeline.sops.notices import Notice
from scrm.pipeline.sops.turns import Means
from scrm.playbook.service import Library
from scrm.playbook.sops import files, service, versions
from scrm.playbook.sops.store import runs
from scrm.playbook.sops.store.runs import Row, Taken
from scrm.playbook.sops.values import Plan
from scrm.schema import due, outbox, task
from scrm.shapes import yaml_of
from tests.ground import NOW, Talking, entry, handle, node_of, plugged, said, script, settle

T = TypeVar("T")
ACCOUNT = 11
LEASE = timedelta(seconds=61)


class Died(Exception):
    """The process is gone; what it had not committed never was."""


def plan(text: str, **head: Any) -> Plan:
    """A plan of these steps in YAML; its head as usual unless said otherwise."""
    usual: dict[str, Any] = {
        "code": "edu.test",
        "version": 1,
        "title": "跟进",
        "starts": [{"event": "event.contact.added"}],
        "again_after_days": 0,
    }
    (made,) = files.parse([usual | head | {"steps": yaml_of(text, where="steps")}], where="test")
    assert list(files.problems(made, {"edu.price"})) == []
    return made


class Housed(Directory):
    """Of one account, on a channel that sends."""

    def __init__(self, channel: Talking) -> None:
        super().__init__()
        self._one = plugged(channel, account_id=ACCOUNT)

    def by_id(self, account_id: int) -> Plugged:  # noqa: ARG002 - there is but one
        return self._one

    def all(self, tenant_id: int) -> list[Plugged]:  # noqa: ARG002
        return [self._one]

    def plug_of(self, account_id: int) -> Any:  # noqa: ARG002
        return self._one.plug


@dataclass
class Clockwork:
    """`dies` says before which statement, or the commit, the process dies; None = it lives."""

    db: Database
    now: datetime = NOW
    dies: Callable[[], int | None] = lambda: None
    deaths: int = 0
    mortal: bool = False
    means: Means = field(
        default_factory=lambda: Means(directory=Housed(Talking()), library=Library([script("price")]))
    )

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Conn]:
        left = self.dies()
        async with self.db.begin(1) as conn:
            if left is not None:
                conn._run = _mortal(conn._run, left)  # noqa: SLF001 - where the process dies
            yield conn
            if left is not None:
                raise Died  # all was said, nothing committed

    async def live(self, *plans: Plan) -> None:
        """These are in force."""
        async with self.db.begin(1) as conn:
            await versions.sync(conn, {"education": plans}, now=self.now)
            for one in plans:
                await versions.switch(conn, one.code, on=True, now=self.now)

    async def meet(self, who: str, at: datetime | None = None) -> int:
        """A customer who once said hello."""
        async with self.db.begin(1) as conn:
            await settle(conn, entry(said(by=who, at=at or self.now), f"hello:{who}"), now=self.now)
            return await node_of(conn, who)

    async def happen(self, who: str, key: str = "k", **more: Any) -> None:
        async with self.db.begin(1) as conn:
            node = await node_of(conn, who)
            usual: dict[str, Any] = {"kind": "event.contact.added", "at": self.now}
            await notices.tell(conn, [Notice(key=key, node_id=node, **usual | more)], now=self.now)

    async def event(self, who: str, kind: str, at: datetime) -> None:
        """On their timeline only: nobody is told."""
        one = Envelope(kind=kind, direction="none", at=at, handles=(handle(who),), text=kind)
        async with self.db.begin(1) as conn:
            await settle(conn, entry(one, f"{kind}:{who}:{at}"), now=at)

    async def answer(self, who: str, key: str = "a") -> None:
        """They write; react tells of it."""
        async with self.db.begin(1) as conn:
            await settle(conn, entry(said(by=who, at=self.now), f"{key}:{who}:{self.now}"), now=self.now)
        await self.happen(who, f"{key}:{self.now}", kind="message.text", spoke=True)

    # -- running -------------------------------------------------------------------------------------------
    async def turn(self) -> bool:
        """One errand that is due, if there is one; it may die at any point of it."""
        try:
            async with self.db.begin(1) as conn:
                claim = [
                    await jobs.claim(conn, now=self.now, limit=1, kind=k) for k in (notices.DUE, service.DUE)
                ]
            found = [job for some in claim for job in some]
            for job in found:
                await self._errand(job)
        except Died:
            self.deaths += 1
            return True
        return bool(found)

    async def _errand(self, job: jobs.Due) -> None:
        again: datetime | None = None
        async with self.begin() as conn:
            if job.kind == notices.DUE:
                told = notices.read(job.payload)
                await self._alive(conn, partial(following.follow, conn, self.means, told, now=self.now))
            else:
                took = partial(acting.take, conn, self.means, int(job.key), now=self.now)
                again = (await self._alive(conn, took)).again_at
        async with self.begin() as conn:
            await jobs.finish(conn, job, again_at=again)

    async def _alive(self, conn: Conn, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """As the worker does it; statement by statement where it may die between two."""
        return await (work() if self.mortal else conn.together(work))

    async def until(self, end: datetime) -> None:
        """Everything that is due by then, in order; the clock goes from one thing to the next."""
        while True:
            while await self.turn():
                pass
            at = await self._next()
            if at is None or at > end:
                break
            self.now = max(self.now, at)
        self.now = end

    async def _next(self) -> datetime | None:
        """When something is due or a lease of the dead runs out."""
        async with self.db.read(1) as conn:
            rows = await conn.rows(
                sa.select(due.c.at, due.c.lease_until).where(
                    due.c.tenant_id == 1, due.c.kind.in_([notices.DUE, service.DUE])
                )
            )
        times = [max(r.at, r.lease_until + timedelta(seconds=1)) if r.lease_until else r.at for r in rows]
        return min(times, default=None)

    # -- looking -------------------------------------------------------------------------------------------
    async def runs(self) -> list[Row]:
        async with self.db.read(1) as conn:
            found = await runs.page(conn, "edu.test", limit=500)
            return sorted(found, key=lambda r: r.run_id)

    async def steps(self) -> list[Taken]:
        """What the only run did."""
        (one,) = await self.runs()
        async with self.db.read(1) as conn:
            return (await runs.steps(conn, [one.run_id]))[one.run_id]

    async def pushes(self) -> list[tuple[str, datetime]]:
        """Key and time of what was said."""
        async with self.db.read(1) as conn:
            stmt = sa.select(outbox.c.key, outbox.c.created_at).where(outbox.c.tenant_id == 1)
            return [
                (r.key, r.created_at)
                for r in await conn.rows(stmt.order_by(outbox.c.created_at, outbox.c.key))
            ]

    async def tasks(self) -> Sequence[Any]:
        async with self.db.read(1) as conn:
            return await conn.rows(sa.select(task).where(task.c.tenant_id == 1).order_by(task.c.task_id))

    async def finish(self, task_id: int) -> None:
        async with self.db.begin(1) as conn:
            done = await tasks.finish(conn, task_id, by=7, now=self.now)
            await service.woken_by(conn, [done.run_id], now=self.now)


def _mortal(run: Any, left: int) -> Any:
    """Runs so many statements and dies before the next."""
    count = [left]

    def mortal(job: Callable[[sa.Connection], T]) -> Awaitable[T]:
        count[0] -= 1
        if count[0] < 0:
            raise Died
        return run(job)  # type: ignore[no-any-return]

    return mortal


async def household(db: Database, first: str, *others: str) -> None:
    """Somebody of ours says that these are one family."""
    async with db.begin(1) as conn:
        one = await node_of(conn, first)
        for other in others:
            ends = (one, await node_of(conn, other))
            by = Actor(origin="rep", staff_id=7)
            await decisions.link(conn, *ends, by=by, why="一家人", now=NOW, cls="same_household")
