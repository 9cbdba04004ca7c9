"""Several processes on one PostgreSQL: each row is worked on once and each conversation in order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import asyncpg
import pytest
import sqlalchemy as sa

from scrm import inbox, jobs, outbox, schema
from scrm.contract import Link
from scrm.db import Database, utcnow
from scrm.errors import Overtaken, Unavailable
from scrm.identity import store as nodes
from scrm.seal import Vault
from tests.ground import NOW, House, Talking, handle, house, installed, raw, said, talk_of
from tests.services import Cluster

WORKERS, LANES, WORDS = 3, 12, 20


@pytest.fixture
async def homes(
    postgresql_url: str, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[House]]:
    """As many processes as far as the database can tell, with one channel that says the same to all."""
    channel = Talking()
    installed(monkeypatch, channel)
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(WORKERS):
            db = await Database.open(postgresql_url, vault)
            stack.push_async_callback(db.close)
            found.append(await house(db, channel))
        yield found


async def arrive(home: House, texts: dict[str, list[str]], *, unionid: bool = False) -> None:
    """Words of many customers, in their order within each lane, mixed between them."""
    lanes = [who for who, said_ in texts.items() for _ in said_]
    random.Random(7).shuffle(lanes)
    left = {who: iter(words) for who, words in texts.items()}
    for number, who in enumerate(lanes):
        text = next(left[who])
        union = handle(f"u-{int(who[1:]) // 2}", kind="wechat_unionid", scope="corp")
        # One person has one openid in an app, and another in another app.
        mine = handle(who, scope=f"app{int(who[1:]) % 2}") if unionid else handle(who)
        links = (Link(a=mine, b=union, rule="same_union", strength=100),) if unionid else ()
        handles = (mine, union) if unionid else (mine,)
        at = NOW + timedelta(seconds=number)
        home.channel.says[text.encode()] = [said(text, by=who, at=at, handles=handles, links=links)]
        await home.inbox.accept(
            home.account, [raw(text, lane=who, payload=text.encode())], received_at=utcnow()
        )


async def work(homes: list[House], step: str) -> int:
    """All workers at once until nothing is left; how often one had to stand back."""
    stood_back = 0

    async def one(home: House) -> None:
        nonlocal stood_back
        quiet = 0
        while quiet < 20:
            try:
                moved = await getattr(home.pipeline, step)(1)
            except Unavailable:
                stood_back += 1
                moved = 1
            quiet = 0 if moved else quiet + 1
            await asyncio.sleep(0 if moved else 0.01)

    await asyncio.gather(*(one(h) for h in homes))
    return stood_back


async def timeline_of(db: Database, who: str) -> list[str]:
    """Texts in the order they were stored."""
    e = schema.event.c
    async with db.read(1) as conn:
        talk = await talk_of(conn, who)
        rows = await conn.rows(
            sa.select(e.text).where(e.tenant_id == 1, e.node_id == talk.node_id).order_by(e.event_id)
        )
    return [r.text for r in rows]


async def test_three_workers_settle_and_react_each_row_once_and_each_lane_in_order(
    homes: list[House],
) -> None:
    texts = {f"c{lane}": [f"c{lane} 第{n}句" for n in range(WORDS)] for lane in range(LANES)}
    await arrive(homes[0], texts)

    await work(homes, "settle")
    await work(homes, "react")

    for who, words in texts.items():
        assert await timeline_of(homes[1].db, who) == words
    async with homes[2].db.read(1) as conn:
        assert await inbox.counts(conn) == {"new": 0, "settled": 0, "quarantined": 0}


async def test_workers_that_join_overlapping_persons_at_the_same_time_agree(homes: list[House]) -> None:
    texts = {f"c{lane}": [f"c{lane} 第{n}句" for n in range(4)] for lane in range(LANES)}
    await arrive(homes[0], texts, unionid=True)

    await work(homes, "settle")

    async with homes[0].db.read(1) as conn:
        people = schema.node_person.c
        rows = await conn.rows(sa.select(people.node_id, people.person_id).where(people.tenant_id == 1))
        persons = {r.person_id for r in rows}
        kept = await conn.rows(sa.select(schema.person.c.person_id).where(schema.person.c.tenant_id == 1))
        evidence = await nodes.evidence_of(conn, {r.node_id for r in rows})
    assert len(rows) == LANES + LANES // 2
    assert len(persons) == LANES // 2
    assert {r.person_id for r in kept} == persons
    assert sum(e.n for e in evidence) == LANES * 4


async def test_a_worker_on_an_older_view_writes_nothing_a_second_time(homes: list[House]) -> None:
    await arrive(homes[0], {"c1": ["在吗"]})
    async with homes[0].db.read(1) as conn:
        claimed = await inbox.claim(conn, "new", now=utcnow(), limit=10)
    await homes[1].pipeline.settle(1)

    with pytest.raises(Overtaken):
        async with homes[0].db.begin(1) as conn:
            await inbox.mark(conn, [i.inbox_id for i in claimed], "settled")

    assert await timeline_of(homes[0].db, "c1") == ["在吗"]


async def test_shards_at_work_elsewhere_are_left_alone(homes: list[House]) -> None:
    await arrive(homes[0], {f"c{n}": [f"c{n}"] for n in range(4)})
    async with homes[0].db.watch(1) as first, homes[1].db.watch(1) as second:
        mine = await inbox.own_shards(first, "new", now=utcnow())
        theirs = await inbox.own_shards(second, "new", now=utcnow())
        assert mine
        assert theirs is not None
        assert not set(mine) & set(theirs)

    async with homes[1].db.watch(1) as later:
        assert set(await inbox.own_shards(later, "new", now=utcnow()) or []) == set(mine) | set(theirs)


async def test_a_push_is_claimed_by_one_sender(homes: list[House]) -> None:
    now = utcnow()
    async with homes[0].db.begin(1) as conn:
        for n in range(30):
            order = outbox.Order(
                outbox_id=100 + n,
                account_id=homes[0].account.account_id,
                node_id=1,
                conversation_id=1,
                event_id=200 + n,
                lane=bytes([n]) * 16,
                key=f"k{n}",
                kind="text",
                payload=b"{}",
            )
            await outbox.enqueue(conn, order, now=now)

    async def claim(home: House) -> list[int]:
        async with home.db.begin(1) as conn:
            return [r.outbox_id for r in await outbox.claim(conn, now=now, limit=10)]

    claimed = [i for found in await asyncio.gather(*map(claim, homes)) for i in found]

    assert len(claimed) == len(set(claimed)) > 0


async def test_a_due_job_has_one_holder(homes: list[House]) -> None:
    now = utcnow()
    async with homes[0].db.begin(1) as conn:
        await jobs.put_all(conn, [("poll", f"s{n}", 11, {}) for n in range(20)], at=now)

    async def claim(home: House) -> list[str]:
        async with home.db.begin(1) as conn:
            return [j.key for j in await jobs.claim(conn, now=now, limit=10)]

    claimed = [k for found in await asyncio.gather(*map(claim, homes)) for k in found]

    assert len(claimed) == len(set(claimed)) > 0


async def test_a_database_that_does_not_answer_uses_up_no_try_of_a_reaction(
    homes: list[House], postgresql_url: str, cluster: Cluster
) -> None:
    first, second, *_ = homes
    await first.take({"a": [said("", at=utcnow(), kind="event.add", welcome="code", direction="in")]})
    await work([first], "settle")
    admin = await asyncpg.connect(cluster.superuser(postgresql_url))
    async with admin.transaction():
        await admin.execute("LOCK TABLE data_key IN ACCESS EXCLUSIVE MODE")  # deciding needs a key
        with pytest.raises(Unavailable):
            await second.pipeline.react(1)
    await admin.close()

    async with second.db.read(1) as conn:
        [row] = await conn.rows(sa.select(schema.inbox.c.state, schema.inbox.c.attempts))
    await work([second], "react")

    assert tuple(row) == ("settled", 0)
    assert await second.states() == {"a": "done"}
