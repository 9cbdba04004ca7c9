"""When persons turn out to be others: both sides of a number hear of it, screens look again."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from scrm.contract import Envelope, Handle, Link
from scrm.db import Database, utcnow
from scrm.identity import aftermath, decisions
from scrm.identity import service as identity
from scrm.identity import store as nodes
from scrm.identity.aftermath import Turned
from scrm.identity.decisions import Actor
from scrm.identity.store.persons import spans_of
from scrm.live import Change
from scrm.schema import due as due_rows
from scrm.timeline import turned
from scrm.timeline.store import conversations, events
from tests.ground import Channel, House, answered, handle, house, installed, node_of, said

PHONE = handle("+8613912340007", kind="phone", scope="e164")
REP = Actor(origin="rep", staff_id=1)


@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    channel = Channel()
    installed(monkeypatch, channel)
    return await house(database, channel)


def days_ago(days: float) -> datetime:
    return utcnow() - timedelta(days=days)


async def hear(home: House, key: str, *told: Envelope) -> None:
    await home.take({key: list(told)})
    await home.pipeline.settle(1)
    await home.pipeline.react(1)


async def due(home: House) -> None:
    while await home.worker.errands.batch(1):
        pass


def shown(who: Handle, at: datetime) -> Envelope:
    """They talk to us, and show their number."""
    link = Link(a=who, b=PHONE, rule="miniprogram.phone", strength=80)
    return said("你好", at=at, handles=(who, PHONE), links=(link,))


async def read(home: House, *, by: Handle | None = None, at: datetime | None = None) -> list[str]:
    """What stands on the timeline of a person about numbers: named by an identifier, or whose `PHONE` was."""
    async with home.db.read(1) as conn:
        if by is not None:
            person = await nodes.persons_of(conn, [await node_of(conn, by.value, kind=by.kind)])
            (ident,) = person.values()
        else:
            node_id = await identity.find(conn, PHONE)
            spans = (await spans_of(conn, [node_id or 0]))[node_id or 0]
            ident = next(s.person_id for s in spans if s.covers(at or utcnow()))
        found = await events.page(conn, await nodes.intervals(conn, ident), before=None, limit=50)
        return [e.text for e in found if e.kind == turned.KIND]


OLD, NEW = handle("old", kind="wechat_unionid"), handle("new", kind="wechat_unionid")


async def test_both_sides_of_a_number_that_changed_hands_are_warned_where_they_talk(home: House) -> None:
    await hear(home, "a", shown(OLD, days_ago(400)))
    await hear(home, "b", shown(NEW, days_ago(10)))
    assert await read(home, by=OLD) == await read(home, by=NEW) == []

    await due(home)

    assert await read(home, by=OLD) == [turned.OLD]
    assert await read(home, by=NEW) == [turned.NEW]


async def test_they_are_warned_once_however_often_it_is_heard(home: House) -> None:
    await hear(home, "a", shown(OLD, days_ago(400)))
    await hear(home, "b", shown(NEW, days_ago(10)))
    await due(home)
    async with home.db.begin(1) as conn:
        node_id = await identity.find(conn, PHONE)
        told = Turned(recycled=frozenset({node_id or 0}))
        await aftermath.due(conn, told, now=utcnow())
    await hear(home, "c", shown(NEW, days_ago(5)))
    await due(home)

    assert await read(home, by=OLD) == [turned.OLD]
    assert await read(home, by=NEW) == [turned.NEW]


async def test_who_is_known_by_the_number_alone_reads_it_at_the_end_of_their_time(home: House) -> None:
    for n, (at, name) in enumerate(((days_ago(400), "王伟"), (days_ago(10), "李娜"))):
        number = replace(PHONE, name=name)
        called = Envelope(kind="message.call", direction="in", at=at, handles=(number,), text="电话")
        await hear(home, f"c{n}", called)
    await due(home)

    assert await read(home, at=days_ago(399)) == [turned.OLD]
    assert await read(home, at=days_ago(9)) == [turned.NEW]


async def test_nobody_is_warned_of_a_number_that_stays_with_its_owner(home: House) -> None:
    await hear(home, "a", shown(OLD, days_ago(400)))
    await hear(home, "b", shown(OLD, days_ago(10)))
    await due(home)

    assert await read(home, by=OLD) == []


async def test_screens_of_both_reps_are_told_to_look_again(home: House) -> None:
    await hear(home, "a", shown(OLD, days_ago(400)), answered(at=days_ago(399), handles=(OLD,)))
    async with home.db.begin(1) as conn:
        (talk,) = await conversations.of_nodes(conn, [await node_of(conn, OLD.value, kind=OLD.kind)])
    with home.live.subscribe(1, [f"node:{talk.node_id}", "team:0"]) as screen:
        await hear(home, "b", shown(NEW, days_ago(10)))
        await screen.take(0.0)
        await due(home)
        found = await screen.take(0.0)

    assert Change(topic=f"node:{talk.node_id}", ident=talk.conversation_id, version=talk.version) in found
    assert {c.topic for c in found} == {f"node:{talk.node_id}", "team:0"}


async def test_what_a_human_decides_refreshes_the_open_screens_of_all_it_concerns(home: House) -> None:
    await hear(home, "a", said(by="anna", at=days_ago(3)))
    await hear(home, "b", said(by="ben", at=days_ago(2)))
    await due(home)
    async with home.db.begin(1) as conn:
        pair = [await node_of(conn, name) for name in ("anna", "ben")]
    with home.live.subscribe(1, [f"node:{n}" for n in pair]) as screens:
        async with home.db.begin(1) as conn:
            told = await decisions.link(conn, *pair, by=REP, why="一家人", now=utcnow(), cls="same_household")
        await due(home)
        assert {c.topic for c in await screens.take(0.0)} == {f"node:{n}" for n in pair}
        async with home.db.begin(1) as conn:
            await decisions.withdraw(conn, told.evidence_ids, by=REP, why="认错了", now=utcnow())
        await due(home)
        assert {c.topic for c in await screens.take(0.0)} == {f"node:{n}" for n in pair}


async def test_a_household_of_many_is_told_in_bounded_rows(home: House) -> None:
    async with home.db.begin(1) as conn:
        told = Turned(persons=frozenset(range(1, 451)), households=frozenset({7}))
        await aftermath.due(conn, told, now=utcnow())
        c = due_rows.c
        stmt = sa.select(c.payload).where(c.tenant_id == conn.tenant_id, c.kind == aftermath.KIND)
        rows = await conn.rows(stmt)
    pieces = [aftermath.read(r.payload) for r in rows]

    assert len(pieces) == 3
    assert frozenset().union(*(p.persons for p in pieces)) == told.persons
    assert frozenset().union(*(p.households for p in pieces)) == told.households
