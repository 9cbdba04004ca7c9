"""SOPs in a browser: written step by step, tried on a family, published; clean by axe at both widths."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, Page, async_playwright, expect

from scrm.app import TENANT
from scrm.staff import store as staff
from tests.e2e.floor import chromium
from tests.e2e.test_admin import NARROW, RULES, WIDE, found
from tests.web.flowing import BASE, opened, published, send
from tests.web.office import Office, event, office

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOTS = os.environ.get("SCRM_SCREENSHOTS", "")
Room = tuple[Office, Browser]
NEW, TRIAL = "edu.new-7-days", "edu.trial"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def room(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Room]:
    """A service with an SOP somebody is on, a draft of it, and a browser."""
    async with office(tmp_path_factory.mktemp("flows")) as desk, async_playwright() as play:
        browser = await play.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-background-networking"]
        )
        await published(desk)
        await desk.hear("oa-a", "oCustomerOfFlows000000000001", "你们的课怎么上？")
        await desk.callback("oa-a", event("oCustomerOfFlows000000000001", "subscribe"))
        await desk.quiet()
        form = await opened(desk, "edu.test")
        await send(desk, "/edu.test", form.sent("save", step_2_text="方便打个电话吗？", note="改成打电话"))
        yield desk, browser
        await browser.close()


async def sit(
    room: Room, who: str = "marketing", *, size: tuple[int, int] = WIDE, scripts: bool = True
) -> Page:
    desk, browser = room
    made = await browser.new_context(
        base_url=desk.url, viewport={"width": size[0], "height": size[1]}, java_script_enabled=scripts
    )
    await made.add_cookies([{"name": "scrm", "value": desk.sessions[who], "url": desk.url}])
    return await made.new_page()


async def test_a_step_is_added_moved_written_and_published_without_scripts_on_a_narrow_screen(
    room: Room,
) -> None:
    page = await sit(room, size=NARROW, scripts=False)
    await page.goto(f"{BASE}/{TRIAL}")
    steps = page.locator("ol.steps > li.step")
    before = await steps.count()
    await page.get_by_role("button", name="发消息", exact=True).click()
    await expect(steps).to_have_count(before + 1)
    await page.get_by_role("button", name=f"第 {before} 步上移").click()
    added = page.locator("#s-message-1")
    await expect(added.locator(".stepno")).to_have_text(str(before - 1))
    await expect(added.get_by_label("或者自己写")).to_be_visible()
    await added.get_by_label("或者自己写").fill("这几天不打扰您，想好了叫我")
    await page.get_by_role("button", name="发布", exact=True).click()

    await expect(page.get_by_role("status").first).to_contain_text("已发布")
    await expect(page.locator("#s-message-1")).to_contain_text("想好了叫我")


async def test_the_reading_follows_what_is_typed_and_says_what_is_missing(room: Room) -> None:
    page = await sit(room)
    await page.goto(f"{BASE}/edu.test")
    await expect(page.locator("html.on")).to_be_attached()
    reading = page.locator("#reading")
    await expect(reading).to_contain_text("没有写错的地方")
    await page.locator("#s-call > details > summary").click()
    await page.get_by_label("写清楚要做什么").fill("")

    await expect(reading).to_contain_text("第 4 步：待办要写标题")
    await page.get_by_label("写清楚要做什么").fill("约一次试听")
    await expect(reading).to_contain_text("约一次试听")


async def test_a_lead_tries_it_on_a_family_and_on_the_past(room: Room) -> None:
    page = await sit(room, "lead")
    await page.goto(f"{BASE}/edu.test")
    await page.get_by_role("button", name="用过去的客户试走").click()
    tried = page.locator("#tried")
    await expect(tried).to_contain_text("会有 1 家开始，给这些家庭自动发")
    await expect(tried.get_by_role("link", name="看这一家")).to_be_visible()
    await page.get_by_role("button", name="在这一家试走").click()

    await expect(tried).to_contain_text("从现在开始会这样走")
    await expect(tried).to_contain_text("方便打个电话吗？")
    await tried.get_by_role("link", name="看这一家").click()
    await expect(page).to_have_url(f"{room[0].url}/households/" + page.url.rpartition("/")[2])


async def test_english_fits_the_narrow_screen(room: Room) -> None:
    desk, _ = room
    async with desk.service.house.db.begin(TENANT) as conn:
        who = desk.staff_ids["lead"]
        await staff.set_prefs(conn, who, locale="en", theme="auto", shortcuts=True)
    page = await sit(room, "lead", size=NARROW)
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    found_wide: dict[str, int] = {}
    for path in ("", f"/{NEW}", "/edu.test/runs"):
        await page.goto(f"{BASE}{path}")
        for summary in await page.locator("main summary").all():
            await summary.click()
        found_wide[path] = await page.evaluate(wide)
        if SHOTS:
            await page.screenshot(
                path=f"{SHOTS}/sops-en-{path.rpartition('/')[2] or 'home'}-360.png", full_page=True
            )
    async with desk.service.house.db.begin(TENANT) as conn:
        await staff.set_prefs(conn, who, locale="zh_CN", theme="auto", shortcuts=True)

    await expect(page.locator("html")).to_have_attribute("lang", "en")
    assert {path: px for path, px in found_wide.items() if px > 0} == {}


async def test_axe_finds_nothing_in_either_theme_and_nothing_scrolls_sideways(room: Room) -> None:
    faults: dict[str, object] = {}
    paths = {
        "home": "",
        "sop": f"/{NEW}",
        "new": "/new",
        "runs": "/edu.test/runs",
        "compare": "/edu.test/versions",
    }
    for name, path in {**paths, "tried": "/edu.test", "wrong": "/edu.test"}.items():
        page = await sit(room, "lead" if name == "tried" else "admin")
        await page.goto(f"{BASE}{path}")
        if name == "tried":
            await page.get_by_role("button", name="用过去的客户试走").click()
            await expect(page.locator("#tried")).to_contain_text("1 家开始")
        if name == "wrong":
            await page.locator("#s-hi > details > summary").click()
            await page.get_by_label("或者自己写").first.fill("")
            await page.get_by_role("button", name="发布", exact=True).click()
            await expect(page.get_by_role("alert")).to_contain_text("处要改")
        for summary in await page.locator("main summary").all():
            await summary.click()
        for theme in ("light", "dark"):
            for size in (WIDE, NARROW):
                await page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
                await page.set_viewport_size({"width": size[0], "height": size[1]})
                faults[f"{name} {theme} {size[0]}"] = found(await Axe().run(page, options=RULES))
                wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                faults[f"{name} {theme} {size[0]} wide"] = max(0, await page.evaluate(wide))
                if SHOTS:
                    shot = f"{SHOTS}/sops-{name}-{theme}-{size[0]}.png"
                    await page.screenshot(path=shot, full_page=True)
        await page.close()

    assert len(faults) == 56
    assert {where: what for where, what in faults.items() if what} == {}
