"""Hand-over: a brief that can be edited, everything moved at once, the platform asked later; both engines."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from scrm.accounts.service import Plugged, connector
from scrm.contract import Account
from scrm.db import Database, utcnow
from scrm.deeds import store as asked
from scrm.errors import BadInput
from scrm.ownership import handing
from scrm.ownership.deciding import By
from scrm.ownership.handing import Standing
from scrm.ownership.rules import handover as rules
from scrm.ownership.store import handover as store
from scrm.ownership.store.handover import Handover
from scrm.schema import staff as members
from scrm.staff import store as staff
from scrm.staff.rules import Scope
from scrm.timeline.store import conversations
from tests.ground import answered, handle, node_of, said
from tests.ownership.market import Market, day, market

LEAD = By(label="staff:9", staff_id=9)
CORP = "ww9c2f1e7a60b84d35"
WMA, WMB = "wmAnna0000000000000000000000", "wmBella000000000000000000000"


@pytest.fixture
async def shop(database: Database, monkeypatch: pytest.MonkeyPatch) -> Market:
    return await market(database, monkeypatch)


def wecom() -> Plugged:
    made = Account(
        account_id=77, tenant_id=1, channel="wecom", slug="corp", name="企业微信", options={"corp_id": CORP}
    )
    return Plugged(account=made, plug=connector("wecom"), team_id=None)


async def customers(shop: Market) -> tuple[int, int]:
    """wang has anna and bella; li is there. Their ids."""
    wang, li = await shop.rep("wang"), await shop.rep("li")
    async with shop.db.begin(1) as conn:
        await staff.bind(conn, CORP, "wang", wang)
        await staff.bind(conn, CORP, "li", li)
    for who in (WMA, WMB):
        them = (handle(who, kind="wecom_external", scope=CORP, name=f"{who[2:6]}妈妈"),)
        await shop.hear(
            said("课程怎么收费？", at=day(1), handles=them),
            answered("我发您价目表", at=day(1.1), staff="wang", handles=(_to(them[0]),)),
        )
    return wang, li


def _to(one: Any) -> Any:
    return handle(one.value, kind=one.kind, scope=one.scope, part="other")


async def node(shop: Market, value: str = WMA) -> int:
    async with shop.db.read(1) as conn:
        return await node_of(conn, value, kind="wecom_external", scope=CORP)


async def drafted(shop: Market, *, sort: str = "onjob", who: tuple[str, ...] = (WMA, WMB)) -> Handover:
    nodes = [await node(shop, one) for one in who]
    async with shop.db.begin(1) as conn:
        return await handing.draft(
            conn,
            from_id=await shop.rep("wang"),
            to_id=await shop.rep("li"),
            sort=sort,
            node_ids=nodes,
            by=LEAD,
            now=utcnow(),
        )


async def sent(shop: Market, one: Handover) -> int:
    async with shop.db.begin(1) as conn:
        return len(await handing.send(conn, one.handover_id, [wecom()], by=LEAD, now=utcnow()))


async def undone(shop: Market, one: Handover) -> int:
    async with shop.db.begin(1) as conn:
        return len(await handing.undo(conn, one.handover_id, by=LEAD, now=utcnow()))


async def standings(shop: Market, one: Handover) -> dict[int, Standing]:
    async with shop.db.read(1) as conn:
        now = await store.get(conn, one.handover_id)
        assert now is not None
        return {s.customer.node_id: s for s in await handing.standings(conn, now)}


async def platform(shop: Market, one: Handover, state: str, told: dict[str, str] | None = None) -> None:
    """What the worker writes down when the platform answers."""
    async with shop.db.begin(1) as conn:
        for deed_id in {c.deed_id for c in await store.customers(conn, one.handover_id)} - {None}:
            result = {"customers": told} if told else None
            await asked.change(conn, deed_id or 0, state, now=utcnow(), result=result, attempts=1)


async def seen_by(shop: Market, rep: str, value: str = WMA) -> bool:
    scope, ident = Scope(rep_id=await shop.rep(rep)), await node(shop, value)
    async with shop.db.read(1) as conn:
        return bool(await conversations.visible_of_nodes(conn, scope, [ident]))


# -- the brief -----------------------------------------------------------------------------------------------
async def test_the_brief_says_who_they_are_what_was_said_and_who_waits(shop: Market) -> None:
    await customers(shop)
    late = handle(WMA, kind="wecom_external", scope=CORP)
    await shop.hear(said("那周末可以试听吗？", at=day(2), handles=(late,)))

    one = await drafted(shop, who=(WMA,))

    async with shop.db.read(1) as conn:
        (customer,) = await store.customers(conn, one.handover_id)
    lines = customer.brief.splitlines()
    assert lines[0].startswith("客户：Anna妈妈")
    assert any("在等回复" in line for line in lines)
    said_last = [line.rpartition("：")[2] for line in lines[-3:]]
    assert said_last == ["课程怎么收费？", "我发您价目表", "那周末可以试听吗？"]


async def test_a_brief_is_edited_before_it_is_sent_and_not_after(shop: Market) -> None:
    await customers(shop)
    one, ident = await drafted(shop), await node(shop)
    async with shop.db.begin(1) as conn:
        await handing.edit(conn, one, ident, "她只接周末电话。", by=LEAD, now=utcnow())

    await sent(shop, one)

    assert (await standings(shop, one))[ident].customer.brief == "她只接周末电话。"
    async with shop.db.begin(1) as conn:
        with pytest.raises(BadInput, match="不能再改"):
            await handing.edit(conn, one, ident, "又改", by=LEAD, now=utcnow())


# -- moved ---------------------------------------------------------------------------------------------------
async def test_the_new_rep_sees_them_at_once_and_the_old_one_no_longer(shop: Market) -> None:
    await customers(shop)
    one = await drafted(shop, who=(WMA,))
    before = [await seen_by(shop, rep) for rep in ("wang", "li")]

    assert await sent(shop, one) == 1

    assert (before, [await seen_by(shop, rep) for rep in ("wang", "li")]) == ([True, False], [False, True])
    assert await seen_by(shop, "wang", WMB)  # who was not chosen stays
    with pytest.raises(BadInput, match="已经发出"):
        await sent(shop, one)


async def test_nobody_is_handed_to_who_left_after_it_was_drafted(shop: Market) -> None:
    await customers(shop)
    one = await drafted(shop)
    async with shop.db.begin(1) as conn:
        left = sa.update(members).where(members.c.tenant_id == 1, members.c.staff_id == await shop.rep("li"))
        await conn.run(left.values(state="gone"))

    with pytest.raises(BadInput, match="已离开"):
        await sent(shop, one)

    assert await seen_by(shop, "wang")


async def test_the_platform_is_asked_after_the_time_to_undo(shop: Market) -> None:
    await customers(shop)
    one = await drafted(shop)
    await sent(shop, one)

    async with shop.db.read(1) as conn:
        (deed,) = await asked.page(conn, [77])
    assert (deed.kind, deed.state, deed.fields["handover"], deed.fields["takeover"]) == (
        "transfer", "asked", "wang", "li",
    )  # fmt: skip
    assert deed.fields["customers"] == sorted([WMA, WMB])
    assert {s.outcome for s in (await standings(shop, one)).values()} == {"asked"}


async def test_of_a_rep_who_left_the_other_transfer_is_asked(shop: Market) -> None:
    await customers(shop)
    await sent(shop, await drafted(shop, sort="resigned"))

    async with shop.db.read(1) as conn:
        (deed,) = await asked.page(conn, [77])
    assert deed.kind == "resigned.transfer"


@pytest.mark.parametrize(
    ("state", "told", "outcome"),
    [
        ("waiting", {WMA: "等待转接"}, "waiting"),  # 24 hours in which the customer may refuse
        ("done", {WMA: "已转接"}, "done"),
        ("done", {WMA: "客户拒绝"}, "refused"),
        ("done", {WMA: "接替成员客户数已满"}, "full"),
        ("done", {WMA: "别的话"}, "failed"),
        ("failed", None, "failed"),
    ],
)
async def test_how_it_stands_on_the_platform_is_told_in_words(
    shop: Market, state: str, told: dict[str, str] | None, outcome: str
) -> None:
    await customers(shop)
    one = await drafted(shop, who=(WMA,))
    await sent(shop, one)

    await platform(shop, one, state, told)

    assert (await standings(shop, one))[await node(shop)].outcome == outcome
    assert rules.sentence(outcome)


async def test_whom_the_platform_handed_over_a_month_ago_is_too_early(shop: Market) -> None:
    await customers(shop)
    first = await drafted(shop, who=(WMA,))
    await sent(shop, first)
    await platform(shop, first, "done", {WMA: "已转接"})
    ident = await node(shop)

    async with shop.db.begin(1) as conn:
        wang, li = await shop.rep("wang"), await shop.rep("li")
        back = await handing.draft(
            conn, from_id=li, to_id=wang, sort="onjob", node_ids=[ident], by=LEAD, now=utcnow()
        )
        moved = await handing.send(
            conn, back.handover_id, [wecom()], by=LEAD, now=utcnow() + timedelta(days=30)
        )

    assert len(moved) == 1  # ours moves all the same
    assert (await standings(shop, back))[ident].outcome == "resting"


async def test_whom_the_customer_refused_may_be_asked_again(shop: Market) -> None:
    await customers(shop)
    first = await drafted(shop, who=(WMA,))
    await sent(shop, first)
    await platform(shop, first, "done", {WMA: "客户拒绝"})
    ident = await node(shop)

    async with shop.db.begin(1) as conn:
        wang, li = await shop.rep("wang"), await shop.rep("li")
        back = await handing.draft(
            conn, from_id=li, to_id=wang, sort="onjob", node_ids=[ident], by=LEAD, now=utcnow()
        )
        await handing.send(conn, back.handover_id, [wecom()], by=LEAD, now=utcnow())

    assert (await standings(shop, back))[ident].outcome == "asked"


# -- undone --------------------------------------------------------------------------------------------------
async def test_undone_before_the_platform_began_everything_is_as_it_was(shop: Market) -> None:
    await customers(shop)
    one = await drafted(shop)
    await sent(shop, one)

    assert await undone(shop, one) == 2

    assert [await seen_by(shop, rep) for rep in ("wang", "li")] == [True, False]
    async with shop.db.read(1) as conn:
        (deed,) = await asked.page(conn, [77])
    assert (deed.state, deed.code) == ("failed", "called_off")
    assert {s.outcome for s in (await standings(shop, one)).values()} == {"undone"}


async def test_once_the_platform_has_begun_nothing_is_undone(shop: Market) -> None:
    await customers(shop)
    one = await drafted(shop)
    await sent(shop, one)
    await platform(shop, one, "waiting", {WMA: "等待转接"})

    with pytest.raises(BadInput, match="已经开始转接"):
        await undone(shop, one)

    assert [await seen_by(shop, rep) for rep in ("wang", "li")] == [False, True]


async def test_who_is_no_customer_of_theirs_is_not_handed_over(shop: Market) -> None:
    await customers(shop)
    await shop.hear(said(by="carla", at=day(1)))
    async with shop.db.read(1) as conn:
        other = await node_of(conn, "carla")

    async with shop.db.begin(1) as conn:
        with pytest.raises(BadInput, match="至少选择一位"):
            await handing.draft(
                conn,
                from_id=await shop.rep("wang"),
                to_id=await shop.rep("li"),
                sort="onjob",
                node_ids=[other],
                by=LEAD,
                now=utcnow(),
            )
