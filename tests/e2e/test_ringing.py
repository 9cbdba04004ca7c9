"""The telephone rings: the customer opens by itself, unless the rep is writing; and how the banner looks."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Page, expect

from connectors.calls.simulator import EXCHANGE, Exchange, simulate
from scrm.accounts import service as accounts
from scrm.app import TENANT
from scrm.contract import Account
from scrm.db import utcnow
from scrm.demo.stage import CORP_ID, TEAM
from scrm.staff import store as staff_store
from tests.e2e.floor import LIN, ZHOU, Floor

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOTS = os.environ.get("SCRM_SCREENSHOTS", "")
SECRET = "ring-ring-ring-ring-ring-ring-32"
LENGTH = """a => new Promise((yes, no) => {
  a.onloadedmetadata = () => yes(a.duration); a.onerror = no; a.load();
})"""
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@asynccontextmanager
async def exchange(house: Floor, slug: str) -> AsyncIterator[Exchange]:
    """A telephone exchange of its own, and its account."""
    secrets = {"secret": SECRET}
    one = Account(tenant_id=TENANT, account_id=0, slug=slug, channel="calls", name="热线", secrets=secrets)
    app = simulate(house.stage.world, one, f"{house.url}/hooks/{slug}")
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    inside = house.stage.service.house
    written = {"slug": slug, "channel": "calls", "name": "热线", "corp_id": CORP_ID, **secrets}
    written["recordings_base"] = str(server.make_url("/"))
    async with inside.db.begin(TENANT) as conn:
        team_id = await staff_store.team_id(conn, TEAM)
        await accounts.add(conn, written, now=utcnow(), team_id=team_id)
    async with inside.db.read(TENANT) as conn:
        await inside.directory.load(conn)
    try:
        yield app[EXCHANGE]
    finally:
        for line in app[EXCHANGE].lines.values():
            if line.state == "ringing":
                await app[EXCHANGE].hang_up(line)
        await server.close()


async def sitting(house: Floor, who: str = LIN, where: str = "/inbox", **options: object) -> Page:
    page = await (await house.desk(who, **options)).new_page()
    await page.goto(where)
    await expect(page.locator("[data-dot=live]").first).to_be_attached()
    return page


async def test_the_customer_who_rings_opens_by_itself_and_the_call_can_be_listened_to(house: Floor) -> None:
    person = house.customer()
    async with exchange(house, "line-open") as phones:
        page = await sitting(house)
        colleague = await sitting(house, ZHOU)

        line = await phones.ring(person, LIN)
        await page.wait_for_url("**/inbox/*")

        await expect(page.locator("#ringing")).to_contain_text("来电")
        await expect(page.locator("#bubs")).to_contain_text("呼入 · 振铃中")
        await phones.answer(line)
        await expect(page.locator("#ringing .ring")).to_have_count(0)
        await phones.hang_up(line)
        await expect(page.locator("#bubs")).to_contain_text("已接通")
        await expect(page.locator("#bubs audio")).to_have_count(1)
        assert colleague.url.endswith("/inbox")
        await expect(colleague.locator("#ringing .ring")).to_have_count(0)
        played = await page.locator("#bubs audio").evaluate(LENGTH)
        assert played > 0


async def test_a_rep_who_is_writing_is_asked_and_not_taken_away(house: Floor) -> None:
    person, other = house.customer(), house.customer()
    async with exchange(house, "line-ask") as phones:
        page = await (await house.desk()).new_page()
        cid = await house.opened(page, other, "请问几点下课？")
        await page.locator("#say").fill("我看一下课表")

        await phones.ring(person, LIN)
        await expect(page.locator("#ringing .ring")).to_have_count(1)

        assert page.url.endswith(cid)
        await expect(page.locator("#say")).to_have_value("我看一下课表")
        await page.locator("#ringing").get_by_role("link", name="打开").click()
        await expect(page.locator("#bubs")).to_contain_text("呼入 · 振铃中")


async def test_who_went_back_is_not_taken_there_again(house: Floor) -> None:
    async with exchange(house, "line-back") as phones:
        page = await sitting(house)
        await phones.ring(house.customer(), LIN)
        await page.wait_for_url("**/inbox/*")

        await page.goto("/inbox")
        await expect(page.locator("#ringing .ring")).to_have_count(1)
        await page.wait_for_timeout(300)

        assert page.url.endswith("/inbox")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_the_banner_fits_and_can_be_read(house: Floor, width: int, theme: str) -> None:
    async with exchange(house, f"line-{width}-{theme}") as phones:
        await phones.ring(house.customer(), "")
        options = {"viewport": {"width": width, "height": 700}, "color_scheme": theme}

        page = await sitting(house, ZHOU, **options)
        await expect(page.locator("#ringing .ring").first).to_be_visible()
        if SHOTS:
            await page.screenshot(path=Path(SHOTS) / f"ringing-{width}-{theme}.png")

        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        found = await Axe().run(page, options={"runOnly": {"type": "tag", "values": TAGS}})
        assert found.response["violations"] == []
