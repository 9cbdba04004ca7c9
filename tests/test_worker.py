"""The loops: every send ends in a state that is true, every stream is read on, nothing stops them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from scrm import inbox, outbox, schema
from scrm.accounts.store import Tenant
from scrm.contract import Polled, Pull
from scrm.db import Conn, Database, utcnow
from scrm.errors import NotSent, Rejected, Unavailable, Unknown
from scrm.outbox import Delivery
from scrm.push import service as push
from scrm.push.service import Word
from scrm.worker import Wake, finish
from scrm.worker.polling import POLL_EVERY
from tests.ground import Fetching, House, house, installed, raw, said, talk_of, until


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """What was logged, as fields; rendering tracebacks would take longer than the tests."""
    with capture_logs() as lines:
        yield lines


@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    return await built(database, monkeypatch)


async def built(database: Database, patch: pytest.MonkeyPatch, *, idempotent: bool = False) -> House:
    channel = Fetching()
    channel.IDEMPOTENT = idempotent
    installed(patch, channel)
    return await house(database, channel)


def vendor(home: House) -> Fetching:
    assert isinstance(home.channel, Fetching)
    return home.channel


@asynccontextmanager
async def working(home: House) -> AsyncIterator[None]:
    """All loops run; on the way out they are stopped and must end by themselves."""
    task = asyncio.create_task(home.worker.run(home.pipeline))
    try:
        yield
    finally:
        home.worker.stop()
        async with asyncio.timeout(30):
            await task


async def say(home: House, *keys: str, deadline_at: datetime | None = None) -> None:
    async with home.db.read(1) as conn:
        known = await conn.scalar(sa.select(schema.node.c.node_id).limit(1))
    if known is None:
        await home.take({"hello": [said(at=utcnow())]})
        while await home.pipeline.settle(1):
            pass
    plugged = home.directory.by_id(home.account.account_id)
    for key in keys:
        async with home.db.begin(1) as conn:
            word = Word(key=key, text=f"话 {key}", deadline_at=deadline_at)
            await push.say(conn, plugged, await talk_of(conn, "anna"), word, now=utcnow())


async def rows(home: House) -> dict[str, Delivery]:
    async with home.db.read(1) as conn:
        return {d.key: d for d in await outbox.page(conn, state="", before=None, limit=99)}


async def reaches(home: House, **states: str) -> dict[str, Delivery]:
    async def so() -> bool:
        found = await rows(home)
        return all(found[f"{key}:0"].state == state for key, state in states.items())

    await until(so)
    return await rows(home)


async def at_once(home: House) -> None:
    """What waits for a retry is due now."""
    async with home.db.begin(1) as conn:
        await conn.run(sa.update(schema.outbox).values(next_at=utcnow()))
        await conn.run(sa.update(schema.due).values(at=utcnow()))
    home.worker.send.set()
    home.worker.due.set()


# -- sending -----------------------------------------------------------------------------------------------
async def test_a_queued_push_goes_out_once_and_is_sent(home: House) -> None:
    await say(home, "w1")

    async with working(home):
        await reaches(home, w1="sent")

    assert [p.text for p in vendor(home).sent] == ["话 w1"]
    async with home.db.read(1) as conn:
        assert (
            await conn.scalar(sa.select(schema.outbox.c.external_id)) == f"ext-{vendor(home).sent[0].push_id}"
        )


async def test_pushes_to_one_customer_arrive_in_order_despite_a_retry(home: House) -> None:
    vendor(home).answers = ["ext-1", NotSent("太快"), "ext-2", "ext-3"]
    await say(home, "w1", "w2", "w3")

    async with working(home):
        await reaches(home, w2="retry")
        await at_once(home)
        await reaches(home, w1="sent", w2="sent", w3="sent")

    assert [p.text for p in vendor(home).sent] == ["话 w1", "话 w2", "话 w2", "话 w3"]
    second = [p.push_id for p in vendor(home).sent if p.text == "话 w2"]
    assert len(set(second)) == 1  # the same id on every attempt


@pytest.mark.parametrize(
    ("answer", "idempotent", "state", "code"),
    [
        (NotSent("太快", code="45009"), False, "retry", "45009"),  # certainly not delivered
        (Rejected("拒收", code="45047"), False, "dead", "45047"),  # never will be
        (Unknown(), False, "unknown", ""),  # perhaps delivered: a repeat could double it
        (Unknown(), True, "retry", ""),  # the vendor drops repeats
        (ZeroDivisionError(), False, "unknown", ""),  # our own fault, somewhere around the call
    ],
)
async def test_each_answer_of_the_vendor_is_a_state(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    answer: Exception,
    idempotent: bool,
    state: str,
    code: str,
) -> None:
    home = await built(database, monkeypatch, idempotent=idempotent)
    vendor(home).answers = [answer]
    await say(home, "w1")

    async with working(home):
        found = await reaches(home, w1=state)

    assert found["w1:0"].code == code
    assert found["w1:0"].error
    assert len(vendor(home).sent) == 1


async def test_a_retry_waits_as_long_as_the_vendor_asks(home: House) -> None:
    vendor(home).answers = [NotSent("等等", retry_after_s=500)]
    await say(home, "w1")
    began = utcnow()

    async with working(home):
        await reaches(home, w1="retry")

    async with home.db.read(1) as conn:
        next_at = await conn.scalar(sa.select(schema.outbox.c.next_at))
    assert next_at >= began + timedelta(seconds=500)


async def test_retries_end(home: House) -> None:
    vendor(home).answers = [NotSent("忙")] * 9
    await say(home, "w1")

    async with working(home):
        for attempt in range(1, 3):
            await until(partial(_attempts, home, attempt))
            await at_once(home)
        await reaches(home, w1="dead")

    assert len(vendor(home).sent) == 3  # as often as the settings allow


async def _attempts(home: House, number: int) -> bool:
    async with home.db.read(1) as conn:
        return bool(await conn.scalar(sa.select(schema.outbox.c.attempts)) == number)


@pytest.mark.parametrize("how", ["deadline", "age"])
async def test_what_is_too_late_is_not_sent_any_more(home: House, how: str) -> None:
    long_ago = utcnow() - timedelta(hours=1)
    await say(home, "w1", deadline_at=long_ago if how == "deadline" else None)
    if how == "age":
        async with home.db.begin(1) as conn:
            await conn.run(sa.update(schema.outbox).values(created_at=long_ago))

    async with working(home):
        await reaches(home, w1="dead")

    assert vendor(home).sent == []


@pytest.mark.parametrize(("idempotent", "state", "sent"), [(False, "unknown", 0), (True, "sent", 1)])
async def test_a_push_whose_sender_died_is_sent_again_only_where_repeats_are_dropped(
    database: Database, monkeypatch: pytest.MonkeyPatch, idempotent: bool, state: str, sent: int
) -> None:
    home = await built(database, monkeypatch, idempotent=idempotent)
    await say(home, "w1")
    async with home.db.begin(1) as conn:  # killed between the call and its result, more than a lease ago
        await outbox.claim(conn, now=utcnow(), limit=9)
        await conn.run(sa.update(schema.outbox).values(lease_until=utcnow() - timedelta(seconds=1)))

    async with working(home):
        await reaches(home, w1=state)

    assert len(vendor(home).sent) == sent


async def test_a_human_take_over_learned_from_a_refusal_closes_the_api(home: House) -> None:
    vendor(home).answers = [Rejected("已由人工接待", code="session_human")]
    await say(home, "w1")

    async with working(home):
        await reaches(home, w1="dead")

    async with home.db.read(1) as conn:
        assert (await talk_of(conn, "anna")).session == "human"


async def test_the_screen_hears_what_became_of_a_push(home: House) -> None:
    await say(home, "w1")
    async with home.db.read(1) as conn:
        talk = await talk_of(conn, "anna")

    with home.live.subscribe(1, [f"node:{talk.node_id}"]) as screen:
        async with working(home):
            await reaches(home, w1="sent")
            heard = await screen.take(30)

    assert (await rows(home))["w1:0"].event_id in [change.ident for change in heard]


# -- polling and asking ------------------------------------------------------------------------------------
def pages(home: House, *names: str) -> None:
    """A stream of pages a -> b -> ..., each with one raw that announces nothing."""
    cursors = ["", *names]
    for here, there in zip(cursors, names, strict=False):
        home.channel.says[there.encode()] = []
        vendor(home).pages["kf1", here] = Polled(raws=(raw(there),), cursor=there, more=there != names[-1])


async def ask(home: House) -> None:
    await home.take({"notice": [Pull(stream="kf1", hint="t")]})


async def cursor(home: House) -> str:
    async with home.db.read(1) as conn:
        return await inbox.cursor_of(conn, home.account.account_id, "kf1")


def _at(home: House, wanted: str) -> Callable[[], Awaitable[bool]]:
    async def so() -> bool:
        return await cursor(home) == wanted

    return so


async def test_a_stream_is_read_to_its_end_page_by_page(home: House) -> None:
    pages(home, "a", "b", "c")
    await ask(home)

    async with working(home):
        await until(_at(home, "c"))

    assert vendor(home).polled[:3] == [("kf1", "", "t"), ("kf1", "a", "t"), ("kf1", "b", "t")]
    assert set(await home.states()) == {"notice", "a", "b", "c"}


async def test_a_page_that_fails_is_read_again_from_the_same_place(home: House) -> None:
    pages(home, "a", "b")
    whole = vendor(home).pages["kf1", "a"]
    vendor(home).pages["kf1", "a"] = NotSent("断了")
    await ask(home)

    async with working(home):
        await until(_at(home, "a"))
        await until(lambda: _failed(home))
        vendor(home).pages["kf1", "a"] = whole
        await at_once(home)
        await until(_at(home, "b"))

    assert [c for _, c, _ in vendor(home).polled].count("") == 1  # nothing was read twice


async def _next_at(conn: Conn) -> datetime | None:
    """When the earliest question to the vendor is due; what else waits is not asked about here."""
    c = schema.due.c
    stmt = sa.select(c.at).where(c.tenant_id == conn.tenant_id, c.kind.in_(["poll", "enrich"]))
    found: datetime | None = await conn.scalar(stmt.order_by(c.at).limit(1))
    return found


async def _failed(home: House) -> bool:
    async with home.db.read(1) as conn:
        return bool(await conn.scalar(sa.select(schema.due.c.error).where(schema.due.c.kind == "poll")))


async def test_more_to_come_on_an_empty_page_is_believed_but_not_for_ever(home: House) -> None:
    vendor(home).pages["kf1", ""] = Polled(raws=(), cursor="", more=True)
    await ask(home)

    async with working(home):
        await until(lambda: _rests(home))

    assert 1 < len(vendor(home).polled) <= 5


async def _rests(home: House) -> bool:
    async with home.db.read(1) as conn:
        at = await _next_at(conn)
    return at is not None and at > utcnow() + timedelta(seconds=30)


async def test_every_stream_is_due_again_within_a_minute_unasked(home: House) -> None:
    pages(home, "a")
    await ask(home)

    async with working(home):
        await until(lambda: _rests(home))

    async with home.db.read(1) as conn:
        at = await _next_at(conn)
    assert at is not None
    assert at <= utcnow() + POLL_EVERY


async def test_what_the_vendor_knows_about_a_new_customer_enters_through_the_inbox(home: House) -> None:
    home.channel.says[b"profile"] = []
    vendor(home).profiles["anna"] = (raw("profile"),)
    await home.take({"m1": [said(at=utcnow())]})

    async with working(home):
        await until(lambda: _known(home))

    assert vendor(home).enriched == ["anna"]


async def _known(home: House) -> bool:
    async with home.db.read(1) as conn:
        left = await _next_at(conn)
    return "profile" in await home.states() and left is None


async def test_a_refused_question_about_a_customer_is_dropped_not_asked_for_ever(home: House) -> None:
    vendor(home).profiles["anna"] = Rejected("没有权限")
    await home.take({"m1": [said(at=utcnow())]})

    async def dropped() -> bool:
        async with home.db.read(1) as conn:
            return bool(vendor(home).enriched) and await _next_at(conn) is None

    async with working(home):
        await until(dropped)

    assert vendor(home).enriched == ["anna"]


# -- the loops themselves ----------------------------------------------------------------------------------
async def test_the_whole_path_runs_by_itself(home: House) -> None:
    async with working(home):
        await home.take({f"m{n}": [said("太贵了", by=f"c{n}", at=utcnow())] for n in range(20)})

        async def done() -> bool:
            return set((await home.states()).values()) == {"done"}

        await until(done)


@pytest.mark.parametrize(
    ("trouble", "line"),
    [(Unavailable, "database not available"), (ZeroDivisionError, "loop step failed")],
)
async def test_a_loop_goes_on_after_an_error(
    home: House, logs: list[MutableMapping[str, Any]], trouble: type[Exception], line: str
) -> None:
    failures = [trouble() for _ in range(3)]
    home.channel.says[b"m1"] = [said(at=utcnow())]
    home.directory.tenants = Flaky(home.directory.tenants, failures)
    async with working(home):
        await home.inbox.accept(home.account, [raw("m1")], received_at=utcnow())

        async def done() -> bool:
            return (await home.states())["m1"] == "done"

        await until(done)

    assert failures == []
    assert [entry["event"] for entry in logs].count(line) == 3


class Flaky(list[Tenant]):
    """Tenants that cannot be listed the first times: a step that fails as a whole."""

    def __init__(self, tenants: list[Tenant], failures: list[Exception]) -> None:
        super().__init__(tenants)
        self._failures = failures

    def __iter__(self) -> Iterator[Tenant]:
        if self._failures:
            raise self._failures.pop()
        return super().__iter__()


async def test_stopping_lets_a_running_send_finish(home: House) -> None:
    gate, entered = asyncio.Event(), asyncio.Event()

    async def slow(_ctx: object, _push: object) -> str:
        entered.set()
        await gate.wait()
        return "ext-slow"

    home.channel.send = slow  # type: ignore[attr-defined]
    await say(home, "w1")
    task = asyncio.create_task(home.worker.run(home.pipeline))
    await entered.wait()

    home.worker.stop()
    gate.set()
    async with asyncio.timeout(30):
        await finish(task, home.worker)

    assert (await rows(home))["w1:0"].state == "sent"


async def test_stopping_does_not_wait_for_ever_and_leaves_the_lease_to_tell(home: House) -> None:
    entered = asyncio.Event()

    async def stuck(_ctx: object, _push: object) -> str:
        entered.set()
        await asyncio.Event().wait()
        return ""

    home.channel.send = stuck  # type: ignore[attr-defined]
    await say(home, "w1")
    task = asyncio.create_task(home.worker.run(home.pipeline))
    await entered.wait()

    async with asyncio.timeout(30):
        await finish(task, home.worker)

    assert (await rows(home))["w1:0"].state == "sending"


async def test_a_wake_between_clearing_and_waiting_is_not_lost() -> None:
    wake = Wake()
    wake.clear()
    wake.set()  # while the loop looks for work

    async with asyncio.timeout(30):
        await wake.wait(3600)
