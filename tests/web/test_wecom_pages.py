"""What a vendor knows of a customer, on the pages: who sees and changes it; groups; deeds for admins."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from connectors.wecom.told import asked
from scrm.app import TENANT
from scrm.db import utcnow
from scrm.deeds import store
from scrm.deeds.store import Asked
from scrm.schema import due
from scrm.staff.rules import Actor, sees_group
from tests.web.office import CORP_ID, Office, Page, office

ENGINES = ["sqlite"]
CUSTOMER = "wmCustomerOfRep"
TAGS = {"et1": "三年级", "et2": "四年级"}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Office]:
    async with office(tmp_path) as made:
        async with made.service.house.db.begin(TENANT) as conn:
            # No vendor is there: what is due stays due.
            await conn.run(sa.delete(due).where(due.c.tenant_id == TENANT))
        yield made


async def told(desk: Office, what: str, about: str, answer: dict[str, object]) -> None:
    house = desk.service.house
    raw = asked(what, about, answer, utcnow())
    await house.inbox.accept(house.directory.by_slug("corp").account, (raw,), received_at=utcnow())
    await desk.quiet()


async def customer(desk: Office) -> str:
    """A customer of `rep` with a remark, a tag and a source; the id of the conversation."""
    tags = [{"id": ident, "name": name} for ident, name in TAGS.items()]
    group = {"group_id": "etg", "group_name": "年级", "tag": tags}
    await told(desk, "tags", "etg", {"tag_group": [group]})
    follow = {
        "userid": "RepUser",
        "remark": "子涵妈妈",
        "description": "朋友介绍",
        "createtime": 1771000000,
        "add_way": 1,
        "state": "autumn",
        "tags": [{"tag_id": "et1", "tag_name": "三年级", "group_name": "年级", "type": 1}],
    }
    contact = {"external_userid": CUSTOMER, "name": "微信昵称", "type": 1}
    await told(desk, "contact", CUSTOMER, {"external_contact": contact, "follow_user": [follow]})
    return await desk.cid("corp")


async def deeds(desk: Office) -> list[Asked]:
    house = desk.service.house
    async with house.db.read(TENANT) as conn:
        return await store.page(conn, [house.directory.by_slug("corp").account.account_id])


# -- the card ----------------------------------------------------------------------------------------------
async def test_the_panel_shows_remark_tags_and_source(desk: Office) -> None:
    cid = await customer(desk)

    shown = Page((await desk.ask("GET", f"/s/c/{cid}", who="rep")).text)

    for words in ("子涵妈妈", "朋友介绍", "三年级", "扫描二维码 · 渠道 autumn · 2026-02-14 添加"):
        assert words in shown.text
    assert shown.values("input", "value").count("et1") == 1


async def test_a_follower_changes_their_own_remark_once_per_form(desk: Office) -> None:
    cid, key = await customer(desk), secrets.token_hex(12)
    form = {"key": key, "remark": "子涵妈妈 续费", "description": ""}

    answers = [await desk.ask("POST", f"/s/c/{cid}/remark", who="rep", data=form) for _ in range(2)]

    assert [a.status for a in answers] == [303, 303]
    (made,) = await deeds(desk)
    assert (made.kind, made.staff_id) == ("remark", desk.staff_ids["rep"])
    assert made.fields == {
        "userid": "RepUser",
        "external_userid": CUSTOMER,
        "remark": "子涵妈妈 续费",
        "description": "",
    }


async def test_boxes_become_the_difference_to_what_is_known(desk: Office) -> None:
    cid = await customer(desk)
    form = {"key": secrets.token_hex(12), "tag": "et2"}

    assert (await desk.ask("POST", f"/s/c/{cid}/tags", who="rep", data=form)).status == 303
    same = {"key": secrets.token_hex(12), "tag": "et1"}
    assert (await desk.ask("POST", f"/s/c/{cid}/tags", who="rep", data=same)).status == 303
    strange = {"key": secrets.token_hex(12), "tag": "etNone"}
    assert (await desk.ask("POST", f"/s/c/{cid}/tags", who="rep", data=strange)).status == 404

    (made,) = await deeds(desk)
    assert (made.kind, made.fields["add"], made.fields["remove"]) == ("mark_tag", ["et2"], ["et1"])


async def test_nobody_else_changes_what_a_member_wrote(desk: Office) -> None:
    cid = await customer(desk)
    form = {"key": secrets.token_hex(12), "remark": "别人写的"}

    statuses = {
        who: (await desk.ask("POST", f"/s/c/{cid}/remark", who=who, data=form)).status
        for who in ("lead", "peer", "other", "marketing", "admin")
    }

    assert statuses == {"lead": 403, "peer": 404, "other": 404, "marketing": 403, "admin": 403}
    assert await deeds(desk) == []
    assert 'action="/s/c/' + cid + '/remark"' not in (await desk.ask("GET", f"/s/c/{cid}", who="lead")).text


async def test_a_follower_who_is_not_in_the_full_list_any_more_is_not_shown(desk: Office) -> None:
    cid = await customer(desk)
    contact = {"external_userid": CUSTOMER, "name": "微信昵称", "type": 1}

    await told(desk, "contact", CUSTOMER, {"external_contact": contact, "follow_user": []})

    assert "子涵妈妈" not in (await desk.ask("GET", f"/s/c/{cid}", who="rep")).text


# -- groups ------------------------------------------------------------------------------------------------
async def test_a_group_is_seen_by_those_in_it_and_their_lead_with_its_members_and_roles(desk: Office) -> None:
    cid = await customer(desk)
    chat = await desk.group("wr1", "三年级家长群", ours="RepUser", customers={CUSTOMER: "子涵"})

    panel = (await desk.ask("GET", f"/s/c/{cid}", who="rep")).text
    pages = {who: await desk.ask("GET", f"/s/g/{chat}", who=who) for who in ("rep", "lead", "peer", "other")}

    assert f"/s/g/{chat}" in panel
    assert {who: p.status for who, p in pages.items()} == {"rep": 200, "lead": 200, "peer": 404, "other": 404}
    shown = Page(pages["rep"].text).text
    assert all(words in shown for words in ("三年级家长群", "子涵", "群主", "我方"))
    assert f"/s/c/{cid}" in Page(pages["rep"].text).values("a", "href")


async def test_a_group_shows_what_happened_there_and_says_when_its_list_is_behind(desk: Office) -> None:
    chat = await desk.group("wr1", "家长群", ours="RepUser", customers={CUSTOMER: "子涵"})
    change = (
        f"<xml><ToUserName>{CORP_ID}</ToUserName><FromUserName>sys</FromUserName>"
        f"<CreateTime>{int(utcnow().timestamp()) + 2}</CreateTime><MsgType>event</MsgType>"
        "<Event>change_external_chat</Event><ChangeType>update</ChangeType><ChatId>wr1</ChatId>"
        "<UpdateDetail>add_member</UpdateDetail><LastMemVer>a</LastMemVer><CurMemVer>b</CurMemVer></xml>"
    )

    assert (await desk.callback("corp", change)).status == 200
    await desk.quiet()

    shown = Page((await desk.ask("GET", f"/s/g/{chat}", who="rep")).text).text
    assert "客户群有成员加入" in shown
    assert "成员名单正在更新" in shown


async def test_a_group_is_no_longer_the_customers_when_they_have_left_it(desk: Office) -> None:
    cid = await customer(desk)
    chat = await desk.group("wr1", "家长群", ours="RepUser", customers={CUSTOMER: "子涵"})

    await desk.group("wr1", "家长群", ours="RepUser", customers={})

    assert f"/s/g/{chat}" not in (await desk.ask("GET", f"/s/c/{cid}", who="rep")).text


@pytest.mark.parametrize("bad", ["x", "0" * 40, "..", "%00"])
async def test_a_group_that_is_none_is_not_found(desk: Office, bad: str) -> None:
    assert (await desk.ask("GET", f"/s/g/{bad}", who="rep")).status == 404


@pytest.mark.parametrize(
    ("role", "staff_id", "team_id", "sees"),
    [
        ("rep", 1, 10, True),
        ("rep", 2, 10, False),  # a colleague of the team is not in the group
        ("lead", 3, 10, True),
        ("lead", 3, 11, False),
        ("lead", 1, None, True),
        ("lead", 4, None, False),
        ("admin", 1, 10, False),  # in the group, but not somebody who talks
        ("marketing", 5, 10, False),
    ],
)
def test_whose_group_it_is(role: str, staff_id: int, team_id: int | None, sees: bool) -> None:
    actor = Actor(tenant_id=1, role=role, staff_id=staff_id, team_id=team_id)  # type: ignore[arg-type]

    assert sees_group(actor, [(1, 10), (9, None)]) is sees


# -- deeds -------------------------------------------------------------------------------------------------
DEEDS = "/admin/connectors/corp/deeds"


async def test_an_admin_asks_for_a_deed_by_form_and_sees_it_listed(desk: Office) -> None:
    form = {"deed": "way.add", "key": "k" * 24, "users": "RepUser, Peer", "state": "autumn"}

    first = await desk.ask("POST", DEEDS, who="admin", data=form)
    again = await desk.ask("POST", DEEDS, who="admin", data=form)
    shown = Page((await desk.ask("GET", DEEDS, who="admin")).text)

    assert (first.status, again.status, first.where) == (303, 303, f"{DEEDS}?asked=1")
    (made,) = await deeds(desk)
    assert (made.kind, made.fields["users"], made.fields["skip_verify"]) == (
        "way.add",
        ["RepUser", "Peer"],
        False,
    )
    assert "新建渠道活码" in shown.text


async def test_a_group_send_is_looked_at_before_it_is_asked_for(desk: Office) -> None:
    cid = await customer(desk)
    stop = {"state": "withdrawn", "reason": "当面说的"}
    assert (await desk.ask("POST", f"/s/c/{cid}/consent", who="rep", data=stop)).status == 303
    form = {"deed": "group_send", "key": "k" * 24, "text": "开课了", "customers": f"{CUSTOMER} wmStranger"}

    seen = await desk.ask("POST", DEEDS, who="admin", data={**form, "look": "1"})

    assert (seen.status, await deeds(desk)) == (200, [])
    for words in ("会发给 1 位，1 位不发。", "有 1 位客户我们还不认识", CUSTOMER, "客户已退订", "开课了"):
        assert words in Page(seen.text).text + seen.text
    assert (await desk.ask("POST", DEEDS, who="admin", data=form)).status == 303
    (made,) = await deeds(desk)
    assert made.kind == "group_send"


async def test_a_form_with_a_fault_comes_back_with_what_was_written(desk: Office) -> None:
    form = {"deed": "way.add", "key": "k" * 24, "users": "", "state": "autumn"}

    answer = await desk.ask("POST", DEEDS, who="admin", data=form)

    assert answer.status == 400
    assert "autumn" in Page(answer.text).values("input", "value")
    assert await deeds(desk) == []


async def test_contact_ways_are_counted_by_the_customers_they_brought(desk: Office) -> None:
    await customer(desk)

    shown = Page((await desk.ask("GET", DEEDS, who="admin")).text).text

    assert "autumn" in shown


async def test_the_api_wants_a_key_and_knows_its_accounts(desk: Office) -> None:
    body = {"account": "corp", "kind": "resigned.list", "fields": {}}

    bare = await desk.api("POST", "/deeds", token="machine-admin", json=body)
    lost = await desk.api(
        "POST",
        "/deeds",
        token="machine-admin",
        json={**body, "account": "none"},
        headers={"Idempotency-Key": "1"},
    )
    made = await desk.api(
        "POST", "/deeds", token="machine-admin", json=body, headers={"Idempotency-Key": "1"}
    )
    listed = (await desk.api("GET", "/deeds?account=corp", token="machine-admin")).json()

    assert (bare.status, lost.status, made.status) == (400, 404, 201)
    assert [d["id"] for d in listed["items"]] == [made.json()["id"]]
