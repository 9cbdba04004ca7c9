"""Attachments and automatic answers in a browser: in editor, preview and card, at every width and theme."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import async_playwright

from tests.e2e.floor import chromium
from tests.e2e.test_admin import NARROW, RULES, WIDE, found
from tests.e2e.test_shelf import Room, sit
from tests.playbook.enclosures import PDF, picture
from tests.web.office import office
from tests.web.test_enclosing import CODE, SCRIPTS, form, published, talking

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOTS = os.environ.get("SCRM_SCREENSHOTS", "")
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def room(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Room]:
    """A service with a script that carries two files, a customer who asks for it, and a browser."""
    async with office(tmp_path_factory.mktemp("enclosed")) as desk, async_playwright() as play:
        browser = await play.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-background-networking"]
        )
        await published(desk, form(("课表.png", picture()), ("报名须知和收费标准2026秋季.pdf", PDF)))
        await talking(desk)
        yield desk, browser
        await browser.close()


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["360", "1280"])
async def test_editor_card_and_switches_fit_and_are_accessible(room: Room, size: tuple[int, int]) -> None:
    desk, _ = room
    cid = await desk.cid("oa-a")
    places = (
        ("editor", "admin", f"{SCRIPTS}/{CODE}"),
        ("auto", "admin", f"{SCRIPTS}/auto"),
        ("card", "rep", f"/s/c/{cid}"),
    )
    for name, who, path in places:
        page = await sit(room, who, size=size)
        await page.goto(path)
        if name != "auto":
            picture = page.locator(".encl img").first
            await picture.scroll_into_view_if_needed()
            assert await picture.evaluate("i => i.decode().then(() => i.naturalWidth > 0)")
        for theme in THEMES:
            await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            if SHOTS:
                where = Path(SHOTS) / f"enclosed-{name}-{size[0]}-{theme}.png"
                await page.screenshot(path=where, full_page=True)
            assert found(await Axe().run(page, options=RULES)) == [], f"{name} {theme}"
        wide = await page.evaluate("document.documentElement.scrollWidth")
        assert wide <= size[0], name
        await page.close()
