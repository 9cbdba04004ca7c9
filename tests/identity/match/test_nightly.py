"""The companion by night: one row a tenant, at its hour, by one process, and it comes round again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest
import sqlalchemy as sa

from scrm import jobs
from scrm.db import Database
from scrm.identity import proposals
from scrm.identity.match import scoring
from scrm.ledger.store import entries
from scrm.schema import due
from scrm.worker.errands import Premises
from scrm.worker.nightly import KIND, Nightly, next_night
from tests.ground import NOW
from tests.identity.match.test_run import settled

LATE = timedelta(days=2)


def night(db: Database, *, hour: int = 3) -> Nightly:
    return Nightly(cast(Premises, SimpleNamespace(db=db)), hour=hour)


async def rows(db: Database) -> list[datetime]:
    async with db.read(1) as conn:
        return [r.at for r in await conn.rows(sa.select(due.c.at).where(due.c.kind == KIND))]


async def claimed(db: Database) -> list[jobs.Due]:
    async with db.begin(1) as conn:
        return await jobs.claim(conn, now=await conn.now() + LATE, limit=5, kind=KIND)


@pytest.mark.parametrize(
    ("now", "at"),
    [
        ("2026-11-22T18:59:59", "2026-11-22T19:00:00"),  # 02:59:59 in Shanghai
        ("2026-11-22T19:00:00", "2026-11-23T19:00:00"),
        ("2026-11-22T23:30:00", "2026-11-23T19:00:00"),
    ],
)
def test_the_next_night_is_by_the_clock_of_shanghai_and_never_now(now: str, at: str) -> None:
    found = next_night(datetime.fromisoformat(now).replace(tzinfo=UTC), 3)

    assert found == datetime.fromisoformat(at).replace(tzinfo=UTC)


async def test_it_begins_once_and_not_at_all_when_it_is_switched_off(database: Database) -> None:
    await night(database, hour=-1).begin(1)
    assert await rows(database) == []

    one = night(database)
    await one.begin(1)
    (first,) = await rows(database)
    await one.begin(1)
    await night(database).begin(1)  # another process

    assert await rows(database) == [first]
    assert (first.astimezone(UTC).hour, first.minute) == (19, 0)


async def test_it_asks_and_comes_round_again_and_nobody_else_begins_meanwhile(database: Database) -> None:
    await settled(database)
    one = night(database)
    await one.begin(1)
    (job,) = await claimed(database)

    again = await one.run(1, job)

    assert again is not None
    assert timedelta() < again <= timedelta(days=1)
    async with database.read(1) as conn:
        now = await conn.now()
        assert await proposals.queue(conn, now=NOW)
        assert "identity.proposed" in {e.action for e in await entries(conn, limit=5)}
    (at,) = await rows(database)
    assert at > now  # whoever looks after the lease has run out finds nothing due


async def test_without_the_extra_or_switched_off_since_the_row_goes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = night(database)
    await one.begin(1)
    (job,) = await claimed(database)
    assert await night(database, hour=-1).run(1, job) is None

    monkeypatch.setattr(scoring, "_LIBRARIES", ("no_such_library",))

    assert await one.run(1, job) is None
    assert not one.wanted
