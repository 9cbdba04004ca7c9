"""The live stream: cut, silent, hidden and resumed. Nothing is missed or doubled, and the dot never lies."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.e2e.floor import OA, Floor, ready_card, texts, until, words_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

CUT_S, MESSAGES = 10, 6


async def _live(page: Page) -> None:
    await expect(page.locator("[data-dot=live]").first).to_be_attached()


async def _dot(page: Page) -> str:
    return str(await page.locator("[data-dot]").first.inner_text()).strip()


async def test_a_stream_cut_for_ten_seconds_loses_nothing_and_doubles_nothing(house: Floor) -> None:
    person = house.customer()
    desk = await house.desk()
    inbox, sidebar = await desk.new_page(), await desk.new_page()
    cid = await house.opened(inbox, person, "在吗？")
    await sidebar.goto(f"/s/c/{cid}")
    await sidebar.get_by_role("tab", name="时间线").click()
    for page in (inbox, sidebar):
        await _live(page)
        await page.evaluate("window.sameDocument = true")

    await house.cut(desk)
    for page in (inbox, sidebar):
        await expect(page.locator("[data-dot=connecting]").first).to_be_attached()
    said = ["在吗？"]
    for number in range(MESSAGES):
        said.append(f"断线时的第 {number + 1} 句")
        await house.writes(person, said[-1])
        await asyncio.sleep(CUT_S / MESSAGES)
    assert await inbox.locator("#bubs .txt").count() == 1
    await desk.set_offline(False)

    for page, rows, order in ((inbox, "#bubs", 1), (sidebar, "#tl", -1)):
        await _live(page)
        await expect(page.locator(f"{rows} .txt")).to_have_count(len(said))
        assert await texts(page, rows) == said[::order]
        assert await page.evaluate("window.sameDocument") is True
    await expect(inbox.locator("#toast")).to_contain_text(re.compile(rf"已补齐 {MESSAGES} 条|已恢复连接"))
    said.append("恢复以后的一句")
    await house.writes(person, said[-1])
    await expect(inbox.locator("#bubs .txt")).to_have_count(len(said))
    assert await texts(inbox, "#bubs") == said


async def test_more_than_a_page_of_messages_during_a_cut_is_all_readable_afterwards(house: Floor) -> None:
    person = house.customer()
    desk = await house.desk()
    page = await desk.new_page()
    await house.opened(page, person, "在吗？")
    await _live(page)

    await house.cut(desk)
    said = ["在吗？", *(f"长消息 {number + 1}" for number in range(40))]
    for text in said[1:]:
        await house.writes(person, text)
    await desk.set_offline(False)

    await expect(page.locator("#bubs .txt", has_text="长消息 40")).to_have_count(1)
    await page.get_by_role("link", name="更早").click()
    await expect(page.locator("#bubs .txt")).to_have_count(len(said))
    assert await texts(page, "#bubs") == said


async def test_the_dot_says_live_connecting_offline_and_live_again(house: Floor) -> None:
    desk = await house.desk()
    page = await desk.new_page()
    await page.clock.install()
    await page.goto("/inbox")
    await _live(page)
    assert await _dot(page) == "实时"

    await house.cut(desk)
    await expect(page.locator("#queue [data-dot=connecting]")).to_be_attached()
    assert await _dot(page) == "连接中"
    await expect(page.locator("#offbar")).to_be_hidden()
    await page.clock.fast_forward(61_000)
    await expect(page.locator("#queue [data-dot=offline]")).to_be_attached()
    assert await _dot(page) == "离线"
    await expect(page.locator("#offbar")).to_contain_text("网络断开，正在重连（第")

    await desk.set_offline(False)
    await expect(page.locator("#queue [data-dot=live]")).to_be_attached()
    await expect(page.locator("#offbar")).to_be_hidden()


async def test_a_connection_that_says_nothing_for_long_is_not_called_live(house: Floor) -> None:
    """A proxy that swallows bytes leaves the connection open; its age tells."""
    desk = await house.desk()
    page = await desk.new_page()
    await page.clock.install()
    await page.goto("/inbox")
    await _live(page)

    await page.clock.fast_forward(25_000)

    await expect(page.locator("#queue [data-dot=connecting]")).to_be_attached()


async def test_only_a_refused_stream_ends_at_the_sign_in_page(house: Floor) -> None:
    """The session ended meanwhile: the page finds out by itself."""
    desk = await house.desk()
    page = await desk.new_page()
    await page.goto("/inbox")
    await _live(page)

    await desk.clear_cookies()
    house.stage.service.house.live.close()

    await page.wait_for_url("**/login?next=*")


async def test_a_hidden_page_lets_go_of_its_stream_and_catches_up_when_shown(house: Floor) -> None:
    person = house.customer()
    desk = await house.desk()
    page = await desk.new_page()
    await page.clock.install()
    await house.opened(page, person, "在吗？")
    await _live(page)
    live = house.stage.service.house.live
    await until(lambda: live.screens == 1, "only this page is listening")

    await _hide(page, hidden=True)
    await page.clock.fast_forward(61_000)
    await until(lambda: live.screens == 0, "the hidden page closes its stream")
    await house.writes(person, "你们几点下班？")
    await _hide(page, hidden=False)

    await expect(page.locator("#bubs .txt", has_text="几点下班")).to_have_count(1)
    assert live.screens == 1


async def _hide(page: Page, *, hidden: bool) -> None:
    await page.evaluate(
        "hidden => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )


async def test_a_service_that_restarts_its_streams_is_followed_without_a_reload(house: Floor) -> None:
    person = house.customer()
    desk = await house.desk()
    page = await desk.new_page()
    await house.opened(page, person, "在吗？")
    await _live(page)

    house.stage.service.house.live.close()
    await house.writes(person, "还在吗？")

    await expect(page.locator("#bubs .txt", has_text="还在吗？")).to_have_count(1)


async def test_what_is_sent_while_offline_is_not_queued_silently(house: Floor) -> None:
    person = house.customer()
    desk = await house.desk()
    page = await desk.new_page()
    cid = await house.opened(page, person, "这个价格太贵了，能便宜点吗？")
    await page.goto(f"/s/c/{cid}")
    await _live(page)
    card = ready_card(page)
    said = await words_of(card)

    await house.cut(desk)
    await card.locator("button[data-primary]:visible").click()
    failed = page.locator("#out > li", has_text="没有发出去")
    await expect(failed).to_have_count(1)
    await expect(failed.get_by_role("button", name="复制")).to_be_visible()
    await desk.set_offline(False)
    await _live(page)
    assert house.got(person, said) == 0

    await failed.get_by_role("button", name="重试").click()

    await expect(page.locator("#out [data-state=sent]")).to_have_count(1)
    await expect(page.locator("#out > li")).to_have_count(1)
    assert house.got(person, said) == 1


async def test_an_answer_lost_on_the_way_back_does_not_send_twice(house: Floor) -> None:
    """The push went out, its answer was lost: the stream tells, and our bubble becomes the server's."""
    person = house.customer()
    desk = await house.desk()
    page = await desk.new_page()
    cid = await house.opened(page, person, "这个价格太贵了，能便宜点吗？")
    await page.goto(f"/s/c/{cid}")
    card = ready_card(page)
    said = await words_of(card)
    await _lose_answers(desk)
    await card.locator("button[data-primary]:visible").click()
    await until(lambda: house.got(person, said) == 1, "the push goes out")
    await desk.unroute_all(behavior="wait")

    await expect(page.locator("#out [data-state=sent]")).to_have_count(1)
    await expect(page.locator("#out > li")).to_have_count(1)
    await page.reload()
    await page.get_by_role("tab", name="时间线").click()
    await expect(page.locator("#tl > li.out")).to_have_count(1)
    assert house.got(person, said) == 1


async def _lose_answers(desk: BrowserContext) -> None:
    async def lose(route: object) -> None:
        await route.fetch()  # type: ignore[attr-defined]
        await route.abort()  # type: ignore[attr-defined]

    await desk.route("**/send", lose)


async def test_a_message_taken_back_is_marked_in_place_and_a_rep_reads_it_no_more(house: Floor) -> None:
    person = house.customer("wecom_kf")
    desk = await house.desk()
    page = await desk.new_page()
    await house.writes(person, "发错了", "school-kf")
    bubble = await house.writes(person, "这句要撤回", "school-kf")
    cid = await house.talk(page, person, "这句要撤回")
    await page.goto(f"/inbox/{cid}")
    await _live(page)

    await house.stage.world.outlets["school-kf"].recall(person, bubble.id)  # type: ignore[attr-defined]

    await expect(page.locator("#bubs .tag", has_text="已撤回")).to_have_count(1)
    await expect(page.locator("#bubs", has_text="发错了")).to_have_count(1)
    await expect(page.locator("#bubs", has_text="这句要撤回")).to_have_count(0)
    assert house.stage.world.phone(person, OA) == ()
