"""Opportunities: one open per family, kind and line; each move once, with its reason on the timeline."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from scrm import inbox
from scrm.db import Conn, Database
from scrm.errors import BadConfig, BadInput, Conflict
from scrm.identity import store as nodes
from scrm.sales.opportunities import hearing, rules, service, store
from scrm.sales.opportunities.hearing import Heard, Ordered
from scrm.sales.opportunities.rules import Move, Opportunity
from scrm.sales.opportunities.service import By, Wanted
from scrm.timeline.store import events
from tests.ground import NOW, entry, later, node_of, said, settle

REP = By(source="rep", staff_id=7)


async def anna(conn: Conn) -> int:
    await settle(conn, entry(said(), "m1"))
    return await node_of(conn, "anna")


async def opened(conn: Conn, key: str = "k", **more: Any) -> Any:
    node = await anna(conn)
    wanted = Wanted(key=key, node_id=node, account_id=11, product="年课")
    return await service.open_one(conn, replace(wanted, **more), REP, now=NOW)


async def words(conn: Conn, node_id: int) -> list[str]:
    """What the timeline says about stages, newest first."""
    person = (await nodes.persons_of(conn, [node_id]))[node_id]
    told = await events.page(conn, await nodes.intervals(conn, person), before=None, limit=20)
    return [e.text for e in told if e.kind == service.KIND]


async def test_the_second_opening_finds_the_first(database: Database) -> None:
    async with database.begin(1) as conn:
        first = await opened(conn)
        second = await opened(conn, "other")
        renewal = await opened(conn, "more", kind="renewal")

        assert second == first
        assert renewal.opportunity_id != first.opportunity_id


async def test_a_move_is_made_once_and_told(database: Database) -> None:
    async with database.begin(1) as conn:
        one = await opened(conn)
        for _ in range(2):
            moved = await service.move(
                conn,
                one.opportunity_id,
                Move(stage="quotation", why="问了价格"),
                REP,
                key="m",
                account_id=11,
                now=later(1),
            )

        assert moved.stage == "quotation"
        (change,) = await store.changes(conn, one.opportunity_id)
        assert (change.stage_from, change.stage_to, change.why) == ("first-contact", "quotation", "问了价格")
        assert await words(conn, one.node_id) == [
            "商机进入“报价方案”：问了价格",
            "新商机：新购·年课，初次接触",
        ]


async def test_what_happens_by_itself_never_moves_it_back(database: Database) -> None:
    async with database.begin(1) as conn:
        one = await opened(conn, stage="quotation")

        back = await service.move(
            conn, one.opportunity_id, Move(stage="needs"), By(source="sop"), key="m", account_id=11, now=NOW
        )

        assert back.stage == "quotation"


async def test_giving_up_needs_a_reason_and_ends_it(database: Database) -> None:
    async with database.begin(1) as conn:
        one = await opened(conn)
        give_up = Move(state="lost")
        with pytest.raises(BadInput):
            await service.move(conn, one.opportunity_id, give_up, REP, key="a", account_id=11, now=NOW)
        await service.move(
            conn, one.opportunity_id, replace(give_up, why="搬家了"), REP, key="b", account_id=11, now=NOW
        )

        with pytest.raises(Conflict):
            await service.move(
                conn, one.opportunity_id, Move(stage="closing"), REP, key="c", account_id=11, now=NOW
            )


def heard(node_id: int, event_id: int, status: str, *, number: str = "D1", **more: Any) -> Heard:
    order = Ordered(number=number, status=status, **more)
    kind = f"event.order.{status}"
    return Heard(event_id=event_id, account_id=11, node_id=node_id, kind=kind, order=order)


async def test_orders_win_it_and_a_refund_loses_it(database: Database) -> None:
    async with database.begin(1) as conn:
        one = await opened(conn)
        for n, (status, state) in enumerate((("created", "open"), ("paid", "won"), ("refunded", "lost"))):
            told = heard(one.node_id, n, status)
            await hearing.heed(conn, [told, told], now=later(n))
            kept = await store.get(conn, one.opportunity_id)
            assert kept is not None
            assert kept.state == state

        assert len(await store.changes(conn, one.opportunity_id)) == 3


async def test_a_refund_of_an_older_order_loses_no_other_sale(database: Database) -> None:
    async with database.begin(1) as conn:
        one = await opened(conn, kind="renewal")

        await hearing.heed(conn, [heard(one.node_id, 1, "refunded", number="D0")], now=NOW)

        assert (await store.get(conn, one.opportunity_id)) == one


async def test_a_second_order_does_not_open_what_the_first_one_won(database: Database) -> None:
    async with database.begin(1) as conn:
        one = await opened(conn)
        await hearing.heed(conn, [heard(one.node_id, 1, "paid")], now=NOW)

        await hearing.heed(conn, [heard(one.node_id, 2, "created", number="D2")], now=later(1))

        kept = await store.get(conn, one.opportunity_id)
        assert kept is not None
        assert (kept.state, kept.closed_at) == ("won", NOW)


async def test_an_order_moves_the_sale_of_its_product(database: Database) -> None:
    async with database.begin(1) as conn:
        english = await opened(conn, "a", business_line="英语", product_code="en-1")
        maths = await opened(conn, "b", business_line="数学", product_code="math-3")

        told = heard(maths.node_id, 1, "paid", business_line="数学", products=("math-3",))
        await hearing.heed(conn, [told], now=NOW)

        states = {o.opportunity_id: o.state for o in await service.of_household(conn, maths.node_id)}
        assert states == {english.opportunity_id: "open", maths.opportunity_id: "won"}


@pytest.mark.parametrize(
    ("opens", "count"),
    [((), 0), (("contact",), 1), (("order",), 0)],
)
async def test_a_first_contact_opens_one_where_that_is_wanted(
    database: Database, opens: tuple[str, ...], count: int
) -> None:
    async with database.begin(1) as conn:
        node = await anna(conn)
        told = [
            Heard(event_id=n, account_id=11, node_id=node, kind="message.text", direction=direction)
            for n, direction in enumerate(("in", "in", "out"))
        ]

        await hearing.heed(conn, told, opens=opens, now=NOW)
        await hearing.heed(conn, told, opens=opens, now=NOW)

        found = await service.of_household(conn, node)
        assert [o.stage for o in found] == ["first-contact"] * count


async def test_an_order_nobody_worked_for_is_a_sale_all_the_same(database: Database) -> None:
    async with database.begin(1) as conn:
        node = await anna(conn)
        told = heard(node, 1, "paid", product="春季班", products=("math-3",), total=398_000)

        for _ in range(2):
            await hearing.heed(conn, [told], opens=("order",), now=NOW)

        (one,) = await service.of_household(conn, node)
        assert (one.state, one.product, one.amount) == ("won", "春季班", 398_000)


async def test_a_lesson_says_that_they_tried_it_and_never_moves_it_back(database: Database) -> None:
    async with database.begin(1) as conn:
        one = await opened(conn)
        lesson = Heard(event_id=1, account_id=11, node_id=one.node_id, kind="event.lesson.attended")

        await hearing.heed(conn, [lesson], now=NOW)
        tried = await store.get(conn, one.opportunity_id)
        await service.move(
            conn, one.opportunity_id, Move(stage="quotation"), REP, key="q", account_id=11, now=NOW
        )
        await hearing.heed(conn, [replace(lesson, event_id=2)], now=NOW)

        kept = await store.get(conn, one.opportunity_id)
        assert tried is not None
        assert kept is not None
        assert (tried.stage, kept.stage) == ("trial", "quotation")


async def test_who_looked_at_an_older_version_must_look_again(database: Database) -> None:
    async with database.begin(1) as conn:
        one = await opened(conn)
        ident = one.opportunity_id
        await service.move(
            conn, ident, Move(stage="trial"), REP, key="a", account_id=11, now=NOW, seen=one.version
        )

        with pytest.raises(Conflict):
            await service.move(
                conn, ident, Move(stage="needs"), REP, key="b", account_id=11, now=NOW, seen=one.version
            )
        with pytest.raises(Conflict):
            await service.describe(conn, ident, product_code="", product="年课", amount=1, seen=one.version)


async def test_what_it_is_about_can_be_said_anew(database: Database) -> None:
    async with database.begin(1) as conn:
        one = await opened(conn)

        said = await service.describe(
            conn, one.opportunity_id, product_code="math-3", product="春季班", amount=398_000
        )

        assert await store.get(conn, one.opportunity_id) == said
        assert (said.product, said.version) == ("春季班", 1)
        with pytest.raises(BadInput):
            await service.describe(conn, one.opportunity_id, product_code="", product="", amount=-1)


async def test_what_we_noted_is_reviewed_like_anything_that_came_in(database: Database) -> None:
    async with database.begin(1) as conn:
        await opened(conn)

        assert (await inbox.counts(conn))["settled"] == 1


@pytest.mark.parametrize(
    ("stage", "to", "moves"),
    [
        ("first-contact", "trial", True),
        ("quotation", "needs", False),
        # an objection stands between a quotation and the deal
        ("quotation", "objection", True),
        ("objection", "quotation", False),
        ("objection", "closing", True),
        # beside the way: reached from everywhere, and leads everywhere
        ("quotation", "recall", True),
        ("recall", "needs", True),
        ("closing", "closing", False),
    ],
)
def test_by_itself_it_only_goes_forward(stage: str, to: str, moves: bool) -> None:
    one = replace(OPEN, stage=stage)

    assert (rules.move(one, Move(stage=to), by="sop") is not None) == moves
    assert (rules.move(one, Move(stage=to), by="rep") is not None) == (stage != to)


def test_a_setting_that_names_no_way_is_refused() -> None:
    assert rules.ways("contact, order") == {"contact", "order"}
    with pytest.raises(BadConfig, match="firstcontact"):
        rules.ways("firstcontact")


OPEN = Opportunity(
    opportunity_id=1,
    key="k",
    node_id=1,
    kind="new",
    business_line="",
    product_code="",
    product="",
    amount=None,
    stage="needs",
    state="open",
    staff_id=None,
    opened_at=NOW,
    moved_at=NOW,
    closed_at=None,
    version=0,
)


async def test_one_order_told_by_many_at_once_wins_once(database: Database) -> None:
    async with database.begin(1) as conn:
        one = await opened(conn)

    async def tell(n: int) -> int:
        async with database.begin(1) as conn:
            return len(await hearing.heed(conn, [heard(one.node_id, n, "paid")], opens=("order",), now=NOW))

    assert sum(await asyncio.gather(*(tell(n) for n in range(4)))) >= 1
    async with database.begin(1) as conn:
        assert len(await store.changes(conn, one.opportunity_id)) == 1
        assert len(await words(conn, one.node_id)) == 2


async def test_an_order_says_what_a_sale_was_about_that_nobody_had_described(database: Database) -> None:
    async with database.begin(1) as conn:
        one = await opened(conn, product="")

        told = heard(one.node_id, 1, "paid", product="春季班", products=("math-3",), total=398_000)
        await hearing.heed(conn, [told], now=NOW)

        kept = await store.get(conn, one.opportunity_id)
        assert kept is not None
        assert (kept.state, kept.product, kept.product_code, kept.amount) == (
            "won",
            "春季班",
            "math-3",
            398_000,
        )


async def test_two_messages_of_one_family_open_one(database: Database) -> None:
    async with database.begin(1) as conn:
        node = await anna(conn)

    async def open_one(key: str) -> int:
        async with database.begin(1) as conn:
            wanted = Wanted(key=key, node_id=node, account_id=11)
            return (await service.open_one(conn, wanted, REP, now=NOW)).opportunity_id

    assert len(set(await asyncio.gather(*(open_one(str(n)) for n in range(4))))) == 1
