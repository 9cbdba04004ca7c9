"""Coupons: stock and a family's limit hold whoever asks at the same time; each is given and used once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from scrm.campaigns.coupons import rules, service, store
from scrm.campaigns.coupons.rules import Batch
from scrm.db import Conn, Database
from scrm.errors import BadInput, Conflict, NotFound
from tests.ground import NOW, later

ANNA, BOB = 100, 200


def batch(**more: Any) -> Batch:
    usual: dict[str, Any] = {
        "batch_id": 1,
        "code": "EARLY",
        "name": "早鸟券",
        "kind": "off",
        "fen": 30_000,
        "share": None,
        "min_fen": None,
        "product_code": "",
        "stock": 2,
        "per_household": 1,
        "starts_at": NOW,
        "ends_at": later(86_400),
        "state": "open",
        "by_id": None,
        "created_at": NOW,
    }
    return Batch(**usual | more)


async def give(conn: Conn, key: str, node: int = ANNA, nodes: tuple[int, ...] = (ANNA,)) -> store.Coupon:
    return await service.issue(conn, 1, node, nodes, key=key, staff_id=7, now=NOW)


async def test_the_same_key_gives_the_same_coupon(database: Database) -> None:
    async with database.begin(1) as conn:
        await service.save_batch(conn, batch())

        assert await give(conn, "a") == await give(conn, "a")


async def test_a_key_used_for_one_family_tells_another_nothing_of_its_coupon(database: Database) -> None:
    async with database.begin(1) as conn:
        await service.save_batch(conn, batch())
        await give(conn, "a")

        with pytest.raises(Conflict, match="另一张券"):
            await give(conn, "a", BOB, (BOB,))


async def test_a_family_gets_its_limit_whichever_member_asks(database: Database) -> None:
    async with database.begin(1) as conn:
        await service.save_batch(conn, batch())
        await give(conn, "a", ANNA, (ANNA, BOB))

        with pytest.raises(Conflict, match="每家限 1 张"):
            await give(conn, "b", BOB, (ANNA, BOB))


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"state": "stopped"}, rules.STOPPED),
        ({"starts_at": later(10), "ends_at": later(20)}, "才开始发"),
        ({"starts_at": later(-20), "ends_at": later(-10)}, "已过有效期"),
    ],
)
async def test_a_batch_that_is_not_running_says_why(
    database: Database, more: dict[str, Any], why: str
) -> None:
    async with database.begin(1) as conn:
        await service.save_batch(conn, batch(**more))

        with pytest.raises(Conflict, match=why):
            await give(conn, "a")


async def test_the_last_coupon_is_given_once(database: Database) -> None:
    async with database.begin(1) as conn:
        await service.save_batch(conn, batch(stock=3))

    async def ask(n: int) -> bool:
        try:
            async with database.begin(1) as conn:
                await give(conn, str(n), n, (n,))
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(ask(n) for n in range(1, 9)))) == 3


async def test_one_order_uses_a_coupon_up(database: Database) -> None:
    async with database.begin(1) as conn:
        await service.save_batch(conn, batch())
        one = await give(conn, "a")

        used = await store.redeem(conn, one.code, "D1", now=NOW)
        again = await store.redeem(conn, one.code, "D2", now=NOW)

        assert used is not None
        assert used.order_number == "D1"
        assert again is None
        (offer,) = await service.offers(conn, (ANNA,), now=NOW)
        assert (offer.left, offer.held) == (1, 1)


@pytest.mark.parametrize("more", [{"name": " "}, {"fen": None}, {"ends_at": NOW}, {"stock": -1}])
async def test_a_batch_that_makes_no_sense_is_refused(database: Database, more: dict[str, Any]) -> None:
    async with database.begin(1) as conn:
        with pytest.raises(BadInput):
            await service.save_batch(conn, batch(**more))
        with pytest.raises(NotFound):
            await give(conn, "a")


@pytest.mark.parametrize(
    "more", [{"code": "早鸟"}, {"min_fen": 20_000}, {"fen": None, "share": 10_000, "kind": "discount"}]
)
async def test_a_batch_says_what_it_is_worth_in_a_way_that_can_be(
    database: Database, more: dict[str, Any]
) -> None:
    async with database.begin(1) as conn:
        with pytest.raises(BadInput):
            await service.save_batch(conn, batch(**more))


@pytest.mark.parametrize(
    ("more", "worth"),
    [
        ({}, "减 300 元"),
        ({"min_fen": 500_000}, "满 5000 元减 300 元"),
        ({"kind": "discount", "fen": None, "share": 8_500}, "8.5 折"),
    ],
)
def test_its_worth_is_said_as_people_say_it(more: dict[str, Any], worth: str) -> None:
    assert rules.worth(batch(**more)) == worth


async def test_a_repeat_is_no_second_coupon_even_when_the_family_is_full(database: Database) -> None:
    async with database.begin(1) as conn:
        await service.save_batch(conn, batch(per_household=1))

    async def ask() -> str:
        async with database.begin(1) as conn:
            return (await give(conn, "same")).code

    assert len(set(await asyncio.gather(*(ask() for _ in range(6))))) == 1


async def test_a_stopped_batch_gives_no_more_and_what_was_given_stays_good(database: Database) -> None:
    async with database.begin(1) as conn:
        await service.save_batch(conn, batch())
        one = await give(conn, "a")
        await service.set_state(conn, 1, "stopped")

        with pytest.raises(Conflict, match=rules.STOPPED):
            await give(conn, "b", BOB, (BOB,))
        used = await service.redeem(conn, [service.Used(code=one.code, number="D1", event_id=5)] * 2, now=NOW)

        assert [(c.order_number, c.event_id, c.state) for c in used] == [("D1", 5, "redeemed")]
        with pytest.raises(NotFound):
            await service.set_state(conn, 2, "stopped")


@pytest.mark.parametrize(
    ("body", "code"),
    [({}, ""), ({"order": {"coupon": None}}, ""), ({"order": {"coupon": {"code": " AB "}}}, "AB")],
)
def test_an_order_names_its_coupon(body: dict[str, Any], code: str) -> None:
    assert service.code_of(body) == code
