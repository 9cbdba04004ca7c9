"""Hands on the desk: shortcuts, Chinese input, drafts - and the same desk when no script runs."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.e2e.floor import KF, Floor, ready_card, row, texts, until, words_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

PRICE = "这个价格太贵了，能便宜点吗？"


async def _sidebar(house: Floor) -> tuple[Page, str]:
    """The sidebar with a customer who asked about the price; which card may go as it is, and its key."""
    person = house.customer()
    page = await (await house.desk()).new_page()
    cid = await house.opened(page, person, PRICE)
    await page.goto(f"/s/c/{cid}")
    await expect(page.locator("html.on")).to_be_attached()
    return page, str(await ready_card(page).get_attribute("data-n"))


async def test_a_digit_sends_that_suggestion(house: Floor) -> None:
    page, digit = await _sidebar(house)

    await page.keyboard.press(digit)

    await expect(page.locator("#out [data-state=sent]")).to_have_count(1)


async def test_digits_typed_into_a_field_send_nothing(house: Floor) -> None:
    page, digit = await _sidebar(house)
    sent: list[str] = []
    page.on("request", lambda r: sent.append(r.url) if r.method == "POST" else None)

    await page.keyboard.press("/")
    await expect(page.locator("#find-q")).to_be_focused()
    await page.keyboard.type(digit)

    await expect(page.locator("#find-q")).to_have_value(digit)
    await page.keyboard.press("Escape")
    await expect(page.locator("#find")).to_be_hidden()
    assert sent == []
    assert await page.locator("#out > li").count() == 0


@pytest.mark.parametrize("composing", [True, False], ids=["composing", "the control"])
async def test_a_digit_that_picks_a_chinese_character_sends_nothing(house: Floor, composing: bool) -> None:
    """Input methods take 1-9 to choose a candidate; browsers mark those key presses."""
    page, digit = await _sidebar(house)
    sent: list[str] = []
    page.on("request", lambda r: sent.append(r.url) if r.method == "POST" else None)

    await page.evaluate(
        "([key, isComposing]) => document.body.dispatchEvent("
        "new KeyboardEvent('keydown', { key, isComposing, bubbles: true }))",
        [digit, composing],
    )

    await expect(page.locator("#out > li")).to_have_count(0 if composing else 1)
    assert bool(sent) is not composing


async def test_enter_that_ends_a_composition_does_not_send_the_draft(house: Floor) -> None:
    person = house.customer()
    desk = await house.desk()
    page = await desk.new_page()
    await house.opened(page, person, PRICE)
    area = page.locator("#say")
    await area.focus()
    keys = await desk.new_cdp_session(page)

    await keys.send("Input.imeSetComposition", {"text": "1hao", "selectionStart": 4, "selectionEnd": 4})
    await keys.send(
        "Input.dispatchKeyEvent",
        {"type": "rawKeyDown", "key": "Process", "windowsVirtualKeyCode": 229, "modifiers": 2},
    )
    await area.evaluate(
        "area => area.dispatchEvent(new KeyboardEvent('keydown',"
        " { key: 'Enter', ctrlKey: true, isComposing: true, bubbles: true }))"
    )
    await keys.send("Input.insertText", {"text": "1号"})

    await expect(area).to_have_value("1号")
    assert await page.locator("#bubs > li.out").count() == 0
    await area.press("Control+Enter")
    await expect(page.locator("#bubs > li.out [data-state=sent]")).to_have_count(1)
    assert house.got(person, "1号") == 1


async def test_single_keys_can_be_switched_off(house: Floor) -> None:
    page, digit = await _sidebar(house)
    address = page.url
    await page.goto("/me/prefs")
    await page.get_by_label("用单个字母和数字操作").uncheck()
    await page.get_by_role("button", name="保存偏好").click()
    await page.goto(address)
    await expect(page.locator("html.on")).to_be_attached()

    await page.keyboard.press(digit)
    await page.keyboard.press("t")

    await expect(page.get_by_role("tab", name="话术")).to_have_attribute("aria-selected", "true")
    assert await page.locator("#out > li").count() == 0
    await page.goto("/me/prefs")
    await page.get_by_label("用单个字母和数字操作").check()
    await page.get_by_role("button", name="保存偏好").click()
    await expect(page.get_by_role("status").filter(has_text="已保存")).to_be_visible()


async def test_j_and_k_walk_the_queue_and_enter_opens(house: Floor) -> None:
    desk = await house.desk()
    page = await desk.new_page()
    for text in ("甲", "乙"):
        person = house.customer()
        await house.writes(person, text)
        await house.talk(page, person, text)
    await expect(page.locator("html.on")).to_be_attached()
    rows = page.locator("#rows [data-row]")

    await page.keyboard.press("j")
    await expect(rows.nth(0)).to_be_focused()
    await page.keyboard.press("j")
    await expect(rows.nth(1)).to_be_focused()
    await page.keyboard.press("k")
    await expect(rows.nth(0)).to_be_focused()
    href = str(await rows.nth(0).get_attribute("href"))
    await page.keyboard.press("Enter")

    await page.wait_for_url(f"**{href}")


async def test_e_opens_the_sheet_and_escape_gives_the_focus_back(house: Floor) -> None:
    page, digit = await _sidebar(house)
    card = page.locator(f"[data-card][data-n='{digit}']")
    await card.get_by_role("link", name="改一下").focus()

    await page.keyboard.press("e")
    await expect(page.locator("#sheet[open] #sheet-text")).to_be_focused()
    assert await page.locator("#sheet-text").input_value() == await words_of(card)
    await page.keyboard.press("Escape")

    await expect(page.locator("#sheet[open]")).to_have_count(0)
    await expect(card.get_by_role("link", name="改一下")).to_be_focused()


async def test_a_changed_suggestion_goes_out_as_changed(house: Floor) -> None:
    page, digit = await _sidebar(house)
    await page.locator(f"[data-card][data-n='{digit}']").get_by_role("link", name="改一下").click()

    await page.locator("#sheet-text").fill("改过的话。")
    await page.locator("#sheet-text").press("Control+Enter")

    await expect(page.locator("#out [data-state=sent]")).to_have_count(1)
    assert await texts(page, "#out") == ["改过的话。"]


async def test_a_half_written_reply_survives_that_the_page_is_thrown_away(house: Floor) -> None:
    first, second = house.customer(), house.customer()
    desk = await house.desk()
    page = await desk.new_page()
    mine = await house.opened(page, first, PRICE)
    other = await house.opened(page, second, PRICE)
    await page.goto(f"/inbox/{mine}")
    await page.locator("#say").press_sequentially("写到一半的")
    await page.goto(f"/inbox/{other}")
    await expect(page.locator("#say")).to_have_value("")
    await page.close()

    again = await desk.new_page()
    await again.goto(f"/inbox/{mine}")

    await expect(again.locator("#say")).to_have_value("写到一半的")
    await again.locator("#say").press("Control+Enter")
    await expect(again.locator("#bubs > li.out [data-state=sent]")).to_have_count(1)
    await again.reload()
    await expect(again.locator("#say")).to_have_value("")


async def test_what_is_being_typed_survives_a_message_that_arrives(house: Floor) -> None:
    person = house.customer()
    desk = await house.desk()
    page = await desk.new_page()
    await house.opened(page, person, PRICE)
    await expect(page.locator("[data-dot=live]").first).to_be_attached()
    await page.locator("#say").press_sequentially("我先问一下")

    await house.writes(person, "在听吗？")

    await expect(page.locator("#bubs .txt", has_text="在听吗？")).to_have_count(1)
    await expect(page.locator("#say")).to_have_value("我先问一下")
    await expect(page.locator("#say")).to_be_focused()


async def test_without_scripts_every_page_renders_and_forms_send(house: Floor) -> None:
    person = house.customer("wecom_kf")
    desk = await house.desk(java_script_enabled=False)
    page = await desk.new_page()
    cid = await house.opened(page, person, PRICE, slug=KF)
    await expect(row(page, person)).to_be_visible()

    await page.locator("#say").fill("不用脚本也能回。")
    async with page.expect_request(f"**/s/c/{cid}/send") as posted:
        await page.locator("#composer").get_by_role("button", name="发送").click()

    await expect(page).to_have_url(f"{house.url}/inbox/{cid}")
    # Browsers without Sec-Fetch-Site have only this to show that the form was ours.
    assert (await (await posted.value).all_headers())["origin"] == house.url
    await until(lambda: house.got(person, "不用脚本也能回。") > 0, "the customer's phone gets it")
    await page.reload()
    assert (await texts(page, "#bubs")).count("不用脚本也能回。") == 1
    await page.goto(f"/s/c/{cid}?tab=timeline")
    assert (await texts(page, "#tl")).count("不用脚本也能回。") == 1
    await page.goto(f"/s/c/{cid}")
    card = ready_card(page)
    said = await words_of(card)
    await card.get_by_role("button", name="发送").click()
    await until(lambda: house.got(person, said) > 0, "the suggestion goes out")
    assert house.got(person, said) == 1
    for path in ("/s", "/me/prefs", f"/s/c/{cid}?edit={await _any_card(page)}"):
        answer = await page.goto(path)
        assert answer is not None
        assert answer.status == 200
    assert await page.locator(".js:visible").count() == 0


async def _any_card(page: Page) -> str:
    return str(await page.locator("[data-card]").first.get_attribute("data-card"))


async def test_without_the_bundle_the_same_forms_still_send(house: Floor) -> None:
    person = house.customer()
    desk = await house.desk()
    await desk.route("**/static/**", lambda route: route.abort())
    page = await desk.new_page()
    await house.opened(page, person, PRICE)

    await page.locator("#say").fill("没有样式也能回。")
    await page.locator("#composer").get_by_role("button", name="发送").click()

    await until(lambda: house.got(person, "没有样式也能回。") > 0, "the customer's phone gets it")
    assert house.got(person, "没有样式也能回。") == 1
