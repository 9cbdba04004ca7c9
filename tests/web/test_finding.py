"""Finding it again: the family's timeline narrowed down, what was taken back or edited, and the search."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from scrm.app import TENANT
from scrm.contract import Envelope, Handle, Link
from scrm.db import utcnow
from scrm.identity import store as identity
from scrm.timeline.store import search
from tests.ground import entry, settle
from tests.web.office import Office

MUM, DAD = "oCustomerOfRep00000000000001", "oTheFatherOfTheFamily0000001"
CHILD = Handle(kind="app_user", scope="app", value="child", name="小宇")


def openid(desk: Office, value: str, **more: Any) -> Handle:
    app_id = desk.service.house.directory.by_slug("oa-a").account.get("app_id")
    return Handle(kind="wechat_openid", scope=app_id, value=value, **more)


async def happens(desk: Office, *envelopes: tuple[str, Envelope]) -> None:
    """As the pipeline does it: settled, and made findable."""
    account = desk.service.house.directory.by_slug("oa-a").account.account_id
    async with desk.service.house.db.begin(TENANT) as conn:
        entries = [entry(e, key, account_id=account) for key, e in envelopes]
        await settle(conn, *entries, now=utcnow())
        await search.index(conn, [e.event_id for e in entries])


def event(kind: str, text: str, at: datetime, *handles: Handle, **more: Any) -> Envelope:
    return Envelope(kind=kind, direction="none", at=at, handles=handles, text=text, **more)


@pytest.fixture(autouse=True)
async def talk(desk: Office) -> str:
    """A customer whom `rep` answered: their conversation."""
    await desk.hear("oa-a", MUM, "你们的课太贵了，能便宜点吗？")
    cid = await desk.cid("oa-a")
    assert (await desk.push("rep", cid, "有优惠的")).status == 201
    return cid


async def home(desk: Office) -> str:
    """The family: mother writes, father orders and calls, the child learns in the app. Her conversation."""
    mum, dad = openid(desk, MUM), openid(desk, DAD, name="陈先生")
    now = utcnow()
    links = tuple(
        Link(a=mum, b=other, rule="order_payer", strength=80, kind="same_household") for other in (dad, CHILD)
    )
    line = {"product": "p", "name": "年课", "quantity": 2, "amount": 578000}
    body = {"order": {"id": "A1", "items": [line], "total": 578000}}
    call = {"from": "13800138000", "to": "4008001", "talk_s": 192, "result": ""}
    await happens(
        desk,
        (
            "order-1",
            event("event.order.paid", "已付款：年课 × 2", now, dad, links=links, body=body),
        ),
        ("call-1", event("message.call", "呼入 · 3 分 12 秒", now, replace(dad), body={"call": call})),
        ("app-1", event("event.lesson", "完成试听作业，正确率 86%", now, CHILD)),
        ("file-1", event("message.file", "报名表.pdf", now + timedelta(seconds=1), dad)),
    )
    return await desk.cid("oa-a")


async def page(desk: Office, cid: str, query: str = "", *, who: str = "rep") -> str:
    answer = await desk.ask("GET", f"/s/c/{cid}/timeline{query}", who=who)
    assert answer.status == 200, answer.text[:300]
    return answer.text


async def person_of(desk: Office, handle: Handle) -> str:
    async with desk.service.house.db.read(TENANT) as conn:
        key = identity.value_key(conn, handle)
        node = (await identity.by_value_key(conn, [key]))[key].node_id
        person = (await identity.persons_of(conn, [node]))[node]
    return desk.public("person", person)


async def test_the_family_s_timeline_is_one_with_each_member_s_name(desk: Office) -> None:
    cid = await home(desk)

    html = await page(desk, cid)

    for text in ("太贵了", "陈先生", "小宇", "完成试听作业", "年课 × 2", "¥5,780", "3 分 12 秒"):
        assert text in html
    assert "13800138000" not in html
    assert "138****8000" in html


@pytest.mark.parametrize(
    ("query", "there", "absent"),
    [
        ("?kind=talk", ["太贵了", "报名表"], ["试听作业", "年课", "呼入"]),
        ("?kind=call", ["呼入"], ["太贵了", "年课"]),
        ("?kind=order", ["年课"], ["太贵了", "呼入"]),
        ("?kind=event", ["试听作业"], ["太贵了", "年课"]),
        ("?kind=file", ["报名表"], ["太贵了", "试听作业"]),
        ("?kind=nonsense", ["太贵了", "试听作业"], []),
        ("?channel=oa-a", ["太贵了"], []),
    ],
)
async def test_it_is_narrowed_down_by_kind_and_channel(
    desk: Office, query: str, there: list[str], absent: list[str]
) -> None:
    html = await page(desk, await home(desk), query)

    assert [text for text in there if text not in html] == []
    assert [text for text in absent if text in html] == []


async def test_it_is_narrowed_down_to_a_member_and_filters_combine(desk: Office) -> None:
    cid = await home(desk)
    dad = await person_of(desk, openid(desk, DAD))

    his = await page(desk, cid, f"?member={dad}")
    calls = await page(desk, cid, f"?member={dad}&kind=call")
    panel = (await desk.ask("GET", f"/s/c/{cid}", who="rep")).text

    assert ("年课" in his, "太贵了" in his, "试听作业" in his) == (True, False, False)
    assert ("呼入" in calls, "年课" in calls) == (True, False)
    assert f"member={dad}" in panel


async def test_the_household_and_its_timeline_are_in_the_api(desk: Office) -> None:
    await home(desk)
    mum, dad = await person_of(desk, openid(desk, MUM)), await person_of(desk, openid(desk, DAD))

    house = (await desk.api("GET", f"/households/{mum}", token="rep")).json()
    whole = (await desk.api("GET", f"/households/{dad}/timeline", token="rep")).json()
    alone = (await desk.api("GET", f"/persons/{mum}/timeline", token="rep")).json()
    hidden = await desk.api("GET", f"/households/{mum}", token="other")

    assert {m["id"] for m in house["members"]} >= {mum, dad}
    assert {e["kind"] for e in whole["items"]} >= {"message.text", "event.order.paid", "event.lesson"}
    assert {e["kind"] for e in alone["items"]} == {"message.text"}
    assert hidden.status == 404


async def test_what_was_taken_back_is_read_by_the_lead_alone(desk: Office) -> None:
    cid = await desk.cid("oa-a")
    mum, now = openid(desk, MUM), utcnow()
    await happens(
        desk,
        ("slip", event("message.text", "说漏嘴的话", now, mum)),
        ("back", event("event.recalled", "客户撤回了一条消息", now, mum, recalls="slip")),
    )

    rep, lead = await page(desk, cid), await page(desk, cid, who="lead")
    said = {
        who: {e["text"] for e in (await desk.api("GET", "/events?account=oa-a", token=who)).json()["items"]}
        for who in ("rep", "lead")
    }
    found = {
        who: '<mark class="hit">漏嘴' in (await desk.ask("GET", "/search?q=漏嘴", who=who)).text
        for who in said
    }

    assert "已撤回" in rep
    assert ("说漏嘴的话" in rep, "说漏嘴的话" in lead) == (False, True)
    assert ("说漏嘴的话" in said["rep"], "说漏嘴的话" in said["lead"]) == (False, True)
    assert found == {"rep": False, "lead": True}


async def test_an_edited_message_shows_what_it_said_before(desk: Office) -> None:
    cid, mum, now = await desk.cid("oa-a"), openid(desk, MUM), utcnow()
    edit = event("event.edited", "周六三点", now + timedelta(seconds=1), mum, edits="m1")
    await happens(desk, ("e1", edit), ("m1", event("message.text", "周日三点", now, mum)))

    html = await page(desk, cid)

    assert "已编辑" in html
    assert "<s>周日三点</s>" in html
    assert html.count("周六三点") == 1


async def test_search_marks_hits_and_escapes_what_was_said(desk: Office) -> None:
    cid, mum = await desk.cid("oa-a"), openid(desk, MUM)
    await happens(desk, ("x", event("message.text", "<img src=x>太贵<b>了", utcnow(), mum)))

    everywhere = (await desk.ask("GET", "/search?q=太贵", who="rep")).text
    here = await page(desk, cid, "?q=太贵")

    for html in (everywhere, here):
        assert '<mark class="hit">太贵</mark>' in html
        assert "&lt;img src=x&gt;" in html
        assert "<img src=x>" not in html
    assert f'href="/inbox/{cid}"' in everywhere


async def test_search_finds_nothing_of_others_customers(desk: Office) -> None:
    found = {
        who: '<mark class="hit">' in (await desk.ask("GET", "/search?q=便宜", who=who)).text
        for who in ("rep", "lead", "peer", "other")
    }
    api = {
        who: len((await desk.api("GET", "/search?q=便宜", token=who)).json()["items"])
        for who in ("rep", "other", "admin", "machine-admin")
    }

    assert found == {"rep": True, "lead": True, "peer": False, "other": False}
    assert api == {"rep": 1, "other": 0, "admin": 0, "machine-admin": 1}


async def test_search_goes_on_page_by_page_and_refuses_foreign_cursors(desk: Office) -> None:
    mum, now = openid(desk, MUM), utcnow()
    await happens(
        desk,
        *(
            (f"n{n}", event("message.text", f"第 {n} 次问发票", now + timedelta(seconds=n), mum))
            for n in range(45)
        ),
    )
    seen: list[str] = []
    cursor, pages = "", 0
    while cursor is not None:
        answer = await desk.api("GET", f"/search?q=发票&limit=20&cursor={cursor}", token="rep")
        seen += [i["id"] for i in answer.json()["items"]]
        cursor, pages = answer.json()["next_cursor"], pages + 1
    first = (await desk.ask("GET", "/search?q=发票", who="rep")).text
    bad = await desk.ask("GET", "/search?q=发票&before=nonsense", who="rep")
    empty = await desk.api("GET", "/search?q=，", token="rep")

    assert (len(seen), len(set(seen)), pages) == (45, 45, 3)
    assert "before=" in first
    assert (bad.status, empty.status) == (404, 400)
