"""Channels in full under races: slow vendors, leases that ran out, edits that meet reactions, backlogs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from scrm import facts, inbox, jobs, schema, works
from scrm.contract import Context, Deed, Done, Field, Piece, Polled, Stock
from scrm.db import Conn, Database, utcnow
from scrm.deeds import rules, service
from scrm.deeds import store as deeds
from scrm.errors import NotSent, ScrmError
from scrm.push import service as push
from scrm.timeline.store import conversations, media, search
from scrm.works import Slice
from tests import test_races as races
from tests.ground import (
    NOW,
    Fetching,
    House,
    Talking,
    entry,
    house,
    installed,
    later,
    raw,
    said,
    settle,
    talk_of,
    until,
)
from tests.timeline.test_edits import edit
from tests.timeline.test_search import found, told

boss, dbs = races.boss, races.dbs


class Office(Fetching):
    """It polls, has stocks and does deeds; each call of a name in `slow` waits until it is let go."""

    DEEDS = (
        Deed(kind="make", title="做一个", fields=(Field(name="name", title="名字"),)),
        Deed(kind="mark", title="标一下", fields=(Field(name="name", title="名字"),), idempotent=True),
    )
    STOCKS = (Stock(stream="all", title="全部"),)

    def __init__(self) -> None:
        super().__init__()
        self.slow: dict[str, asyncio.Event] = {}
        self.begun: list[str] = []
        self.outcomes: list[Done | Exception] = []

    async def _wait(self, name: str) -> None:
        self.begun.append(name)
        if name in self.slow:
            await self.slow[name].wait()

    async def poll(self, ctx: Context, stream: str, cursor: str, hint: str) -> Polled:
        await self._wait(stream)
        return await super().poll(ctx, stream, cursor, hint)

    async def do(self, _ctx: Context, _deed: str, fields: Mapping[str, Any]) -> Done:
        answer = self.outcomes.pop(0)
        await self._wait(fields["name"])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def outcome(self, *_asked: object) -> Done:
        return Done()


@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    channel = Office()
    installed(monkeypatch, channel)
    return await house(database, channel)


def office(home: House) -> Office:
    assert isinstance(home.channel, Office)
    return home.channel


@asynccontextmanager
async def working(home: House) -> AsyncIterator[None]:
    task = asyncio.create_task(home.worker.run(home.pipeline))
    try:
        yield
    finally:
        home.worker.stop()
        async with asyncio.timeout(10):
            await task


async def leases_run_out(home: House) -> None:
    gone = sa.update(schema.due).where(schema.due.c.tenant_id == 1)
    async with home.db.begin(1) as conn:
        await conn.run(gone.values(lease_until=await conn.now() - timedelta(seconds=1)))


# -- backlogs ----------------------------------------------------------------------------------------------
async def test_a_slow_stream_and_a_backlog_of_other_work_hold_up_no_customer(home: House) -> None:
    vendor, ident = office(home), home.account.account_id
    vendor.slow = {"slow": asyncio.Event(), "all": asyncio.Event()}
    vendor.pages["kf", ""] = Polled(raws=(raw("m1"),), cursor="1", more=False)
    async with home.db.begin(1) as conn:
        for _ in range(12):  # long walks through a stock, all asked for before
            await works.start(conn, "sync", {"streams": ["all"]}, account_id=ident, now=NOW)
        await jobs.put(conn, "poll", "s", ident, {"stream": "slow", "hint": ""}, at=NOW)

    async with working(home):
        await until(lambda: _is({"slow", "all"} <= set(vendor.begun)))
        async with home.db.begin(1) as conn:
            payload = {"stream": "kf", "hint": ""}
            await jobs.put(conn, "poll", "k", ident, payload, at=await conn.now())
        home.worker.due.set()
        await until(lambda: _is("kf" in vendor.begun))
        assert not vendor.slow["slow"].is_set()
        assert vendor.begun.count("all") == 8  # the others wait for a place
        for event in vendor.slow.values():
            event.set()
        await until(lambda: _none_left(home))

    assert vendor.begun.count("all") == 12


async def _is(so: bool) -> bool:
    return so


async def _none_left(home: House) -> bool:
    async with home.db.read(1) as conn:
        return await conn.row(sa.select(schema.due.c.due_id).where(schema.due.c.kind == "work")) is None


async def test_a_process_does_not_begin_again_what_takes_it_longer_than_the_lease(home: House) -> None:
    vendor, ident = office(home), home.account.account_id
    vendor.slow = {"slow": asyncio.Event()}
    async with home.db.begin(1) as conn:
        await jobs.put(conn, "poll", "s", ident, {"stream": "slow", "hint": ""}, at=NOW)

    async with working(home):
        await until(lambda: _is(vendor.begun == ["slow"]))
        await leases_run_out(home)
        async with home.db.begin(1) as conn:
            await jobs.put(conn, "poll", "k", ident, {"stream": "kf", "hint": ""}, at=NOW)
        home.worker.due.set()
        await until(lambda: _is("kf" in vendor.begun))
        vendor.slow["slow"].set()

    assert vendor.begun == ["slow", "kf"]


async def test_stopping_waits_for_an_errand_that_ends_and_cuts_off_one_that_does_not(home: House) -> None:
    vendor, ident = office(home), home.account.account_id
    vendor.slow = {"soon": asyncio.Event(), "never": asyncio.Event()}
    async with home.db.begin(1) as conn:
        for stream in vendor.slow:
            await jobs.put(conn, "poll", stream, ident, {"stream": stream, "hint": ""}, at=NOW)
    task = asyncio.create_task(home.worker.run(home.pipeline))
    await until(lambda: _is(len(vendor.begun) == 2))

    home.worker.stop()
    vendor.slow["soon"].set()
    await until(lambda: _free(home, "soon"))
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(5):
            await task

    assert not await _free(home, "never")  # its lease tells that nobody finished it


async def _free(home: House, key: str) -> bool:
    d = schema.due.c
    async with home.db.read(1) as conn:
        return await conn.scalar(sa.select(d.lease_until).where(d.key == key)) is None


async def test_processes_that_ask_for_the_same_things_in_other_orders_do_not_deadlock(
    dbs: list[Database],
) -> None:
    async def ask(db: Database, order: int, round_: int) -> None:
        wanted = [("enrich", f"{round_}:{n}", 11, {"node_id": n}) for n in range(400)][::order]
        async with db.begin(1) as conn:
            await jobs.put_each(conn, [(one, later(n)) for n, one in enumerate(wanted)])

    for round_ in range(6):
        await asyncio.gather(*(ask(db, order, round_) for db, order in zip(dbs, (1, -1), strict=True)))


# -- leases ------------------------------------------------------------------------------------------------
async def test_what_is_asked_for_again_while_it_is_given_up_is_not_lost(database: Database) -> None:
    async with database.begin(1) as conn:
        await jobs.put(conn, "work", "7", 0, {"job_id": 7}, at=NOW)
        (job,) = await jobs.claim(conn, now=NOW, limit=9)
        await jobs.put(conn, "work", "7", 0, {"job_id": 7}, at=NOW)  # somebody saw it fail, and resumed it
        await jobs.drop(conn, job)

        assert [again.key for again in await jobs.claim(conn, now=NOW, limit=9)] == ["7"]


async def test_a_slice_done_twice_counts_once_and_sets_nobody_back(home: House) -> None:
    async with home.db.begin(1) as conn:
        job = await works.start(conn, "sync", {"streams": ["all"]}, now=NOW)
        work = await works.get(conn, job)
        for _ in range(2):  # two workers, since the lease of the first ran out
            await works.advance(conn, job, Slice(done=5, place="p2"), now=NOW, since=work)
        one = await works.get(conn, job)
        await works.advance(conn, job, Slice(done=5, place="p3"), now=NOW, since=one)
        await works.advance(conn, job, Slice(done=5, place="p2"), now=NOW, since=work)
        found = await works.get(conn, job)

    assert found is not None
    assert (found.done, found.place) == (10, "p3")


async def test_a_file_fetched_by_a_faster_worker_stays_here(home: House) -> None:
    await home.take({"m1": [said("[图]", kind="message.image", pieces=(Piece(ref="r", kind="image"),))]})
    await home.pipeline.settle(1)
    async with home.db.begin(1) as conn:
        (ident,) = [r.event_id for r in await conn.rows(sa.text("SELECT event_id FROM event"))]
        file = await media.get(conn, ident, 0)
        assert file is not None
        await conn.run(sa.update(schema.event_media).values(state="kept", media_id=1))
        await media.put_aside(conn, file, "failed", "超时")
        kept = await media.get(conn, ident, 0)

    assert kept is not None
    assert (kept.state, kept.error) == ("kept", "")


async def _asked(home: House, kind: str, *answers: Done | Exception) -> tuple[int, asyncio.Task[int]]:
    """A deed that is being asked for so slowly that its lease has run out."""
    vendor = office(home)
    vendor.slow, vendor.outcomes = {"秋季": asyncio.Event()}, list(answers)
    plugged = home.directory.by_id(home.account.account_id)
    async with home.db.begin(1) as conn:
        more: dict[str, Any] = {"key": "k", "by": "staff:7", "staff_id": 7, "now": utcnow()}
        asked = await service.ask(conn, plugged, kind, {"name": "秋季"}, **more)
    slow = asyncio.create_task(home.worker.errands.batch(1))
    await until(lambda: _is(len(vendor.begun) == 1))
    await leases_run_out(home)
    return asked.deed_id, slow


@pytest.mark.parametrize(
    ("answer", "state", "due"),
    [
        (Done(body={"id": 1}), rules.DONE, 0),
        (Done(item="job-1", again_s=30), rules.WAITING, 1),
        (NotSent("平台忙"), rules.FAILED, 0),
    ],
)
async def test_a_deed_slower_than_its_lease_is_asked_once_and_ends_as_the_platform_says(
    home: House, answer: Done | ScrmError, state: str, due: int
) -> None:
    ident, slow = await _asked(home, "make", answer)
    await home.worker.errands.batch(1)  # another worker: nobody knows whether it was heard
    async with home.db.read(1) as conn:
        doubted = await deeds.get(conn, ident)
    office(home).slow["秋季"].set()
    await slow

    async with home.db.read(1) as conn:
        ended = await deeds.get(conn, ident)
        left = await conn.scalar(sa.select(sa.func.count()).select_from(schema.due))
    assert (doubted and doubted.state, ended and ended.state, left) == (rules.UNKNOWN, state, due)
    assert office(home).begun == ["秋季"]


async def test_a_deed_that_another_worker_did_meanwhile_stays_done(home: House) -> None:
    ident, slow = await _asked(home, "mark", NotSent("平台忙"), Done(body={"ok": True}))
    vendor = office(home)
    waiting, vendor.slow = vendor.slow, {}
    await home.worker.errands.batch(1)
    waiting["秋季"].set()
    await slow

    async with home.db.read(1) as conn:
        ended = await deeds.get(conn, ident)
    assert ended is not None
    assert (ended.state, dict(ended.result)) == (rules.DONE, {"ok": True})


# -- the timeline ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("edit_first", [False, True])
async def test_a_message_edited_while_it_is_made_findable_is_found_by_its_new_words(
    dbs: list[Database], boss: Any, *, edit_first: bool
) -> None:
    message = entry(said("明天上午九点见面"), "m1")
    async with dbs[0].begin(1) as conn:
        await settle(conn, message)

    async def react(conn: Conn) -> None:
        await search.index(conn, [message.event_id])

    async def changed(conn: Conn) -> None:
        await settle(conn, entry(edit("后天下午三点见面", at=5), "e1"))

    both = (changed, react) if edit_first else (react, changed)
    await races.after(dbs, boss, *both)

    async with dbs[0].read(1) as conn:
        assert await found(conn, "下午三点") == ["后天下午三点见面"]
        assert await found(conn, "上午九点") == []


async def test_two_events_of_one_place_are_both_found(database: Database) -> None:
    async with database.begin(1) as conn:
        first, second = await told(conn, said("苹果"), said("香蕉"))
        d = schema.search_doc.c
        taken = await conn.scalar(sa.select(d.search_id).where(d.event_id == second))
        await search.forget(conn, [first, second])
        one = sa.update(schema.search_doc).where(d.event_id == first)
        await search.index(conn, [first])
        await conn.run(one.values(search_id=taken))
        await search.index(conn, [second])

        assert await found(conn, "苹果") == ["苹果"]
        assert await found(conn, "香蕉") == ["香蕉"]


async def test_of_facts_of_one_moment_the_last_said_holds(database: Database) -> None:
    def fact(word: str, *, rank: int = 5) -> facts.Said:
        return facts.Said(account_id=11, kind="tag", key="t", body={"name": word}, rank=rank, at=NOW)

    for word, rank in (("一", 5), ("二", 5), ("旧", 4)):
        async with database.begin(1) as conn:
            await facts.put_all(conn, [fact(word, rank=rank)])

    async with database.read(1) as conn:
        known = await facts.get(conn, 11, "tag", "t")
    assert known is not None
    assert known.body == {"name": "二"}


async def test_a_refusal_told_later_shuts_nothing_when_it_is_replayed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = Talking()
    installed(monkeypatch, channel)
    home = await house(database, channel)
    await home.take({"m1": [said()]}, lane="anna")
    await home.pipeline.settle(1)
    async with home.db.begin(1) as conn:
        talk = await talk_of(conn, "anna")
        plugged = home.directory.by_id(home.account.account_id)
        await push.say(conn, plugged, talk, push.Word(key="k", text="在的"), now=utcnow())
    await home.worker.sender.batch(1)
    no = {"failed_push": f"ext-{channel.sent[0].push_id}", "failed_effect": "no_relation"}
    await home.take({"f1": [said("发送失败", kind="event.send_failed", at=later(9), **no)]}, lane="anna")
    await home.pipeline.settle(1)
    await home.pipeline.react(1)

    async with home.db.begin(1) as conn:
        shut = await talk_of(conn, "anna")
        await conversations.set_session(conn, shut.conversation_id, "api")  # they are friends again
        assert await inbox.replay(conn, since=NOW - timedelta(days=9)) >= 1
    await home.pipeline.settle(1)

    async with home.db.read(1) as conn:
        assert (shut.session, (await talk_of(conn, "anna")).session) == ("ended", "api")


async def test_what_no_reaction_could_be_found_for_is_found_all_the_same(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = Talking()
    installed(monkeypatch, channel)
    home = await house(database, channel)
    await home.take({"m1": [said("优惠到什么时候")]})
    await home.pipeline.settle(1)
    async with home.db.begin(1) as conn:  # its account vanishes before react
        await conn.run(sa.update(schema.event).values(account_id=99))
    await home.pipeline.react(1)

    assert (await home.states())["m1"] == "settled"
    async with home.db.read(1) as conn:
        assert await found(conn, "优惠") == ["优惠到什么时候"]
