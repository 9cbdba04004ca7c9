"""From sign-in to a reply on the customer's phone: what a rep does all day, in a real browser."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.e2e.floor import CHEN, LIN, OA, Floor, ready_card, sign_in, texts, until, words_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

PRICE = "这个价格太贵了，能便宜点吗？"


async def test_a_member_signs_in_through_wecom_and_sees_the_queue(house: Floor) -> None:
    desk = await house.visitor()
    page = await desk.new_page()
    await page.goto("/inbox")
    assert page.url == f"{house.url}/login?next=%2Finbox"

    await sign_in(page, "林晓燕")

    await expect(page.locator("#queue")).to_be_visible()
    await expect(page.get_by_role("button", name="林晓燕")).to_be_visible()


async def test_a_customer_of_the_company_cannot_sign_in_as_staff(house: Floor) -> None:
    desk = await house.visitor()
    page = await desk.new_page()
    await page.goto("/login")
    await page.get_by_role("link", name="用企业微信登录").click()
    await page.goto(f"{page.url.partition('#')[0]}&auto=customer:1")

    assert await page.locator("#queue").count() == 0
    await page.goto("/inbox")
    assert page.url == f"{house.url}/login?next=%2Finbox"


async def test_a_message_appears_by_itself_in_an_open_sidebar_and_an_open_inbox(house: Floor) -> None:
    person = house.customer()
    desk = await house.desk()
    inbox, sidebar, queue = [await desk.new_page() for _ in range(3)]
    await queue.goto("/inbox")
    cid = await house.opened(inbox, person, "在吗？想问一下课程")
    await sidebar.goto(f"/s/c/{cid}")
    await sidebar.get_by_role("tab", name="时间线").click()
    for page in (inbox, sidebar, queue):
        await expect(page.locator("[data-dot=live]").first).to_be_attached()
        await page.evaluate("window.sameDocument = true")

    await house.writes(person, PRICE)

    await expect(inbox.locator("#bubs .txt", has_text=PRICE)).to_have_count(1)
    await expect(sidebar.locator("#tl .txt", has_text=PRICE)).to_have_count(1)
    await expect(queue.locator(f"#q-{cid}")).to_contain_text(PRICE)
    for page in (inbox, sidebar, queue):
        assert await page.evaluate("window.sameDocument") is True


async def test_one_tap_sends_the_script_and_everybody_sees_it_once(house: Floor) -> None:
    person = house.customer()
    desk = await house.desk()
    inbox, sidebar = await desk.new_page(), await desk.new_page()
    cid = await house.opened(inbox, person, PRICE)
    await sidebar.goto(f"/s/c/{cid}")
    card = ready_card(sidebar)
    said = await words_of(card)

    await card.locator("button[data-primary]:visible").click()

    await expect(sidebar.locator("#out > li [data-state=sent]")).to_have_count(1)
    assert house.got(person, said) == 1
    await sidebar.get_by_role("tab", name="时间线").click()
    await expect(sidebar.locator("#tl > li.out [data-state=sent]")).to_have_count(1)
    assert (await texts(sidebar, "#tl")).count(said) == 1
    await expect(inbox.locator("#bubs > li.out [data-state=sent]")).to_have_count(1)
    assert (await texts(inbox, "#bubs")).count(said) == 1
    await sidebar.reload()
    await sidebar.get_by_role("tab", name="时间线").click()
    await expect(sidebar.locator("#tl > li.out")).to_have_count(1)


async def test_a_tap_shows_its_bubble_before_the_server_has_answered(house: Floor) -> None:
    person = house.customer()
    desk = await house.desk()
    page = await desk.new_page()
    cid = await house.opened(page, person, PRICE)
    await page.goto(f"/s/c/{cid}")
    held: list[object] = []
    await page.route("**/send", lambda route: held.append(route))

    await ready_card(page).locator("button[data-primary]:visible").click()

    await expect(page.locator("#out > li [data-state=sending]")).to_have_count(1)
    assert len(held) == 1
    await held[0].continue_()  # type: ignore[attr-defined]
    await expect(page.locator("#out > li [data-state=sent]")).to_have_count(1)
    await expect(page.locator("#out > li")).to_have_count(1)


@pytest.mark.parametrize("taps", ["dblclick", "two clicks at once"])
async def test_a_double_tap_sends_once(house: Floor, taps: str) -> None:
    person = house.customer()
    desk = await house.desk()
    page = await desk.new_page()
    cid = await house.opened(page, person, PRICE)
    await page.goto(f"/s/c/{cid}")
    card = ready_card(page)
    said, button = await words_of(card), card.locator("button[data-primary]:visible")

    if taps == "dblclick":
        await button.dblclick()
    else:
        await button.evaluate("button => { button.click(); button.click(); }")

    await expect(page.locator("#out [data-state=sent]")).to_have_count(1)
    await house.writes(person, "好的，我看看")
    await page.get_by_role("tab", name="时间线").click()
    await expect(page.locator("#tl .txt", has_text="好的，我看看")).to_have_count(1)
    assert house.got(person, said) == 1
    assert (await texts(page, "#tl")).count(said) == 1


async def test_the_same_form_posted_twice_sends_once(house: Floor) -> None:
    """What a double tap would be without scripts: the same key arrives twice."""
    person = house.customer()
    desk = await house.desk(java_script_enabled=False)
    page = await desk.new_page()
    cid = await house.opened(page, person, PRICE)
    key = str(await page.locator("#composer [name=key]").get_attribute("value"))
    text = "周六上午十点有空位。"
    form: dict[str, str | float | bool] = {"key": key, "text": text, "suggestion": ""}

    answers = [
        await desk.request.post(f"/s/c/{cid}/send", form=form, headers={"Origin": house.url})
        for _ in range(2)
    ]

    assert [answer.status for answer in answers] == [200, 200]
    await until(lambda: house.got(person, text) > 0, "the customer's phone gets it")
    await page.reload()
    await expect(page.locator("#bubs > li.out")).to_have_count(1)
    assert house.got(person, text) == 1


async def test_words_typed_by_hand_go_out_from_the_composer(house: Floor) -> None:
    person = house.customer()
    desk = await house.desk()
    page = await desk.new_page()
    await house.opened(page, person, "在吗？")
    area = page.locator("#say")

    await area.fill("在的，您请说。\n我是林老师。")
    await area.press("Control+Enter")

    await expect(page.locator("#bubs > li.out [data-state=sent]")).to_have_count(1)
    await expect(area).to_have_value("")
    assert house.got(person, "在的，您请说。\n我是林老师。") == 1


async def test_a_refused_message_says_why_and_offers_the_clipboard(house: Floor) -> None:
    person = house.customer()
    desk = await house.desk(permissions=["clipboard-read", "clipboard-write"])
    page = await desk.new_page()
    cid = await house.opened(page, person, PRICE)
    await page.goto(f"/s/c/{cid}")
    house.stage.world.advance(49 * 3600)  # the platform's window has closed, our page does not know yet
    try:
        card = ready_card(page)
        said = await words_of(card)
        await card.locator("button[data-primary]:visible").click()
        failed = page.locator("#out > li [data-state=dead]")
        await expect(failed).to_have_count(1)
        await expect(failed.locator("[data-state-text]")).to_contain_text(" · ")

        await failed.locator("[data-copy]").click()

        assert await page.evaluate("navigator.clipboard.readText()") == said
        assert house.got(person, said) == 0
    finally:
        house.stage.world.advance(-49 * 3600)


async def test_a_colleague_sees_a_claimed_conversation_leave_the_queue(house: Floor) -> None:
    person = house.customer()
    mine, theirs = await house.desk(LIN), await house.desk(CHEN)
    page, other = await mine.new_page(), await theirs.new_page()
    cid = await house.opened(page, person, "你好，想了解一下")
    await other.goto("/inbox")
    await expect(other.locator(f"#q-{cid}")).to_have_count(1)

    await page.locator("#say").fill("您好，我是林老师。")
    await page.locator("#say").press("Control+Enter")

    await expect(other.locator(f"#q-{cid}")).to_have_count(0)
    answer = await other.goto(f"/inbox/{cid}")
    assert answer is not None
    assert answer.status == 404
    await expect(other.locator("body")).not_to_contain_text("想了解一下")


async def _cards(page: Page) -> list[str]:
    return [str(await card.get_attribute("data-words")) for card in await page.locator("[data-card]").all()]


async def test_suggestions_follow_what_the_customer_says(house: Floor) -> None:
    person = house.customer()
    desk = await house.desk()
    page = await desk.new_page()
    await house.opened(page, person, PRICE)
    first = await _cards(page)
    assert 1 <= len(first) <= 5
    for reason in await page.locator("[data-card] .why").all_inner_texts():
        assert reason.strip()

    await house.stage.world.say(person, OA, "可以先试听一节吗？")

    await expect(page.locator("#bubs .txt", has_text="试听")).to_have_count(1)
    await page.wait_for_function(
        "old => !document.querySelector('[data-card]') || "
        "document.querySelector('[data-card]').dataset.words !== old",
        arg=first[0],
    )
    assert await _cards(page) != first
