"""Where customers stand: their family, sale, promises, coupons and tags, of one talk as of many."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from scrm import situations
from scrm.campaigns.coupons import service as coupons
from scrm.campaigns.coupons.rules import Batch
from scrm.contract import Link
from scrm.db import Conn, Database
from scrm.identity import roles
from scrm.playbook.promises import service as promises
from scrm.playbook.promises.service import Spoken
from scrm.playbook.situation import Child, Kept, Member, Rep, Sale, Situation, Voucher
from scrm.sales.opportunities import service as opportunities
from scrm.sales.opportunities.rules import Move
from scrm.sales.opportunities.service import By, Wanted
from scrm.sales.tags import store as tags
from scrm.seal import new_id
from scrm.situations import Around
from scrm.staff import store as staff
from scrm.timeline.rules import Talk
from tests.ground import NOW, entry, handle, later, node_of, said, settle, talk_of

CHILD = handle("zihan", kind="app_user", scope="app", name="子涵")
REP = By(source="rep", staff_id=None)


def kin(a: str) -> Link:
    return Link(a=handle(a), b=CHILD, rule="order.payer", strength=80, kind="same_household")


async def family(conn: Conn) -> None:
    """A mother and a father, each with a talk of their own, and a child who uses what they buy."""
    mother, father = handle("mother", name="子涵妈妈"), handle("father", name="子涵爸爸")
    await settle(
        conn,
        entry(said(by="mother", handles=(mother, replace(CHILD, part="about")), links=(kin("mother"),)), "m"),
        entry(said(by="father", handles=(father, replace(CHILD, part="about")), links=(kin("father"),)), "f"),
    )
    for value, role in (("mother", "registrant"), ("father", "buyer")):
        await roles.assign(conn, await node_of(conn, value), role, by=None, why="", now=NOW)
    child = await node_of(conn, "zihan", kind="app_user", scope="app")
    await roles.assign(conn, child, "user", by=None, why="", now=NOW)


async def sold(conn: Conn, value: str, stage: str = "quotation") -> None:
    wanted = Wanted(
        key=value, node_id=await node_of(conn, value), account_id=11, product="年课", amount=680_000
    )
    one = await opportunities.open_one(conn, wanted, REP, now=NOW)
    move = Move(stage=stage, why="问了价格")
    await opportunities.move(conn, one.opportunity_id, move, REP, key=f"m:{value}", account_id=11, now=NOW)


async def promise(conn: Conn, value: str, text: str) -> None:
    talk = await talk_of(conn, value)
    spoken = Spoken(
        event_id=new_id(),
        account_id=11,
        conversation_id=talk.conversation_id,
        node_id=talk.node_id,
        staff_id=None,
        at=later(60),
        text=text,
    )
    await promises.heed(conn, [spoken], {}, now=later(60))


async def given(conn: Conn, value: str) -> None:
    batch = Batch(
        batch_id=new_id(),
        code="R1",
        name="续费券",
        kind="off",
        by_id=None,
        created_at=NOW,
        fen=30_000,
        share=None,
        min_fen=None,
        product_code="",
        stock=9,
        per_household=1,
        starts_at=NOW,
        ends_at=NOW + timedelta(days=9),
        state="open",
    )
    await coupons.store.add_batch(conn, batch)
    node = await node_of(conn, value)
    await coupons.issue(conn, batch.batch_id, node, [node], key="c1", staff_id=None, now=NOW)


async def of(conn: Conn, talk: Talk) -> Situation:
    return await situations.of(conn, talk, channel="testing", company="小橡树", now=later(120))


async def test_whatever_one_of_the_family_has_the_others_have_too(database: Database) -> None:
    async with database.begin(1) as conn:
        await family(conn)
        await sold(conn, "mother")
        await promise(conn, "mother", "年课给您 8.5 折")
        await given(conn, "mother")
        await tags.add(conn, await node_of(conn, "mother"), ["意向高"], source="rep", by=None, now=NOW)

        father = await of(conn, await talk_of(conn, "father"))

    assert (father.stage, father.role) == ("quotation", "buyer")
    assert father.sale is not None
    assert (father.sale.product, father.sale.list_fen, father.sale.kind) == ("年课", 680_000, "新购")
    assert [(k.kind, k.share) for k in father.promises] == [("discount", 8500)]
    assert [v.name for v in father.coupons] == ["续费券"]
    assert father.tags == {"意向高"}
    assert father.speaker is not None
    assert father.speaker.name == "子涵爸爸"
    assert father.child == Child(name="子涵")
    assert {m.role for m in father.members} == {"buyer", "registrant", "user"}
    assert father.last_in_at == NOW


async def test_many_talks_at_once_are_what_each_is_alone(database: Database) -> None:
    async with database.begin(1) as conn:
        await family(conn)
        await settle(conn, *(entry(said(by=f"c{n}"), f"c{n}") for n in range(45)))
        await sold(conn, "father")
        await promise(conn, "mother", "年课给您 8.5 折")
        await sold(conn, "c7", "needs")
        talks = [await talk_of(conn, name) for name in ("mother", "father", *(f"c{n}" for n in range(45)))]

        everybody = await situations.around(
            conn, talks, Around(channel_of=lambda _: "testing", company="小橡树"), now=later(120)
        )
        alone = {t.conversation_id: await of(conn, t) for t in talks}
        bare = await situations.around(conn, talks, Around(bare=True), now=later(120))

    assert everybody == alone
    stages = {ident: (one.stage, one.role, len(one.promises)) for ident, one in everybody.items()}
    assert stages == {ident: (one.stage, one.role, len(one.promises)) for ident, one in bare.items()}
    assert sorted(stages.values())[-3:] == [
        ("needs", "", 0),
        ("quotation", "buyer", 1),
        ("quotation", "registrant", 1),
    ]


async def test_a_stranger_stands_nowhere(database: Database) -> None:
    async with database.begin(1) as conn:
        await settle(conn, entry(said(by="anna"), "a"))
        one = await of(conn, await talk_of(conn, "anna"))

    assert (one.sale, one.promises, one.coupons, one.tags, one.child) == (None, (), (), frozenset(), None)
    assert one.nodes == (one.node_id,)
    assert situations.facts(one, NOW)["company"] == {"name": "小橡树"}
    assert "member" not in situations.facts(one, NOW)


async def test_the_rep_is_whoever_looks_after_the_talk(database: Database) -> None:
    async with database.begin(1) as conn:
        rep = await staff.add(conn, login="r", name="李敏", role="rep", team_id=None, password="", now=NOW)
        await settle(conn, entry(said(by="anna"), "a"))
        talk = replace(await talk_of(conn, "anna"), rep_id=rep)

        assert (await of(conn, talk)).rep == Rep(staff_id=rep, name="李敏")


async def test_the_oldest_account_registered_where_nobody_was_seen_to(database: Database) -> None:
    async with database.begin(1) as conn:
        await settle(conn, entry(said(by="zoe", handles=(handle("zoe", kind="app_user"),)), "z"))
        talk = await talk_of(conn, "zoe", kind="app_user")

        assert (await of(conn, talk)).role == "registrant"


# -- facts -------------------------------------------------------------------------------------------------
KEPT = Kept(
    promise_id=1,
    kind="discount",
    share=8500,
    made_at=NOW,
    until_at=datetime(2026, 11, 23, 16, tzinfo=UTC),
    by="李敏",
)
GIFT = Kept(promise_id=2, kind="gift", text="两节体验课", made_at=NOW)
FULL = Situation(
    tenant_id=1,
    conversation_id=5,
    account_id=11,
    node_id=7,
    channel="testing",
    company="小橡树",
    speaker=Member(name="子涵妈妈", role="registrant"),
    child=Child(name="子涵", grade="三年级"),
    sale=Sale(opportunity_id=1, kind="续费", stage="quotation", product="年课", list_fen=680_000),
    promises=(KEPT, GIFT),
    coupons=(
        Voucher(coupon_id=1, name="续费券", fen=30_000, until_at=datetime(2026, 11, 30, 16, tzinfo=UTC)),
    ),
    rep=Rep(staff_id=3, name="李敏", title="课程顾问"),
)


def test_facts_name_what_is_known_in_the_words_of_a_talk_track() -> None:
    known = situations.facts(FULL, datetime(2026, 11, 20, 4, tzinfo=UTC))

    assert known == {
        "household": {"name": "子涵家"},
        "member": {"name": "子涵妈妈", "role": "登记人"},
        "child": {"name": "子涵", "grade": "三年级"},
        "rep": {"name": "李敏", "title": "课程顾问"},
        "company": {"name": "小橡树"},
        "course": {"name": "年课", "price_fen": 680_000},
        "opportunity": {"product": "年课", "price_fen": 680_000, "kind": "续费"},
        "promise": {"discount": "8.5 折", "gift": "两节体验课", "until": "11月23日"},
        "coupon": {"name": "续费券", "value_fen": 30_000, "until": "11月30日"},
        "today": "11月20日",
        "date": {"tomorrow": "11月21日", "weekend": "11月21日、22日", "month_end": "11月30日"},
    }


@pytest.mark.parametrize(
    ("day", "weekend"),
    [
        ("2026-11-16", "11月21日、22日"),  # Monday: the one that comes
        ("2026-11-21", "11月21日、22日"),  # Saturday
        ("2026-11-22", "11月21日、22日"),  # Sunday: the one it is
        ("2026-10-30", "10月31日、11月1日"),  # over the end of a month
    ],
)
def test_the_weekend_is_the_one_it_is_or_the_next(day: str, weekend: str) -> None:
    now = datetime.fromisoformat(f"{day}T12:00:00+08:00")

    date = situations.facts(FULL, now)["date"]

    assert isinstance(date, dict)
    assert date["weekend"] == weekend
