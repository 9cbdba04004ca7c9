"""Bad days on the way in: PostgreSQL down, frozen or refusing a row; what was acked comes through once."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from scrm import schema
from scrm.contract import Raw
from scrm.db import Database, utcnow
from scrm.errors import Busy
from scrm.inbox import Inbox, Moved, cursor_of
from scrm.keyring import Keyring
from scrm.seal import Vault
from scrm.spool import store
from scrm.spool.host import Spool, spooling
from scrm.spool.intake import SpooledInbox
from scrm.spool.rules import Breaker, Depth, total
from tests import ground, services
from tests.ground import House, Talking, Unwritable, raw, said, until
from tests.services import Postgres

ROOT = Path(__file__).resolve().parents[2]
GREETING = ground.script(
    "hi", stage="first-contact", delivery="auto", triggers=["加好友"], says=["我通过了你的请求"]
)


@dataclass(kw_only=True)
class Stand:
    """A house on PostgreSQL with a spool behind its inbox; nothing is forwarded unless a test says so."""

    server: Postgres
    house: House
    spool: Spool
    folder: Path
    url: str
    #: Direct wake-ups of the settling loop.
    stored: list[int] = field(default_factory=list)

    async def say(self, *texts: str, at_s: float = 0) -> None:
        """A customer says it; the vendor's order within the second is the order of the names."""
        for text in texts:
            envelope = said(text, by="anna", at=ground.later(at_s), seq=int(text.strip("abc")))
            self.house.channel.says[text.encode()] = [envelope]
            await self.take(raw(text))

    async def take(self, *raws: Raw, moved: Moved | None = None) -> int:
        return await self.house.inbox.accept(self.house.account, raws, received_at=utcnow(), moved=moved)

    async def depth(self) -> Depth:
        return await self.spool.depth([1])

    async def drained(self) -> None:
        """Forward until nothing waits."""
        async with asyncio.timeout(60):
            while (await self.depth()).waiting:
                if not await self.spool.forward([1]):
                    await asyncio.sleep(0.05)

    async def kept(self) -> list[str]:
        """Source keys in the database's inbox, in the order they are worked on."""
        c = schema.inbox.c
        async with self.house.db.read(1) as conn:
            stmt = sa.select(c.source_key).where(c.tenant_id == conn.tenant_id).order_by(c.inbox_id)
            return [r.source_key for r in await conn.rows(stmt)]

    async def settled(self) -> None:
        while await self.house.pipeline.settle(1):
            pass
        while await self.house.pipeline.react(1):
            pass

    async def back(self) -> None:
        self.server.start()
        async with asyncio.timeout(60):
            while self.spool.breaker.is_open:
                await self.spool.forward([1])
                await asyncio.sleep(0.05)


@pytest.fixture
async def stand(
    server: Postgres, tmp_path: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stand]:
    async with standing(server, tmp_path, vault, monkeypatch) as made:
        yield made


@asynccontextmanager
async def standing(
    server: Postgres, folder: Path, vault: Vault, patch: pytest.MonkeyPatch, *, max_rows: int = 10_000
) -> AsyncIterator[Stand]:
    channel = Talking()
    ground.installed(patch, channel)
    url = server.new_database(services.tables)
    main = await Database.open(url, vault)
    try:
        async with spooling(folder, main, pending=1000, max_rows=max_rows) as spool:
            house = await ground.house(main, channel, scripts=[ground.script("price"), GREETING])
            made = Stand(server=server, house=house, spool=spool, folder=folder, url=url)
            house.inbox = SpooledInbox(main, pending=1000, stored=lambda: made.stored.append(1), spool=spool)
            try:
                yield made
            finally:
                server.thaw()
    finally:
        if not server.running:
            server.start()
        await main.close()


# -- down and back -----------------------------------------------------------------------------------------
async def test_what_came_while_the_database_was_down_is_on_the_timeline_once_and_in_order(
    stand: Stand,
) -> None:
    await stand.say("1")
    stand.server.stop("immediate")
    await stand.say("4", "2")  # the vendor's workers overtake each other
    await stand.take(raw("2"))  # and deliver twice
    assert (await stand.depth()).waiting == 2
    stand.server.start()
    await stand.take(raw("4"))  # repeated once more, this time directly or not
    await stand.say("3")
    await stand.drained()

    await stand.settled()

    assert await stand.house.texts() == ["1", "2", "3", "4"]
    assert sorted(await stand.kept()) == ["1", "2", "3", "4"]
    assert set((await stand.house.states()).values()) == {"done"}
    assert await stand.depth() == Depth()


async def test_a_frozen_database_makes_one_call_wait_and_its_late_commit_is_no_double(stand: Stand) -> None:
    await stand.say("1")
    stand.server.freeze()
    await asyncio.wait_for(stand.say("2"), 30)  # answered, though nothing moves there
    assert stand.spool.breaker.is_open
    await asyncio.gather(*(stand.say(str(n)) for n in range(3, 40)))
    assert stand.spool.breaker.trips == 1
    assert (await stand.depth()).waiting == 38
    assert stand.stored == [1]
    stand.server.thaw()

    async def late() -> bool:
        return "2" in await stand.kept()

    await until(late)  # the commit that was given up came through after all
    await stand.drained()
    await stand.settled()

    assert await stand.house.texts() == [str(n) for n in range(1, 40)]
    assert len(stand.stored) >= 2


async def test_without_a_spool_the_same_outage_loses_the_call(stand: Stand) -> None:
    """Control: it is the spool that answers."""
    plain = Inbox(stand.house.db, pending=1000, stored=lambda: None)
    stand.server.stop("immediate")

    with pytest.raises(Busy):
        await plain.accept(stand.house.account, [raw("1")], received_at=utcnow())

    assert (await stand.depth()).rows == 0


async def test_calls_go_directly_again_once_a_try_has_succeeded(stand: Stand) -> None:
    stand.server.stop("immediate")
    await stand.say("1")
    assert await stand.spool.forward([1]) == 0
    assert stand.spool.breaker.is_open

    await stand.back()
    await stand.say("2")

    assert (await stand.depth()).waiting == 0
    assert await stand.kept() == ["1", "2"]
    assert stand.spool.forwarded == 1


async def test_an_empty_spool_asks_whether_the_database_is_back(stand: Stand) -> None:
    stand.server.stop("immediate")
    with pytest.raises(Busy):
        await stand.take(raw("page"), moved=Moved(stream="s", cursor="1"))
    assert stand.spool.breaker.is_open

    await stand.back()

    assert not stand.spool.breaker.is_open
    assert await stand.take(raw("1")) == 1
    assert await stand.kept() == ["1"]


async def test_rows_that_were_spooled_are_worked_on_before_later_direct_ones(stand: Stand) -> None:
    stand.server.stop("immediate")
    await stand.say("1", "2")
    stand.server.start()
    stand.spool.breaker.mend(0)
    await stand.say("3")

    await stand.drained()

    assert await stand.kept() == ["1", "2", "3"]


async def test_time_rank_and_payload_arrive_as_they_were_acked(stand: Stand) -> None:
    came = utcnow() - timedelta(hours=3)
    stand.server.stop("immediate")
    box, shop = stand.house.inbox, stand.house.account
    await box.accept(shop, [raw("1", payload=b"one", urgent=True)], received_at=came)
    await box.accept(shop, [raw("2", payload=b"two")], received_at=came, bulk=True)
    await stand.back()
    await stand.drained()

    c = schema.inbox.c
    async with stand.house.db.read(1) as conn:
        stmt = sa.select(c.inbox_id, c.rank, c.received_at, c.payload).order_by(c.inbox_id)
        rows = await conn.rows(stmt)
        plain = [await conn.unseal(r.payload, "inbox", r.inbox_id, "payload") for r in rows]

    assert [(r.rank, r.received_at) for r in rows] == [(0, came), (2, came)]
    assert plain == [b"one", b"two"]


@pytest.mark.parametrize(("ago_s", "greets"), [(0, True), (1000, False)])
async def test_an_effect_that_grew_old_in_the_spool_is_not_fired(
    stand: Stand, ago_s: float, greets: bool
) -> None:
    at = utcnow() - timedelta(seconds=ago_s)
    welcome = said("", at=at, kind="event.add", welcome="code", welcome_s=86_400)
    stand.house.channel.says[b"w"] = [welcome]
    stand.server.stop("immediate")
    await stand.house.inbox.accept(stand.house.account, [raw("w")], received_at=at)
    await stand.back()
    await stand.drained()

    await stand.settled()

    async with stand.house.db.read(1) as conn:
        pushes = await conn.rows(sa.select(schema.outbox.c.outbox_id))
    assert bool(pushes) is greets
    assert (await stand.house.states())["w"] == "done"


async def test_a_polls_cursor_never_moves_by_way_of_the_spool(stand: Stand) -> None:
    await stand.take(raw("p1"), moved=Moved(stream="s", cursor="1"))
    stand.server.stop("immediate")

    with pytest.raises(Busy):
        await stand.take(raw("p2"), moved=Moved(stream="s", cursor="2"))

    assert (await stand.depth()).rows == 0
    stand.server.start()
    async with stand.house.db.read(1) as conn:
        assert await cursor_of(conn, stand.house.account.account_id, "s") == "1"


# -- rows that will not go ---------------------------------------------------------------------------------
async def test_rows_that_cannot_be_forwarded_do_not_hold_up_the_others(stand: Stand) -> None:
    stand.server.stop("immediate")
    await stand.say("1", "2")
    await stand.take(raw(Unwritable("nul\x00")))  # SQLite keeps it, PostgreSQL refuses such a text
    await stand.say("3")
    with closing(sqlite3.connect(stand.folder / "spool.db")) as direct, direct:
        direct.execute("UPDATE inbox SET payload = substr(payload, 1, 30) WHERE source_key = '2'")
    stand.server.start()

    async with asyncio.timeout(60):
        while await stand.spool.forward([1]):
            pass
    left = await stand.depth()

    assert await stand.kept() == ["1", "3"]
    assert left.rows == 2


async def test_a_row_that_fails_again_and_again_is_put_aside_and_said(stand: Stand) -> None:
    stand.server.stop("immediate")
    await stand.take(raw(Unwritable("nul\x00")))
    await stand.back()
    for _ in range(6):
        with closing(sqlite3.connect(stand.folder / "spool.db")) as direct, direct:
            direct.execute("UPDATE inbox SET next_at = 0")  # as if its waits were over
        await stand.spool.forward([1])

    assert await stand.depth() == Depth(stuck=1)


async def test_a_crash_between_commit_and_removal_forwards_nothing_twice(stand: Stand, vault: Vault) -> None:
    stand.server.stop("immediate")
    await stand.say("1", "2")
    await stand.back()
    local = await Database.open(f"sqlite:///{stand.folder / 'spool.db'}", vault)
    try:
        async with local.read(1) as conn:
            items = await store.oldest(conn, now=utcnow(), limit=10)
    finally:
        await local.close()
    key = await stand.house.db.key(1, "day:x")
    async with stand.house.db.begin(1) as conn:
        again = await store.deliver(conn, [(item, key) for item in items])  # `back` may have done it before

    await stand.drained()

    assert again in (0, 2)
    assert await stand.kept() == ["1", "2"]


async def test_two_processes_of_a_host_share_a_spool_and_forward_each_row_once(stand: Stand) -> None:
    stand.server.stop("immediate")
    async with spooling(stand.folder, stand.house.db, pending=100, max_rows=1000) as other:
        second = SpooledInbox(stand.house.db, pending=100, stored=lambda: None, spool=other)
        for n in range(10):
            await stand.take(raw(f"a{n}"))
            await second.accept(stand.house.account, [raw(f"b{n}")], received_at=utcnow())
        assert (await stand.depth()).waiting == 20
        stand.server.start()
        async with asyncio.timeout(60):
            while (await stand.depth()).rows:
                await asyncio.gather(stand.spool.forward([1]), other.forward([1]))

        assert len(await stand.kept()) == 20
        assert stand.spool.forwarded + other.forwarded == 20


# -- when nothing takes it ---------------------------------------------------------------------------------
async def test_a_full_spool_refuses_and_takes_again_once_it_drained(
    server: Postgres, tmp_path: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with standing(server, tmp_path, vault, monkeypatch, max_rows=3) as stand:
        server.stop("immediate")
        for n in range(3):
            await stand.take(raw(str(n)))
        with pytest.raises(Busy):
            await stand.take(raw("3"))
        assert (await stand.depth()).waiting == 3

        await stand.back()
        await stand.drained()

        assert await stand.take(raw("3")) == 1
        assert await stand.kept() == ["0", "1", "2", "3"]


async def test_a_crowd_beyond_the_inboxs_limit_goes_to_the_spool(stand: Stand) -> None:
    stand.house.inbox = SpooledInbox(stand.house.db, pending=10, stored=lambda: None, spool=stand.spool)

    # The spool's own queue takes the rest; neither grows without bound.
    results = await asyncio.gather(*(stand.take(raw(f"c{n}")) for n in range(200)))
    await stand.drained()

    assert sum(results) == 200
    assert len(await stand.kept()) == 200


# -- keys --------------------------------------------------------------------------------------------------
async def test_the_spools_keys_follow_the_master_key(tmp_path: Path) -> None:
    first, second = bytes(range(32)), bytes(range(1, 33))
    stable = b"".join(
        Keyring(current=first).stable_key(p) for p in (b"index", b"lane", b"sign", b"public-id")
    )
    url = f"sqlite:///{tmp_path / 'spool.db'}"
    services.tables(url)
    rings = [
        Keyring(current=first),
        Keyring(current=second, previous=first, stable=stable),  # in the middle of a rotation
        Keyring(current=second, stable=stable),  # after it
    ]

    opened = list[bytes | None]()
    for n, ring in enumerate(rings):
        local = await Database.open(url, Vault(ring))
        try:
            if n == 0:
                box = Inbox(local, pending=9, stored=lambda: None)
                await box.accept(ground.account(), [raw("1", payload=b"one")], received_at=utcnow())
            async with local.begin(1) as conn:
                opened += [item.payload for item in await store.oldest(conn, now=utcnow(), limit=9)]
                stale = await store.stale_keys(conn, now=utcnow())
                await store.renew_keys(conn, stale)
                assert len(stale) == (n == 1)
        finally:
            await local.close()

    assert opened == [b"one"] * 3


async def test_keys_of_days_gone_by_are_forgotten_once_nothing_needs_them(
    tmp_path: Path, vault: Vault
) -> None:
    url = f"sqlite:///{tmp_path / 'spool.db'}"
    services.tables(url)
    local = await Database.open(url, vault)
    later = utcnow() + timedelta(days=4)
    try:
        box = Inbox(local, pending=9, stored=lambda: None)
        await box.accept(ground.account(), [raw("1")], received_at=utcnow())
        async with local.begin(1) as conn:
            needed = await store.stale_keys(conn, now=later)
            await store.drop(conn, await store.oldest(conn, now=later, limit=9))
            young = await store.stale_keys(conn, now=utcnow())
            old = await store.stale_keys(conn, now=later)
            await store.renew_keys(conn, old)
            left = await conn.rows(sa.select(schema.data_key.c.key_id))
    finally:
        await local.close()

    assert (needed, young, list(old.values()), left) == ({}, {}, [None], [])


# -- kill -9 -----------------------------------------------------------------------------------------------
async def _child(stand: Stand, *, hasty: bool) -> Process:
    env = {"PYTHONPATH": str(ROOT)}
    args = [str(Path(__file__).with_name("keeper.py")), str(stand.folder), stand.url]
    account_id = str(stand.house.account.account_id)
    return await asyncio.create_subprocess_exec(
        sys.executable, *args, account_id, *(["hasty"] if hasty else []), stdin=PIPE, stdout=PIPE, env=env
    )


async def _acked_until_killed(stand: Stand, lines: int, *, hasty: bool = False) -> set[str]:
    process = await _child(stand, hasty=hasty)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"ready\n"
            stand.server.stop("immediate")
            process.stdin.write(b"go\n")
            said = [await process.stdout.readline() for _ in range(lines)]
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    rest, _ = await process.communicate()
    whole = [*said, *(line for line in rest.splitlines(keepends=True) if line.endswith(b"\n"))]
    return {line.decode().split()[1] for line in whole if line.startswith(b"acked ")}


async def test_kill_9_while_spooling_loses_nothing_that_was_acked(stand: Stand) -> None:
    acked = await _acked_until_killed(stand, 300)
    await stand.back()
    await stand.drained()

    kept = await stand.kept()

    assert acked <= set(kept)
    assert len(kept) == len(set(kept))


async def test_the_kill_would_show_a_server_that_answers_first(stand: Stand) -> None:
    """Control: the same with answers before the commit."""
    acked = await _acked_until_killed(stand, 300, hasty=True)
    await stand.back()
    await stand.drained()

    assert acked - set(await stand.kept())


# -- decisions ---------------------------------------------------------------------------------------------
def test_a_breaker_opens_once_and_closes_only_for_a_quick_answer() -> None:
    breaker = Breaker(patience_s=1.0)

    assert not breaker.mend(0.1)  # it was not open
    assert [breaker.trip(), breaker.trip()] == [True, False]
    assert [breaker.mend(1.5), breaker.is_open] == [False, True]  # back, but too slow for callbacks
    assert [breaker.mend(0.1), breaker.is_open] == [True, False]


@pytest.mark.parametrize(("waited_s", "left_s"), [(0, 1.0), (0.4, 0.6), (5, 0.1)])
def test_who_has_waited_for_the_last_commit_waits_less_for_the_next(waited_s: float, left_s: float) -> None:
    assert Breaker(patience_s=1.0).left_s(waited_s) == pytest.approx(left_s)


def test_depths_of_tenants_add_up() -> None:
    early, late = ground.later(0), ground.later(9)

    found: Sequence[Depth] = [
        Depth(),
        Depth(waiting=2, oldest_at=late),
        Depth(waiting=1, stuck=1, oldest_at=early),
    ]

    assert total(found) == Depth(waiting=3, stuck=1, oldest_at=early)
    assert total([]) == Depth()
