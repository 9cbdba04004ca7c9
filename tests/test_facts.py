"""Facts: the newest word of the vendor holds, in whatever order and from whichever process it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from itertools import count, pairwise
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scrm import facts, schema
from scrm.db import Conn, Database
from scrm.facts import Known, Said
from scrm.seal import Vault, key_id_of
from tests.ground import NOW, dump, later, until
from tests.services import Cluster

tenants = count(7000)
ACCOUNT = 11


def word(rank: int, text: str = "", *, key: str = "k", gone: bool = False, node: int | None = None) -> Said:
    body = {"text": text} if text else {}
    return Said(
        account_id=ACCOUNT,
        kind="follow",
        key=key,
        body=body,
        rank=rank,
        at=later(rank),
        gone=gone,
        node_id=node,
    )


async def known(conn: Conn, key: str = "k") -> Known | None:
    return await facts.get(conn, ACCOUNT, "follow", key)


async def texts(conn: Conn) -> dict[str, str]:
    return {f.key: f.body.get("text", "") for f in await facts.page(conn, ACCOUNT, "follow")}


# -- which word holds --------------------------------------------------------------------------------------
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations([(rank, key, rank % 4 == 3) for rank in range(8) for key in ("a", "b")]),
    cuts=st.sets(st.integers(1, 15)),
)
async def test_the_highest_rank_holds_in_whatever_order_and_batches_it_comes(
    database: Database, order: Sequence[tuple[int, str, bool]], cuts: set[int]
) -> None:
    tenant, edges = next(tenants), [0, *sorted(cuts), len(order)]

    for begin, end in pairwise(edges):
        async with database.begin(tenant) as conn:
            await facts.put_all(conn, [word(r, f"{r}", key=k, gone=g) for r, k, g in order[begin:end]])

    async with database.read(tenant) as conn:
        for key in ("a", "b"):
            found = await known(conn, key)
            assert found is not None
            assert (found.body, found.at, found.gone_at) == ({"text": "7"}, later(7), later(7))


async def test_a_lower_rank_that_comes_later_is_dropped_and_an_equal_one_is_not(database: Database) -> None:
    async with database.begin(1) as conn:
        await facts.put_all(conn, [word(5, "五")])
        await facts.put_all(conn, [word(4, "四")])
        assert await texts(conn) == {"k": "五"}
        # Two changes in one second of the vendor's clock: what it said last is so.
        await facts.put_all(conn, [word(5, "又五")])
        assert await texts(conn) == {"k": "又五"}
        await facts.put_all(conn, [word(5, "前"), word(5, "后")])
        assert await texts(conn) == {"k": "后"}


async def test_another_kind_another_account_and_another_key_are_other_facts(database: Database) -> None:
    same: dict[str, Any] = {"body": {}, "rank": 1, "at": NOW}
    places = [(11, "follow", "k"), (12, "follow", "k"), (11, "tag", "k"), (11, "follow", "l")]
    async with database.begin(1) as conn:
        await facts.put_all(conn, [Said(account_id=a, kind=k, key=n, **same) for a, k, n in places])
        found = [await facts.get(conn, *place) for place in places]

    assert len({f.fact_id for f in found if f}) == 4


# -- gone --------------------------------------------------------------------------------------------------
async def test_what_is_gone_is_on_no_list_but_still_known_by_its_key(database: Database) -> None:
    async with database.begin(1) as conn:
        await facts.put_all(conn, [word(1, "在", node=7), word(1, "也在", key="l", node=7)])
        await facts.put_all(conn, [word(2, gone=True)])

        assert await texts(conn) == {"l": "也在"}
        assert list(await facts.some(conn, ACCOUNT, "follow", ["k", "l"])) == ["l"]
        assert [f.key for f in await facts.of_nodes(conn, [7], ["follow"])] == ["l"]
        assert [f.key for f in await facts.of_nodes(conn, [7], ["follow"], gone=True)] == ["k", "l"]
        gone = await known(conn)
    assert gone is not None
    # Gone without a word: what was known of it stays.
    assert (gone.gone_at, gone.body, gone.node_id) == (later(2), {"text": "在"}, 7)


async def test_in_one_batch_the_end_keeps_what_was_known_as_it_does_later(database: Database) -> None:
    said = [word(1, "在", node=7), word(2, gone=True)]
    for tenant, batches in ((1, [said]), (2, [said[:1], said[1:]]), (3, [said[::-1]])):
        async with database.begin(tenant) as conn:
            for batch in batches:
                await facts.put_all(conn, batch)
            found = await known(conn)

        assert found is not None
        assert (found.body, found.node_id, found.gone_at) == ({"text": "在"}, 7, later(2))


async def test_what_comes_back_is_there_again(database: Database) -> None:
    async with database.begin(1) as conn:
        await facts.put_all(conn, [word(1, "在"), word(2, gone=True)])
        await facts.put_all(conn, [word(3, "回来了")])

        assert await texts(conn) == {"k": "回来了"}


# -- pages -------------------------------------------------------------------------------------------------
async def test_pages_of_facts_come_newest_first_without_a_gap_or_a_double(database: Database) -> None:
    async with database.begin(1) as conn:
        await facts.put_all(conn, [word(1, "x", key=f"{n}") for n in range(7)])
        seen: list[int] = []
        before = None
        while page := await facts.page(conn, ACCOUNT, "follow", before=before, limit=3):
            seen += [f.fact_id for f in page]
            before = seen[-1]

    assert len(seen) == 7
    assert seen == sorted(set(seen), reverse=True)


async def test_facts_of_one_tenant_are_not_anothers(database: Database) -> None:
    async with database.begin(1) as conn:
        await facts.put_all(conn, [word(9, "一", node=7)])
        before = (await dump(conn))["fact"]
    async with database.begin(2) as conn:
        assert await texts(conn) == {}
        await facts.put_all(conn, [word(1, "二", node=7)])
        assert await texts(conn) == {"k": "二"}

    async with database.read(1) as conn:
        assert (await dump(conn))["fact"] == before


# -- whose key ---------------------------------------------------------------------------------------------
async def owners(conn: Conn) -> list[str]:
    """Whose data keys seal the facts."""
    f, k = schema.fact.c, schema.data_key.c
    rows = await conn.rows(sa.select(f.body).where(f.tenant_id == conn.tenant_id))
    keys = await conn.rows(sa.select(k.key_id, k.owner).where(k.tenant_id == conn.tenant_id))
    named = {r.key_id: r.owner for r in keys}
    return sorted(named[key_id_of(r.body)] for r in rows)


async def test_a_fact_about_a_customer_goes_with_their_key(database_url: str, vault: Vault) -> None:
    first = await Database.open(database_url, vault)
    async with first.begin(1) as conn:
        await facts.put_all(conn, [word(1, "canary-7", node=7), word(1, "我们的", key="ours")])
        assert await owners(conn) == ["node:7", "tenant"]
        sealed = await conn.rows(sa.select(schema.fact.c.body))
        c = schema.data_key.c
        await conn.run(sa.delete(schema.data_key).where(c.tenant_id == 1, c.owner == "node:7"))
    await first.close()

    second = await Database.open(database_url, vault)  # a process that never had the key in memory
    try:
        async with second.read(1) as conn:
            assert not any(b"canary-7" in row.body for row in sealed)
            assert await known(conn) is None
            assert await facts.of_nodes(conn, [7], ["follow"]) == []
            assert await texts(conn) == {"ours": "我们的"}
    finally:
        await second.close()


async def test_a_later_word_that_names_nobody_is_still_sealed_for_whom_it_is_about(
    database: Database,
) -> None:
    async with database.begin(1) as conn:
        await facts.put_all(conn, [word(1, "一", node=7)])
        await facts.put_all(conn, [word(2, "二")])
        found = await known(conn)

        assert found is not None
        assert (found.body, found.node_id) == ({"text": "二"}, 7)
        assert await owners(conn) == ["node:7"]
        await facts.put_all(conn, [word(3, "三", node=8)])  # the vendor says whom it is about now
        assert await owners(conn) == ["node:8"]


# -- two processes -----------------------------------------------------------------------------------------
@pytest.fixture
async def dbs(postgresql_url: str, vault: Vault) -> AsyncIterator[list[Database]]:
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(2):
            found.append(await Database.open(postgresql_url, vault))
            stack.push_async_callback(found[-1].close)
        yield found


async def _blocked(cluster: Cluster, url: str) -> bool:
    raw: Any = await asyncpg.connect(cluster.superuser(url))
    try:
        return bool(await raw.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))
    finally:
        await raw.close()


@pytest.mark.parametrize("before", [[], [word(1, "旧")]], ids=["unheard of", "known"])
@pytest.mark.parametrize(("first", "second"), [(5, 4), (4, 5)], ids=["newer first", "older first"])
async def test_of_two_processes_the_one_with_the_newer_word_wins(
    dbs: list[Database], cluster: Cluster, postgresql_url: str, before: list[Said], first: int, second: int
) -> None:
    async with dbs[0].begin(1) as conn:
        await facts.put_all(conn, before)

    async def late() -> None:
        async with dbs[1].begin(1) as conn:
            await facts.put_all(conn, [word(second, str(second))])

    async with dbs[0].begin(1) as conn:
        await facts.put_all(conn, [word(first, str(first))])
        task = asyncio.create_task(late())
        await until(lambda: _blocked(cluster, postgresql_url))  # it came while the first had not committed
    await task

    async with dbs[0].read(1) as conn:
        assert await texts(conn) == {"k": "5"}


async def test_processes_that_say_the_same_things_in_other_orders_do_not_deadlock(
    dbs: list[Database],
) -> None:
    async def say(db: Database, order: int, round_: int) -> None:
        said = [word(round_ * 2 + (order > 0), f"{round_}", key=f"{n % 40}", node=n % 40) for n in range(80)]
        async with db.begin(1) as conn:
            await facts.put_all(conn, said[::order])

    for round_ in range(6):
        await asyncio.gather(*(say(db, order, round_) for db, order in zip(dbs, (1, -1), strict=True)))

    async with dbs[0].read(1) as conn:
        assert set((await texts(conn)).values()) == {"5"}
