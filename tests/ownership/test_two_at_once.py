"""Two at once: leads who decide one ruling, an appeal meanwhile, money paid twice, a merge in a hand-over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from scrm.db import Conn, Database
from scrm.errors import BadInput
from scrm.identity import decisions
from scrm.identity.decisions import Actor
from scrm.ownership import deciding, handing, service
from scrm.ownership.deciding import By
from scrm.ownership.rules import money
from scrm.ownership.rules.booking import Ruled
from scrm.ownership.rules.values import WHOLE, Claimant, Share
from scrm.ownership.store import rulings
from scrm.staff.rules import Scope
from scrm.timeline.store import conversations
from tests.ground import NOW, answered, node_of, said
from tests.ownership.market import Market, day, market

ONE, OTHER = By(label="staff:8", staff_id=8), By(label="staff:9", staff_id=9)
WHY = "看过聊天记录和到访登记，情况属实。"
Act = Callable[[Conn], Awaitable[object]]


@pytest.fixture
async def shop(database: Database, monkeypatch: pytest.MonkeyPatch) -> Market:
    return await market(database, monkeypatch)


async def at_once(shop: Market, first: Act, second: Act) -> None:
    """The second begins while the first is not yet written down; raises what the second raises."""

    async def alone() -> None:
        async with shop.db.begin(1) as conn:
            await second(conn)

    async with asyncio.timeout(30):
        async with shop.db.begin(1) as conn:
            await first(conn)
            task = asyncio.create_task(alone())
            # Whoever does not wait is done by then: the worst case, not a gate.
            await asyncio.wait({task}, timeout=0.3)
        await task


async def disputed(shop: Market) -> tuple[Ruled, dict[str, Share]]:
    """A deal of li's, against which staff 7 has appealed."""
    await shop.added("anna", "li", day(1))
    await shop.rep("zhao")
    await shop.paid("anna", "D1", day(5))
    (ruled,) = await shop.rulings("D1")
    async with shop.db.begin(1) as conn:
        mine = By(label="staff:7", staff_id=7)
        await deciding.appeal(conn, ruled.ruling_id, WHY, by=mine, now=ruled.at)
    return ruled, {
        name: Share(by=Claimant(kind="rep", ident=str(ident)), bp=WHOLE) for name, ident in shop.staff.items()
    }


def decides(ruled: Ruled, share: Share, by: By) -> Act:
    return lambda conn: deciding.decide(
        conn, ruled.ruling_id, agree=True, why=WHY, by=by, now=ruled.at, shares=[share]
    )


async def balanced(shop: Market) -> None:
    async with shop.db.read(1) as conn:
        deal = await shop.deal("D1")
        entries = await rulings.entries(conn, deal.deal_id)
    assert sum(e.amount for e in entries) == 0


async def test_of_two_leads_who_decide_one_ruling_the_second_is_told(shop: Market) -> None:
    ruled, shares = await disputed(shop)

    with pytest.raises(BadInput, match="新的判定"):
        await at_once(shop, decides(ruled, shares["zhao"], ONE), decides(ruled, shares["li"], OTHER))

    assert await shop.awarded("D1") == {"zhao": 8_000}
    assert [r.trigger for r in await shop.rulings("D1")] == ["appeal", "deal"]
    await balanced(shop)


async def test_an_appeal_against_what_is_just_decided_is_told_so(shop: Market) -> None:
    ruled, shares = await disputed(shop)

    def appeals(conn: Conn) -> Awaitable[object]:
        return deciding.appeal(conn, ruled.ruling_id, WHY, by=OTHER, now=ruled.at)

    with pytest.raises(BadInput, match="新的判定"):
        await at_once(shop, decides(ruled, shares["zhao"], ONE), appeals)

    async with shop.db.read(1) as conn:
        assert not (await service.standing(conn, ruled.deal_id)).frozen


async def test_of_two_appeals_at_once_one_is_kept(shop: Market) -> None:
    await shop.added("anna", "li", day(1))
    await shop.paid("anna", "D1", day(5))
    (ruled,) = await shop.rulings("D1")

    def appeals(by: By) -> Act:
        return lambda conn: deciding.appeal(conn, ruled.ruling_id, WHY, by=by, now=ruled.at)

    with pytest.raises(BadInput, match="已有一条申诉"):
        await at_once(shop, appeals(ONE), appeals(OTHER))


async def test_what_two_pay_out_is_paid_once(shop: Market) -> None:
    await shop.added("anna", "li", day(1))
    deal = await shop.paid("anna", "D1", day(5))

    def pays(by: By) -> Act:
        return lambda conn: deciding.pay(conn, deal.deal_id, by=by, now=NOW)

    await at_once(shop, pays(ONE), pays(OTHER))

    entries = await shop.entries("D1")
    assert (money.payable(entries), sum(e.amount for e in entries if e.account == money.CASH)) == ({}, -8_000)
    await balanced(shop)


async def test_a_payout_while_somebody_appeals_waits_for_the_answer(shop: Market) -> None:
    await shop.added("anna", "li", day(1))
    deal = await shop.paid("anna", "D1", day(5))
    (ruled,) = await shop.rulings("D1")

    with pytest.raises(BadInput, match="冻结"):
        await at_once(
            shop,
            lambda conn: deciding.appeal(conn, ruled.ruling_id, WHY, by=ONE, now=ruled.at),
            lambda conn: deciding.pay(conn, deal.deal_id, by=OTHER, now=ruled.at + timedelta(hours=1)),
        )


@pytest.mark.parametrize("merge_first", [True, False])
async def test_a_merge_while_handing_over_leaves_both_done(shop: Market, merge_first: bool) -> None:
    wang, li = await shop.rep("wang"), await shop.rep("li")
    for who in ("anna", "bella"):
        await shop.hear(said(by=who, at=day(1)), answered(to=who, at=day(1.1), staff="wang"))
    async with shop.db.begin(1) as conn:
        anna, bella = await node_of(conn, "anna"), await node_of(conn, "bella")
        one = await handing.draft(
            conn, from_id=wang, to_id=li, sort="onjob", node_ids=[anna], by=ONE, now=NOW
        )

    async def merge(conn: Conn) -> None:
        rep = Actor(origin="rep", staff_id=1)
        done = await decisions.link(conn, anna, bella, by=rep, why="同一个人", now=NOW)
        await service.touched(conn, done.persons, done.households, now=NOW)

    def send(conn: Conn) -> Awaitable[object]:
        return handing.send(conn, one.handover_id, [], by=ONE, now=NOW)

    await at_once(shop, *((merge, send) if merge_first else (send, merge)))

    async with shop.db.read(1) as conn:
        theirs = {
            rep: {
                t.node_id
                for t in await conversations.visible_of_nodes(conn, Scope(rep_id=rep), [anna, bella])
            }
            for rep in (wang, li)
        }
    assert anna in theirs[li]
    assert anna not in theirs[wang]
    assert theirs[li] | theirs[wang] == {anna, bella}  # nobody is lost in between


async def test_two_who_send_one_hand_over_send_it_once(shop: Market) -> None:
    wang, li = await shop.rep("wang"), await shop.rep("li")
    await shop.hear(said(by="anna", at=day(1)), answered(to="anna", at=day(1.1), staff="wang"))
    async with shop.db.begin(1) as conn:
        nodes = [await node_of(conn, "anna")]
        one = await handing.draft(conn, from_id=wang, to_id=li, sort="onjob", node_ids=nodes, by=ONE, now=NOW)

    def send(conn: Conn) -> Awaitable[object]:
        return handing.send(conn, one.handover_id, [], by=ONE, now=NOW)

    with pytest.raises(BadInput, match="已经发出"):
        await at_once(shop, send, send)
