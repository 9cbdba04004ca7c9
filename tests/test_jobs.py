"""Due rows: asked for twice is done once, asked for meanwhile is done again, the dead lose their lease."""

from __future__ import annotations

from datetime import datetime, timedelta

from scrm import jobs
from scrm.db import Conn, Database
from scrm.jobs import LEASE, Due
from tests.ground import NOW, later


async def ask(conn: Conn, key: str = "11:kf1", *, at: datetime = NOW, hint: str = "") -> None:
    await jobs.put(conn, "poll", key, 11, {"stream": "kf1", "hint": hint}, at=at)


async def take(conn: Conn, *, now: datetime = NOW) -> Due:
    (job,) = await jobs.claim(conn, now=now, limit=10)
    return job


async def test_asking_twice_leaves_one_row_due_at_the_earlier_time_with_the_newest_hint(
    database: Database,
) -> None:
    async with database.begin(1) as conn:
        await ask(conn, at=later(60), hint="old")
        await ask(conn, at=later(10), hint="new")
        await ask(conn, at=later(99), hint="newest")

        assert await jobs.next_at(conn) == later(10)
        job = await take(conn, now=later(10))
        assert job.payload == {"stream": "kf1", "hint": "newest"}


async def test_kinds_and_keys_are_apart(database: Database) -> None:
    async with database.begin(1) as conn:
        await ask(conn, "a")
        await ask(conn, "b")
        await jobs.put(conn, "enrich", "a", 11, {"node_id": 1}, at=NOW)

        assert len(await jobs.claim(conn, now=NOW, limit=10)) == 3


async def test_nothing_is_claimed_before_it_is_due_and_the_oldest_goes_first(database: Database) -> None:
    async with database.begin(1) as conn:
        await ask(conn, "late", at=later(20))
        await ask(conn, "early", at=later(10))

        assert await jobs.claim(conn, now=later(9), limit=10) == []
        assert [j.key for j in await jobs.claim(conn, now=later(60), limit=1)] == ["early"]


async def test_a_claimed_row_has_one_holder_until_its_lease_runs_out(database: Database) -> None:
    async with database.begin(1) as conn:
        await ask(conn)
        job = await take(conn)

        assert await jobs.claim(conn, now=NOW + LEASE, limit=10) == []
        again = await take(conn, now=NOW + LEASE + timedelta(seconds=1))
        assert again.due_id == job.due_id


async def test_done_is_gone(database: Database) -> None:
    async with database.begin(1) as conn:
        await ask(conn)
        await jobs.finish(conn, await take(conn))

        assert await jobs.next_at(conn) is None


async def test_done_for_now_is_due_again_later_and_free(database: Database) -> None:
    async with database.begin(1) as conn:
        await ask(conn)
        await jobs.finish(conn, await take(conn), again_at=later(60))

        assert await jobs.next_at(conn) == later(60)
        assert (await take(conn, now=later(60))).attempts == 0


async def test_asked_for_while_it_runs_it_runs_once_more(database: Database) -> None:
    async with database.begin(1) as conn:
        await ask(conn, hint="first")
        job = await take(conn)
        await ask(conn, at=later(5), hint="second")
        await jobs.finish(conn, job)

        again = await take(conn, now=later(5))
        assert again.payload["hint"] == "second"

        await ask(conn, at=later(6), hint="third")
        await jobs.finish(conn, again, again_at=later(60))

        assert (await take(conn, now=later(6))).payload["hint"] == "third"


async def test_a_failure_waits_and_counts_and_a_success_forgets_it(database: Database) -> None:
    async with database.begin(1) as conn:
        await ask(conn)
        await jobs.postpone(conn, await take(conn), "超时" * 400, at=later(8))

        assert await jobs.claim(conn, now=later(7), limit=10) == []
        job = await take(conn, now=later(8))
        assert job.attempts == 1
        await jobs.finish(conn, job, again_at=later(60))
        assert (await take(conn, now=later(60))).attempts == 0


async def test_given_up_is_gone(database: Database) -> None:
    async with database.begin(1) as conn:
        await ask(conn)
        await jobs.drop(conn, await take(conn))

        assert await jobs.next_at(conn) is None
