"""Vendor tokens: one fetch for all processes, a crash costs a lease, a dropped one is fetched once more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from scrm.db import Database
from scrm.errors import NotSent, Rejected, Unavailable
from scrm.schema import vendor_token
from scrm.seal import Vault
from scrm.tokens import COOL, LEASE, RENEW_AT, SharedTokens, TenantTokens
from tests.ground import NOW

KEY, LIFE_S = "wecom:1:https://vendor:ww1:0123", 7200.0


@dataclass
class Vendor:
    """Hands out numbered tokens; `hold` keeps a caller waiting, `fails` are raised first."""

    asked: int = 0
    hold: asyncio.Event | None = None
    fails: list[Exception] = field(default_factory=list)
    #: Somebody is waiting for an answer.
    waiting: asyncio.Event = field(default_factory=asyncio.Event)

    async def fetch(self) -> tuple[str, float]:
        self.asked += 1
        number = self.asked
        self.waiting.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.fails:
            raise self.fails.pop(0)
        return f"token-{number}", LIFE_S


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


#: A process: its own connections, its own memory.
NewProcess = Callable[..., Awaitable[TenantTokens]]


@pytest.fixture
async def new_process(database_url: str, vault: Vault, clock: Clock) -> AsyncIterator[NewProcess]:
    opened: list[Database] = []

    async def make(*, tenant_id: int = 1, wait_s: float = 30.0) -> TenantTokens:
        opened.append(await Database.open(database_url, vault))
        return SharedTokens(opened[-1], now=clock, wait_s=wait_s).of(tenant_id)

    yield make
    for db in opened:
        await db.close()


async def test_many_callers_in_several_processes_cost_one_fetch(new_process: NewProcess) -> None:
    vendor, processes = Vendor(), [await new_process() for _ in range(4)]

    found = await asyncio.gather(*(p.get(KEY, vendor.fetch) for p in processes for _ in range(10)))

    assert (set(found), vendor.asked) == ({"token-1"}, 1)


async def test_a_token_outlives_a_restart(new_process: NewProcess) -> None:
    vendor = Vendor()
    await (await new_process()).get(KEY, vendor.fetch)

    assert await (await new_process()).get(KEY, vendor.fetch) == "token-1"
    assert vendor.asked == 1


async def test_once_known_no_query_is_made(new_process: NewProcess, database: Database) -> None:
    vendor, tokens = Vendor(), await new_process()
    await tokens.get(KEY, vendor.fetch)
    async with database.begin(1) as conn:
        await conn.run(sa.delete(vendor_token).where(vendor_token.c.tenant_id == 1))

    assert await tokens.get(KEY, vendor.fetch) == "token-1"


async def test_it_is_renewed_at_four_fifths_of_its_life_once_for_all(
    new_process: NewProcess, clock: Clock
) -> None:
    vendor, one, two = Vendor(), await new_process(), await new_process()
    for each in (one, two):
        await each.get(KEY, vendor.fetch)

    clock.on(LIFE_S * RENEW_AT - 1)
    assert await one.get(KEY, vendor.fetch) == "token-1"
    clock.on(1)

    assert await one.get(KEY, vendor.fetch) == "token-2"
    assert await two.get(KEY, vendor.fetch) == "token-2"
    assert vendor.asked == 2


async def test_while_one_renews_it_the_others_use_the_old_one(new_process: NewProcess, clock: Clock) -> None:
    vendor, one, two = Vendor(), await new_process(), await new_process()
    for each in (one, two):
        await each.get(KEY, vendor.fetch)
    clock.on(LIFE_S * RENEW_AT)
    vendor.waiting.clear()
    vendor.hold = asyncio.Event()
    renewing = asyncio.create_task(one.get(KEY, vendor.fetch))
    await vendor.waiting.wait()

    assert await two.get(KEY, vendor.fetch) == "token-1"

    vendor.hold.set()
    assert await renewing == "token-2"
    assert await two.get(KEY, vendor.fetch) == "token-2"


async def test_a_refused_token_is_fetched_once_more_whoever_notices(new_process: NewProcess) -> None:
    vendor, processes = Vendor(), [await new_process() for _ in range(4)]
    for each in processes:
        await each.get(KEY, vendor.fetch)

    async def refused(tokens: TenantTokens) -> str:
        await tokens.drop(KEY, "token-1")
        return await tokens.get(KEY, vendor.fetch)

    assert set(await asyncio.gather(*map(refused, processes))) == {"token-2"}
    assert vendor.asked == 2
    await processes[0].drop(KEY, "token-1")  # too late: somebody has replaced it
    assert await processes[0].get(KEY, vendor.fetch) == "token-2"


async def test_when_the_fetching_process_dies_another_takes_over_after_the_lease(
    new_process: NewProcess, clock: Clock, database: Database
) -> None:
    vendor, two = Vendor(), await new_process(wait_s=0.3)
    await died_while_fetching(database)

    with pytest.raises(NotSent) as waiting:
        await two.get(KEY, vendor.fetch)
    assert (vendor.asked, waiting.value.retry_after_s) == (0, 2.0)

    clock.on(LEASE.total_seconds() + 1)
    assert await two.get(KEY, vendor.fetch) == "token-1"


async def died_while_fetching(database: Database) -> None:
    """What a killed process leaves: a lease that nobody gives back."""
    async with database.begin(1) as conn:
        row = {
            "tenant_id": 1,
            "key_hash": conn.vault.blind("vendor_token", KEY),
            "lease_until": NOW + LEASE,
            "lease_by": 1,
            "updated_at": NOW,
        }
        await conn.insert(vendor_token, [row])


async def test_a_lease_that_was_taken_over_leaves_the_newer_token_in_place(
    new_process: NewProcess, clock: Clock
) -> None:
    slow, quick = Vendor(hold=asyncio.Event()), Vendor(asked=10)
    one, two, three = [await new_process() for _ in range(3)]
    late = asyncio.create_task(one.get(KEY, slow.fetch))
    await slow.waiting.wait()
    clock.on(LEASE.total_seconds() + 1)

    assert await two.get(KEY, quick.fetch) == "token-11"
    assert slow.hold is not None
    slow.hold.set()

    assert await late == "token-1"  # good enough for who fetched it
    assert await three.get(KEY, quick.fetch) == "token-11"


async def test_a_failed_fetch_fails_typed_and_the_next_process_waits_a_little(
    new_process: NewProcess, clock: Clock
) -> None:
    vendor = Vendor(fails=[Rejected("密钥不对", code="40001")])
    one, two = await new_process(), await new_process()

    with pytest.raises(Rejected):
        await one.get(KEY, vendor.fetch)
    waiting = asyncio.create_task(two.get(KEY, vendor.fetch))
    await asyncio.sleep(0.3)
    assert vendor.asked == 1

    clock.on(COOL.total_seconds())
    assert await waiting == "token-2"


async def test_a_failed_renewal_leaves_the_old_one_in_use_until_it_expires(
    new_process: NewProcess, clock: Clock
) -> None:
    vendor, tokens = Vendor(), await new_process()
    await tokens.get(KEY, vendor.fetch)
    clock.on(LIFE_S * RENEW_AT)
    vendor.fails = [NotSent("连不上平台") for _ in range(2)]

    assert await tokens.get(KEY, vendor.fetch) == "token-1"
    clock.on(LIFE_S * (1 - RENEW_AT))
    with pytest.raises(NotSent):
        await tokens.get(KEY, vendor.fetch)


async def test_the_vendor_is_asked_with_no_transaction_open(
    new_process: NewProcess, database: Database
) -> None:
    vendor, tokens = Vendor(hold=asyncio.Event()), await new_process()
    asking = asyncio.create_task(tokens.get(KEY, vendor.fetch))
    await vendor.waiting.wait()

    async with asyncio.timeout(5):  # the embedded engine has one writer: an open transaction would block it
        async with database.begin(1) as conn:
            await conn.lock(f"token:{conn.vault.blind('vendor_token', KEY).hex()}")
            await conn.run(
                sa.update(vendor_token).where(vendor_token.c.tenant_id == 1).values(updated_at=NOW)
            )

    assert vendor.hold is not None
    vendor.hold.set()
    assert await asking == "token-1"


async def test_callers_who_give_up_leave_the_fetch_to_the_others(new_process: NewProcess) -> None:
    vendor, tokens = Vendor(hold=asyncio.Event()), await new_process()
    hasty = asyncio.create_task(tokens.get(KEY, vendor.fetch))
    patient = asyncio.create_task(tokens.get(KEY, vendor.fetch))
    await vendor.waiting.wait()

    hasty.cancel()
    assert vendor.hold is not None
    vendor.hold.set()

    assert await patient == "token-1"


async def test_tenants_do_not_see_each_others_tokens(new_process: NewProcess) -> None:
    vendor = Vendor()
    await (await new_process(tenant_id=1)).get(KEY, vendor.fetch)

    assert await (await new_process(tenant_id=2)).get(KEY, vendor.fetch) == "token-2"


async def test_neither_the_token_nor_its_name_can_be_read_in_the_database(
    new_process: NewProcess, database: Database
) -> None:
    await (await new_process()).get(KEY, Vendor().fetch)

    async with database.read(1) as conn:
        (row,) = await conn.rows(sa.select(vendor_token).where(vendor_token.c.tenant_id == 1))
    told = repr(tuple(row)).encode()
    assert b"token-1" not in told
    assert b"ww1" not in told


async def test_while_the_database_is_down_a_known_token_works_and_an_unknown_one_is_not_sent(
    database_url: str, vault: Vault, clock: Clock
) -> None:
    db = Failing(await Database.open(database_url, vault))
    vendor, tokens = Vendor(), SharedTokens(db, now=clock).of(1)  # type: ignore[arg-type]
    try:
        await tokens.get(KEY, vendor.fetch)
        db.down = True

        assert await tokens.get(KEY, vendor.fetch) == "token-1"
        clock.on(LIFE_S * RENEW_AT)  # time to renew it, but it still works
        assert await tokens.get(KEY, vendor.fetch) == "token-1"
        with pytest.raises(NotSent) as failed:
            await tokens.get("another", vendor.fetch)
        assert failed.value.retry_after_s
        await tokens.drop(KEY, "token-1")
        with pytest.raises(NotSent):
            await tokens.get(KEY, vendor.fetch)
        assert vendor.asked == 1
        db.down = False
        assert await tokens.get("another", vendor.fetch) == "token-2"
    finally:
        await db.real.close()


@dataclass
class Failing:
    """A database that can be away."""

    real: Database
    down: bool = False

    def __getattr__(self, name: str) -> object:
        if self.down:
            raise Unavailable
        return getattr(self.real, name)


async def test_a_damaged_row_is_mended_by_a_new_token(new_process: NewProcess, database: Database) -> None:
    vendor = Vendor()
    await (await new_process()).get(KEY, vendor.fetch)
    async with database.begin(1) as conn:
        stmt = sa.update(vendor_token).where(vendor_token.c.tenant_id == 1).values(version=40)
        await conn.run(stmt)

    assert await (await new_process()).get(KEY, vendor.fetch) == "token-2"


async def test_fetches_of_different_tokens_do_not_wait_for_each_other(new_process: NewProcess) -> None:
    slow, tokens = Vendor(hold=asyncio.Event()), await new_process()
    waiting = asyncio.create_task(tokens.get(KEY, slow.fetch))
    await slow.waiting.wait()

    assert await tokens.get("ticket", Vendor().fetch) == "token-1"

    assert not waiting.done()
    assert slow.hold is not None
    slow.hold.set()
    await waiting
