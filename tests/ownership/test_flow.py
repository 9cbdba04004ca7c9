"""From channels to commission: claims and deals of events, late merges, refunds, payments; both engines."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

import pytest
import sqlalchemy as sa

from scrm.contract import Envelope, Link
from scrm.db import Database
from scrm.errors import BadInput
from scrm.identity import store as nodes
from scrm.identity.kin import store as kin
from scrm.ownership import deciding, service, versions
from scrm.ownership.deciding import By
from scrm.ownership.household import evidence
from scrm.ownership.policies import plain
from scrm.ownership.rules import money
from scrm.ownership.rules.values import OWN, Claimant, Share
from scrm.ownership.store import claims, deals, rulings
from scrm.schema import claim, commission_entry, due, ruling
from scrm.seal import new_id
from scrm.timeline.store import events
from tests.ground import NOW, answered, handle, node_of
from tests.ownership.market import Market, day, market

LINK, SHELL = Claimant(kind="channel", ident="链家"), Claimant(kind="channel", ident="贝壳")
LEAD = By(label="staff:9", staff_id=9)
WHY = "看过聊天记录和到访登记，情况属实。"


@pytest.fixture
async def shop(database: Database, monkeypatch: pytest.MonkeyPatch) -> Market:
    return await market(database, monkeypatch)


async def counted(shop: Market, table: sa.Table) -> int:
    async with shop.db.read(1) as conn:
        stmt = sa.select(sa.func.count()).select_from(table).where(table.c.tenant_id == conn.tenant_id)
        return int(await conn.scalar(stmt))


async def balanced(shop: Market, number: str) -> None:
    postings: dict[int, int] = defaultdict(int)
    for e in await shop.entries(number):
        postings[e.posting_id] += e.amount
    assert set(postings.values()) <= {0}


# -- claims and deals --------------------------------------------------------------------------------------
async def test_who_added_the_customer_earns_on_the_order(shop: Market) -> None:
    await shop.added("anna", "li", day(1))

    await shop.paid("anna", "D1", day(5))

    (ruled,) = await shop.rulings("D1")
    assert ruled.reasons[0].rule == "first"
    assert await shop.winners("D1") == {"li": 10_000}
    assert await shop.awarded("D1") == {"li": 8_000}
    await balanced(shop, "D1")


async def test_hearing_it_all_again_changes_nothing(shop: Market) -> None:
    await shop.added("anna", "li", day(1))
    await shop.paid("anna", "D1", day(5))
    before = [await counted(shop, t) for t in (claim, ruling, commission_entry)]

    async with shop.db.begin(1) as conn:
        told = await events.of_account(conn, [shop.home.account.account_id], before=None, limit=50)
        assert len(told) == 2
        await service.heed(conn, told, now=NOW)

    assert [await counted(shop, t) for t in (claim, ruling, commission_entry)] == before


async def test_a_claim_that_is_told_late_decides_after_all(shop: Market) -> None:
    await shop.added("anna", "li", day(3))
    await shop.paid("anna", "D1", day(5))

    await shop.added("anna", "zhao", day(1))

    assert await shop.winners("D1") == {"zhao": 10_000}
    assert await shop.awarded("D1") == {"zhao": 8_000}
    assert [r.trigger for r in await shop.rulings("D1")] == ["claim", "deal"]
    await balanced(shop, "D1")


async def test_a_rep_s_words_are_one_follow_up_a_day(shop: Market) -> None:
    await shop.added("anna", "li", day(1))
    for hour in range(3):
        at = day(2) + timedelta(hours=hour)
        await shop.hear(answered(to="anna", at=at, staff="li"))

    async with shop.db.read(1) as conn:
        found = await claims.of_nodes(conn, [await node_of(conn, "anna")])

    assert [k.claim.kind for k in found] == ["contact", "follow_up"]
    assert found[1].claim.at == day(2)


async def test_an_order_nobody_claims_earns_nobody_anything(shop: Market) -> None:
    await shop.paid("anna", "D1", day(5))

    assert await shop.winners("D1") == {"own": 10_000}
    assert await shop.entries("D1") == []


async def test_an_order_that_was_only_placed_is_no_deal(shop: Market) -> None:
    with pytest.raises(AssertionError):
        await shop.paid("anna", "D1", day(5), total=0, status="created")


async def test_systems_of_the_company_report_and_bring_customers(shop: Market) -> None:
    phone = {"phone": "139 1234 5678", "name": "王伟", "line": "新房"}
    await shop.tracked("报备", day(1), by="s1", broker="链家", **phone)
    await shop.tracked("store_visit", day(2), by="s1", broker="链家", **phone)
    await shop.tracked("store_visit", day(3), by="s1", natural=True, **phone)
    await shop.tracked("看房文章", day(3), by="s1", broker="链家", **phone)

    async with shop.db.read(1) as conn:
        node = await node_of(conn, "+8613912345678", kind="phone", scope="e164")
        found = [k.claim for k in await claims.of_nodes(conn, [node])]

    assert [(c.kind, c.by.label, c.line) for c in found] == [
        ("report", "broker:链家", "新房"),
        ("visit", "broker:链家", "新房"),
        ("visit", "own", "新房"),
    ]


# -- masked numbers ----------------------------------------------------------------------------------------
async def test_two_customers_of_one_mask_stay_two_and_the_report_counts_for_neither(shop: Market) -> None:
    first, second = "13812345678", "13899995678"
    await shop.entered(LINK, "report", "138****5678", day(1), line="新房")
    for phone in (first, second):
        await shop.entered(LINK, "visit", phone, day(2), line="新房")

    async with shop.db.read(1) as conn:
        ids = [await node_of(conn, f"+86{p}", kind="phone", scope="e164") for p in (first, second)]
        seen = [await evidence(conn, [n]) for n in ids]
        mask = await node_of(conn, "138****5678", kind="masked_phone", scope="")

    assert seen[0].persons.isdisjoint(seen[1].persons)
    assert mask not in ids
    for one in seen:
        (report,) = [c for c in one.claims if c.masked]
        assert report.fits == 2


async def test_a_mask_means_the_customer_the_claimant_came_with(shop: Market) -> None:
    await shop.entered(LINK, "report", "1381***678", day(1), now=day(1), line="新房")
    await shop.entered(LINK, "visit", "13812345678", day(2), now=day(2), line="新房")
    await shop.entered(SHELL, "report", "138****5678", day(1), now=day(1), line="新房")

    async with shop.db.read(1) as conn:
        node = await node_of(conn, "+8613812345678", kind="phone", scope="e164")
        (person,) = (await nodes.persons_of(conn, [node])).values()
        owners = await service.owners(conn, person, now=day(3))

    assert owners["新房"] == LINK


# -- late merges and splits --------------------------------------------------------------------------------
@pytest.mark.parametrize("family", [False, True])
async def test_a_late_merge_moves_the_award_and_a_split_moves_it_back(shop: Market, family: bool) -> None:
    await shop.added("anna", "li", day(3))
    await shop.added("wife", "zhao", day(1))
    await shop.added("other", "li", day(1))
    await shop.paid("anna", "D1", day(5))
    await shop.paid("other", "D2", day(5))
    before, untouched = await shop.awarded("D1"), await shop.rulings("D2")

    told = await shop.linked("anna", "wife", family=family)

    assert await shop.winners("D1") == {"zhao": 10_000}
    assert await shop.awarded("D1") == {"zhao": 8_000}
    sorts = [e.sort for e in await shop.entries("D1")]
    assert sorts.count("reversal") == 2
    await balanced(shop, "D1")

    await shop.withdrawn(told)

    assert await shop.winners("D1") == {"li": 10_000}
    assert await shop.awarded("D1") == before
    await balanced(shop, "D1")
    assert await shop.rulings("D2") == untouched


async def test_a_channel_that_proves_it_late_has_the_deal_judged_again_by_the_worker(shop: Market) -> None:
    await shop.added("anna", "li", day(3))
    await shop.added("wife", "zhao", day(1))
    await shop.paid("anna", "D1", day(5))
    tie = Link(a=handle("anna"), b=handle("wife"), rule="wechat.unionid", kind="same_household", strength=80)

    await shop.hear(
        Envelope(
            kind="event.tie",
            direction="none",
            at=day(6),
            handles=(handle("anna"), handle("wife", part="about")),
            links=(tie,),
        )
    )
    assert await shop.winners("D1") == {"li": 10_000}
    while await shop.home.worker.errands.batch(1):
        pass

    assert await shop.winners("D1") == {"zhao": 10_000}
    assert (await shop.rulings("D1"))[0].trigger == "identity"


@pytest.mark.parametrize(
    ("helper", "employer"),
    [("maid", "anna"), ("anna", "maid")],  # whoever of the two it is, it is no kinship
)
async def test_who_lives_there_but_is_no_kin_is_another_customer(
    shop: Market, helper: str, employer: str
) -> None:
    await shop.added("anna", "li", day(3))
    await shop.added("maid", "zhao", day(1))
    async with shop.db.begin(1) as conn:
        said = kin.Related(
            relation_id=new_id(),
            key="r1",
            at=day(2),
            event_id=1,
            account_id=shop.home.account.account_id,
            node_a=await node_of(conn, helper),
            node_b=await node_of(conn, employer),
            type="helper",
            rule="statement.helper",
        )
        await kin.note(conn, [said])
    await shop.paid("anna", "D1", day(5))

    await shop.linked("anna", "maid", family=True)

    assert await shop.winners("D1") == {"li": 10_000}
    assert [r.why.rule for r in (await shop.rulings("D1"))[0].rejected] == ["relative"]


async def test_what_was_paid_out_waits_for_a_human(shop: Market) -> None:
    await shop.added("anna", "li", day(3))
    await shop.added("wife", "zhao", day(1))
    deal = await shop.paid("anna", "D1", day(5))
    async with shop.db.begin(1) as conn:
        assert await deciding.pay(conn, deal.deal_id, by=LEAD, now=NOW) == 8_000

    await shop.linked("anna", "wife", family=True)
    waiting = (await shop.rulings("D1"))[0]

    assert waiting.state == "pending"
    assert await shop.awarded("D1") == {"li": 8_000}

    async with shop.db.begin(1) as conn:
        with pytest.raises(BadInput):
            await deciding.pay(conn, deal.deal_id, by=LEAD, now=NOW)
        await deciding.decide(conn, waiting.ruling_id, agree=True, why=WHY, by=LEAD, now=NOW)

    assert await shop.awarded("D1") == {"zhao": 8_000}
    assert {shop.name(w): f for w, f in money.payable(await shop.entries("D1")).items()} == {
        "li": -8_000,
        "zhao": 8_000,
    }
    await balanced(shop, "D1")


async def test_a_split_takes_back_what_waits_for_a_human(shop: Market) -> None:
    await shop.added("anna", "li", day(3))
    await shop.added("wife", "zhao", day(1))
    deal = await shop.paid("anna", "D1", day(5))
    async with shop.db.begin(1) as conn:
        await deciding.pay(conn, deal.deal_id, by=LEAD, now=NOW)
    told = await shop.linked("anna", "wife", family=True)
    entries = await shop.entries("D1")

    await shop.withdrawn(told)

    assert [r.state for r in await shop.rulings("D1")] == ["final", "pending", "final"]
    assert await shop.entries("D1") == entries


async def test_a_preview_says_what_would_change_and_changes_nothing(shop: Market) -> None:
    await shop.added("anna", "li", day(3))
    await shop.added("wife", "zhao", day(1))
    await shop.paid("anna", "D1", day(5))

    async with shop.db.read(1) as conn:
        ids = [await node_of(conn, "anna"), await node_of(conn, "wife")]
        persons = (await nodes.persons_of(conn, ids)).values()
        (effect,) = await service.preview(conn, set(persons), now=NOW)

    assert effect.at_once
    assert [shop.name(s.by.label) for s in effect.after.shares] == ["zhao"]
    assert await shop.winners("D1") == {"li": 10_000}


# -- refunds, appeals, decisions ---------------------------------------------------------------------------
async def test_a_refund_takes_commission_back_in_proportion(shop: Market) -> None:
    await shop.added("anna", "li", day(1))
    await shop.paid("anna", "D1", day(5))

    await shop.gave_back("anna", "D1", 25_000, day(8))

    assert await shop.awarded("D1") == {"li": 6_000}
    await balanced(shop, "D1")

    await shop.gave_back("anna", "D1", 100_000, day(9))  # all of it: the refund grew

    assert await shop.awarded("D1") == {}
    await balanced(shop, "D1")


async def test_an_appeal_freezes_the_money_until_it_is_decided(shop: Market) -> None:
    await shop.added("anna", "li", day(1))
    await shop.rep("zhao")
    deal = await shop.paid("anna", "D1", day(5))
    (ruled,) = await shop.rulings("D1")
    zhao = Claimant(kind="rep", ident=str(shop.staff["zhao"]))
    soon = ruled.at + timedelta(hours=1)

    async with shop.db.begin(1) as conn:
        mine = By(label="staff:7", staff_id=7)
        with pytest.raises(BadInput, match="证据"):
            await deciding.appeal(conn, ruled.ruling_id, "我的", by=mine, now=soon)
        late = ruled.at + timedelta(hours=73)
        with pytest.raises(BadInput, match="72"):
            await deciding.appeal(conn, ruled.ruling_id, WHY, by=mine, now=late)
        raised = await deciding.appeal(conn, ruled.ruling_id, WHY, by=mine, now=soon)
        assert raised.due_at == soon + timedelta(hours=72)
        with pytest.raises(BadInput, match="冻结"):
            await deciding.pay(conn, deal.deal_id, by=LEAD, now=soon)
        with pytest.raises(BadInput, match="自己"):
            await deciding.decide(conn, ruled.ruling_id, agree=True, why=WHY, by=mine, now=soon)
    await shop.gave_back("anna", "D1", 25_000, day(8))
    assert await shop.awarded("D1") == {"li": 8_000}  # frozen

    halves = (Share(by=Claimant(kind="rep", ident=str(shop.staff["li"])), bp=5_000), Share(by=zhao, bp=5_000))
    async with shop.db.begin(1) as conn:
        with pytest.raises(BadInput, match="100%"):
            await deciding.decide(
                conn, ruled.ruling_id, agree=True, why=WHY, by=LEAD, now=soon, shares=halves[:1]
            )
        await deciding.decide(conn, ruled.ruling_id, agree=True, why=WHY, by=LEAD, now=soon, shares=halves)

    assert await shop.awarded("D1") == {"li": 3_000, "zhao": 3_000}
    assert (await shop.rulings("D1"))[0].note == WHY
    await balanced(shop, "D1")


async def test_what_a_human_decided_no_rule_undoes(shop: Market) -> None:
    await shop.added("anna", "li", day(3))
    await shop.added("wife", "zhao", day(1))
    await shop.paid("anna", "D1", day(5))
    (ruled,) = await shop.rulings("D1")
    async with shop.db.begin(1) as conn:
        now = ruled.at + timedelta(hours=1)
        await deciding.appeal(conn, ruled.ruling_id, WHY, by=By(label="staff:7", staff_id=7), now=now)
        company = (Share(by=OWN, bp=10_000),)
        await deciding.decide(conn, ruled.ruling_id, agree=True, why=WHY, by=LEAD, now=now, shares=company)

    told = await shop.linked("anna", "wife", family=True)
    assert (await shop.rulings("D1"))[0].state == "pending"
    assert await shop.awarded("D1") == {}

    await shop.withdrawn(told)
    newest = (await shop.rulings("D1"))[0]
    assert (newest.state, newest.trigger, newest.by_id) == ("final", "appeal", 9)
    assert await shop.awarded("D1") == {}


# -- the policy --------------------------------------------------------------------------------------------
async def test_a_deal_keeps_the_policy_it_was_made_under(shop: Market) -> None:
    await shop.added("anna", "li", day(1))
    await shop.paid("anna", "D1", day(5))
    async with shop.db.begin(1) as conn:
        data = dict(plain(await versions.current(conn)))
        data["presets"]["education"]["commission_bp"] = 100
        made = await versions.save(conn, data, actor="staff:9", actor_id=9, note="降佣", now=NOW)
        with pytest.raises(BadInput, match="default"):
            await versions.save(
                conn, data | {"default": "没有"}, actor="staff:9", actor_id=9, note="", now=NOW
            )

    await shop.gave_back("anna", "D1", 50_000, day(8))
    await shop.paid("anna", "D2", day(9))

    assert made.version == 2
    assert await shop.awarded("D1") == {"li": 4_000}
    assert await shop.awarded("D2") == {"li": 1_000}


async def test_a_deal_is_looked_at_once_more_by_itself(shop: Market) -> None:
    deal = await shop.paid("anna", "D1", day(5))

    async with shop.db.read(1) as conn:
        rows = await conn.rows(
            sa.select(due.c.payload).where(due.c.tenant_id == 1, due.c.kind == service.DUE)
        )

    assert {"deals": [deal.deal_id]} in [r.payload for r in rows]


async def test_a_contract_that_names_no_order_is_a_deal_of_its_own(shop: Market) -> None:
    await shop.added("anna", "li", day(1))
    body = {"contract": {"id": "C1", "total": 50_000, "business_line": "新签"}, "others": {}}
    await shop.hear(
        Envelope(
            kind="event.contract.signed",
            direction="none",
            at=day(4),
            handles=(handle("anna"),),
            text="合同",
            body=body,
        )
    )

    async with shop.db.read(1) as conn:
        one = await deals.of_number(conn, shop.home.account.account_id, "contract", "C1")
        entries = await rulings.entries(conn, one.deal_id if one else 0)

    assert one is not None
    assert sum(e.amount for e in entries if e.amount > 0) == 4_000
