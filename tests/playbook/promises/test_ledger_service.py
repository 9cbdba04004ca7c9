"""The ledger: what our side says is kept once, taken back with its message, told of the whole household."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrm.db import Conn, Database
from scrm.errors import BadInput, Conflict
from scrm.playbook.promises import service, store
from scrm.playbook.promises.ledger import ours, replaced
from scrm.playbook.promises.service import Spoken
from scrm.playbook.promises.store import Row
from scrm.playbook.situation import Kept

AT = datetime(2026, 11, 21, 2, tzinfo=UTC)
PRODUCTS = {"年课": "Y1", "单科班": "S1"}
MOTHER, FATHER = 71, 72


def spoken(text: str, event_id: int = 1, **more: object) -> Spoken:
    usual: dict[str, object] = {
        "event_id": event_id,
        "account_id": 11,
        "conversation_id": 5,
        "node_id": MOTHER,
        "staff_id": None,
        "at": AT + timedelta(minutes=event_id),
        "text": text,
    }
    return Spoken(**(usual | more))  # type: ignore[arg-type]


async def rows(conn: Conn, *nodes: int) -> list[Row]:
    return sorted(await store.of_nodes(conn, nodes or (MOTHER,)), key=lambda r: (r.event_id or 0, r.n))


async def heed(db: Database, *said: Spoken) -> set[int]:
    async with db.begin(1) as conn:
        return await service.heed(conn, said, PRODUCTS, now=AT + timedelta(hours=1))


async def test_a_message_is_read_once_however_often_it_is_replayed(database: Database) -> None:
    said = spoken("年课给您 8.5 折，送两节体验课，11 月 23 日前有效")

    first, second = await heed(database, said), await heed(database, said)

    async with database.read(1) as conn:
        found = await rows(conn)
    assert (first, second) == ({MOTHER}, set())
    assert [(r.kind, r.share, r.product_code, r.state) for r in found] == [
        ("discount", 8500, "Y1", "live"),
        ("gift", None, "Y1", "live"),
    ]
    assert {r.until_at for r in found} == {datetime(2026, 11, 23, 16, tzinfo=UTC)}


async def test_a_recalled_message_takes_its_promise_back_and_what_it_replaced_stands_again(
    database: Database,
) -> None:
    await heed(database, spoken("年课 9 折", 1), spoken("年课 8.5 折", 2))
    async with database.read(1) as conn:
        before = [(r.share, r.state) for r in await rows(conn)]
    await heed(database, spoken("年课 8.5 折", 2, recalled=True))
    async with database.read(1) as conn:
        after = [(r.share, r.state) for r in await rows(conn)]

    assert before == [(9000, "replaced"), (8500, "live")]
    assert after == [(9000, "live"), (8500, "void")]


async def test_an_edited_message_promises_what_it_says_now(database: Database) -> None:
    await heed(database, spoken("年课 8.5 折"))
    await heed(database, spoken("年课 9 折"))

    async with database.read(1) as conn:
        assert [(r.share, r.state, r.n) for r in await rows(conn)] == [(8500, "void", 0), (9000, "live", 1)]


async def test_a_new_reading_of_a_message_takes_the_place_of_the_old_one(database: Database) -> None:
    await heed(database, spoken("年课 8.5 折", 1))
    await heed(database, spoken("年课 8.5 折", 9, at=AT, instead_of=(1,)))

    async with database.read(1) as conn:
        assert [(r.event_id, r.state) for r in await rows(conn)] == [(1, "void"), (9, "live")]


async def test_what_a_customer_was_told_stands_for_everybody_of_the_household(database: Database) -> None:
    async with database.read(1) as conn:
        none = await service.version(conn, [MOTHER, FATHER])
    await heed(database, spoken("年课 8.5 折"))

    async with database.read(1) as conn:
        kept = await service.live(conn, [MOTHER, FATHER], now=AT + timedelta(days=1))
        others = await service.live(conn, [FATHER], now=AT + timedelta(days=1))
        version = await service.version(conn, [MOTHER, FATHER])
        later = await service.live(conn, [MOTHER], now=AT + timedelta(days=60))
    assert [k.share for k in kept] == [8500]
    assert (others, later, none) == ((), (), 0)
    assert version > 0


async def test_a_leader_takes_a_promise_back_with_a_reason(database: Database) -> None:
    await heed(database, spoken("年课 8.5 折"))
    async with database.begin(1) as conn:
        (row,) = await rows(conn)
        before = await service.version(conn, [MOTHER])
        with pytest.raises(BadInput):
            await service.withdraw(conn, row.promise_id, by=None, why=" ", now=AT)
        await service.withdraw(conn, row.promise_id, by=None, why="报错了价，已向客户说明", now=AT)
        with pytest.raises(Conflict):
            await service.withdraw(conn, row.promise_id, by=None, why="再来一次", now=AT)
        (row,) = await rows(conn)
        assert (row.state, row.why) == ("withdrawn", "报错了价，已向客户说明")
        assert await service.version(conn, [MOTHER]) > before


async def test_a_paid_order_keeps_the_promises_about_its_product(database: Database) -> None:
    await heed(database, spoken("年课 8.5 折", 1), spoken("单科班 9 折", 2), spoken("送您一套教材", 3))
    async with database.begin(1) as conn:
        await service.paid(conn, [MOTHER], {"Y1"}, at=AT + timedelta(days=1), now=AT + timedelta(days=1))
        assert [(r.product_code, r.state) for r in await rows(conn)] == [
            ("Y1", "kept"),
            ("S1", "live"),
            ("", "live"),
        ]


async def test_a_promise_whose_last_day_is_over_is_closed_once(database: Database) -> None:
    await heed(database, spoken("年课 8.5 折，11 月 23 日前有效"))
    async with database.begin(1) as conn:
        early = await service.expire(conn, now=datetime(2026, 11, 23, 15, tzinfo=UTC))
        due = await service.expire(conn, now=datetime(2026, 11, 23, 17, tzinfo=UTC))
        again = await service.expire(conn, now=datetime(2026, 11, 23, 17, tzinfo=UTC))
    assert (early, due, again) == (0, 1, 0)


def test_in_a_transcript_only_our_side_promises() -> None:
    said = "00:03 客服：您好\n00:09 客户：给我 7 折吧\n00:12 坐席2：年课最多 8.5 折"

    assert ours(said) == "您好\n年课最多 8.5 折"


_SHARES = st.integers(min_value=7, max_value=9)


@given(st.lists(st.tuples(st.integers(0, 5), _SHARES), max_size=6, unique_by=lambda p: p[0]), st.randoms())
def test_what_replaces_what_does_not_depend_on_the_order_it_became_known(
    made: list[tuple[int, int]], chance: object
) -> None:
    kept = [
        Kept(promise_id=n, kind="discount", share=share * 1000, made_at=AT + timedelta(hours=hour))
        for n, (hour, share) in enumerate(made)
    ]
    mixed = list(kept)
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    over = replaced(mixed)

    assert over == replaced(kept)
    best = min((k.share or 0 for k in kept), default=None)
    assert best is None or any(k.share == best for k in kept if k.promise_id not in over)
