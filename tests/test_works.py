"""Long works: every slice is kept, a stop loses nothing, and they do what they are told."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from scrm import jobs, schema, works
from scrm.contract import Polled, Stock
from scrm.db import Database, utcnow
from scrm.errors import NotSent, Rejected
from scrm.inbox import mending
from scrm.works import Slice, Work
from tests.ground import Fetching, House, house, installed, raw, said


@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    channel = Fetching()
    channel.STOCKS = (Stock(stream="all", title="全部"), Stock(stream="groups", title="群"))  # type: ignore[attr-defined]
    installed(monkeypatch, channel)
    return await house(database, channel)


def vendor(home: House) -> Fetching:
    assert isinstance(home.channel, Fetching)
    return home.channel


def three_pages(home: House) -> None:
    pages = vendor(home).pages
    pages["all", ""] = Polled(raws=(raw("c1"), raw("c2")), cursor="p2", more=True, total=3)
    pages["all", "p2"] = Polled(raws=(raw("c3"),), cursor="", more=False, total=3)
    pages["groups", ""] = Polled(raws=(raw("g1"),), cursor="", more=False, total=1)


async def start(home: House, kind: str = "sync", **payload: object) -> int:
    async with home.db.begin(1) as conn:
        given = payload or {"streams": ["all", "groups"]}
        account = home.account.account_id if kind == "sync" else None
        return await works.start(conn, kind, given, account_id=account, now=utcnow())


async def get(home: House, job_id: int) -> Work:
    async with home.db.read(1) as conn:
        found = await works.get(conn, job_id)
    assert found is not None
    return found


async def order(home: House, job_id: int, what: str) -> Work | None:
    async with home.db.begin(1) as conn:
        return await works.order(conn, job_id, what, now=utcnow())


# -- the row -----------------------------------------------------------------------------------------------
async def test_a_work_is_paused_taken_up_and_cancelled(home: House) -> None:
    job = await start(home)

    assert (await order(home, job, "resume")) is None  # it runs
    assert (await order(home, job, "pause")) is not None
    assert (await get(home, job)).state == "paused"
    assert (await order(home, job, "resume")) is not None
    assert (await order(home, job, "cancel")) is not None
    for what in ("pause", "resume", "cancel", "fly"):
        assert (await order(home, job, what)) is None


async def test_a_slice_that_ends_after_the_pause_is_kept_and_leaves_it_paused(home: House) -> None:
    job = await start(home)
    await order(home, job, "pause")

    async with home.db.begin(1) as conn:
        state = await works.advance(conn, job, Slice(done=2, fresh=1, place="x", total=9), now=utcnow())

    now = await get(home, job)
    assert state == now.state == "paused"
    assert (now.done, now.fresh, now.total, now.place) == (2, 1, 9, "x")


async def test_two_slices_written_at_the_same_time_both_count(home: House) -> None:
    job = await start(home)

    async def one() -> None:
        async with home.db.begin(1) as conn:
            await works.advance(conn, job, Slice(done=1), now=utcnow())

    await asyncio.gather(*(one() for _ in range(5)))

    assert (await get(home, job)).done == 5


async def test_works_are_listed_newest_first_page_by_page(home: House) -> None:
    made = [await start(home) for _ in range(5)]

    async with home.db.read(1) as conn:
        first = await works.page(conn, limit=3)
        rest = await works.page(conn, before=first[-1].job_id, limit=3)

    assert [w.job_id for w in (*first, *rest)] == made[::-1]


# -- sync --------------------------------------------------------------------------------------------------
async def test_a_sync_takes_every_stock_and_counts_what_was_new(home: House) -> None:
    three_pages(home)
    await home.inbox.accept(home.account, [raw("c2")], received_at=utcnow())  # known before
    job = await start(home)

    await home.worker.errands.batch(1)

    done = await get(home, job)
    assert (done.state, done.done, done.total, done.fresh) == ("done", 4, 4, 3)
    assert set(await home.states()) == {"c1", "c2", "c3", "g1"}
    async with home.db.read(1) as conn:
        assert await jobs.next_at(conn) is None


async def test_a_sync_that_is_interrupted_goes_on_from_the_next_page(home: House) -> None:
    three_pages(home)
    vendor(home).pages["all", "p2"] = NotSent("平台忙")
    job = await start(home)
    await home.worker.errands.batch(1)
    assert ((await get(home, job)).done, (await get(home, job)).state) == (2, "running")

    three_pages(home)
    await due_now(home)
    await home.worker.errands.batch(1)

    assert [cursor for stream, cursor, _ in vendor(home).polled if stream == "all"] == ["", "p2", "p2"]
    assert ((await get(home, job)).done, (await get(home, job)).state) == (4, "done")


async def due_now(home: House) -> None:
    async with home.db.begin(1) as conn:
        await conn.run(sa.update(schema.due).values(at=utcnow()))


async def test_a_page_that_does_not_move_ends_in_a_reason_and_not_in_a_loop(home: House) -> None:
    vendor(home).pages["all", ""] = Polled(raws=(raw("c1"),), cursor="", more=True)
    job = await start(home)

    for _ in range(3):  # max_attempts of the house
        await due_now(home)
        await home.worker.errands.batch(1)

    stopped = await get(home, job)
    assert (stopped.state, stopped.error) == ("failed", "平台说还有下一页，但没有给出新的位置。")


async def test_a_work_that_cannot_go_on_stops_and_can_be_taken_up_again(home: House) -> None:
    vendor(home).pages["all", ""] = Rejected("没有权限")
    job = await start(home)
    await home.worker.errands.batch(1)
    assert ((await get(home, job)).state, (await get(home, job)).error) == ("failed", "没有权限")

    three_pages(home)
    assert await order(home, job, "resume")
    await home.worker.errands.batch(1)

    assert (await get(home, job)).state == "done"


async def test_a_paused_work_does_not_ask_the_platform(home: House) -> None:
    three_pages(home)
    job = await start(home)
    await order(home, job, "pause")

    await home.worker.errands.batch(1)
    assert vendor(home).polled == []

    await order(home, job, "resume")
    await home.worker.errands.batch(1)
    assert (await get(home, job)).state == "done"


async def test_a_kind_nobody_knows_stops_with_a_reason(home: House) -> None:
    job = await start(home, "unheard", a=1)

    await home.worker.errands.batch(1)

    assert (await get(home, job)).state == "failed"


# -- dead letters ------------------------------------------------------------------------------------------
async def fallen(home: House, number: int = 3) -> mending.Class:
    """Rows that could not be read, for one reason."""
    await home.take({f"bad{n}": Rejected(f"第 {n} 行缺少 MsgId") for n in range(number)})
    while await home.pipeline.settle(1):
        pass
    async with home.db.read(1) as conn:
        (one,) = await mending.classes(conn)
    return one


async def test_rows_with_the_same_fault_are_one_class_whatever_number_it_names(home: House) -> None:
    one = await fallen(home)

    assert (one.rows, one.stage, one.error) == (3, "translate", "第 … 行缺少 MsgId")


async def test_a_replayed_class_is_understood_after_the_mend_with_progress(home: House) -> None:
    one = await fallen(home)
    for n in range(3):
        home.channel.says[f"bad{n}".encode()] = [said(f"第{n}句")]
    job = await start(home, "replay", **{"class": one.key})

    await home.worker.errands.batch(1)
    while await home.pipeline.settle(1):
        pass

    assert ((await get(home, job)).state, (await get(home, job)).done) == ("done", 3)
    assert sorted(await home.texts()) == ["第0句", "第1句", "第2句"]


async def test_rows_that_fall_again_are_not_replayed_for_ever(home: House) -> None:
    one = await fallen(home)
    job = await start(home, "replay", **{"class": one.key})

    await home.worker.errands.batch(1)
    while await home.pipeline.settle(1):
        pass

    assert ((await get(home, job)).state, (await get(home, job)).done) == ("done", 3)
    assert set((await home.states()).values()) == {"quarantined"}


async def test_discarded_rows_are_kept_with_the_reason_and_not_replayed(home: House) -> None:
    one = await fallen(home)
    async with home.db.begin(1) as conn:
        assert await mending.discard_class(conn, one, "测试数据") == 3

    assert set((await home.states()).values()) == {"discarded"}
    async with home.db.read(1) as conn:
        assert await mending.classes(conn) == []
