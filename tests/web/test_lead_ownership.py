"""Pages about whose a deal is: both sides seen, what a word would do, the word, and a rep's appeal."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from scrm.app import TENANT
from scrm.contract import Handle
from scrm.db import utcnow
from scrm.identity import service as identity
from scrm.ledger import store as ledger
from scrm.ownership import deciding, service
from scrm.ownership.rules import money
from scrm.ownership.store import appeals, claims, deals, rulings
from scrm.ownership.store.claims import Draft
from scrm.schema import appeal
from scrm.seal import new_id
from scrm.timeline.store import conversations
from tests.web.office import APP_ID, Office, Page

#: Rulings and their ledger are tested on both.
ENGINES = ["sqlite"]
WHY = "看过聊天记录和到访登记，情况属实。"
CUSTOMER = "oCustomerOfRep00000000000001"


async def sold(desk: Office, *claimants: str, customer: str = CUSTOMER, number: str = "D1") -> str:
    """A deal of `rep`'s customer, claimed by these labels a day apart; the public id of the deal."""
    await desk.hear("oa-a", customer, "你们的课多少钱？")
    node_id, now = await answered(desk, customer), utcnow()
    for n, label in enumerate(claimants):
        at = now - timedelta(days=len(claimants) - n, hours=1)
        await claimed(desk, node_id, label, at)
    deal = deals.Kept(
        deal_id=new_id(), source="order", account_id=1, number=number, line="", node_id=node_id,
        payer_id=None, learner_id=None, event_id=1, at=now - timedelta(minutes=1), amount=1_000_000,
        policy_version=1,
    )  # fmt: skip
    async with desk.service.house.db.begin(TENANT) as conn:
        await deals.put(conn, deal)
        await service.judge(conn, deal, "deal", now=now)
    return desk.public("deal", deal.deal_id)


async def answered(desk: Office, customer: str) -> int:
    """`rep` says something to the customer; the identifier they talk by."""
    async with desk.service.house.db.read(TENANT) as conn:
        handle = Handle(kind="wechat_openid", scope=APP_ID, value=customer)
        node_id = await identity.find(conn, handle)
        assert node_id is not None
        (talk,) = await conversations.of_nodes(conn, [node_id])
    await desk.push("rep", desk.public("conversation", talk.conversation_id), "您好，我来介绍")
    return node_id


async def claimed(desk: Office, node_id: int, label: str, at: datetime) -> None:
    draft = Draft(
        node_id=node_id, claimant=label, kind="report", at=at, told_at=at, key=f"{label}|{at.isoformat()}"
    )
    async with desk.service.house.db.begin(TENANT) as conn:
        await claims.put(conn, [draft])


async def again(desk: Office, public: str) -> None:
    async with desk.service.house.db.begin(TENANT) as conn:
        deal = await deals.get(conn, desk.private("deal", public))
        assert deal is not None
        await service.judge(conn, deal, "claim", now=utcnow())


async def awarded(desk: Office, public: str) -> dict[str, int]:
    async with desk.service.house.db.read(TENANT) as conn:
        return money.awarded(await rulings.entries(conn, desk.private("deal", public)))


async def see(desk: Office, who: str, path: str, *, status: int = 200) -> Page:
    answer = await desk.ask("GET", path, who=who)
    assert answer.status == status, (path, answer.text[:800])
    return Page(answer.text)


def ruling_in(page: Page) -> str:
    return next(a["value"] for t, a in page.elements if t == "input" and a.get("name") == "ruling")


def rep(desk: Office, login: str) -> str:
    return f"rep:{desk.staff_ids[login]}"


def share(desk: Office, login: str) -> str:
    return f"share.rep:{desk.public('staff', desk.staff_ids[login])}"


async def appealed(desk: Office, who: str, public: str) -> None:
    form = {
        "ruling": ruling_in(await see(desk, who, f"/rulings/{public}")),
        "text": "客户 3 月 2 日就先加了我，聊天记录里有。",
    }
    answer = await desk.ask("POST", f"/rulings/{public}", who=who, data=form)
    assert (answer.status, answer.where) == (303, f"/rulings/{public}")


async def forgotten(desk: Office, public: str, *, hours: int) -> None:
    """Nobody decided the appeal about this deal, and its time ran out so long ago."""
    which = sa.and_(appeal.c.tenant_id == TENANT, appeal.c.deal_id == desk.private("deal", public))
    past = utcnow() - timedelta(hours=hours, minutes=1)
    async with desk.service.house.db.begin(TENANT) as conn:
        await conn.run(sa.update(appeal).where(which).values(due_at=past))


async def test_both_sides_stand_beside_each_other_with_the_rule_that_decides(desk: Office) -> None:
    deal = await sold(desk, rep(desk, "rep"), rep(desk, "peer"))

    page = await see(desk, "lead", f"/lead/ownership/{deal}")

    names = [page.text.index(f"员工{who}") for who in ("rep", "peer")]
    assert names == sorted(names)
    assert "判给员工rep" in page.text
    assert "这条报备排在员工rep之后" in page.text
    assert "第 1 版" in page.text


async def test_an_appeal_freezes_waits_with_its_clock_and_is_upheld(desk: Office) -> None:
    deal = await sold(desk, rep(desk, "rep"), rep(desk, "peer"))
    await appealed(desk, "peer", deal)

    listed = await see(desk, "lead", "/lead/ownership")
    assert "还剩 71 小时" in listed.text
    page = await see(desk, "lead", f"/lead/ownership/{deal}")
    assert "佣金已冻结" in page.text
    form = {"ruling": ruling_in(page), share(desk, "peer"): "60", share(desk, "rep"): "40"}

    look = await desk.ask("POST", f"/lead/ownership/{deal}", who="lead", data={**form, "what": "look"})
    assert look.status == 200
    assert "这样判会怎样" in look.text
    assert (await awarded(desk, deal)) == {rep(desk, "rep"): 80_000}, "looking decides nothing"

    done = await desk.ask(
        "POST", f"/lead/ownership/{deal}", who="lead", data={**form, "what": "award", "why": WHY}
    )
    assert (done.status, done.where) == (303, "/lead/ownership?done=1")
    assert await awarded(desk, deal) == {rep(desk, "peer"): 48_000, rep(desk, "rep"): 32_000}
    assert "没有要决定的" in (await see(desk, "lead", "/lead/ownership")).text
    assert WHY in (await see(desk, "rep", f"/rulings/{deal}")).text
    async with desk.service.house.db.read(TENANT) as conn:
        actions = [e.action for e in await ledger.entries(conn, limit=50)]
    assert {"appeal.raised", "ruling.appeal", "ruling.read"} <= set(actions)


async def test_overdue_appeals_stand_first_with_how_long_whose_and_what_they_freeze(desk: Office) -> None:
    fresh = await sold(desk, rep(desk, "rep"), rep(desk, "peer"), number="D1")
    await appealed(desk, "peer", fresh)
    late = await sold(desk, rep(desk, "rep"), rep(desk, "peer"), number="D2")
    await appealed(desk, "peer", late)
    none = await see(desk, "lead", "/lead/ownership?tab=late")
    await forgotten(desk, late, hours=5)

    page = await see(desk, "lead", "/lead/ownership")
    only = await see(desk, "compliance", "/lead/ownership?tab=late")
    other_tab = await see(desk, "lead", "/lead/ownership?tab=all")

    assert "没有超时的申诉" in none.text
    assert "1 条申诉超时" not in none.text
    hrefs = [h for h in page.values("a", "href") if h.startswith("/lead/ownership/")]
    assert hrefs == [f"/lead/ownership/{late}", f"/lead/ownership/{fresh}"]
    for said in ("1 条申诉超时", "已超时 5 小时", "员工peer 申诉", "冻结佣金 ¥800"):
        assert said in page.text, said
    assert [h for h in only.values("a", "href") if h.startswith("/lead/ownership/")] == hrefs[:1]
    assert "1 条申诉超时" in other_tab.text


async def test_an_appeal_is_dismissed_and_everything_stays(desk: Office) -> None:
    deal = await sold(desk, rep(desk, "rep"), rep(desk, "peer"))
    await appealed(desk, "peer", deal)
    page = await see(desk, "compliance", f"/lead/ownership/{deal}")

    form = {"ruling": ruling_in(page), "what": "keep", "why": WHY}
    assert (await desk.ask("POST", f"/lead/ownership/{deal}", who="compliance", data=form)).status == 303

    assert await awarded(desk, deal) == {rep(desk, "rep"): 80_000}
    async with desk.service.house.db.read(TENANT) as conn:
        (one,) = await appeals.page(conn, before=None, limit=5)
    assert (one.state, one.answer) == ("dismissed", WHY)


async def paid_and_changed(desk: Office) -> str:
    """Commission was paid to `rep`; then `peer` turns out to have been first."""
    deal = await sold(desk, rep(desk, "rep"))
    async with desk.service.house.db.begin(TENANT) as conn:
        by = deciding.By(label="cli")
        await deciding.pay(conn, desk.private("deal", deal), by=by, now=utcnow())
        kept = await deals.get(conn, desk.private("deal", deal))
    assert kept is not None
    await claimed(desk, kept.node_id, rep(desk, "peer"), utcnow() - timedelta(days=5))
    await again(desk, deal)
    return deal


@pytest.mark.parametrize(("what", "who"), [("agree", "peer"), ("keep", "rep")])
async def test_a_paid_deal_whose_winner_changed_waits_for_a_word(desk: Office, what: str, who: str) -> None:
    deal = await paid_and_changed(desk)

    assert "已付佣金，归属有变" in (await see(desk, "lead", "/lead/ownership")).text
    page = await see(desk, "lead", f"/lead/ownership/{deal}")
    assert "由 员工rep 改为 员工peer" in page.text
    assert "−¥800" in page.text.replace(",", "")
    form = {"ruling": ruling_in(page), "what": what, "why": WHY}
    assert (await desk.ask("POST", f"/lead/ownership/{deal}", who="lead", data=form)).status == 303

    assert await awarded(desk, deal) == {rep(desk, who): 80_000}


WRONG = (
    ({"what": "keep", "why": "短"}, "请写明理由和证据"),
    ({"what": "look"}, "合计正好 100%"),
    ({"what": "award", "why": WHY, "other": "nobody", "other_share": "100"}, "没有这个登录名的同事"),
    ({"what": "look", "share.own": "一半"}, "百分比"),
    ({"what": "look", "share.rep:none": "100"}, "不属于这笔成交的人"),
    ({"what": "burn"}, "请选择判给谁"),
)


async def test_what_is_wrong_is_said_and_what_was_written_stays(desk: Office) -> None:
    deal = await paid_and_changed(desk)
    page = await see(desk, "lead", f"/lead/ownership/{deal}")
    empty = {share(desk, who): "" for who in ("rep", "peer")}

    for wrong, sentence in WRONG:
        form = {"ruling": ruling_in(page), "why": "写了一半的理由"} | empty | wrong
        answer = await desk.ask("POST", f"/lead/ownership/{deal}", who="lead", data=form)

        assert answer.status == 400, wrong
        assert sentence in answer.text
        assert form["why"] in answer.text
    assert await awarded(desk, deal) == {rep(desk, "rep"): 80_000}


async def test_a_decision_on_an_older_ruling_is_refused(desk: Office) -> None:
    deal = await paid_and_changed(desk)
    old = ruling_in(await see(desk, "lead", f"/lead/ownership/{deal}"))
    form = {"ruling": old, "what": "keep", "why": WHY}
    assert (await desk.ask("POST", f"/lead/ownership/{deal}", who="lead", data=form)).status == 303

    late = await desk.ask("POST", f"/lead/ownership/{deal}", who="compliance", data=form)

    assert late.status == 400
    assert "已有新的判定" in late.text


async def test_a_ruling_of_another_deal_is_not_decided_by_way_of_ones_own(desk: Office) -> None:
    theirs = await paid_and_changed(desk)
    mine = await sold(desk, rep(desk, "rep"), customer="oCustomerOfRep00000000000002", number="D2")
    form = {
        "ruling": ruling_in(await see(desk, "lead", f"/lead/ownership/{theirs}")),
        "what": "agree",
        "why": WHY,
    }

    answer = await desk.ask("POST", f"/lead/ownership/{mine}", who="lead", data=form)

    assert answer.status == 400
    assert await awarded(desk, theirs) == {rep(desk, "rep"): 80_000}
    # By its own address it is decided.
    assert (await desk.ask("POST", f"/lead/ownership/{theirs}", who="lead", data=form)).status == 303
    assert await awarded(desk, theirs) == {rep(desk, "peer"): 80_000}


async def test_a_rep_sees_their_own_money_and_nobody_else_s(desk: Office) -> None:
    deal = await sold(desk, rep(desk, "peer"), rep(desk, "rep"))

    mine, theirs = [await see(desk, who, f"/rulings/{deal}") for who in ("peer", "rep")]

    assert "¥800" in mine.text
    assert "¥800" not in theirs.text
    assert "只有本人和主管可见" in theirs.text
    assert all("name" not in a or a["name"] != "why" for t, a in theirs.elements if t == "textarea")


async def test_nobody_sees_deals_of_another_team(desk: Office) -> None:
    deal = await sold(desk, rep(desk, "rep"))

    await see(desk, "other", f"/rulings/{deal}", status=404)
    assert "D1" not in (await see(desk, "other", "/rulings")).text
    assert "D1" in (await see(desk, "rep", "/rulings")).text


async def test_who_has_part_in_it_sees_it_although_the_customer_is_not_theirs(desk: Office) -> None:
    deal = await sold(desk, rep(desk, "rep"), rep(desk, "other"))

    assert "D1" in (await see(desk, "other", "/rulings")).text
    await appealed(desk, "other", deal)
    twice = await desk.ask("POST", f"/rulings/{deal}", who="other", data={"ruling": "x", "text": WHY})
    assert twice.status in (400, 404)


async def test_claims_that_look_wrong_are_listed_with_their_reason(desk: Office) -> None:
    await sold(desk, rep(desk, "rep"))
    async with desk.service.house.db.begin(TENANT) as conn:
        (kept,) = await claims.page(conn, before=None, limit=1)
        at = utcnow()
        draft = Draft(
            node_id=kept.claim.node_id, claimant="broker:链家", kind="report", at=at, told_at=at, key="own",
            own_phone=True,
        )  # fmt: skip
        await claims.put(conn, [draft])

    page = await see(desk, "lead", "/lead/ownership?tab=signals")

    assert "链家" in page.text
    assert "就是报备人自己的电话" in page.text


async def test_the_pages_speak_english_too(desk: Office) -> None:
    deal = await paid_and_changed(desk)
    await desk.ask("POST", "/me/prefs", who="lead", data={"locale": "en", "theme": "auto"})

    page = await see(desk, "lead", f"/lead/ownership/{deal}")

    assert "Accept the new ruling" in page.text
    assert "From 员工rep to 员工peer" in page.text


@pytest.mark.parametrize("what", ["agree", "keep", "award"])
async def test_who_has_a_part_in_a_deal_does_not_decide_it(desk: Office, what: str) -> None:
    """The lead was first; `rep` has the money."""
    deal = await sold(desk, rep(desk, "rep"))
    async with desk.service.house.db.begin(TENANT) as conn:
        await deciding.pay(conn, desk.private("deal", deal), by=deciding.By(label="cli"), now=utcnow())
        kept = await deals.get(conn, desk.private("deal", deal))
    assert kept is not None
    await claimed(desk, kept.node_id, rep(desk, "lead"), utcnow() - timedelta(days=5))
    await again(desk, deal)
    page = await see(desk, "lead", f"/lead/ownership/{deal}")
    assert "这笔成交与你有关" in page.text
    assert 'value="agree"' not in page.text
    ruling = ruling_in(await see(desk, "compliance", f"/lead/ownership/{deal}"))
    form = {"ruling": ruling, "what": what, "why": WHY, share(desk, "lead"): "100"}

    refused = await desk.ask("POST", f"/lead/ownership/{deal}", who="lead", data=form)

    assert refused.status == 400
    assert "请交给其他主管或合规同事" in refused.text
    assert await awarded(desk, deal) == {rep(desk, "rep"): 80_000}
    said = {"ruling_id": ruling, "agree": what != "keep", "why": WHY}
    told = await desk.api("POST", "/rulings/decide", token="lead", json=said)
    assert (told.status, "请交给其他主管或合规同事" in told.text) == (400, True)
    form = {"ruling": ruling, "what": "agree", "why": WHY}
    assert (await desk.ask("POST", f"/lead/ownership/{deal}", who="compliance", data=form)).status == 303
    assert await awarded(desk, deal) == {rep(desk, "lead"): 80_000}


async def test_nobody_awards_to_themselves_a_deal_they_had_no_part_in(desk: Office) -> None:
    deal = await paid_and_changed(desk)
    page = await see(desk, "lead", f"/lead/ownership/{deal}")
    form = {"ruling": ruling_in(page), "what": "award", "why": WHY, "other": "lead", "other_share": "100"}
    form |= {share(desk, who): "" for who in ("rep", "peer")}

    refused = await desk.ask("POST", f"/lead/ownership/{deal}", who="lead", data=form)

    assert refused.status == 400
    assert "请交给其他主管或合规同事" in refused.text
    assert await awarded(desk, deal) == {rep(desk, "rep"): 80_000}
