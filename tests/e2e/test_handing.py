"""Two at one desk: who has it, later, closed - and a colleague who answered while the other was typing."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Page, expect

from connectors.kit.world import Persona
from tests.e2e.floor import Floor, dumped, row, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOTS = os.environ.get("SCRM_SCREENSHOTS", "")
QUESTION, FASTER, MINE = "周六能试听吗？", "可以的，周六上午十点。", "我帮您看一下时间。"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


async def _both(house: Floor) -> tuple[Page, Page, Persona]:
    """A rep who took the customer, and the lead who looks at the same conversation."""
    person, lead = house.customer(), house.stage.world.staff[3].userid
    rep_page = await (await house.desk()).new_page()
    cid = await house.opened(rep_page, person, QUESTION)
    await rep_page.get_by_role("button", name="接手").click()
    await expect(rep_page.get_by_text("自己接手了会话")).to_be_visible()
    lead_page = await (await house.desk(lead)).new_page()
    await lead_page.goto(f"/inbox/{cid}")
    for page in (rep_page, lead_page):
        await expect(page.locator("[data-dot=live]").first).to_be_attached()
    return rep_page, lead_page, person


async def _said(page: Page, text: str) -> None:
    await page.locator("#say").fill(text)
    await page.locator("#say").press("Control+Enter")


async def _stopped(house: Floor) -> tuple[Page, Persona]:
    """The rep was typing when the lead answered, saw it arrive, and sends all the same."""
    page, lead, person = await _both(house)
    await page.locator("#say").fill(MINE)
    await _said(lead, FASTER)
    await until(lambda: house.got(person, FASTER) == 1, "the customer gets the lead's words")
    await expect(page.locator("#bubs .txt", has_text=FASTER)).to_be_visible()

    await page.locator("#say").press("Control+Enter")

    await expect(page.locator("#collision[open]")).to_be_visible()
    return page, person


async def test_an_answer_typed_while_a_colleague_answered_waits_for_a_second_word(house: Floor) -> None:
    page, person = await _stopped(house)
    name = house.stage.world.staff[3].name
    await expect(page.locator("#collision")).to_contain_text(f"同事 {name} 刚刚回复了")
    await expect(page.locator("#collision")).to_contain_text(FASTER)
    assert house.got(person, MINE) == 0

    await page.get_by_role("button", name="仍然发送").click()

    await until(lambda: house.got(person, MINE) == 1, "the customer gets both")
    await expect(page.locator("#bubs .txt", has_text=MINE)).to_have_count(1)


async def test_given_up_the_words_are_back_in_the_box_and_nobody_got_them(house: Floor) -> None:
    page, person = await _stopped(house)

    await page.get_by_role("button", name="放弃").click()

    await expect(page.locator("#say")).to_have_value(MINE)
    await expect(page.locator("#bubs .txt", has_text=MINE)).to_have_count(0)
    assert house.got(person, MINE) == 0


async def test_what_was_begun_after_the_colleague_spoke_goes_out_at_once(house: Floor) -> None:
    """The control: the same two people, the other order."""
    page, lead, person = await _both(house)
    await _said(lead, FASTER)
    await expect(page.locator("#bubs .txt", has_text=FASTER)).to_be_visible()

    await _said(page, MINE)

    await until(lambda: house.got(person, MINE) == 1, "the customer gets it")
    await expect(page.locator("#collision[open]")).to_have_count(0)


async def test_without_scripts_the_same_question_is_a_page(house: Floor) -> None:
    person, lead = house.customer(), house.stage.world.staff[3].userid
    page = await (await house.desk(java_script_enabled=False)).new_page()
    cid = await house.opened(page, person, QUESTION)
    await page.get_by_role("button", name="接手").click()
    other = await (await house.desk(lead)).new_page()
    await other.goto(f"/inbox/{cid}")
    await _said(other, FASTER)
    await until(lambda: house.got(person, FASTER) == 1, "the customer gets the lead's words")
    await page.locator("#say").fill(MINE)
    await page.locator("#composer").get_by_role("button", name="发送").click()
    await expect(page.get_by_role("heading", name="还没有发出")).to_be_visible()

    await page.get_by_role("button", name="仍然发送").click()

    await until(lambda: house.got(person, MINE) == 1, "the customer gets both")


async def test_keys_put_off_and_close_and_the_filters_show_where_it_went(house: Floor) -> None:
    page, _, person = await _both(house)
    await page.keyboard.press("s")
    await page.get_by_role("button", name="2 小时").click()
    await expect(row(page, person)).to_have_count(0)
    await page.get_by_role("link", name="稍后", exact=True).click()
    await row(page, person).click()
    await expect(page.get_by_role("button", name="现在处理")).to_be_visible()
    await expect(page.locator("html.on")).to_be_attached()

    await page.keyboard.press("d")
    await page.wait_for_url("**/inbox?filter=waiting")
    await page.get_by_role("link", name="已结束").click()

    await expect(row(page, person)).to_have_count(1)
    await house.writes(person, "还有一个问题")
    await page.goto("/inbox?filter=waiting")
    await expect(row(page, person)).to_have_count(1)


async def test_handed_to_a_colleague_it_leaves_this_desk_and_arrives_at_theirs(house: Floor) -> None:
    page, lead, person = await _both(house)
    name = house.stage.world.staff[1].name
    await page.keyboard.press("h")
    options = await page.locator("#hand-to option").all_inner_texts()
    chosen = next(text for text in options if text.startswith(name))
    await page.locator("#hand-to").select_option(label=chosen)

    await page.get_by_role("button", name="转交").click()

    await page.wait_for_url("**/inbox?filter=waiting")
    await expect(row(page, person)).to_have_count(0)
    await expect(lead.get_by_text(f"把会话转给了{name}")).to_be_visible()
    theirs = await (await house.desk(house.stage.world.staff[1].userid)).new_page()
    await theirs.goto("/inbox?filter=mine")
    await expect(row(theirs, person)).to_have_count(1)


async def test_away_shows_in_the_head_of_the_queue(house: Floor) -> None:
    page = await (await house.desk()).new_page()
    await page.goto("/inbox")

    await page.get_by_role("button", name=re.compile("在线.*改为离开")).click()
    await expect(page.get_by_role("button", name=re.compile("离开.*改为在线"))).to_be_visible()
    await page.get_by_role("button", name=re.compile("离开.*改为在线")).click()

    await expect(page.get_by_role("button", name=re.compile("在线.*改为离开"))).to_be_visible()


async def test_the_open_menus_and_the_warning_pass_axe_in_both_themes_narrow_and_wide(house: Floor) -> None:
    warned, _ = await _stopped(house)
    page, _, _ = await _both(house)
    await page.locator(".menu summary").last.click()
    other, _, _ = await _both(house)
    await other.locator(".menu summary").first.click()
    found: dict[str, list[str]] = {}
    for name, one in (("later", page), ("handing", other), ("collision", warned)):
        for theme in ("light", "dark"):
            for width, height in ((360, 640), (1280, 800)):
                await one.emulate_media(
                    color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce"
                )
                await one.set_viewport_size({"width": width, "height": height})
                results = await Axe().run(one, options={"runOnly": {"type": "tag", "values": TAGS}})
                found[f"{name} {theme} {width}"] = [v["id"] for v in results.response["violations"]]
                sizes = await one.evaluate(
                    "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
                )
                assert sizes[0] <= sizes[1], name
                if SHOTS:
                    await one.screenshot(path=Path(SHOTS) / f"{name}-{theme}-{width}.png")

    assert {where: what for where, what in found.items() if what} == {}, dumped(found)
