"""Two processes at the same moment, and what neither engine can keep: nobody loses, nothing is lost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

from scrm import inbox, jobs, outbox, schema
from scrm.accounts import store as account_store
from scrm.contract import Polled, Push
from scrm.db import Conn, Database, utcnow
from scrm.errors import BadInput, Conflict, Overtaken, Unavailable
from scrm.identity import store as nodes
from scrm.push import service as push
from scrm.seal import Vault, new_id
from scrm.staff import service as staff
from scrm.staff import store as staff_store
from scrm.timeline.store import conversations
from scrm.worker import polling
from tests.ground import (
    CHANNEL,
    NOW,
    Fetching,
    House,
    Talking,
    entry,
    handle,
    house,
    installed,
    later,
    node_of,
    plugged,
    raw,
    said,
    settle,
    talk_of,
    until,
)
from tests.services import Cluster

PASSWORD = "korrekt-pferd-batterie"


class Slow(Talking):
    """A vendor that, when slow, answers each word when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.slow = False
        self.begun: list[str] = []
        self.answering: dict[str, asyncio.Event] = {}

    async def send(self, ctx: Any, push: Push) -> str:
        self.begun.append(push.text)
        await self.answering.setdefault(push.text, asyncio.Event()).wait() if self.slow else None
        return await super().send(ctx, push)


class Watched(Fetching):
    """Notes at each poll until when the job is leased."""

    def __init__(self, db: Database) -> None:
        super().__init__()
        self._db = db
        self.leases: list[datetime] = []

    async def poll(self, ctx: Any, stream: str, cursor: str, hint: str) -> Polled:
        async with self._db.read(1) as conn:
            due = schema.due.c
            stmt = sa.select(due.lease_until).where(due.tenant_id == 1, due.kind == "poll")
            self.leases.append(await conn.scalar(stmt))
        return await super().poll(ctx, stream, cursor, hint)


@pytest.fixture
async def homes(
    postgresql_url: str, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[House]]:
    """Two processes on one database, with one channel that says the same to both."""
    channel = Slow()
    installed(monkeypatch, channel)
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(2):
            db = await Database.open(postgresql_url, vault)
            stack.push_async_callback(db.close)
            found.append(await house(db, channel))
        yield found


@pytest.fixture
async def dbs(postgresql_url: str, vault: Vault) -> AsyncIterator[list[Database]]:
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(2):
            found.append(await Database.open(postgresql_url, vault))
            stack.push_async_callback(found[-1].close)
        yield found


@pytest.fixture
async def boss(cluster: Cluster, postgresql_url: str) -> AsyncIterator[Any]:
    """The superuser's connection: it sees who waits for whom."""
    raw_: Any = await asyncpg.connect(cluster.superuser(postgresql_url))
    try:
        yield raw_
    finally:
        await raw_.close()


async def after(
    dbs: list[Database],
    boss: Any,
    first: Callable[[Conn], Awaitable[object]],
    second: Callable[[Conn], Coroutine[Any, Any, Any]],
) -> Any:
    """What `second` returns in another process that came while `first` had not committed yet."""

    async def late() -> Any:
        async with dbs[1].begin(1) as conn:
            return await second(conn)

    async def waits() -> bool:
        return task.done() or await _waiting(boss, 1)

    async with dbs[0].begin(1) as conn:
        await first(conn)
        task = asyncio.create_task(late())
        await until(waits)
    return await task


# -- one after the other -----------------------------------------------------------------------------------
async def test_processes_that_meet_the_same_strangers_in_other_orders_do_not_deadlock(
    dbs: list[Database],
) -> None:
    async def meet(db: Database, order: int, round_: int) -> None:
        people = [handle(f"{round_}-{n}") for n in range(150)][::order]
        async with db.begin(1) as conn:
            await settle(conn, *(entry(said(handles=(h,)), f"{order}-{h.value}") for h in people))

    for round_ in range(6):
        await asyncio.gather(*(meet(db, order, round_) for db, order in zip(dbs, (1, -1), strict=True)))


async def test_a_conversation_that_two_processes_begin_is_one(dbs: list[Database], boss: Any) -> None:
    async with dbs[0].begin(1) as conn:  # the customer is known, and was seen before and after both messages
        for at in (NOW, later(100)):
            await settle(conn, entry(said(kind="event.profile", direction="none", at=at), f"k{at}"))

    async def first(conn: Conn) -> None:
        await settle(conn, entry(said("一", at=later(1)), "k1"))

    async def second(conn: Conn) -> None:
        await settle(conn, entry(said("二", at=later(2)), "k2"))

    await after(dbs, boss, first, second)

    e = schema.event.c
    async with dbs[0].read(1) as conn:
        talk = await talk_of(conn, "anna")
        rows = await conn.rows(sa.select(e.conversation_id).where(e.tenant_id == 1, e.direction == "in"))
    assert {r.conversation_id for r in rows} == {talk.conversation_id}
    assert (talk.version, talk.waiting_since, talk.last_text) == (2, later(1), "二")


async def test_an_identifier_keeps_the_first_of_two_sightings_that_came_late(
    dbs: list[Database], boss: Any
) -> None:
    async with dbs[0].begin(1) as conn:
        await settle(conn, entry(said(at=later(100)), "k0"))

    async def first(conn: Conn) -> None:
        await settle(conn, entry(said(at=later(3)), "k1"))

    async def second(conn: Conn) -> None:
        await settle(conn, entry(said(at=later(5)), "k2"))

    await after(dbs, boss, first, second)

    n = schema.node.c
    async with dbs[0].read(1) as conn:
        assert await conn.scalar(sa.select(n.first_at).where(n.tenant_id == 1)) == later(3)


async def test_the_latest_name_wins_whoever_writes_last(dbs: list[Database], boss: Any) -> None:
    async with dbs[0].begin(1) as conn:
        for at in (NOW, later(100)):
            await settle(conn, entry(said(at=at), f"k{at}"))

    async def first(conn: Conn) -> None:
        await settle(conn, entry(said(at=later(20), handles=(handle("anna", name="新名"),)), "k1"))

    async def second(conn: Conn) -> None:
        await settle(conn, entry(said(at=later(10), handles=(handle("anna", name="旧名"),)), "k2"))

    await after(dbs, boss, first, second)

    async with dbs[0].read(1) as conn:
        ident = await node_of(conn, "anna")
        assert (await nodes.handles(conn, [ident]))[ident].name == "新名"


async def test_an_account_that_two_processes_configure_at_the_same_time_is_one(
    dbs: list[Database], boss: Any
) -> None:
    made = []
    async with dbs[0].begin(1) as conn:
        await conn.keys_for(["tenant"])

    async def configure(conn: Conn) -> int:
        ident = await account_store.save(
            conn,
            slug="shop",
            channel=CHANNEL,
            name="店",
            max_age_s=600,
            options={},
            secrets={"token": "t"},
            team_id=None,
            now=NOW,
        )
        made.append(ident)
        return ident

    await after(dbs, boss, configure, configure)

    assert len(made) == 2
    assert len(set(made)) == 1


# -- sign-in -----------------------------------------------------------------------------------------------
async def _hired(db: Database) -> str:
    async with db.begin(1) as conn:
        await staff.add(conn, login="rep", name="李", role="rep", password=PASSWORD, now=NOW)
        return await staff.hash_of(conn, "rep")


async def test_a_wrong_password_that_was_checked_meanwhile_does_not_open_a_closed_login(
    dbs: list[Database], boss: Any
) -> None:
    hashed = await _hired(dbs[0])
    for _ in range(9):
        async with dbs[0].begin(1) as conn:
            await staff.check_in(conn, "rep", good=False, hashed=hashed, now=NOW)

    async def wrong(conn: Conn) -> None:
        await staff.check_in(conn, "rep", good=False, hashed=hashed, now=NOW)

    await after(dbs, boss, wrong, wrong)

    async with dbs[0].begin(1) as conn:
        assert await staff.check_in(conn, "rep", good=True, hashed=hashed, now=NOW) is None


async def test_tries_at_the_same_time_all_count(dbs: list[Database]) -> None:
    hashed = await _hired(dbs[0])

    async def wrong(db: Database) -> None:
        async with db.begin(1) as conn:
            await staff.check_in(conn, "rep", good=False, hashed=hashed, now=NOW)

    await asyncio.gather(*(wrong(db) for db in dbs for _ in range(5)))

    async with dbs[0].begin(1) as conn:
        assert await staff.check_in(conn, "rep", good=True, hashed=hashed, now=NOW) is None


async def test_a_session_opened_while_the_password_is_changed_is_ended_with_the_others(
    dbs: list[Database], boss: Any
) -> None:
    hashed = await _hired(dbs[0])
    opened = []

    async def enters(conn: Conn) -> None:
        ident = await staff.check_in(conn, "rep", good=True, hashed=hashed, now=NOW)
        opened.append(await staff.open_session(conn, ident or 0, now=NOW, hours=1))

    async def changes(conn: Conn) -> None:
        await staff.add(conn, login="rep", name="李", role="rep", password="ganz-neues-wort", now=NOW)

    await after(dbs, boss, enters, changes)

    async with dbs[0].read(1) as conn:
        assert await staff.actor_of_session(conn, opened[0], now=NOW) is None


async def test_a_password_that_was_changed_while_it_was_checked_opens_nothing(database: Database) -> None:
    hashed = await _hired(database)
    good = await staff.fits(hashed, PASSWORD)
    async with database.begin(1) as conn:
        await staff.add(conn, login="rep", name="李", role="rep", password="ganz-neues-wort", now=NOW)

    async with database.begin(1) as conn:
        assert good
        assert await staff.check_in(conn, "rep", good=good, hashed=hashed, now=NOW) is None
        fresh = await staff.hash_of(conn, "rep")
        assert await staff.check_in(conn, "rep", good=True, hashed=fresh, now=NOW) is not None


# -- rows nobody may lose ----------------------------------------------------------------------------------
async def test_a_row_another_worker_has_settled_is_not_put_back(homes: list[House]) -> None:
    await homes[0].take({"k1": [said()]})
    async with homes[0].db.read(1) as conn:
        (item,) = await inbox.claim(conn, "new", now=utcnow(), limit=10)
    await homes[1].pipeline.settle(1)

    with pytest.raises(Overtaken):
        async with homes[0].db.begin(1) as conn:
            await inbox.put_back(conn, item, "settle", "?", now=utcnow(), max_attempts=1)

    assert await homes[0].states() == {"k1": "settled"}


async def test_what_comes_in_on_an_account_this_process_has_not_heard_of_is_settled(
    homes: list[House],
) -> None:
    new = await _opened_shop(homes[0])
    homes[0].channel.says[b"k1"] = [said("新店")]
    await homes[0].inbox.accept(new, [raw("k1")], received_at=utcnow())

    await homes[1].pipeline.settle(1)

    assert await homes[1].states() == {"k1": "settled"}
    assert await homes[1].texts() == ["新店"]


async def test_a_push_on_an_account_this_process_has_not_heard_of_goes_out(homes: list[House]) -> None:
    async with _working(homes[1]):
        new = await _opened_shop(homes[0])
        await _queued(homes[0], new.account_id, {"k1": "好"})
        homes[1].worker.send.set()
        await until(lambda: _ended(homes[0]))

    assert await _deliveries(homes[0]) == {"k1:0": "sent"}


async def test_a_long_lane_that_waits_for_its_retry_hides_no_other(homes: list[House]) -> None:
    homes[0].channel.says |= {b"x": [said()], b"k": [said("别人", by="b")]}
    stuck = [raw(f"x{n}", lane="anna", payload=b"x") for n in range(1200)]
    await homes[0].inbox.accept(homes[0].account, stuck, received_at=utcnow())
    await homes[0].inbox.accept(homes[0].account, [raw("k", lane="b")], received_at=utcnow())
    async with homes[0].db.begin(1) as conn:
        (head,) = await inbox.claim(conn, "new", now=utcnow(), limit=1)
        await inbox.put_back(conn, head, "settle", "?", now=utcnow() + timedelta(hours=1), max_attempts=9)

    assert await homes[1].pipeline.settle(1) == 1
    assert await homes[1].texts() == ["别人"]


async def test_an_account_that_is_gone_quarantines_its_rows_and_holds_up_no_other(homes: list[House]) -> None:
    gone = replace(homes[0].account, account_id=99)
    await homes[0].inbox.accept(gone, [raw("k1")], received_at=utcnow())
    await homes[0].take({"k2": [said()]})

    await homes[1].pipeline.settle(1)

    assert await homes[1].states() == {"k1": "quarantined", "k2": "settled"}


async def _opened_shop(home: House) -> Any:
    async with home.db.begin(1) as conn:
        ident = await account_store.save(
            conn,
            slug="new-shop",
            channel=CHANNEL,
            name="新店",
            max_age_s=600,
            options={"corp_id": "corp"},
            secrets={"token": "t"},
            team_id=None,
            now=utcnow(),
        )
    async with home.db.read(1) as conn:
        await home.directory.load(conn)
    return home.directory.by_id(ident).account


async def test_a_database_that_fails_while_we_decide_costs_no_row_an_attempt(
    homes: list[House], boss: Any
) -> None:
    await homes[0].take({f"k{n}": [said(f"太贵了 {n}", by=f"c{n}")] for n in range(3)})
    await homes[0].pipeline.settle(1)

    async with boss.transaction():
        await boss.execute("LOCK TABLE event_node IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Unavailable):
            await homes[0].pipeline.react(1)

    assert await _pairs(homes[0], schema.inbox.c.source_key, schema.inbox.c.attempts) == {
        f"k{n}": 0 for n in range(3)
    }
    await homes[0].pipeline.react(1)
    assert set((await homes[0].states()).values()) == {"done"}


async def _queued(home: House, account_id: int, texts: dict[str, str]) -> None:
    """One push to each of as many customers."""
    for key, text in texts.items():
        who = f"c-{key}"
        async with home.db.begin(1) as conn:
            await settle(conn, entry(said(by=who, at=utcnow()), f"in-{key}", account_id=account_id))
            talk = await talk_of(conn, who)
            place = plugged(home.channel, account_id=account_id)
            await push.say(conn, place, talk, push.Word(key=key, text=text), now=utcnow())


async def _deliveries(home: House) -> dict[str, str]:
    return await _pairs(home, schema.outbox.c.key, schema.outbox.c.state)


async def _pairs(home: House, key: sa.Column[Any], value: sa.Column[Any]) -> dict[str, Any]:
    async with home.db.read(1) as conn:
        rows = await conn.rows(sa.select(key, value).where(key.table.c.tenant_id == 1))
        return dict(tuple(row) for row in rows)


async def _ended(home: House) -> bool:
    """No push is on its way any more."""
    return not set((await _deliveries(home)).values()) & set(outbox.OPEN)


@asynccontextmanager
async def _working(home: House) -> AsyncIterator[None]:
    """All loops run; on the way out they are stopped and must end by themselves."""
    task = asyncio.create_task(home.worker.run(home.pipeline))
    try:
        yield
    finally:
        home.worker.stop()
        async with asyncio.timeout(30):
            await task


async def test_a_result_that_cannot_be_written_yet_cuts_off_no_other_send(
    homes: list[House], boss: Any
) -> None:
    channel = homes[0].channel
    assert isinstance(channel, Slow)
    channel.slow = True
    await _queued(homes[0], homes[0].account.account_id, {"k1": "一", "k2": "二"})
    async with _working(homes[0]):
        await until(lambda: _is(len(channel.begun) == 2))
        async with boss.transaction():
            await boss.fetch("SELECT 1 FROM outbox WHERE key = 'k1:0' FOR UPDATE")
            channel.answering["一"].set()
            await until(lambda: _waiting(boss, 1))
            await until(lambda: _waiting(boss, 0))  # it gave up
            channel.answering["二"].set()
            await until(lambda: _is(len(channel.sent) == 2))
        await until(lambda: _ended(homes[0]))

    assert await _deliveries(homes[0]) == {"k1:0": "sent", "k2:0": "sent"}


async def _waiting(boss: Any, number: int) -> bool:
    """Whether so many wait for a lock."""
    stmt = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    return bool(await boss.fetchval(stmt) == number)


async def _is(so: bool) -> bool:
    return so


async def test_a_long_poll_gives_its_job_back_before_the_lease_runs_out(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = Watched(database)
    installed(monkeypatch, channel)
    home = await house(database, channel)
    monkeypatch.setattr(polling, "POLL_FOR_S", 0.0)
    for n in range(3):
        page = Polled(raws=(raw(f"p{n}"),), cursor=str(n + 1), more=n < 2)
        channel.pages["s", str(n) if n else ""] = page
    async with database.begin(1) as conn:
        await jobs.put(conn, "poll", "s", home.account.account_id, {"stream": "s", "hint": ""}, at=NOW)

    async with _working(home):
        await until(lambda: _is(len(channel.leases) == 3))

    assert len(set(channel.leases)) == 3


# -- what was read before it was held ----------------------------------------------------------------------
async def test_a_session_that_ended_after_the_page_was_read_lets_nothing_out(database: Database) -> None:
    channel = Talking()
    async with database.begin(1) as conn:
        await settle(conn, entry(said(), "k1"))
        stale = await talk_of(conn, "anna")
        await conversations.set_session(conn, stale.conversation_id, "ended")

    with pytest.raises(Conflict):
        async with database.begin(1) as conn:
            await push.say(conn, plugged(channel), stale, push.Word(key="w", text="在吗"), now=NOW)


# -- what no engine can keep -------------------------------------------------------------------------------
ODD = "a\x00b\ud800c"


async def test_nothing_a_vendor_says_is_unfit_for_the_timeline(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = Talking()
    installed(monkeypatch, channel)
    home = await house(database, channel)
    who = handle(ODD, scope=ODD, name=ODD, avatar=ODD)
    odd = said(ODD, handles=(who,), body={ODD: [ODD, {"x": ODD}]}, thread=ODD, recalls=ODD, suffix=ODD)
    await home.take({"k1": [odd], "k2": [said("好", by="b")]})

    await home.pipeline.settle(1)
    await home.pipeline.react(1)

    assert await home.states() == {"k1": "done", "k2": "done"}
    assert sorted(await home.texts()) == sorted(["a\ufffdb\ufffdc", "好"])


async def test_a_source_key_of_any_length_and_letters_is_stored_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = Talking()
    installed(monkeypatch, channel)
    home = await house(database, channel)
    keys = [os.urandom(4000).hex(), os.urandom(4000).hex(), "a\x00b", "a\x00c", "a\ud800"]
    channel.says[b"x"] = [said("长", recalls=os.urandom(4000).hex())]
    raws = [raw(key, payload=b"x") for key in keys]

    first = [await home.inbox.accept(home.account, [r], received_at=utcnow()) for r in raws]
    again = [await home.inbox.accept(home.account, [r], received_at=utcnow()) for r in raws]
    await home.pipeline.settle(1)

    assert (first, again) == ([1] * 5, [0] * 5)
    assert list((await home.states()).values()) == ["settled"] * 5


async def test_a_vendors_answer_of_any_length_and_letters_is_recorded(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = Talking()
    installed(monkeypatch, channel)
    home = await house(database, channel)
    odd = ODD + os.urandom(4000).hex()
    channel.answers = [odd]
    await _queued(home, home.account.account_id, {"k1": "好"})

    async with _working(home):
        await until(lambda: _ended(home))

    assert await _deliveries(home) == {"k1:0": "sent"}
    async with database.begin(1) as conn:
        assert await outbox.failed_later(conn, home.account.account_id, odd, ODD, at=NOW) is not None


async def test_words_postgresql_cannot_keep_are_the_askers_mistake(dbs: list[Database]) -> None:
    async with dbs[0].read(1) as conn:
        with pytest.raises(BadInput):
            await staff_store.by_login(conn, "a\x00b")


# -- a database that turned us away ------------------------------------------------------------------------
async def test_a_changed_password_of_the_database_is_an_outage(
    dbs: list[Database], boss: Any, cluster: Cluster
) -> None:
    assert new_id()
    await boss.execute(f"ALTER ROLE {cluster.role} NOLOGIN")
    try:
        await boss.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        with pytest.raises(Unavailable):
            async with dbs[0].begin(1) as conn:
                await staff_store.by_login(conn, "rep")
    finally:
        await boss.execute(f"ALTER ROLE {cluster.role} LOGIN")
