"""Rulings, the identity policy and the review queue in a browser: by keys, without scripts, clean by axe."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, Page, async_playwright, expect

from scrm.app import TENANT
from scrm.identity import reworking
from scrm.staff import store as staff
from tests.e2e.floor import chromium
from tests.web import test_admin_identity as policy
from tests.web import test_lead_ownership as lead
from tests.web import test_review as review
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


@dataclass
class Bench:
    """A service with a dispute, a policy that was tried and questions that wait, and a browser."""

    desk: Office
    browser: Browser
    #: Who looks at which page.
    pages: dict[str, tuple[str, str]] = field(default_factory=dict)
    deal: str = ""

    async def sit(self, who: str, *, width: int = 1280, height: int = 800, **options: Any) -> Page:
        made = await self.browser.new_context(
            base_url=self.desk.url, viewport={"width": width, "height": height}, **options
        )
        session = {"name": "scrm", "value": self.desk.sessions[who], "url": self.desk.url}
        await made.add_cookies([session])  # type: ignore[list-item]
        return await made.new_page()

    async def speak(self, locale: str) -> None:
        async with self.desk.service.house.db.begin(TENANT) as conn:
            for who in ("lead", "admin", "compliance", "peer"):
                ident = self.desk.staff_ids[who]
                await staff.set_prefs(conn, ident, locale=locale, theme="auto", shortcuts=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    async with office(tmp_path_factory.mktemp("bench")) as desk, async_playwright() as play:
        browser = await play.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-background-networking"]
        )
        made = Bench(desk=desk, browser=browser)
        await _furnish(made)
        yield made
        await browser.close()


async def _furnish(bench: Bench) -> None:
    desk = bench.desk
    changed = await lead.paid_and_changed(desk)
    both, second = (lead.rep(desk, "rep"), lead.rep(desk, "peer")), "oSecond000000000000000000001"
    bench.deal = await lead.sold(desk, *both, customer=second, number="D2")
    await lead.appealed(desk, "peer", bench.deal)
    late = await lead.sold(desk, *both, customer="oThird0000000000000000000001", number="D3")
    await lead.appealed(desk, "peer", late)
    await lead.forgotten(desk, late, hours=77)
    await policy.shared(desk, "account-a", "account-b", "account-c")
    text = (await policy.body(desk)).replace("max_persons: 3\n    max_names", "max_persons: 1\n    max_names")
    await policy.do(desk, "/admin/identity", body=text, what="try", version="1")
    await policy.finished(desk, reworking.DRY_RUN)
    await policy.do(desk, "/admin/identity/stats")
    await policy.finished(desk, reworking.COUNT)
    await policy.linked(desk, "v1", "v2")
    order = {"login": "rep", "what": "revert", "count": "1", "why": "认错人了"}
    await policy.do(desk, "/admin/identity/revert", **order)
    await policy.finished(desk, reworking.REVERT)
    pairs = [(f"account-{n}-left", f"account-{n}-right") for n in range(4)]
    await review.ask(desk, *pairs)
    bench.pages = {
        "waiting": ("lead", "/lead/ownership"),
        "late": ("compliance", "/lead/ownership?tab=late"),
        "signals": ("lead", "/lead/ownership?tab=signals"),
        "appealed": ("lead", f"/lead/ownership/{bench.deal}"),
        "changed": ("lead", f"/lead/ownership/{changed}"),
        "rulings": ("peer", "/rulings"),
        "mine": ("peer", f"/rulings/{changed}"),
        "policy": ("admin", "/admin/identity?tried=1"),
        "stats": ("admin", "/admin/identity/stats"),
        "revert": ("admin", "/admin/identity/revert"),
        "review": ("compliance", "/compliance/identity"),
    }


def found(results: Any) -> list[str]:
    return [
        f"{v['id']}: {node['target']} {node.get('failureSummary', '')}"
        for v in results.response["violations"]
        for node in v["nodes"]
    ]


@pytest.mark.parametrize("language", ["zh_CN", "en"])
async def test_axe_finds_nothing_in_either_theme_narrow_or_wide_and_nothing_is_wider_than_320(
    bench: Bench, language: str
) -> None:
    await bench.speak(language)
    desks = {who: await bench.sit(who) for who in ("lead", "admin", "compliance", "peer")}
    violations, wide = dict[str, list[str]](), dict[str, list[int]]()
    for name, (who, path) in bench.pages.items():
        page = desks[who]
        await page.goto(path)
        for theme, size in (("light", WIDE), ("dark", NARROW)):
            await page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
            await page.set_viewport_size({"width": size[0], "height": size[1]})
            violations[f"{name} {theme}"] = found(await Axe().run(page, options=RULES))
            if SHOTS:
                where = f"{SHOTS}/judging-{name}-{language}-{theme}-{size[0]}.png"
                await page.screenshot(path=where, full_page=True)
        await page.set_viewport_size({"width": 320, "height": 568})
        wide[name] = await page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
    await bench.speak("zh_CN")

    assert len(violations) == 22
    assert {where: what for where, what in violations.items() if what} == {}
    assert {name: sizes for name, sizes in wide.items() if sizes[0] > sizes[1]} == {}


async def test_the_review_queue_is_worked_through_by_keys(bench: Bench) -> None:
    page = await bench.sit("compliance")
    await page.goto("/compliance/identity")
    first = await page.locator("article form").get_attribute("action")

    await page.keyboard.press("j")
    await expect(page.locator("article form")).not_to_have_attribute("action", str(first))
    second = await page.locator("article form").get_attribute("action")
    await page.keyboard.press("k")
    await expect(page.locator("article form")).to_have_attribute("action", str(first))

    await page.keyboard.press("a")
    await expect(page.locator(".alert[role=status]")).to_contain_text("已合并")
    await expect(page.locator("article form")).to_have_attribute("action", str(second))
    await page.keyboard.press("u")
    await expect(page.locator("article form")).to_have_attribute("action", str(first))
    await page.keyboard.press("d")
    await expect(page.locator(".alert[role=status]")).to_contain_text("已记住不是")


async def test_keys_are_silent_while_somebody_writes_a_note(bench: Bench) -> None:
    page = await bench.sit("compliance")
    await page.goto("/compliance/identity")
    before = page.url

    await page.get_by_label("备注").fill("")
    await page.get_by_label("备注").press("a")
    await page.get_by_label("备注").press("d")

    assert page.url == before
    await expect(page.get_by_label("备注")).to_have_value("ad")


async def test_an_appeal_is_looked_at_and_decided_without_scripts(bench: Bench) -> None:
    page = await bench.sit("lead", width=360, height=640, java_script_enabled=False)
    await page.goto("/lead/ownership")
    await page.get_by_role("link", name="D2").click()
    await page.get_by_label("员工rep", exact=True).fill("30")
    await page.get_by_label("员工peer", exact=True).fill("70")

    await page.get_by_role("button", name="看看会怎样").click()
    await expect(page.get_by_text("由 员工rep 改为")).to_contain_text("员工peer 70%")
    await page.get_by_label("理由（双方都会看到").fill("到访登记和聊天记录都能证明先接触。")
    await page.get_by_role("button", name="申诉成立").click()

    await expect(page.locator(".alert[role=status]")).to_contain_text("已决定")
    await expect(page.get_by_role("link", name="D2")).to_have_count(0)


async def test_axe_does_find_what_is_wrong(bench: Bench) -> None:
    """The control."""
    page = await bench.sit("lead")
    await page.set_content("<html lang=zh><title>x</title><main><h1>x</h1><button></button></main></html>")

    assert any(line.startswith("button-name") for line in found(await Axe().run(page, options=RULES)))
