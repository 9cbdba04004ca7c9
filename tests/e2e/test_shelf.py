"""The script library in a browser: written with completion and live preview, found by pinyin."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.e2e.floor import chromium
from tests.e2e.test_admin import NARROW, RULES, WIDE, found
from tests.web.office import Office, office
from tests.web.test_shelf import FORM, PRICE

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOTS = os.environ.get("SCRM_SCREENSHOTS", "")
Room = tuple[Office, Browser]
BASE = "/admin/scripts"
#: Variables in the list below the text.
OFFERED = ".complete [role=option]"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def room(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Room]:
    """A service with a reviewed and a waiting version, and a browser."""
    async with office(tmp_path_factory.mktemp("shelf")) as desk, async_playwright() as play:
        browser = await play.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-background-networking"]
        )
        await desk.hear("oa-a", "oCustomerOfShelf000000000001", "你们的课太贵了")
        for text, done in (
            ("{{ member.name|default('您好') }}，这个课程很划算", True),
            ("您先看看价格", False),
        ):
            form = FORM | {"text": text, "code": PRICE, "what": "submit", "note": "说软一点"}
            await desk.ask("POST", f"{BASE}/{PRICE}", who="admin", data=form)
            if done:
                page = await sit((desk, browser), "lead")
                await page.goto(f"{BASE}/{PRICE}")
                await page.get_by_role("button", name="发布", exact=True).click()
                await expect(page.get_by_role("status").first).to_contain_text("已发布")
        yield desk, browser
        await browser.close()


async def sit(room: Room, who: str = "admin", *, size: tuple[int, int] = WIDE, scripts: bool = True) -> Page:
    desk, browser = room
    made = await browser.new_context(
        base_url=desk.url, viewport={"width": size[0], "height": size[1]}, java_script_enabled=scripts
    )
    await made.add_cookies([{"name": "scrm", "value": desk.sessions[who], "url": desk.url}])
    return await made.new_page()


async def test_braces_open_the_variables_and_the_preview_follows_every_word(room: Room) -> None:
    page = await sit(room)
    await page.goto(f"{BASE}/{PRICE}")
    area = page.locator("#text")
    await area.fill("")

    await area.press_sequentially("您好{{孩")
    await expect(page.locator(OFFERED)).to_have_count(0)  # what stands in braces is a name
    await area.fill("")
    await area.press_sequentially("您好{{chi")
    await expect(page.locator(OFFERED).first).to_contain_text("child.name")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Enter")
    await page.keyboard.type("，保证提分")

    await expect(area).to_have_value("您好{{ child.name }}，保证提分")
    preview = page.locator("#preview")
    await expect(preview.locator(".say")).to_have_text("您好子涵，保证提分")
    await expect(preview).to_contain_text("不能发：保证提分")
    await page.get_by_label("预览用哪一家").select_option("nobody")
    await expect(preview.locator("mark.bad")).to_have_text("【孩子称呼】")


async def test_slash_finds_by_initials_and_enter_sends_the_first(room: Room) -> None:
    desk, _ = room
    page = await sit(room, "rep", size=NARROW)
    await page.goto(f"/s/c/{await desk.cid('oa-a')}")
    await expect(page.locator("html.on")).to_be_attached()
    suggested = page.locator("#p-rec > [data-card]")
    await expect(suggested.first).to_be_visible()

    await page.keyboard.press("/")
    await page.keyboard.type("jdg")
    first = page.locator("#found [data-card]").first
    await expect(first).to_contain_text("觉得贵")
    await expect(suggested.first).to_be_hidden()
    if SHOTS:
        await page.screenshot(path=f"{SHOTS}/scripts-found-360.png")
    await page.keyboard.press("Enter")

    await expect(page.locator("#out > li").first).to_contain_text("这个课程很划算")
    await page.locator("#find-q").focus()
    await page.keyboard.press("Escape")
    await expect(page.locator("#find")).to_be_hidden()
    await expect(page.locator("#found [data-card]")).to_have_count(0)
    await expect(suggested.first).to_be_visible()


async def test_enter_before_anything_was_found_sends_nothing(room: Room) -> None:
    desk, _ = room
    page, sent = await sit(room, "rep"), list[str]()
    page.on("request", lambda r: sent.append(r.url) if r.method == "POST" else None)
    await page.goto(f"/s/c/{await desk.cid('oa-a')}")
    await expect(page.locator("html.on")).to_be_attached()

    await page.keyboard.press("/")
    await page.keyboard.type("没有这种话")
    await page.keyboard.press("Enter")
    await expect(page.locator("#found")).to_contain_text("没有符合的话术")
    await page.keyboard.press("Enter")

    assert [url for url in sent if url.endswith(("/send", "/sent"))] == []


async def test_a_lead_reviews_without_scripts(room: Room) -> None:
    page = await sit(room, "lead", scripts=False)
    await page.goto(BASE)
    await page.get_by_role("link", name="觉得贵").first.click()

    await expect(page.locator("#decide ins")).to_contain_text(["先看看"])
    await page.get_by_label("退回的理由").fill("太短")
    await page.get_by_role("button", name="退回给作者").click()

    await expect(page.get_by_role("status").first).to_contain_text("已退回给作者")


async def test_axe_finds_nothing_in_either_theme_and_nothing_scrolls_sideways(room: Room) -> None:
    desk, _ = room
    cid = await desk.cid("oa-a")
    pages = {
        "home": ("admin", BASE),
        "script": ("admin", f"{BASE}/{PRICE}"),
        "new": ("admin", f"{BASE}/new"),
        "compare": ("lead", f"{BASE}/{PRICE}/versions"),
        "import": ("admin", f"{BASE}/import"),
        "own": ("rep", "/s/me/scripts/new"),
        "found": ("rep", f"/s/c/{cid}/find?q=jdg"),
    }
    faults: dict[str, object] = {}
    for name, (who, path) in pages.items():
        page = await sit(room, who)
        await page.goto(path)
        for theme, size in (("light", WIDE), ("dark", NARROW)):
            await page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
            await page.set_viewport_size({"width": size[0], "height": size[1]})
            faults[f"{name} {theme}"] = found(await Axe().run(page, options=RULES))
            wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            faults[f"{name} {theme} wide"] = max(0, await page.evaluate(wide))
            if SHOTS:
                await page.screenshot(path=f"{SHOTS}/scripts-{name}-{theme}-{size[0]}.png", full_page=True)
        await page.close()

    assert len(faults) == 28
    assert {where: what for where, what in faults.items() if what} == {}
