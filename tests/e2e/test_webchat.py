"""The chat on another origin under a strict policy, and a rep in the inbox on the other end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import BrowserContext, Page, expect

from tests.e2e.floor import LIN, OA, Floor, dumped
from tests.e2e.test_looks import RULES

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOTS = os.environ.get("SCRM_SCREENSHOTS", "")
SHOP = "shop"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000002000000020802000000fdd49a73"
    "0000001649444154789c63f8cfc0f01f0c191818fe333030000024e403fd2b0fb0f60000000049454e44ae426082"
)


def site(house: Floor) -> str:
    return house.stage.platforms[SHOP]


async def _come(house: Floor, **options: Any) -> tuple[BrowserContext, Page]:
    """A browser on the shop's page, the window open."""
    desk = await house.visitor(base_url=site(house), **options)
    page = await desk.new_page()
    await page.goto("/")
    await page.locator(".knob").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    return desk, page


async def _say(page: Page, text: str) -> None:
    await page.get_by_label("输入消息").fill(text)
    await page.get_by_label("输入消息").press("Enter")


def _said(page: Page, text: str) -> Any:
    return page.locator(".msg", has_text=text)


async def _opened(house: Floor, text: str, *, who: str = LIN) -> Page:
    """The rep's desktop with the visitor's conversation."""
    page = await (await house.desk(who)).new_page()
    await page.goto("/inbox?filter=all")
    await page.locator("[data-row]", has_text=text).first.click()
    await expect(page.locator("#bubs .txt", has_text=text)).to_have_count(1)
    return page


async def _answer(rep: Page, text: str) -> None:
    await rep.locator("#say").fill(text)
    await rep.locator("#say").press("Control+Enter")


async def test_a_visitor_and_a_rep_talk_and_each_sees_what_the_other_does(house: Floor) -> None:
    _, page = await _come(house)
    await _say(page, "你好，想问一下周六的课")
    rep = await _opened(house, "想问一下周六的课")
    await expect(_said(page, "想问一下周六的课").get_by_text("已读")).to_be_visible()

    await rep.locator("#say").press_sequentially("周")
    await expect(page.get_by_text("对方正在输入…")).to_be_visible()
    await _answer(rep, "周六上午十点还有位子")
    await expect(_said(page, "周六上午十点还有位子")).to_have_count(1)
    await expect(rep.locator("#bubs > li.out", has_text="对方已读")).to_have_count(1)
    await page.get_by_label("输入消息").press_sequentially("好")
    await expect(rep.get_by_text("对方正在输入…")).to_be_visible()

    await page.reload()
    await page.locator(".knob").click()
    await expect(page.locator(".msg")).to_have_count(2)


async def test_words_said_offline_wait_and_arrive_once_in_order(house: Floor) -> None:
    desk, page = await _come(house)
    await _say(page, "网络好的时候说的")
    rep = await _opened(house, "网络好的时候说的")

    await house.cut(desk)
    await _say(page, "断网时说的第一句")
    await _say(page, "断网时说的第二句")
    await expect(_said(page, "第二句").get_by_text("等网络恢复后发送")).to_be_visible()
    await _answer(rep, "断网时回的")
    await desk.set_offline(False)

    await expect(_said(page, "断网时回的")).to_have_count(1)
    await expect(rep.locator("#bubs .txt", has_text="第二句")).to_have_count(1)
    mine = [t.strip() for t in await rep.locator("#bubs > li.in .txt").all_inner_texts()]
    assert mine == ["网络好的时候说的", "断网时说的第一句", "断网时说的第二句"]
    await expect(page.locator(".msg.mine")).to_have_count(3)


async def test_words_said_offline_survive_a_reload(house: Floor) -> None:
    desk, page = await _come(house)
    await _say(page, "先说一句")
    await expect(page.locator(".msg.mine")).to_have_count(1)
    await page.route("**/messages", lambda route: route.abort())
    await _say(page, "没网时说完就刷新")
    await expect(page.get_by_text("等网络恢复后发送")).to_be_visible()

    await page.unroute("**/messages")
    await page.reload()

    await _opened(house, "没网时说完就刷新")
    await page.locator(".knob").click()
    await expect(page.locator(".msg.mine")).to_have_count(2)
    await desk.close()


async def test_a_member_who_signs_in_stands_on_the_timeline_of_their_wechat(house: Floor) -> None:
    person = house.customer("wechat_oa")
    await house.writes(person, "我先在公众号里问过", OA)
    _, page = await _come(house)
    await _say(page, "现在在网站上问")
    await expect(
        _said(page, "现在在网站上问").get_by_text("已送达").or_(page.get_by_text("已读"))
    ).to_be_visible()

    await page.locator("select").select_option(str(person.number))
    await page.get_by_role("button", name="登录").click()
    await page.locator(".knob").click()
    rep = await _opened(house, "现在在网站上问")

    await expect(rep.locator("#bubs .txt", has_text="我先在公众号里问过")).to_have_count(1)
    await expect(rep.locator("#conv-h")).to_have_text(person.name)
    if SHOTS:
        await _shots(rep, "webchat-inbox")


async def test_pictures_and_files_go_both_ways(house: Floor, tmp_path: Path) -> None:
    _, page = await _come(house)
    await _say(page, "发一张照片")
    rep = await _opened(house, "发一张照片")
    picture, paper = tmp_path / "作业.png", tmp_path / "plan.svg"
    picture.write_bytes(PNG)
    paper.write_text('<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', "utf-8")

    for one in (picture, paper):
        await page.locator("#pick").set_input_files(one)
    await expect(page.locator(".pic img[src^=blob]")).to_have_count(1)
    await expect(page.get_by_role("button", name="下载 plan.svg")).to_be_visible()
    await expect(rep.locator("#bubs .pic img")).to_have_count(1)
    await expect(rep.locator("#bubs a[download]")).to_have_count(1)
    await rep.locator("#say-image").set_input_files(picture)
    await rep.locator("#say").press("Control+Enter")

    await expect(page.locator(".pic img[src^=blob]")).to_have_count(2)
    async with page.expect_download() as saved:
        await page.get_by_role("button", name="下载 plan.svg").click()
    assert (await saved.value).suggested_filename == "plan.svg"


async def test_the_page_keeps_no_trace_but_one_element(house: Floor) -> None:
    desk = await house.visitor(base_url=site(house))
    page = await desk.new_page()
    await page.route("**/widget.js", lambda route: route.abort())
    await page.goto("/")
    before = set(await page.evaluate("Object.getOwnPropertyNames(window)"))
    await page.unroute("**/widget.js")
    await page.goto("/")
    await page.locator(".knob").click()
    await _say(page, "有人吗")
    await expect(page.locator(".msg.mine")).to_have_count(1)

    after = set(await page.evaluate("Object.getOwnPropertyNames(window)"))

    assert after - before == set()
    assert await page.evaluate("document.body.lastElementChild.attributes.length") >= 1
    assert await page.evaluate("document.querySelectorAll('style, [data-scrm-chat]').length") == 1
    assert await desk.cookies(house.url) == []


async def test_the_window_is_worked_by_keyboard_alone(house: Floor) -> None:
    desk = await house.visitor(base_url=site(house))
    page = await desk.new_page()
    await page.goto("/")
    await page.locator(".knob").focus()

    await page.keyboard.press("Enter")
    await page.keyboard.type("键盘说的")
    await page.keyboard.press("Enter")
    await expect(_said(page, "键盘说的")).to_have_count(1)
    for _ in range(12):
        await page.keyboard.press("Tab")
        assert await page.evaluate(
            "document.activeElement.shadowRoot?.activeElement?.closest('.panel') !== null"
        )
    await page.keyboard.press("Escape")

    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert await page.evaluate("document.activeElement.shadowRoot.activeElement.className") == "knob"


async def test_a_closed_window_counts_what_came(house: Floor) -> None:
    _, page = await _come(house)
    await _say(page, "我先关掉窗口")
    rep = await _opened(house, "我先关掉窗口")
    await page.keyboard.press("Escape")

    await _answer(rep, "有消息了")

    await expect(page.locator(".badge")).to_have_text("1")
    await page.locator(".knob").click()
    await expect(page.locator(".badge")).to_be_hidden()


async def test_refused_logins_are_told_to_the_page(house: Floor) -> None:
    _, page = await _come(house)
    await page.evaluate(
        "document.addEventListener('scrm:refused', ({ detail }) => (document.title = detail.reason))"
    )

    await page.evaluate(
        "document.dispatchEvent(new CustomEvent('scrm:identify', { detail: { token: 'a.b.c' } }))"
    )

    await page.wait_for_function("document.title.includes('登录凭证')")
    await _say(page, "还是能说话")
    await expect(_said(page, "还是能说话")).to_have_count(1)


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_axe_finds_nothing_in_the_widget_and_it_fits_every_screen(house: Floor, language: str) -> None:
    desk = await house.visitor(base_url=site(house))
    page = await desk.new_page()
    await page.goto("/?lang=en" if language == "en" else "/")
    await page.locator(".knob").click()
    box = page.locator("#say")
    await box.fill("请问三年级的数学课怎么安排？周末有没有试听？")
    await box.press("Enter")
    await expect(page.locator(".msg.mine .state")).to_have_text("已送达" if language == "zh" else "Delivered")
    if language == "zh":
        rep = await _opened(house, "请问三年级的数学课怎么安排？")
        await _answer(rep, "周六上午十点和下午两点各有一个位子，可以先来试听，您看哪个方便？")
        await expect(page.locator(".msg")).to_have_count(2)
    found: dict[str, list[str]] = {}
    for theme in ("light", "dark"):
        for width, height in ((360, 640), (1280, 800)):
            await page.emulate_media(
                color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce"
            )
            await page.set_viewport_size({"width": width, "height": height})
            results = await Axe().run(page, context="[data-scrm-chat]", options=RULES)
            found[f"{theme} {width}"] = [
                f"{v['id']}: {n['target']} {n.get('failureSummary', '')}"
                for v in results.response["violations"]
                for n in v["nodes"]
            ]
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            if SHOTS:
                await page.screenshot(path=Path(SHOTS) / f"webchat-{language}-{theme}-{width}.png")

    assert {where: what for where, what in found.items() if what} == {}, dumped(found)


async def _shots(page: Page, name: str) -> None:
    for theme in ("light", "dark"):
        for width, height in ((360, 640), (1280, 800)):
            await page.emulate_media(
                color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce"
            )
            await page.set_viewport_size({"width": width, "height": height})
            await page.screenshot(path=Path(SHOTS) / f"{name}-{theme}-{width}.png")
