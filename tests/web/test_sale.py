"""The sale at a rep's hand: the strip and its sheet, tags, coupons, and the batches marketing makes."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy as sa

from scrm.app import TENANT
from scrm.campaigns.coupons import store as coupons
from scrm.db import utcnow
from scrm.sales.opportunities import service as opportunities
from scrm.sales.tags import store as tags
from scrm.schema import pack
from tests.web.office import Office, Page, Reply

#: What pages say is the same on both engines; what they stand on is tested on both.
ENGINES = ["sqlite"]

PRODUCT = {"code": "math-3", "name": "三年级数学春季班", "unit": "期", "on_sale": "on"}
BATCH = {
    "code": "early-85",
    "name": "早鸟券",
    "kind": "discount",
    "value": "8.5",
    "stock": "100",
    "limit": "1",
    "ends": "2099-01-01T00:00",
}


async def met(desk: Office) -> str:
    """A customer who wrote to team A."""
    await desk.hear("oa-a", "anna", "三年级数学多少钱")
    return await desk.cid("oa-a")


async def ask(desk: Office, cid: str, tail: str, who: str = "rep", **form: str) -> Reply:
    return await desk.ask("POST", f"/s/c/{cid}/{tail}", who=who, data={"key": "k" * 12, **form})


async def sheet(desk: Office, cid: str) -> dict[str, str]:
    """What the sheet of the family's only opportunity gives back."""
    card = (await desk.ask("GET", f"/s/c/{cid}", who="rep")).text
    href = re.search(rf"/s/c/{cid}/sale\?o=[\w-]+", card)
    assert href
    text = (await desk.ask("GET", href[0], who="rep")).text
    return dict(re.findall(r'type="hidden" name="(o|version|key)" value="([^"]*)"', text))


async def sales(desk: Office, cid: str) -> list[tuple[str, str, str, int | None]]:
    node = await desk.node_of(cid)
    async with desk.service.house.db.read(TENANT) as conn:
        found = await opportunities.of_household(conn, node)
    return [(o.kind, o.stage, o.state, o.amount) for o in found]


async def test_a_rep_opens_moves_and_wins_an_opportunity(desk: Office) -> None:
    await desk.ask("POST", "/catalog/products", who="admin", data=PRODUCT)
    await desk.ask("POST", "/catalog/math-3/prices", who="admin", data={"amount": "3980"})
    cid = await met(desk)
    assert "还没有商机" in (await desk.ask("GET", f"/s/c/{cid}", who="rep")).text

    opened = await ask(desk, cid, "sale", do="open", kind="new", product="math-3", stage="needs")
    shown = Page((await desk.ask("GET", f"/s/c/{cid}", who="rep")).text).text
    assert opened.status == 303
    assert "新购 · 三年级数学春季班 ¥3,980" in shown
    assert "了解需求" in shown
    moved = await ask(desk, cid, "sale", **await sheet(desk, cid), do="move", stage="quotation", why="问价")
    won = await ask(desk, cid, "sale", **await sheet(desk, cid), do="won")

    assert (moved.status, won.status) == (303, 303)
    assert await sales(desk, cid) == [("new", "closing", "won", 398_000)]
    line = (await desk.ask("GET", f"/s/c/{cid}/timeline", who="rep")).text
    assert "商机进入“报价方案”：问价" in line
    assert "商机成交" in line


async def test_giving_up_without_a_reason_and_an_old_sheet_are_refused(desk: Office) -> None:
    cid = await met(desk)
    await ask(desk, cid, "sale", do="open", kind="new", product="年课", amount="5780")
    old = await sheet(desk, cid)

    bare = await ask(desk, cid, "sale", **old, do="lost")
    await ask(desk, cid, "sale", **old, do="move", stage="trial")
    late = await ask(desk, cid, "sale", **old | {"key": "n" * 12}, do="move", stage="needs")

    assert (bare.status, late.status) == (400, 409)
    assert "为什么放弃" in bare.text
    assert "刚刚有人动过" in late.text
    assert [stage for _, stage, _, _ in await sales(desk, cid)] == ["trial"]


async def test_nobody_moves_the_sale_of_another_family(desk: Office) -> None:
    cid = await met(desk)
    await ask(desk, cid, "sale", do="open", kind="new", product="年课")
    theirs = await sheet(desk, cid)
    await desk.hear("oa-a", "ben", "你好")
    other = await desk.cid("oa-a")
    assert other != cid

    for tail, who in ((f"{other}", "rep"), (f"{cid}", "other")):
        answer = await ask(desk, tail, "sale", who, **theirs, do="move", stage="trial")
        assert answer.status == 404

    assert [stage for _, stage, _, _ in await sales(desk, cid)] == ["first-contact"]


async def test_tags_are_put_on_and_taken_off(desk: Office) -> None:
    cid = await met(desk)

    await ask(desk, cid, "label", add="高意向，双职工")
    await ask(desk, cid, "label", remove="双职工")
    wrong = await ask(desk, cid, "label", add="长" * 21)

    async with desk.service.house.db.read(TENANT) as conn:
        assert list(await tags.of_nodes(conn, [await desk.node_of(cid)])) == ["高意向"]
    assert wrong.status == 400
    assert "高意向" in Page((await desk.ask("GET", f"/s/c/{cid}", who="rep")).text).text
    line = (await desk.ask("GET", f"/s/c/{cid}/timeline", who="rep")).text
    assert "加标签：双职工、高意向" in line
    assert "去标签：双职工" in line


async def test_marketing_makes_a_batch_and_a_rep_gives_it_once_a_family(desk: Office) -> None:
    made = await desk.ask("POST", "/mkt/coupons", who="marketing", data=BATCH)
    cid = await met(desk)
    tab = (await desk.ask("GET", f"/s/c/{cid}/coupons", who="rep")).text
    batch = re.search(r'name="batch" value="([^"]+)"', tab)
    assert made.status == 303
    assert batch
    assert "8.5 折" in tab
    assert "余 100 张" in tab

    first = await ask(desk, cid, "coupons", batch=batch[1])
    again = await ask(desk, cid, "coupons", batch=batch[1])
    more = await ask(desk, cid, "coupons", batch=batch[1], key="another-key")

    node = await desk.node_of(cid)
    async with desk.service.house.db.read(TENANT) as conn:
        (held,) = await coupons.of_nodes(conn, [node])
    assert (first.status, again.status, more.status) == (303, 303, 409)
    assert "每家限 1 张" in more.text
    shown = (await desk.ask("GET", f"/s/c/{cid}?tab=coupons", who="rep")).text
    assert held.code in shown
    assert "不可发" in shown
    line = (await desk.ask("GET", f"/s/c/{cid}/timeline", who="rep")).text
    assert f"发券：早鸟券（8.5 折），券码 {held.code}" in line


async def test_a_stopped_batch_is_offered_no_more(desk: Office) -> None:
    await desk.ask("POST", "/mkt/coupons", who="admin", data=BATCH)
    page = (await desk.ask("GET", "/mkt/coupons", who="admin")).text
    action = re.search(r'action="(/mkt/coupons/[^"]+)"', page)
    assert action

    stopped = await desk.ask("POST", action[1], who="admin", data={"state": "stopped"})

    cid = await met(desk)
    assert stopped.status == 303
    assert "已停发" in (await desk.ask("GET", "/mkt/coupons", who="admin")).text
    assert "现在没有可以发的券" in (await desk.ask("GET", f"/s/c/{cid}/coupons", who="rep")).text


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"code": "早鸟"}, "券编号只用"),
        ({"name": " "}, "券的名称"),
        ({"value": "12"}, "折扣请填"),
        ({"kind": "off", "value": "便宜"}, "价格看不懂"),
        ({"ends": ""}, "失效时间"),
        ({"ends": "2020-01-01T00:00"}, "失效时间"),
        ({"stock": "很多"}, "库存"),
        ({"product": "none"}, "没有这个商品"),
    ],
)
async def test_a_batch_that_cannot_be_is_said_on_the_page(
    desk: Office, wrong: dict[str, Any], sentence: str
) -> None:
    answer = await desk.ask("POST", "/mkt/coupons", who="marketing", data=BATCH | wrong)

    assert answer.status == 400
    assert sentence in Page(answer.text).text


async def test_a_batch_code_is_used_once(desk: Office) -> None:
    await desk.ask("POST", "/mkt/coupons", who="marketing", data=BATCH)

    again = await desk.ask("POST", "/mkt/coupons", who="marketing", data=BATCH)

    assert again.status == 409
    assert "已经用过" in Page(again.text).text


@pytest.mark.parametrize("tail", ["sale", "label", "coupons"])
async def test_a_form_without_its_key_does_nothing(desk: Office, tail: str) -> None:
    cid = await met(desk)

    assert (await ask(desk, cid, tail, key="")).status == 400


async def test_stages_are_called_as_the_trade_calls_them(desk: Office) -> None:
    cid = await met(desk)
    await ask(desk, cid, "sale", do="open", kind="new", stage="trial")
    usual = (await desk.ask("GET", f"/s/c/{cid}", who="rep")).text
    async with desk.service.house.db.begin(TENANT) as conn:
        await conn.run(sa.delete(pack).where(pack.c.tenant_id == TENANT))
        await conn.insert(pack, [{"tenant_id": TENANT, "trade": "housing", "since": utcnow()}])

    card = (await desk.ask("GET", f"/s/c/{cid}", who="rep")).text
    href = re.search(rf"/s/c/{cid}/sale\?o=[\w-]+", card)
    assert href
    choices = (await desk.ask("GET", href[0], who="rep")).text
    (told,) = (await desk.api("GET", "/opportunities", token="rep")).json()["items"]

    assert "试听体验" in usual
    assert "到访带看" in card
    assert "认购签约" in choices
    assert (told["stage"], told["stage_name"]) == ("trial", "到访带看")
