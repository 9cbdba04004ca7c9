"""Deeds: asked once, never done twice unless that is harmless, followed to their end, on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from scrm.contract import Context, Deed, Done, Field
from scrm.db import Database, utcnow
from scrm.deeds import rules, service, store
from scrm.deeds.store import Asked
from scrm.errors import BadInput, Conflict, NotSent, Rejected, ScrmError, Unknown
from scrm.ledger.store import entries
from scrm.schema import due
from scrm.timeline.store import tallies
from tests.ground import Channel, House, house, installed, node_of, raw, said

MAKE = Deed(
    kind="make",
    title="做一个",
    fields=(
        Field(name="name", title="名字", limit=12),
        Field(name="many", title="列表", required=False, kind="list", limit=3),
        Field(name="loud", title="大声", required=False, kind="flag"),
        Field(name="count", title="个数", required=False, kind="number"),
    ),
)
MARK = Deed(kind="mark", title="标一下", fields=(Field(name="name", title="名字"),), idempotent=True)


class Office(Channel):
    """A channel that can be asked: `answers` one by one; what it was asked is in `asked`."""

    DEEDS = (MAKE, MARK)

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[Done | Exception] = []
        self.outcomes: list[Done | Exception] = []
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    async def do(self, _ctx: Context, deed: str, fields: Mapping[str, Any]) -> Done:
        self.asked.append((deed, fields))
        return _next(self.answers)

    async def outcome(self, _ctx: Context, deed: str, item: str, fields: Mapping[str, Any]) -> Done:
        self.asked.append((f"{deed}?{item}", fields))
        return _next(self.outcomes)


def _next(answers: list[Done | Exception]) -> Done:
    answer = answers.pop(0) if answers else Done()
    if isinstance(answer, Exception):
        raise answer
    return answer


@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    channel = Office()
    installed(monkeypatch, channel)
    return await house(database, channel)


def office(home: House) -> Office:
    assert isinstance(home.channel, Office)
    return home.channel


async def ask(home: House, kind: str = "make", *, key: str = "key-1", **fields: Any) -> Asked:
    plugged = home.directory.by_id(home.account.account_id)
    async with home.db.begin(1) as conn:
        return await service.ask(
            conn,
            plugged,
            kind,
            fields or {"name": "秋季"},
            key=key,
            by="staff:7",
            staff_id=7,
            now=utcnow(),
        )


async def now_is(home: House, one: Asked) -> Asked:
    async with home.db.read(1) as conn:
        found = await store.get(conn, one.deed_id)
    assert found is not None
    return found


async def work(home: House) -> None:
    """One look at what is due, whenever it is due."""
    async with home.db.begin(1) as conn:
        soon = sa.update(due).where(due.c.tenant_id == 1).values(at=await conn.now() - timedelta(seconds=1))
        await conn.run(soon)
    await home.worker.errands.batch(1)


# -- asking ------------------------------------------------------------------------------------------------
async def test_a_deed_is_asked_once_per_key_and_written_on_the_audit_trail(home: House) -> None:
    first, again = await ask(home), await ask(home)
    await work(home)
    await work(home)

    assert first.deed_id == again.deed_id
    assert office(home).asked == [("make", {"name": "秋季"})]
    async with home.db.read(1) as conn:
        (entry,) = await entries(conn, limit=10)
    assert (entry.action, entry.actor, entry.fields) == ("deed.asked", "staff:7", ["make", "name"])


async def test_a_key_that_was_used_for_something_else_is_refused(home: House) -> None:
    await ask(home)

    for kind, fields in (("make", {"name": "冬季"}), ("mark", {"name": "秋季"})):
        with pytest.raises(Conflict):
            await ask(home, kind, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"other": "x", "name": "a"},
        {"many": ["a"]},
        {"name": ""},
        {"name": 7},
        {"name": "五个汉字长"},
        {"name": "a", "many": "a"},
        {"name": "a", "many": ["a", "b", "c", "d"]},
        {"name": "a", "many": [1]},
        {"name": "a", "loud": "yes"},
        {"name": "a", "count": True},
    ],
)
async def test_fields_the_connector_does_not_take_are_refused_and_nothing_is_asked(
    home: House, fields: dict[str, Any]
) -> None:
    with pytest.raises(BadInput):
        await ask(home, **fields)
    with pytest.raises(BadInput):
        await ask(home, "unheard-of")

    async with home.db.read(1) as conn:
        assert await store.page(conn, [home.account.account_id]) == []


def test_a_form_says_everything_as_text() -> None:
    form = {"name": " 秋季 ", "many": "a, b\nc；d", "loud": "on", "count": "7", "deed": "make"}

    assert rules.of_form(MAKE, form) == {
        "name": "秋季",
        "many": ["a", "b", "c", "d"],
        "loud": True,
        "count": 7,
    }
    assert rules.of_form(MAKE, {}) == {"loud": False}


# -- doing -------------------------------------------------------------------------------------------------
async def test_what_came_of_it_is_kept_and_its_news_goes_into_the_inbox(home: House) -> None:
    news = raw("told:1")
    office(home).answers = [Done(item="cfg1", body={"qr": "https://x"}, raws=(news,))]

    one = await ask(home)
    await work(home)

    done = await now_is(home, one)
    assert (done.state, done.item, done.result) == ("done", "cfg1", {"qr": "https://x"})
    assert await home.states() == {"told:1": "new"}


async def test_what_was_certainly_not_done_is_tried_again(home: House) -> None:
    office(home).answers = [NotSent("平台繁忙。", code="-1"), Done(item="cfg1")]

    one = await ask(home)
    await work(home)
    waiting = await now_is(home, one)
    await work(home)

    assert (waiting.state, waiting.error, waiting.code) == ("asked", "平台繁忙。", "-1")
    assert (await now_is(home, one)).state == "done"
    assert len(office(home).asked) == 2


async def test_after_its_last_try_it_has_failed_with_the_reason(home: House) -> None:
    office(home).answers = [NotSent("平台繁忙。")] * 9

    one = await ask(home)
    for _ in range(5):
        await work(home)

    assert len(office(home).asked) == 3
    assert ((await now_is(home, one)).state, (await now_is(home, one)).error) == ("failed", "平台繁忙。")


async def test_a_refusal_is_final_and_says_why(home: House) -> None:
    office(home).answers = [Rejected("标签不存在。", code="40068")]

    one = await ask(home)
    await work(home)
    await work(home)

    done = await now_is(home, one)
    assert (done.state, done.code, done.error) == ("failed", "40068", "标签不存在。")
    assert len(office(home).asked) == 1


@pytest.mark.parametrize(("kind", "state", "times"), [("make", "unknown", 1), ("mark", "done", 2)])
async def test_an_unclear_answer_is_asked_again_only_where_that_is_harmless(
    home: House, kind: str, state: str, times: int
) -> None:
    office(home).answers = [Unknown(), Done()]

    one = await ask(home, kind)
    await work(home)
    await work(home)

    assert (await now_is(home, one)).state == state
    assert len(office(home).asked) == times


@pytest.mark.parametrize(("kind", "state", "times"), [("make", "unknown", 0), ("mark", "done", 1)])
async def test_a_process_that_died_while_asking_does_not_ask_twice(
    home: House, kind: str, state: str, times: int
) -> None:
    one = await ask(home, kind)
    async with home.db.begin(1) as conn:
        await store.change(conn, one.deed_id, rules.CALLING, now=utcnow())

    await work(home)

    assert (await now_is(home, one)).state == state
    assert len(office(home).asked) == times


# -- following ---------------------------------------------------------------------------------------------
async def test_an_outcome_is_asked_for_until_it_is_there(home: House) -> None:
    office(home).answers = [Done(item="t1", body={"a": "等待"}, again_s=3600)]
    office(home).outcomes = [
        NotSent("平台繁忙。"),
        Done(item="t1", again_s=3600),
        Done(body={"a": "已转接"}, raws=(raw("told:2"),)),
    ]

    one = await ask(home)
    states = []
    for _ in range(5):
        await work(home)
        states.append((await now_is(home, one)).state)

    done = await now_is(home, one)
    assert states == ["waiting", "waiting", "waiting", "done", "done"]
    assert (done.item, done.result, done.error) == ("t1", {"a": "已转接"}, "")
    assert [a for a, _ in office(home).asked] == ["make", "make?t1", "make?t1", "make?t1"]
    assert await home.states() == {"told:2": "new"}


def test_no_outcome_is_waited_for_longer_than_a_month() -> None:
    now = utcnow()

    assert not rules.too_late(now - timedelta(days=29), now)
    assert rules.too_late(now - timedelta(days=31), now)


# -- pages -------------------------------------------------------------------------------------------------
async def test_pages_go_on_below_the_last_one(home: House) -> None:
    made = [await ask(home, key=f"key-{n}") for n in range(5)]

    async with home.db.read(1) as conn:
        accounts = [home.account.account_id]
        first = await store.page(conn, accounts, limit=2)
        rest = await store.page(conn, accounts, before=first[-1].deed_id, limit=10)
        other = await store.page(conn, [999])

    assert [d.deed_id for d in (*first, *rest)] == [d.deed_id for d in reversed(made)]
    assert other == []


async def test_a_contact_way_counts_each_customer_once(home: House) -> None:
    for who in ("anna", "berta"):
        await home.take({f"m-{who}": [said(by=who)]})
    await home.pipeline.settle(1)
    async with home.db.begin(1) as conn:
        ident, at = home.account.account_id, utcnow()
        anna, berta = await node_of(conn, "anna"), await node_of(conn, "berta")
        counted = [
            tallies.Counted(node_id=node, account_id=ident, name=name, at=when)
            for node, name, when in (
                (anna, "contact_way:autumn", at),
                (anna, "contact_way:autumn", at - timedelta(days=3)),
                (berta, "contact_way:autumn", at),
                (berta, "contact_way:50%_off", at),
                (berta, "contact_wayward", at),
            )
        ]
        await tallies.add(conn, counted)

        found = await store.brought(conn, ident, "contact_way:")

    assert [(b.name, b.customers) for b in found] == [("autumn", 2), ("50%_off", 1)]


def test_results_of_any_shape_become_rows_of_words() -> None:
    told = rules.told(
        {"qr": "https://x", "customers": {"wm1": "已转接"}, "fail_list": [], "list": [{"a": 1}], "n": 0}
    )

    assert told == [("qr", "https://x"), ("customers wm1", "已转接"), ("list", "a: 1"), ("n", "0")]


async def test_two_who_ask_at_once_get_one_deed(home: House) -> None:
    made = await asyncio.gather(*(ask(home) for _ in range(4)), return_exceptions=True)

    assert not [one for one in made if isinstance(one, ScrmError)]
    assert len({one.deed_id for one in made if isinstance(one, Asked)}) == 1
