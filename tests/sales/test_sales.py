"""Orders and the catalog as records: whichever version comes first, the highest stays; money adds up."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrm.contract import Envelope, Handle
from scrm.db import Conn, Database
from scrm.errors import BadInput, NotFound
from scrm.sales import rules, service, store
from scrm.sales.rules import Price
from scrm.sales.service import Told
from tests.ground import NOW, Channel, handle, house, installed, node_of, until

AT = "2026-03-02T01:30:00Z"


def order(version: int = 1, *, total: int = 100, status: str = "created", **more: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "id": "D1",
        "version": version,
        "at": AT,
        "status": status,
        "business_line": "新签",
        "items": [{"product": "p1", "name": "课", "quantity": version, "amount": total}],
        "coupon": None,
        "total": total,
        "paid": 0,
    }
    return {"order": usual | more, "others": {}}


def refund(number: str, amount: int, *, status: str = "done", version: int = 1) -> dict[str, Any]:
    return {
        "refund": {
            "id": number,
            "order": "D1",
            "version": version,
            "at": AT,
            "status": status,
            "amount": amount,
        }
    }


def product(version: int, name: str) -> dict[str, Any]:
    said = {"id": "p1", "version": version, "at": AT, "name": name, "business_line": "", "unit": "期"}
    return {"product": said | {"on_sale": True}}


async def tell(conn: Conn, *bodies: dict[str, Any]) -> None:
    for number, body in enumerate(bodies):
        told = Told(event_id=1000 + number, account_id=11, node_id=7, body=body)
        await service.record(conn, told)


@pytest.mark.parametrize("turn", list(permutations(range(3))))
async def test_the_highest_version_of_an_order_stays_whatever_comes_first(
    database: Database, turn: tuple[int, ...]
) -> None:
    versions = [order(1), order(2, status="paid", paid=100), order(3, total=80, status="closed")]

    async with database.begin(1) as conn:
        await tell(conn, *(versions[n] for n in turn))
        kept = await store.order_of(conn, 11, "D1")
        assert kept is not None
        lines = await store.lines(conn, [kept.order_id])

    assert (kept.version, kept.status, kept.total) == (3, "closed", 80)
    assert [(i.quantity, i.amount) for i in lines[kept.order_id]] == [(3, 80)]


async def test_without_versions_the_later_word_counts(database: Database) -> None:
    late = order(0, status="paid", at="2026-03-02T02:00:00Z")

    async with database.begin(1) as conn:
        await tell(conn, late, order(0))
        kept = await store.order_of(conn, 11, "D1")

    assert kept is not None
    assert kept.status == "paid"
    assert kept.placed_at < kept.at


async def test_refunds_that_are_done_add_up_also_before_their_order(database: Database) -> None:
    asked = refund("R2", 40, status="requested")

    async with database.begin(1) as conn:
        await tell(conn, refund("R1", 30), asked, refund("R1", 30), order(1))
        (kept,) = await store.orders(conn, before=None, limit=10)
        before = await store.refunded(conn, [kept])
        await tell(conn, refund("R2", 40, version=2))
        after = await store.refunded(conn, [kept])

    assert (before[kept.order_id], after[kept.order_id]) == (30, 70)


async def test_an_older_word_on_a_product_changes_nothing(database: Database) -> None:
    async with database.begin(1) as conn:
        await tell(conn, product(5, "新名字"), product(4, "旧名字"))
        kept = await store.product_of(conn, "p1")

    assert kept is not None
    assert kept.name == "新名字"


async def test_by_page_the_next_version_is_written_and_a_price_needs_its_product(database: Database) -> None:
    async with database.begin(1) as conn:
        await tell(conn, product(5, "推送的名字"))
        await service.save_product(
            conn, "p1", name="改过的名字", business_line="", unit="期", on_sale=False, now=NOW
        )
        await service.add_price(conn, "p1", price_list="", yuan="3,980", starts_at=NOW, ends_at=None, now=NOW)
        kept = await store.product_of(conn, "p1")
        (price,) = (await store.prices(conn, ["p1"]))["p1"]
        with pytest.raises(NotFound):
            await service.add_price(conn, "p9", price_list="", yuan="1", starts_at=NOW, ends_at=None, now=NOW)

    assert kept is not None
    assert (kept.name, kept.version, kept.on_sale) == ("改过的名字", 6, False)
    assert (price.amount, price.price_list) == (398_000, rules.STANDARD)


async def test_an_order_on_the_timeline_is_an_order_in_the_books(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = Channel()
    installed(monkeypatch, channel)
    home = await house(database, channel)
    buyer, payer = handle("anna"), handle("ben", part="other")
    body = order(1) | {"others": {"payer": [payer.kind, payer.scope, payer.value]}}
    placed = Envelope(
        kind="event.order.created", direction="none", at=NOW, handles=(buyer, payer), text="下单", body=body
    )
    await home.take({"o1": [placed]})

    await home.pipeline.settle(1)
    await home.pipeline.react(1)

    async def booked() -> bool:
        async with database.read(1) as conn:
            return bool(await store.orders(conn, before=None, limit=1))

    await until(booked)
    async with database.read(1) as conn:
        (kept,) = await store.orders(conn, before=None, limit=1)
        assert kept.buyer_id == await node_of(conn, "anna")
        assert kept.payer_id == await node_of(conn, "ben")
    assert await home.states() == {"o1": "done"}


async def test_a_record_that_cannot_be_kept_is_quarantined_and_the_timeline_stands(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = Channel()
    installed(monkeypatch, channel)
    home = await house(database, channel, max_attempts=1)
    broken = Envelope(
        kind="event.order.paid",
        direction="none",
        at=NOW,
        handles=(Handle(kind="app_user", scope="oak", value="u1"),),
        text="已付款",
        body={"order": {"id": "D1"}, "others": {}},
    )
    await home.take({"o1": [broken]})

    await home.pipeline.settle(1)
    await home.pipeline.react(1)

    assert await home.states() == {"o1": "quarantined"}
    assert await home.texts() == ["已付款"]


# -- rules -------------------------------------------------------------------------------------------------
def price(amount: int, *, starts: int, ends: int | None = None, of: str = rules.STANDARD) -> Price:
    return Price(
        price_id=amount,
        code=f"c{amount}",
        version=0,
        at=NOW,
        product_code="p1",
        price_list=of,
        amount=amount,
        starts_at=NOW + timedelta(days=starts),
        ends_at=None if ends is None else NOW + timedelta(days=ends),
    )


def test_of_overlapping_prices_the_one_that_began_last_holds() -> None:
    prices = [
        price(1, starts=-9),
        price(2, starts=-3, ends=0),
        price(3, starts=-2, ends=5),
        price(4, starts=1),
        price(5, starts=-1, of="双十一"),
    ]

    assert [p.amount for p in rules.current(prices, NOW)] == [3, 5]
    assert [p.amount for p in rules.current(prices, NOW + timedelta(days=6))] == [4, 5]


@given(st.integers(min_value=0, max_value=10**13))
def test_yuan_written_by_people_is_exact_fen(amount: int) -> None:
    assert rules.fen(f"¥{amount // 100:,}.{amount % 100:02}") == amount


@pytest.mark.parametrize("text", ["", "免费", "-1", "1.005", "NaN", "1e99", "Infinity"])
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        rules.fen(text)


def test_a_price_ends_after_it_begins() -> None:
    rules.validity(NOW, None)
    with pytest.raises(BadInput):
        rules.validity(NOW, NOW)
