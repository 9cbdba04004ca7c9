"""On a telephone: pool and hand-over by axe, every role's navigation with its words and within the screen."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import async_playwright

from scrm.app import TENANT
from scrm.db import utcnow
from scrm.ownership.store import pool
from tests.e2e.floor import chromium
from tests.e2e.test_judging import NARROW, RULES, WIDE, Bench, found
from tests.web.office import Page as PageOf
from tests.web.office import office

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOTS = os.environ.get("SCRM_SCREENSHOTS", "")
ROLES = {
    "rep": "/inbox",
    "lead": "/inbox",
    "marketing": "/catalog",
    "compliance": "/compliance/identity",
    "admin": "/admin",
}
ANNA = "oCustomerAnna0000000000000001"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    async with office(tmp_path_factory.mktemp("narrow")) as desk, async_playwright() as play:
        browser = await play.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-background-networking"]
        )
        made = Bench(desk=desk, browser=browser)
        await _furnish(made)
        yield made
        await browser.close()


async def _furnish(bench: Bench) -> None:
    """Somebody in the pool, somebody who is about to fall in, and a hand-over with its brief."""
    desk, now = bench.desk, utcnow()
    cids: list[str] = []
    for n in range(4):
        await desk.hear("oa-a", f"{ANNA[:-1]}{n}", "你们的课多少钱？")
        items = (await desk.api("GET", "/conversations", token="machine-admin")).json()["items"]
        cids += [c["id"] for c in items if c["id"] not in cids]
        await desk.push("rep", cids[-1], "您好，我来介绍")
    for cid in cids[:2]:
        one = pool.fresh(
            node_id=await desk.node_of(cid), from_id=desk.staff_ids["rep"], team_id=None, state="warned",
            rule="idle", level="talked", facts={"level": "聊过", "days": "28", "limit": "30"},
            warned_at=now, falls_at=now,
        )  # fmt: skip
        async with desk.service.house.db.begin(TENANT) as conn:
            assert await pool.add(conn, one)
    await desk.ask("POST", f"/pool/c/{cids[0]}/give", who="rep", data={"why": "given"})
    listed = PageOf((await desk.ask("GET", "/pool", who="peer")).text)
    pooled = next(href for href in listed.values("a", "href") if href.startswith("/pool/"))
    giver, taker = (desk.public("staff", desk.staff_ids[who]) for who in ("rep", "peer"))
    chooser = PageOf((await desk.ask("GET", f"/lead/handover?from={giver}", who="lead")).text)
    boxes = [a["name"] for t, a in chooser.elements if t == "input" and a.get("type") == "checkbox"]
    passed = []
    for box in boxes[:2]:  # one was sent, one is still written
        form = {"from": giver, "to": taker, "sort": "onjob", box: "1"}
        passed.append((await desk.ask("POST", "/lead/handover", who="lead", data=form)).where)
    draft = PageOf((await desk.ask("GET", passed[0], who="lead")).text)
    brief = next(a["name"] for t, a in draft.elements if t == "textarea")
    await desk.ask("POST", passed[0], who="lead", data={"what": "send", brief: "只接周末电话。"})
    bench.pages = {
        "pool": ("peer", "/pool"),
        "warned": ("rep", "/pool?tab=warned"),
        "handed": ("peer", "/pool?tab=handed"),
        "pooled": ("peer", pooled),
        "handovers": ("lead", f"/lead/handover?from={giver}"),
        "sent": ("lead", passed[0]),
        "draft": ("lead", passed[1]),
    }


@pytest.mark.parametrize("language", ["zh_CN", "en"])
async def test_axe_finds_nothing_in_pool_and_hand_over_and_nothing_is_wider_than_320(
    bench: Bench, language: str
) -> None:
    await bench.speak(language)
    violations, wide = dict[str, list[str]](), dict[str, list[int]]()
    for name, (who, path) in bench.pages.items():
        page = await bench.sit(who)
        await page.goto(path)
        for theme, size in (("light", WIDE), ("dark", NARROW), ("light", NARROW)):
            await page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
            await page.set_viewport_size({"width": size[0], "height": size[1]})
            violations[f"{name} {theme} {size[0]}"] = found(await Axe().run(page, options=RULES))
            if SHOTS:
                where = f"{SHOTS}/narrow-{name}-{language}-{theme}-{size[0]}.png"
                await page.screenshot(path=where, full_page=True)
        await page.set_viewport_size({"width": 320, "height": 568})
        wide[name] = await page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        await page.context.close()
    await bench.speak("zh_CN")

    assert len(violations) == 21
    assert {where: what for where, what in violations.items() if what} == {}
    assert {name: sizes for name, sizes in wide.items() if sizes[0] > sizes[1]} == {}


#: Of each entry: its words, where it begins and ends, and the width its words want and get.
ENTRIES = """() => [...document.querySelectorAll(".nav a, .nav button")].map((e) => {
  const box = e.getBoundingClientRect(), words = e.querySelector("span");
  return [words.innerText.trim(), Math.round(box.left), Math.round(box.right), words.scrollWidth,
    Math.round(words.getBoundingClientRect().height)];
})"""


@pytest.mark.parametrize("width", [320, 360, 1024])
async def test_every_role_s_navigation_names_its_entries_within_the_screen(bench: Bench, width: int) -> None:
    for role, path in ROLES.items():
        page = await bench.sit(role, width=width, height=700)
        await page.goto(path)
        entries = await page.evaluate(ENTRIES)
        if SHOTS:
            await page.screenshot(path=f"{SHOTS}/nav-{role}-{width}.png")
        await page.context.close()

        assert len(entries) >= 4, role
        for words, left, right, wants, height in entries:
            assert words, (role, entries)
            assert height > 8, (role, words)  # seen, not only heard
            assert 0 <= left, (role, words)
            assert right <= width, (role, words, entries)
            assert wants <= right - left, (role, words, entries)
