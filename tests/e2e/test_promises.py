"""One family, two reps, two channels: what one promised the other is warned of, before sending and after."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Page, expect

from connectors.kit.world import Persona
from scrm.app import TENANT
from scrm.contract import Link
from scrm.db import utcnow
from scrm.identity import service as identity
from scrm.identity import store as nodes
from scrm.identity.service import Sighting
from scrm.playbook.promises import store as promises
from scrm.sales import store as catalog
from scrm.sales.rules import STANDARD, Price, Product
from scrm.seal import new_id
from scrm.timeline.store import conversations
from tests.e2e.floor import LIN, PATIENCE_S, Floor, dumped, ready_card
from tests.e2e.test_looks import RULES
from tests.e2e.test_webchat import _answer, _come, _opened, _say
from tests.e2e.test_wecom import _booted, _friend, _inside

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOTS = os.environ.get("SCRM_SCREENSHOTS", "")
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
#: The team's leader sees every conversation of the team.
LEAD = "ZhaoMin"
PROMISE = "年课给您 8.5 折，月底前有效"
WORSE = "年课现在可以 9 折"


async def node_of(house: Floor, cid: str) -> int:
    found = house.stage.service.house
    async with found.db.read(TENANT) as conn:
        talk = await conversations.of_id(conn, conn.vault.private("conversation", cid))
    assert talk is not None
    return talk.node_id


async def listed(house: Floor) -> None:
    """The official price of the year's course."""
    found, now = house.stage.service.house, utcnow()
    async with found.db.begin(TENANT) as conn:
        await catalog.put_product(
            conn,
            Product(
                product_id=new_id(),
                code="Y1",
                version=1,
                at=now,
                name="年课",
                business_line="网校",
                unit="年",
                on_sale=True,
            ),
        )
        await catalog.put_price(
            conn,
            Price(
                price_id=new_id(),
                code="Y1-1",
                version=1,
                at=now,
                product_code="Y1",
                price_list=STANDARD,
                amount=680_000,
                starts_at=now,
                ends_at=None,
            ),
        )


async def promised(house: Floor, words: str) -> str:
    """The mother asked in the web chat, and the leader promised her 8.5 折. Her conversation."""
    _, visitor = await _come(house)
    await _say(visitor, words)
    rep = await _opened(house, words, who=LEAD)
    await _answer(rep, PROMISE)
    await expect(rep.locator("#bubs > li.out [data-state=sent]")).to_have_count(1)
    return rep.url.rpartition("/")[2].partition("?")[0]


async def family(house: Floor, *cids: str) -> None:
    """They turn out to be one family."""
    found = house.stage.service.house
    ids = [await node_of(house, cid) for cid in cids]
    async with found.db.begin(TENANT) as conn:
        handles = await nodes.handles(conn, ids)
        a, b = (handles[i] for i in ids)
        link = Link(a=a, b=b, rule="order.payer", kind="same_household")
        one = Sighting(event_id=new_id(), at=utcnow(), key=f"k{new_id()}", handles=(a, b), links=(link,))
        await identity.resolve(conn, [one], utcnow())


async def kept(house: Floor, cid: str) -> None:
    """Until the promise stands in the ledger."""
    node = await node_of(house, cid)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with house.stage.service.house.db.read(TENANT) as conn:
                if await promises.of_nodes(conn, [node]):
                    return
            await asyncio.sleep(0.05)


async def at_the_father_s(house: Floor, words: str) -> tuple[Any, Page, Persona]:
    """Lin inside WeCom in the chat with the father, whose wife was promised something elsewhere."""
    await listed(house)
    mother = await promised(house, words)
    await kept(house, mother)
    father = await _friend(house)
    client, desk = await _inside(house, father)
    page = await desk.new_page()
    await _booted(page, father)
    his = str(await page.locator("#customer").get_attribute("data-cid"))
    await family(house, mother, his)
    await page.goto(f"/s/c/{his}?agent=school")
    await expect(page.locator("html.sdk")).to_have_count(1)
    return client, page, father


async def shot(page: Page, name: str) -> None:
    if not SHOTS:
        return
    for theme in THEMES:
        await page.emulate_media(color_scheme=theme)
        await page.screenshot(path=Path(SHOTS) / f"{name}-{theme}.png")


async def write(page: Page, text: str) -> None:
    """Through the sheet the red card opens."""
    await page.locator("[data-quote]").click()
    await page.locator("#sheet-text").fill(text)


async def test_nine_tenths_after_eighty_five_hundredths_is_warned_of_and_put_right(house: Floor) -> None:
    client, page, father = await at_the_father_s(house, "网校的年课怎么收费？")
    card = page.locator("#conflict")

    await expect(card).to_contain_text("8.5 折（¥5,780）")
    await expect(card).to_contain_text("价目表是 ¥6,800")
    await expect(card).to_contain_text("赵敏")
    await shot(page, "promise-card")

    await write(page, WORSE)
    await expect(page.locator("#sheet [data-checked] .v-block")).to_contain_text("价格口径冲突")
    await expect(page.locator("#sheet [data-copy-from]")).to_be_disabled()
    await shot(page, "promise-live")
    await page.locator("#sheet [data-go]").click()

    sheet = page.locator("#check")
    await expect(sheet.locator(".v-block")).to_contain_text("8.5 折")
    await expect(sheet.get_by_role("button", name="用改写并发送")).to_be_focused()
    await shot(page, "promise-sheet")
    assert client.calls.count("sendChatMessage") == 0
    await sheet.get_by_role("button", name="用改写并发送").click()

    await expect(page.locator("#out [data-state=unconfirmed]")).to_have_count(1)
    assert house.got(father, "年课现在可以 8.5 折") == 1
    assert house.got(father, WORSE) == 0


async def test_the_promise_is_quoted_in_two_taps(house: Floor) -> None:
    _, page, father = await at_the_father_s(house, "年课有优惠吗？")

    quoted = str(await page.locator("[data-quote]").get_attribute("data-quote"))
    await page.get_by_role("link", name="按 8.5 折报").click()
    await expect(page.locator("#sheet [data-checked] .v-note").first).to_be_visible()
    await expect(page.locator("#sheet [data-copy-from]")).to_be_enabled()
    await page.locator("#sheet [data-go]").click()

    await expect(page.locator("#out [data-state=unconfirmed]")).to_have_count(1)
    assert "8.5 折" in quoted
    assert house.got(father, quoted) == 1


async def test_the_words_behind_the_card_are_shown_and_a_leader_who_is_asked_refuses(house: Floor) -> None:
    _, page, father = await at_the_father_s(house, "年课这个月有活动吗？")

    await page.get_by_role("link", name="看原话").click()
    sheet = page.locator("#family")
    await expect(sheet).to_contain_text("赵敏（网站客服）已答应")
    await expect(sheet.locator(".cur .say")).to_have_text(PROMISE)
    await shot(page, "promise-words")
    await page.keyboard.press("Escape")

    await page.get_by_role("link", name="问主管").click()
    await expect(sheet).to_contain_text("已答应")
    await sheet.get_by_label("想对客户说的话").fill(WORSE)
    await sheet.get_by_label("为什么要这样说").fill("活动改了")
    await sheet.get_by_role("button", name="请主管放行").click()
    await expect(page.locator("#toast")).to_contain_text("已请主管放行")
    lead = await (await house.desk(LEAD)).new_page()
    await lead.goto("/lead/alerts")
    asked = lead.locator("[data-row]", has_text=WORSE)
    await shot(lead, "promise-asked")
    await expect(asked).to_contain_text("这里写的是 9 折")
    await asked.get_by_label("写一句理由").fill("按答应的报")
    await asked.get_by_role("button", name="不放行").click()
    await expect(lead.locator("[data-row]", has_text=WORSE)).to_have_count(0)

    await write(page, WORSE)
    await page.locator("#sheet [data-go]").click()
    await expect(page.locator("#check")).to_contain_text("主管没有放行：按答应的报")
    assert house.got(father, WORSE) == 0


async def test_words_sent_outside_the_side_bar_are_found_and_the_leader_sees_them(house: Floor) -> None:
    _, page, father = await at_the_father_s(house, "一年课多少钱？")
    archive: Any = house.stage.world.outlets["archive"]
    member = house.stage.world.member(LIN)
    assert member is not None
    assert await archive.meet(father, member)
    assert await archive.staff_says(member, father, WORSE)

    await expect(page.locator("#conflict[data-conflict=bad]")).to_contain_text("9 折")
    lead = await (await house.desk(LEAD)).new_page()
    await lead.goto("/lead/alerts?tab=findings")
    alert = lead.locator("[data-row]", has_text=WORSE).first
    await expect(alert).to_contain_text("价格口径冲突")
    await shot(lead, "promise-alerts")
    axe = await Axe().run(lead, options=RULES)
    assert axe.response["violations"] == [], dumped(axe.response["violations"])
    await alert.get_by_label("写一句理由").fill("已向客户更正")
    await alert.get_by_role("button", name="成立").click()
    await expect(lead.locator("[data-row]", has_text=WORSE)).to_have_count(0)


async def test_a_leader_lets_words_pass_and_the_rep_sends_them(house: Floor) -> None:
    text = "我们保证提分，协议里写着"
    person = house.customer()
    page = await (await house.desk(LIN, viewport={"width": 360, "height": 640})).new_page()
    await house.opened(page, person, "效果能保证吗")
    await page.locator("#say").fill(text)
    await page.locator("#say").press("Control+Enter")
    sheet = page.locator("#check")
    await expect(sheet.locator(".v-block").first).to_contain_text("保证提分")
    await sheet.locator("#check-why").fill("合同附件原文")
    await sheet.get_by_role("button", name="请主管放行").click()
    await expect(page.locator("#toast")).to_contain_text("已请主管放行")
    assert house.got(person, text) == 0

    lead = await (await house.desk(LEAD)).new_page()
    await lead.goto("/lead/alerts")
    asked = lead.locator("[data-row]", has_text=text)
    await asked.get_by_label("写一句理由").fill("附件原文可以发")
    await asked.get_by_role("button", name="放行", exact=True).click()
    await expect(lead.locator("[data-row]", has_text=text)).to_have_count(0)

    await page.locator("#say").fill(text)
    await page.locator("#say").press("Control+Enter")
    await expect(page.locator("#bubs > li.out [data-state=sent]")).to_have_count(1)
    assert house.got(person, text) == 1


async def test_a_green_card_still_goes_out_at_one_tap(house: Floor) -> None:
    person = house.customer()
    page = await (await house.desk(LIN)).new_page()
    await house.opened(page, person, "这个价格太贵了，能便宜点吗？")
    card = ready_card(page)

    await expect(card.locator(".t-ok")).to_contain_text("合规")
    await card.locator("button[data-primary]:visible").click()

    await expect(page.locator("#bubs > li.out [data-state=sent]")).to_have_count(1)
    assert await page.locator("#check[open]").count() == 0


async def test_the_card_and_the_sheet_pass_axe_in_both_themes_at_360(house: Floor) -> None:
    _, page, _ = await at_the_father_s(house, "年课费用呢？")
    await write(page, WORSE)
    await expect(page.locator("#sheet [data-checked] .v-block")).to_be_visible()
    await page.locator("#sheet [data-go]").click()
    await expect(page.locator("#check[open]")).to_be_visible()

    for theme in THEMES:
        # Colours that fade from one theme to the other are neither.
        await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        for close in (False, True):
            if close:
                await page.keyboard.press("Escape")
            found = await Axe().run(page, options=RULES)
            assert found.response["violations"] == [], dumped(found.response["violations"])
            width = await page.evaluate("document.documentElement.scrollWidth")
            assert width <= 360
