"""Admin pages in a browser: clean by axe, nothing sideways, kept fresh, and usable without scripts."""

from __future__ import annotations

import gzip
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, Page, async_playwright, expect

from scrm import facts, outbox, works
from scrm.accounts import store as accounts
from scrm.app import TENANT, beat
from scrm.db import utcnow
from scrm.staff import store as staff
from tests.e2e.floor import chromium
from tests.web.office import Office, office

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Where screenshots go; unset: none are made. Read early, because tests run without our variables.
SHOTS = os.environ.get("SCRM_SCREENSHOTS", "")
RULES = {
    "resultTypes": ["violations"],
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    },
}
NARROW, WIDE = (360, 640), (1280, 800)
KIB = 1024


@dataclass
class Backroom:
    """A service with something on every admin page, and a browser."""

    desk: Office
    browser: Browser
    pages: dict[str, str] = field(default_factory=dict)

    async def sit(self, *, width: int = 1280, height: int = 800, **options: Any) -> Page:
        made = await self.browser.new_context(
            base_url=self.desk.url, viewport={"width": width, "height": height}, **options
        )
        session = {"name": "scrm", "value": self.desk.sessions["admin"], "url": self.desk.url}
        await made.add_cookies([session])  # type: ignore[list-item]
        return await made.new_page()

    async def english(self, yes: bool) -> None:
        async with self.desk.service.house.db.begin(TENANT) as conn:
            ident = self.desk.staff_ids["admin"]
            await staff.set_prefs(conn, ident, locale="en" if yes else "zh_CN", theme="auto", shortcuts=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def room(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Backroom]:
    async with office(tmp_path_factory.mktemp("backroom")) as desk, async_playwright() as play:
        browser = await play.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-background-networking"]
        )
        made = Backroom(desk=desk, browser=browser)
        await _furnish(made)
        yield made
        await browser.close()


async def _furnish(room: Backroom) -> None:
    desk, house = room.desk, room.desk.service.house
    shop = house.directory.by_slug("oa-a").account.account_id
    await desk.hear("oa-a", "oBackroomCustomer00000000001", "多少钱")
    async with house.db.begin(TENANT) as conn:  # nothing goes out while the stage is set
        await accounts.set_state(conn, shop, "draining", was={"running"})
    async with house.db.read(TENANT) as conn:
        await house.directory.load(conn)
    assert (await desk.push("rep", await desk.cid("oa-a"), "您好")).status == 201
    plain = "<xml><MsgType>text</MsgType><Content>看不懂的一条</Content></xml>"
    assert (await desk.callback("oa-a", plain)).status == 200
    await desk.quarantined()
    ident = house.directory.by_slug("corp").account.account_id
    async with house.db.begin(TENANT) as conn:
        (sent,) = await outbox.page(conn, state="", before=None, limit=1)
        await outbox.finish(conn, sent.outbox_id, "dead", now=utcnow(), error="平台限流", code="45009")
        body = {"sentence": "接口调用超过当天限额（45009），明天 0 点恢复。"}
        said = facts.Said(account_id=ident, kind="alarm", key="q", body=body, rank=1, at=utcnow())
        await facts.put_all(conn, [said])
        await accounts.set_state(conn, shop, "running", was={"draining", "paused"})
        for state in ("pause", "cancel"):
            job = await works.start(conn, "replay", {"class": "x"}, total=120, now=utcnow())
            await works.advance(conn, job, works.Slice(done=40, fresh=3), now=utcnow())
            await works.order(conn, job, state, now=utcnow())
    await beat(house)
    page = await room.sit()
    await page.goto("/admin/dead")
    row = str(await page.locator("table a").first.get_attribute("href"))
    await page.goto(row)
    letter = str(await page.locator("table a").first.get_attribute("href"))
    room.pages = {
        "home": "/admin",
        "connectors": "/admin/connectors",
        "connector": "/admin/connectors/corp",
        "new": "/admin/connectors/new?channel=wechat_oa",
        "dead": "/admin/dead",
        "class": row,
        "letter": letter,
        "unsent": "/admin/unsent",
        "jobs": "/admin/jobs",
    }


def found(results: Any) -> list[str]:
    return [
        f"{v['id']}: {node['target']} {node.get('failureSummary', '')}"
        for v in results.response["violations"]
        for node in v["nodes"]
    ]


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_axe_finds_nothing_on_admin_pages_in_either_theme_narrow_or_wide(
    room: Backroom, language: str
) -> None:
    await room.english(language == "en")
    page, violations = await room.sit(), dict[str, list[str]]()
    for name, path in room.pages.items():
        await page.goto(path)
        for theme, size in (("light", WIDE), ("dark", NARROW)):
            await page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
            await page.set_viewport_size({"width": size[0], "height": size[1]})
            violations[f"{name} {theme}"] = found(await Axe().run(page, options=RULES))
            if SHOTS:
                await page.screenshot(
                    path=f"{SHOTS}/admin-{name}-{language}-{theme}-{size[0]}.png", full_page=True
                )
    await room.english(False)

    assert len(violations) == 18
    assert {where: what for where, what in violations.items() if what} == {}


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_no_admin_page_scrolls_sideways_at_320(room: Backroom, language: str) -> None:
    await room.english(language == "en")
    page, wide = await room.sit(width=320, height=568), {}
    for name, path in room.pages.items():
        await page.goto(path)
        wide[name] = await page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
    await room.english(False)

    assert {name: sizes for name, sizes in wide.items() if sizes[0] > sizes[1]} == {}


async def test_cards_refresh_by_themselves_without_losing_the_focus(room: Backroom) -> None:
    page = await room.sit()
    await page.goto("/admin/connectors")
    link = page.locator("#acc-corp h2 a")
    await link.focus()
    async with room.desk.service.house.db.begin(TENANT) as conn:
        ident = room.desk.service.house.directory.by_slug("oa-b").account.account_id
        body = {"sentence": "刚刚发生的告警"}
        said = facts.Said(account_id=ident, kind="alarm", key="n", body=body, rank=1, at=utcnow())
        await facts.put_all(conn, [said])

    await expect(page.locator("#acc-oa-b")).to_contain_text("刚刚发生的告警", timeout=20_000)
    await expect(link).to_be_focused()


async def test_an_account_is_paused_and_resumed_without_scripts(room: Backroom) -> None:
    page = await room.sit(java_script_enabled=False)
    await page.goto("/admin/connectors/oa-b")

    await page.get_by_role("button", name="马上暂停").click()
    await expect(page.locator(".conn")).to_contain_text("已暂停")
    await page.get_by_role("button", name="恢复运行").click()

    await expect(page.locator(".conn")).to_contain_text("运行中")


async def test_admin_pages_keep_within_their_bytes(room: Backroom) -> None:
    page, seen = await room.sit(), []
    page.on("response", lambda response: seen.append(response))
    await page.goto("/admin/connectors")
    await page.wait_for_load_state("networkidle")

    sizes = {r.url: len(gzip.compress(await r.body(), 9, mtime=0)) for r in seen if r.status == 200}

    assert sum(n for url, n in sizes.items() if url.endswith(".js")) <= 40 * KIB
    assert sum(n for url, n in sizes.items() if url.endswith(".css")) <= 14 * KIB
    assert sum(sizes.values()) <= 70 * KIB
    assert any(url.endswith(".js") for url in sizes), "the bundle was not loaded, so nothing was measured"
