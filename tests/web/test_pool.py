"""`/pool` and `/lead/handover` in the browser: who sees whom, taking, giving up, handing over and back."""

from __future__ import annotations

import re

import pytest

from scrm.app import TENANT
from scrm.db import utcnow
from scrm.ownership.store import pool
from tests.web.office import Office, Page

ENGINES = ["sqlite"]
ANNA = "oCustomerAnna0000000000000001"


@pytest.fixture
async def cid(desk: Office) -> str:
    """A customer whom `rep` answered."""
    await desk.hear("oa-a", ANNA, "你们的课多少钱？")
    cid = await desk.cid("oa-a")
    assert (await desk.push("rep", cid, "您好，我来介绍")).status == 201
    return cid


async def warned(desk: Office, cid: str) -> None:
    one = pool.fresh(
        node_id=await desk.node_of(cid),
        from_id=desk.staff_ids["rep"],
        team_id=None,
        state="warned",
        rule="idle",
        level="talked",
        facts={"level": "聊过", "days": "28", "limit": "30"},
        warned_at=utcnow(),
        falls_at=utcnow(),
    )
    async with desk.service.house.db.begin(TENANT) as conn:
        assert await pool.add(conn, one)


async def test_given_up_and_taken_by_a_colleague(desk: Office, cid: str) -> None:
    await warned(desk, cid)
    page = await desk.ask("GET", "/pool?tab=warned", who="rep")
    assert "聊过客户已 28 天没有跟进" in page.text
    assert f"/pool/c/{cid}/give" in page.text

    gave = await desk.ask("POST", f"/pool/c/{cid}/give", who="rep", data={"why": "given"})
    hidden = [(await desk.ask("GET", f"/inbox/{cid}", who=who)).status for who in ("rep", "peer")]
    listed = await desk.ask("GET", "/pool", who="peer")

    assert (gave.status, hidden) == (303, [404, 404])
    assert "主动放弃了这位客户" in listed.text
    (entry,) = set(re.findall(r"/pool/([^/\"]+)/take", listed.text))
    shown = await desk.ask("GET", f"/pool/{entry}", who="peer")
    assert (shown.status, "您好，我来介绍" in shown.text) == (200, True)
    took = await desk.ask("POST", f"/pool/{entry}/take", who="peer")
    assert (took.status, took.where) == (303, f"/inbox/{cid}")
    assert (await desk.ask("GET", f"/inbox/{cid}", who="peer")).status == 200
    assert (await desk.ask("POST", f"/pool/{entry}/take", who="peer")).status == 409


async def test_who_gave_them_up_reads_why_they_cannot_take_them_back(desk: Office, cid: str) -> None:
    await desk.ask("POST", f"/pool/c/{cid}/give", who="rep", data={"why": "given"})

    listed = await desk.ask("GET", "/pool", who="rep")

    assert "7 天内不能由你领回" in listed.text
    assert "/take" not in listed.text


async def test_a_customer_is_given_up_for_a_reason_only(desk: Office, cid: str) -> None:
    answer = await desk.ask("POST", f"/pool/c/{cid}/give", who="rep", data={"why": "x"})

    assert (answer.status, "请选择放弃的原因" in answer.text) == (400, True)
    assert (await desk.ask("GET", f"/inbox/{cid}", who="rep")).status == 200


async def test_handed_over_with_a_brief_and_back_again(desk: Office, cid: str) -> None:
    giver, taker = (desk.public("staff", desk.staff_ids[who]) for who in ("rep", "peer"))
    chooser = Page((await desk.ask("GET", f"/lead/handover?from={giver}", who="lead")).text)
    box = next(a["name"] for t, a in chooser.elements if t == "input" and a.get("type") == "checkbox")
    form = {"from": giver, "to": taker, "sort": "onjob", str(box): "1"}

    drafted = await desk.ask("POST", "/lead/handover", who="lead", data=form)
    page = await desk.ask("GET", drafted.where, who="lead")
    brief = next(str(a["name"]) for t, a in Page(page.text).elements if t == "textarea")
    sent = await desk.ask("POST", drafted.where, who="lead", data={"what": "send", brief: "只接周末电话。"})

    assert (drafted.status, sent.status) == (303, 303)
    assert "你们的课多少钱" in page.text
    sees = [(await desk.ask("GET", f"/inbox/{cid}", who=who)).status for who in ("rep", "peer")]
    assert sees == [404, 200]
    told = await desk.ask("GET", "/pool?tab=handed", who="peer")
    assert "只接周末电话。" in told.text
    after = await desk.ask("GET", drafted.where, who="lead")
    assert "不在企业微信里" in after.text

    undone = await desk.ask("POST", drafted.where, who="lead", data={"what": "undo"})
    assert undone.status == 303
    sees = [(await desk.ask("GET", f"/inbox/{cid}", who=who)).status for who in ("rep", "peer")]
    assert sees == [200, 404]
    assert "已撤销" in (await desk.ask("GET", "/lead/handover", who="lead")).text


async def test_nobody_of_another_team_is_handed_anybody(desk: Office, cid: str) -> None:
    assert cid
    giver, other = (desk.public("staff", desk.staff_ids[who]) for who in ("rep", "other"))

    answer = await desk.ask(
        "POST", "/lead/handover", who="lead", data={"from": giver, "to": other, "sort": "onjob"}
    )

    assert (answer.status, "本组" in answer.text) == (400, True)
