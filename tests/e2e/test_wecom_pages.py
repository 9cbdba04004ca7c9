"""A customer's card, a group and the deeds page in a browser: by axe, narrow and wide, without scripts."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, Page, async_playwright

from tests.e2e.floor import chromium
from tests.e2e.test_admin import NARROW, RULES, WIDE, found
from tests.web.office import Office, office
from tests.web.test_wecom_pages import CUSTOMER, DEEDS, customer, deeds

pytestmark = pytest.mark.asyncio(loop_scope="module")
SHOTS = os.environ.get("SCRM_SCREENSHOTS", "")


@dataclass
class Room:
    desk: Office
    browser: Browser
    cid: str
    pages: dict[str, tuple[str, str]]

    async def sit(self, who: str, *, scripts: bool = True) -> Page:
        made = await self.browser.new_context(base_url=self.desk.url, java_script_enabled=scripts)
        cookie = {"name": "scrm", "value": self.desk.sessions[who], "url": self.desk.url}
        await made.add_cookies([cookie])  # type: ignore[list-item]
        return await made.new_page()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def room(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Room]:
    async with office(tmp_path_factory.mktemp("wecom")) as desk, async_playwright() as play:
        browser = await play.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-background-networking"]
        )
        cid = await customer(desk)
        chat = await desk.group("wr1", "三年级家长群", ours="RepUser", customers={CUSTOMER: "子涵"})
        form = {"deed": "way.add", "key": "k" * 24, "users": "RepUser", "state": "autumn"}
        await desk.ask("POST", DEEDS, who="admin", data=form)
        pages = {
            "panel": ("rep", f"/s/c/{cid}"),
            "group": ("rep", f"/s/g/{chat}"),
            "deeds": ("admin", DEEDS),
        }
        yield Room(desk=desk, browser=browser, cid=cid, pages=pages)
        await browser.close()


async def test_axe_finds_nothing_in_either_theme_narrow_or_wide_and_nothing_goes_sideways(room: Room) -> None:
    wrong: dict[str, object] = {}
    for name, (who, path) in room.pages.items():
        page = await room.sit(who)
        await page.goto(path)
        await page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        for theme, (width, height) in (("light", WIDE), ("dark", NARROW)):
            await page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
            await page.set_viewport_size({"width": width, "height": height})
            if what := found(await Axe().run(page, options=RULES)):
                wrong[f"{name} {theme}"] = what
            root = "document.documentElement"
            if await page.evaluate(f"{root}.scrollWidth > {root}.clientWidth"):
                wrong[f"{name} {width}"] = "scrolls sideways"
            if SHOTS:
                await page.screenshot(path=f"{SHOTS}/wecom-{name}-{theme}.png", full_page=True)

    assert wrong == {}


async def test_a_remark_is_changed_without_scripts(room: Room) -> None:
    page = await room.sit("rep", scripts=False)
    await page.goto(f"/s/c/{room.cid}")
    await page.get_by_text("客户资料").click()
    await page.get_by_label("备注名").fill("子涵妈妈 续费")
    await page.get_by_role("button", name="保存备注").click()

    assert page.url.endswith(f"/s/c/{room.cid}")
    made = next(d for d in await deeds(room.desk) if d.kind == "remark")
    assert made.fields["remark"] == "子涵妈妈 续费"
