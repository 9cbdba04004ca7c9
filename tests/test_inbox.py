"""The durable inbox: everything once, in few commits, one bad row alone, no lane ever reordered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scrm import inbox
from scrm.contract import Raw
from scrm.db import Conn, Database
from scrm.errors import Busy, Unavailable
from scrm.inbox import BULK, NORMAL, URGENT, Inbox, Item, Moved
from scrm.schema import inbox as table
from scrm.seal import Vault, new_id
from tests.ground import NOW, Unwritable, account, later, raw

#: No text of any database: storing it fails.
POISON = Unwritable("\ud800")
#: As the driver of each engine says it.
UNWRITABLE = (UnicodeError, sa.exc.DBAPIError)
SHOP = account()
tenants = count(1000)


@dataclass
class Box:
    """An inbox that counts its commits."""

    inbox: Inbox
    commits: list[int] = field(default_factory=list)

    async def take(self, *raws: Raw, bulk: bool = False, moved: Moved | None = None) -> int:
        return await self.inbox.accept(SHOP, raws, received_at=NOW, bulk=bulk, moved=moved)


def box(database: Database, *, pending: int = 1000) -> Box:
    made = Box(Inbox(database, pending=pending, stored=lambda: made.commits.append(1)))
    return made


async def claim(database: Database, *, state: str = "new", now_s: float = 0, limit: int = 100) -> list[Item]:
    async with database.read(1) as conn:
        return await inbox.claim(conn, state, now=later(now_s), limit=limit)  # type: ignore[arg-type]


def keys(items: Sequence[Item]) -> list[str]:
    return [item.source_key for item in items]


# -- accept ------------------------------------------------------------------------------------------------
async def test_what_was_accepted_can_be_claimed_opened_and_in_order(database: Database) -> None:
    new = await box(database).take(raw("1", payload=b"one"), raw("2", payload=b"two"))

    items = await claim(database)

    assert new == 2
    assert [(i.source_key, i.payload, i.rank, i.received_at) for i in items] == [
        ("1", b"one", NORMAL, NOW),
        ("2", b"two", NORMAL, NOW),
    ]


async def test_concurrent_arrivals_share_commits(database: Database) -> None:
    crowd, queue = box(database), box(database)

    await asyncio.gather(*(crowd.take(raw(f"c{n}")) for n in range(200)))
    for n in range(20):
        await queue.take(raw(f"q{n}"))

    assert len(await claim(database, limit=500)) == 220
    assert len(crowd.commits) <= 5  # what arrives during a commit is the next one
    assert len(queue.commits) == 20  # control: alone, each has its own


async def through(conn: Conn, items: Sequence[Item]) -> None:
    """Both stages of the pipeline, as far as the rows are concerned."""
    ids = [item.inbox_id for item in items]
    await inbox.mark(conn, ids, "settled")
    await inbox.mark(conn, ids, "done")


async def test_a_repeat_adds_nothing_for_ever(database: Database) -> None:
    taken = box(database)
    assert await taken.take(raw("1")) == 1
    async with database.begin(1) as conn:
        await through(conn, await inbox.claim(conn, "new", now=NOW, limit=9))
        await conn.run(sa.delete(table))  # pruned after its 30 days

    assert await taken.take(raw("1"), raw("2")) == 1
    assert await taken.take(raw("1")) == 0

    assert keys(await claim(database)) == ["2"]


async def test_copies_that_arrive_together_are_one_row(database: Database) -> None:
    taken = box(database)

    new = await asyncio.gather(*(taken.take(raw("1"), raw("1")) for _ in range(20)))

    assert sum(new) == 1
    assert keys(await claim(database)) == ["1"]


async def test_the_same_key_on_another_account_is_another_thing(database: Database) -> None:
    taken = box(database)
    await taken.take(raw("1"))

    other = await taken.inbox.accept(account(12, slug="other"), [raw("1")], received_at=NOW)

    assert other == 1


async def test_nothing_is_nothing(database: Database) -> None:
    taken = box(database)

    assert await taken.take() == 0
    assert taken.commits == []


async def test_one_poison_row_fails_alone(database: Database) -> None:
    taken = box(database)
    arrivals = [raw(f"{n}") for n in range(40)]
    arrivals[13] = raw(POISON, payload=b"x")

    answers = await asyncio.gather(*(taken.take(one) for one in arrivals), return_exceptions=True)

    assert [n for n, answer in enumerate(answers) if answer != 1] == [13]
    assert isinstance(answers[13], UNWRITABLE)
    assert len(await claim(database)) == 39


async def test_a_call_is_stored_whole_or_not_at_all(database: Database) -> None:
    with pytest.raises(UNWRITABLE):
        await box(database).take(raw("good"), raw(POISON, payload=b"x"))

    assert await claim(database) == []


async def test_too_many_waiting_are_told_to_come_again(database: Database) -> None:
    taken = box(database, pending=5)

    async with database.begin(1):  # the writer is busy
        waiting = [asyncio.create_task(taken.take(raw(f"{n}"))) for n in range(30)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=30)
    answers = await asyncio.gather(*waiting, return_exceptions=True)

    refused = [a for a in answers if isinstance(a, Busy)]
    assert 0 < len(refused) < 30
    assert len(await claim(database)) == 30 - len(refused)  # taken = stored, refused = not
    assert await taken.take(raw("later")) == 1


async def test_an_outage_refuses_everybody_and_stores_nothing(tmp_path: Path, vault: Vault) -> None:
    database = await Database.open(f"sqlite:///{tmp_path / 'full.db'}", vault)
    await database.create_all()
    taken = box(database)
    await taken.take(raw("before"))
    async with database.begin(1) as conn:
        pages = int(await conn.scalar(sa.text("PRAGMA page_count")))
        await conn.rows(sa.text(f"PRAGMA max_page_count={pages}"))

    large = [raw(f"{n}", payload=b"x" * 20_000) for n in range(10)]
    answers = await asyncio.gather(*(taken.take(one) for one in large), return_exceptions=True)
    async with database.begin(1) as conn:
        await conn.rows(sa.text("PRAGMA max_page_count=1000000"))
    again = await asyncio.gather(*(taken.take(one) for one in large))
    stored = keys(await claim(database))
    await database.close()

    assert all(isinstance(answer, Busy) and not isinstance(answer, Unavailable) for answer in answers)
    assert again == [1] * 10
    assert sorted(stored) == sorted(["before", *(f"{n}" for n in range(10))])


async def test_a_client_that_goes_away_does_not_take_the_others_with_it(database: Database) -> None:
    taken = box(database)

    async with database.begin(1):
        tasks = [asyncio.create_task(taken.take(raw(f"{n}"))) for n in range(5)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        with suppress(asyncio.CancelledError):
            await tasks[0]
    await asyncio.gather(*tasks[1:])

    assert len(await claim(database)) == 5  # the first one's row too: it was on its way


async def test_flush_waits_until_everything_is_answered(database: Database) -> None:
    taken = box(database)
    tasks = [asyncio.create_task(taken.take(raw(f"{n}"))) for n in range(5)]
    await asyncio.sleep(0)

    await taken.inbox.flush()

    assert taken.inbox.waiting == 0
    assert len(await claim(database)) == 5
    await asyncio.gather(*tasks)


def _bytes_below(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def test_payload_and_lane_of_a_customer_never_lie_open_in_the_file(
    tmp_path: Path, vault: Vault
) -> None:
    path = tmp_path / "scrm.db"
    database = await Database.open(f"sqlite:///{path}", vault)
    await database.create_all()
    await box(database).take(
        raw("key-in-the-open", lane="wm-lane-canary", payload="手机 13800001234".encode())
    )
    await database.close()

    written = _bytes_below(tmp_path)

    assert b"13800001234" not in written
    assert b"wm-lane-canary" not in written
    assert b"key-in-the-open" in written  # control: this is where it would be


async def test_a_payload_swapped_with_another_rows_does_not_open_and_holds_nobody_up(
    database: Database,
) -> None:
    await box(database).take(raw("1"), raw("2"))
    first, second = await claim(database)
    async with database.begin(1) as conn:
        stolen = sa.select(table.c.payload).where(table.c.inbox_id == first.inbox_id).scalar_subquery()
        await conn.run(sa.update(table).where(table.c.inbox_id == second.inbox_id).values(payload=stolen))

    again = await claim(database)

    assert [item.payload is None for item in again] == [False, True]


# -- cursors -----------------------------------------------------------------------------------------------
async def cursor_of(database: Database) -> str:
    async with database.read(1) as conn:
        return await inbox.cursor_of(conn, SHOP.account_id, "kf1")


async def test_a_cursor_moves_with_its_rows(database: Database) -> None:
    assert await cursor_of(database) == ""

    await box(database).take(raw("1"), moved=Moved(stream="kf1", cursor="c1"))
    assert await cursor_of(database) == "c1"

    await box(database).take(moved=Moved(stream="kf1", cursor="c2"))  # an empty page moves it too
    assert await cursor_of(database) == "c2"


async def test_a_cursor_stays_when_its_rows_could_not_be_stored(database: Database) -> None:
    await box(database).take(moved=Moved(stream="kf1", cursor="c1"))

    with pytest.raises(UNWRITABLE):
        await box(database).take(raw("ok"), raw(POISON, payload=b"x"), moved=Moved(stream="kf1", cursor="c2"))

    assert await cursor_of(database) == "c1"
    assert await claim(database) == []


async def test_rows_are_gone_when_their_cursor_could_not_be_saved(database: Database) -> None:
    with pytest.raises(UNWRITABLE):
        await box(database).take(raw("ok"), moved=Moved(stream="kf1", cursor=POISON))

    assert await claim(database) == []


# -- claim -------------------------------------------------------------------------------------------------
async def test_an_urgent_row_goes_first_with_everything_before_it_in_its_lane(database: Database) -> None:
    taken = box(database)
    await taken.take(raw("a1", lane="a"), raw("b1", lane="b"), bulk=True)
    await taken.take(raw("c1", lane="c"))
    await taken.take(raw("b2", lane="b", urgent=True))

    assert keys(await claim(database, limit=2)) == ["b1", "b2"]
    assert keys(await claim(database, limit=3)) == ["b1", "c1", "b2"]
    ranks = {i.source_key: i.rank for i in await claim(database)}
    assert ranks == {"a1": BULK, "b1": BULK, "b2": URGENT, "c1": NORMAL}


async def test_bulk_has_a_capped_share_of_each_batch_whether_somebody_waits_or_not(
    database: Database,
) -> None:
    taken = box(database)
    await taken.take(*(raw(f"b{n}", lane=f"b{n}") for n in range(40)), bulk=True)
    assert len(await claim(database, limit=20)) == 5

    await taken.take(*(raw(f"n{n}", lane=f"n{n}") for n in range(3)))
    claimed = keys(await claim(database, limit=20))

    assert [k for k in claimed if k[0] == "n"] == ["n0", "n1", "n2"]
    assert len([k for k in claimed if k[0] == "b"]) == 5  # a quarter of the batch


async def test_a_row_that_waits_holds_its_lane_and_no_other(database: Database) -> None:
    taken = box(database)
    await taken.take(raw("a1", lane="a"), raw("a2", lane="a"), raw("b1", lane="b"))
    await _put_back(database, (await claim(database))[0])

    assert keys(await claim(database)) == ["b1"]
    assert keys(await claim(database, now_s=2)) == ["a1", "a2", "b1"]


async def test_a_row_that_waits_in_the_middle_lets_only_those_before_it_go(database: Database) -> None:
    await box(database).take(*(raw(f"a{n}", lane="a") for n in range(3)))
    await _put_back(database, (await claim(database))[1])

    assert keys(await claim(database)) == ["a0"]


async def test_a_long_lane_that_waits_does_not_starve_the_others(database: Database) -> None:
    taken = box(database)
    await taken.take(*(raw(f"a{n}", lane="a") for n in range(50)), raw("b1", lane="b"))
    await _put_back(database, (await claim(database, limit=1))[0])

    assert keys(await claim(database, limit=10)) == ["b1"]


async def test_a_row_nobody_tried_waits_for_no_clock_and_a_failed_one_for_its_retry(
    database: Database,
) -> None:
    await box(database).take(raw("1"))

    # Received by a clock that ran two hours ahead and was mended meanwhile.
    (item,) = await claim(database, now_s=-7200)
    await _put_back(database, item)

    assert await claim(database) == []


Arrivals = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from([URGENT, NORMAL, BULK])), min_size=1, max_size=24
)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrivals=Arrivals, limit=st.integers(1, 8), luck=st.lists(st.sampled_from("ooofq"), max_size=40))
async def test_claims_never_reorder_a_lane(
    database: Database, arrivals: list[tuple[int, int]], limit: int, luck: list[str]
) -> None:
    """Whatever is urgent, bulk, put back or quarantined on the way, a lane's rows come in arrival order."""
    handled: list[tuple[bytes, int]] = []
    fate = iter(luck)
    async with database.begin(next(tenants)) as conn:
        await _fill(conn, arrivals)
        now_s, idle = 0.0, 0
        while idle < 2:
            items = await inbox.claim(conn, "new", now=later(now_s), limit=limit)
            assert len(items) <= 3 * limit
            stopped: set[bytes] = set()
            for item in (i for i in items if i.lane not in stopped):
                what = next(fate, "o")
                if what == "f":  # fails for now; what is behind it waits
                    stopped.add(item.lane)
                    await inbox.put_back(conn, item, "settle", "?", now=later(now_s), max_attempts=9)
                    continue
                handled.append((item.lane, item.inbox_id))
                if what == "q":
                    await inbox.put_back(conn, item, "settle", "?", now=later(now_s), max_attempts=1)
                else:
                    await inbox.mark(conn, [item.inbox_id], "settled")
            idle = 0 if items else idle + 1
            now_s += 0 if items else 3600

    assert len(handled) == len(arrivals)
    for lane in {lane for lane, _ in handled}:
        mine = [ident for name, ident in handled if name == lane]
        assert mine == sorted(mine)


async def _fill(conn: Conn, arrivals: Sequence[tuple[int, int]]) -> None:
    rows = []
    for lane, rank in arrivals:
        ident = new_id()
        rows.append(
            {
                "tenant_id": conn.tenant_id,
                "inbox_id": ident,
                "account_id": 1,
                "source_key": str(ident),
                "lane": bytes([lane]),
                "rank": rank,
                "payload": await conn.seal("day", b"", "inbox", ident, "payload"),
                "received_at": NOW,
                "next_at": NOW,
            }
        )
    await conn.run(sa.insert(table), rows)


# -- put back, quarantine, replay --------------------------------------------------------------------------
async def _put_back(database: Database, item: Item, *, stage: inbox.Stage = "settle", most: int = 3) -> bool:
    async with database.begin(1) as conn:
        return await inbox.put_back(conn, item, stage, "坏了", now=NOW, max_attempts=most)


@pytest.fixture
async def one(database: Database) -> Item:
    await box(database).take(raw("1"))
    (item,) = await claim(database)
    return item


async def test_a_failing_row_waits_longer_each_time_and_is_quarantined_in_the_end(
    database: Database, one: Item
) -> None:
    assert not await _put_back(database, one)
    assert await claim(database, now_s=1.9) == []
    (second,) = await claim(database, now_s=2)
    assert second.attempts == 1
    assert not await _put_back(database, second)
    assert await claim(database, now_s=7.9) == []
    (third,) = await claim(database, now_s=8)

    assert await _put_back(database, third)

    assert await claim(database, now_s=9999) == []
    async with database.read(1) as conn:
        assert await inbox.counts(conn) == {"new": 0, "settled": 0, "quarantined": 1}
        (entry,) = await inbox.page(conn, state="quarantined", before=None, limit=10)
    assert (entry.stage, entry.attempts, entry.error) == ("settle", 3, "坏了")


@pytest.mark.parametrize(
    ("stage", "back", "payload"),
    [
        ("translate", "new", b"1"),  # the parser was fixed: everything from the start
        ("settle", "new", b"1"),
        ("react", "settled", b""),  # the timeline is fine: only the reaction again, and it needs no payload
    ],
)
async def test_replay_starts_where_the_row_stopped(
    database: Database, one: Item, stage: inbox.Stage, back: str, payload: bytes
) -> None:
    if back == "settled":
        async with database.begin(1) as conn:
            await inbox.mark(conn, [one.inbox_id], "settled")
    await _put_back(database, one, stage=stage, most=1)

    async with database.begin(1) as conn:
        assert await inbox.replay(conn) == 1

    (item,) = await claim(database, state=back)
    assert (item.attempts, item.rank, item.payload) == (0, BULK, payload)


async def test_replay_by_id_or_time_takes_finished_rows_but_never_one_at_work(database: Database) -> None:
    await box(database).take(raw("1"), raw("2"), raw("3"))
    first, second, _ = await claim(database)
    async with database.begin(1) as conn:
        await through(conn, [first, second])
        assert await inbox.replay(conn) == 0  # nothing is quarantined
        assert await inbox.replay(conn, inbox_ids=[first.inbox_id]) == 1
        assert await inbox.replay(conn, since=later(1)) == 0
        assert await inbox.replay(conn, since=NOW) == 1

    ranks = {i.source_key: i.rank for i in await claim(database)}
    assert ranks == {"1": BULK, "2": BULK, "3": NORMAL}


async def test_what_we_say_ourselves_is_settled_at_once_and_unique(database: Database) -> None:
    async with database.begin(1) as conn:
        await inbox.add_ours(conn, 11, "ours:1", b"lane", now=NOW)
    with pytest.raises(sa.exc.IntegrityError):
        async with database.begin(1) as conn:
            await inbox.add_ours(conn, 11, "ours:1", b"lane", now=NOW)

    (item,) = await claim(database, state="settled")
    assert (item.source_key, item.payload, item.rank) == ("ours:1", b"", URGENT)


async def test_pages_show_each_row_once_and_the_oldest_is_known(database: Database) -> None:
    taken = box(database)
    async with database.read(1) as conn:
        assert await inbox.oldest(conn) is None
    await taken.take(*(raw(f"{n}") for n in range(7)))

    shown, before = [], None
    async with database.read(1) as conn:
        while page := await inbox.page(conn, state="new", before=before, limit=3):
            shown += [entry.source_key for entry in page]
            before = page[-1].inbox_id
        assert await inbox.oldest(conn) == NOW

    assert shown == [f"{n}" for n in range(6, -1, -1)]


async def test_two_tenants_of_one_inbox_stay_apart(database: Database) -> None:
    taken = box(database)

    await asyncio.gather(
        *(
            taken.inbox.accept(replace(SHOP, tenant_id=tenant), [raw("same")], received_at=NOW)
            for tenant in (1, 2, 1, 2)
        )
    )

    for tenant in (1, 2):
        async with database.read(tenant) as conn:
            assert keys(await inbox.claim(conn, "new", now=NOW, limit=9)) == ["same"]
