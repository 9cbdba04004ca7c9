"""How every page looks and weighs: both themes and languages, narrow and wide, by axe and by the byte."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Page, expect

from connectors.kit.world import Persona, World
from tests.e2e.floor import CHEN, KF, LIN, OA, ZHOU, Floor, dumped, ready_card, until

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
LANGUAGES = {"zh": LIN, "en": CHEN}
KIB = 1024

BAD_PAGE = """<!doctype html><html lang="zh-CN"><head><title>坏例子</title></head><body><main>
<h1>坏例子</h1><p style="color:#fff;background:#07C160">看不清的字</p>
<button style="width:32px;height:32px"></button><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">
<button style="width:10px;height:10px;padding:0;border:0;font-size:6px">甲</button><button
 style="width:10px;height:10px;padding:0;border:0;font-size:6px">乙</button></main></body></html>"""


@dataclass
class Scene:
    """A morning at work: who wrote what, and the pages to look at by name."""

    house: Floor
    person: Persona
    cid: str

    @property
    def pages(self) -> Mapping[str, str]:
        return {
            "login": "/login",
            "inbox": "/inbox",
            "conversation": f"/inbox/{self.cid}",
            "sidebar": "/s",
            "customer": f"/s/c/{self.cid}",
            "timeline": f"/s/c/{self.cid}?tab=timeline",
            "prefs": "/me/prefs",
            "error": "/no-such-page",
        }


MORNING = (
    (1, OA, "老师好，想给孩子报个英语班，三年级"),
    (2, KF, "试听课要收费吗？想先去感受一下"),
    (3, KF, "下学期还想继续跟这个老师，现在续费来得及吗？"),
    (4, OA, "要是上了几节不合适，可以退费吗？"),
    (5, OA, "我也在看另外一家，他们一节课便宜三十块，你们好在哪里？"),
    (6, KF, "周六下午有空，有这个时间的班吗？"),
    (7, OA, "就怕孩子坚持不了，之前报的画画上了两个月就不去了"),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(building: Floor) -> Scene:
    """One talk in the middle (a question, a reply, the next question) and a queue around it."""
    people, world = building.stage.world.personas, building.stage.world
    page = await (await building.desk(LIN)).new_page()
    person = people[0]
    await building.befriends(person, LIN)
    for number, slug, text in MORNING:
        await building.writes(people[number], text, slug)
    for slug, text in ((OA, "你好，想了解一下三年级的数学课"), (KF, "在线客服吗？我是刚才公众号的")):
        await _next_second(world)
        await building.writes(person, text, slug)
    await _next_second(world)
    cid = await building.opened(page, person, "可以先试听一节吗？")
    await page.locator("#say").fill("可以的，周六上午十点和下午两点各有一个位子，您看哪个方便？")
    await page.locator("#say").press("Control+Enter")
    await expect(page.locator("#bubs > li.out [data-state=sent]").last).to_be_visible()
    await _next_second(world)
    await world.say(person, OA, "这个价格太贵了，能便宜点吗？")
    await expect(page.locator("#bubs .txt", has_text="能便宜点吗")).to_have_count(1)
    english = await (await building.desk(CHEN)).new_page()
    await _speak_english(english)
    await building.opened(english, people[8], "周末有没有试听？", slug=OA)
    await english.locator("#say").fill("有的，周六下午两点。")
    await english.locator("#say").press("Control+Enter")
    await expect(english.locator("#bubs > li.out [data-state=sent]")).to_be_visible()
    return Scene(house=building, person=person, cid=cid)


async def _next_second(world: World) -> None:
    """Platforms date messages by whole seconds: within one, an answer may stand before its question."""
    before = int(world.time())
    await until(lambda: int(world.time()) > before, "the platform's next second")


async def _speak_english(page: Page) -> None:
    await page.goto("/me/prefs")
    await page.get_by_label("English").check()
    await page.get_by_role("button", name="保存偏好").click()
    await expect(page.locator("html[lang=en]")).to_be_attached()


async def _path(scene: Scene, page: Page, name: str, language: str) -> str:
    """The page by name; a colleague looks at a conversation of her own."""
    if language == "zh" or scene.cid not in scene.pages[name]:
        return scene.pages[name]
    await page.goto("/inbox?filter=mine")
    href = str(await page.locator("#rows [data-row]").first.get_attribute("href"))
    return scene.pages[name].replace(scene.cid, href.rpartition("/")[2])


async def _settled(page: Page, name: str) -> None:
    """What is fetched after the page has come."""
    if name in ("conversation", "customer", "timeline", "inbox", "sidebar"):
        await expect(page.locator("[data-dot=live]").first).to_be_attached()
    await page.evaluate("document.fonts.ready")


async def _looked_at(page: Page, theme: str, size: tuple[int, int]) -> None:
    await page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
    await page.set_viewport_size({"width": size[0], "height": size[1]})


def _found(results: Any) -> list[str]:
    return [
        f"{v['id']}: {node['target']} {node.get('failureSummary', '')}"
        for v in results.response["violations"]
        for node in v["nodes"]
    ]


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_axe_finds_nothing_on_any_page_in_either_theme_narrow_or_wide(
    house: Floor, scene: Scene, language: str
) -> None:
    desk = await house.desk(LANGUAGES[language])
    signed_out = await house.visitor()

    async def look(name: str) -> dict[str, list[str]]:
        page = await (signed_out if name == "login" else desk).new_page()
        await page.goto(await _path(scene, page, name, language))
        await _settled(page, name)
        found = {}
        for theme in ("light", "dark"):
            for size in (NARROW, WIDE):
                await _looked_at(page, theme, size)
                found[f"{name} {theme} {size[0]}"] = _found(await Axe().run(page, options=RULES))
                if SHOTS:
                    await _shot(page, f"{name}-{language}-{theme}-{size[0]}")
        await page.close()
        return found

    violations: dict[str, list[str]] = {}
    for pair in (
        ("login", "inbox"),
        ("conversation", "sidebar"),
        ("customer", "timeline"),
        ("prefs", "error"),
    ):
        for found in await asyncio.gather(*map(look, pair)):
            violations |= found

    assert len(violations) == 32
    assert {where: what for where, what in violations.items() if what} == {}, dumped(violations)


async def test_axe_does_find_what_is_wrong(house: Floor) -> None:
    """The control: a page with the four commonest mistakes."""
    page = await (await house.visitor()).new_page()
    await page.set_content(BAD_PAGE)

    results = await Axe().run(page, options=RULES)

    found = {v["id"] for v in results.response["violations"]}
    assert {"button-name", "color-contrast", "image-alt", "target-size"} <= found


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_no_page_scrolls_sideways_or_cuts_a_heading_at_320(
    house: Floor, scene: Scene, language: str
) -> None:
    desk = await house.desk(LANGUAGES[language], viewport={"width": 320, "height": 568})
    page = await desk.new_page()
    wide, cut = {}, {}
    for name in scene.pages:
        await page.goto(await _path(scene, page, name, language))
        await _settled(page, name)
        wide[name] = await page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        cut[name] = await page.evaluate(
            "[...document.querySelectorAll('h1:not(.sr), h2, .btn')].filter((e) => e.offsetParent"
            " && e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent)"
        )

    assert {name: sizes for name, sizes in wide.items() if sizes[0] > sizes[1]} == {}
    assert {name: words for name, words in cut.items() if words} == {}


async def test_the_first_suggestion_can_be_sent_without_scrolling(house: Floor, scene: Scene) -> None:
    desk = await house.desk(viewport={"width": 360, "height": 640})
    page = await desk.new_page()
    await page.goto(scene.pages["customer"])

    box = await ready_card(page).locator("button[data-primary]:visible").bounding_box()

    assert box is not None
    assert box["y"] + box["height"] <= 640


async def test_the_theme_chosen_in_the_preferences_wins_over_the_systems(house: Floor) -> None:
    desk = await house.desk(ZHOU, color_scheme="light")
    page = await desk.new_page()
    await page.goto("/inbox")
    light = await _background(page)
    await page.goto("/me/prefs")

    await page.get_by_label("深色").check()
    assert await _background(page) != light
    await page.get_by_role("button", name="保存偏好").click()
    await page.goto("/inbox")

    dark = await _background(page)
    assert dark != light
    await page.emulate_media(color_scheme="dark")
    assert await _background(page) == dark


async def _background(page: Page) -> str:
    return str(await page.evaluate("getComputedStyle(document.body).backgroundColor"))


@dataclass
class Load:
    """What a first load moved over the wire."""

    requests: list[str]
    streams: list[str]
    packed: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.packed.values())

    def of(self, kind: str) -> int:
        return sum(size for name, size in self.packed.items() if name.endswith(kind))


async def _load(page: Page, path: str) -> Load:
    """Every response gzipped, whether or not the server or the browser packs it."""
    seen: list[Any] = []
    page.on("response", lambda response: seen.append(response))
    await page.goto(path)
    await expect(page.locator("[data-dot=live]").first).to_be_attached()
    streams = [r.url for r in seen if "/live?" in r.url]
    plain = [r for r in seen if "/live?" not in r.url]
    packed = {
        r.url.partition("?")[0]: len(gzip.compress(await r.body(), 9, mtime=0))
        for r in plain
        if r.status == 200
    }
    return Load(requests=[r.url for r in plain], streams=streams, packed=packed)


@pytest.mark.parametrize(
    ("name", "js", "css", "total", "requests"),
    # On connect each of the desktop's four fragments asks once for its fresh state; the icon comes late.
    [("customer", 30, 8, 55, 6), ("conversation", 40, 14, 70, 9)],
    ids=["/s", "/inbox"],
)
async def test_a_first_load_keeps_within_its_bytes_and_requests(
    house: Floor, scene: Scene, name: str, js: int, css: int, total: int, requests: int
) -> None:
    page = await (await house.desk()).new_page()

    load = await _load(page, scene.pages[name])

    assert load.of(".js") <= js * KIB, load.packed
    assert load.of(".css") <= css * KIB, load.packed
    assert load.total <= total * KIB, load.packed
    assert len(load.streams) == 1
    assert len(load.requests) + len(load.streams) <= requests, load.requests
    assert load.of(".js") > 10 * KIB, "the bundle was not loaded, so nothing was measured"


async def test_the_customer_fragment_is_small(house: Floor, scene: Scene) -> None:
    desk = await house.desk()
    page = await desk.new_page()
    answer = await desk.request.get(scene.pages["customer"], headers={"HX-Request": "true"})
    body = await answer.body()
    await page.goto(scene.pages["customer"])

    nodes = await page.evaluate("document.querySelectorAll('#customer, #customer *').length")

    assert b'id="customer"' in body
    assert len(gzip.compress(body, 9)) <= 8 * KIB
    assert nodes <= 600


async def test_nothing_jumps_while_a_page_settles(house: Floor, scene: Scene) -> None:
    desk = await house.desk(viewport={"width": 360, "height": 640})
    page = await desk.new_page()
    await page.add_init_script(
        "window.shifted = 0; new PerformanceObserver((list) => list.getEntries()"
        ".forEach((entry) => (window.shifted += entry.hadRecentInput ? 0 : entry.value)))"
        ".observe({ type: 'layout-shift', buffered: true });"
    )
    await page.goto(scene.pages["customer"])
    await _settled(page, "customer")
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    assert await page.evaluate("window.shifted") <= 0.1


async def test_pages_reach_nothing_but_this_service(house: Floor, scene: Scene) -> None:
    asked: set[str] = set()
    desk = await house.desk()
    desk.on("request", lambda request: asked.add(request.url))
    page = await desk.new_page()
    for path in scene.pages.values():
        await page.goto(path)

    assert {url for url in asked if not url.startswith((house.url, "data:"))} == set()


async def test_the_pictures_of_the_readme_show_real_pages(house: Floor, scene: Scene) -> None:
    """`SCRM_SCREENSHOTS=<folder>` writes them there, beside one of every page looked at above."""
    desk = await house.desk(device_scale_factor=1)
    page = await desk.new_page()
    await page.goto(scene.pages["conversation"])
    await _settled(page, "conversation")
    await expect(page.locator(".aside [data-card]").first).to_be_visible()
    if SHOTS:
        await _shot(page, "inbox")
    await page.set_viewport_size({"width": 400, "height": 800})
    await page.goto(scene.pages["customer"])
    await _settled(page, "customer")
    await expect(page.locator("[data-card]").first).to_be_visible()
    if SHOTS:
        await _shot(page, "sidebar")


async def _shot(page: Page, name: str) -> None:
    folder = Path(SHOTS)
    await page.screenshot(path=folder / f"{name}.png", animations="disabled")
