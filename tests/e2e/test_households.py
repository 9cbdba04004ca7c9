"""A household in the browser: merge, look and undo in less than five clicks, without scripts too, by axe."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Page, expect

from connectors.kit.world import Persona
from scrm.app import TENANT
from scrm.contract import Handle, Link
from scrm.db import utcnow
from scrm.identity import decisions, proposals, store
from scrm.identity import service as identity
from scrm.identity.decisions import Actor
from scrm.identity.kin import store as kin
from scrm.identity.kin.store import Related
from scrm.identity.match.sentences import Reason
from scrm.identity.service import Sighting
from scrm.seal import new_id
from scrm.timeline.store import conversations
from tests.e2e.floor import LIN, Floor, dumped
from tests.e2e.test_looks import NARROW, RULES, WIDE

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOTS = os.environ.get("SCRM_SCREENSHOTS", "")
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
REASONS = (
    Reason(text="都提到孩子“{child}”", values={"child": "小宇"}, field="child", weight=720),
    Reason(text="由同一位同事跟进", field="rep", weight=310),
    Reason(text="姓氏不同", field="surname", weight=-40),
)


class Home:
    """A mother and a father whom the same rep looks after, and the question whether they are one family."""

    def __init__(self, house: Floor, father: Persona, his: str, hers: str) -> None:
        self.house, self.father, self.his, self.cid = house, father, his, hers

    async def node(self, cid: str) -> int:
        """The identifier that talks in this conversation."""
        found = self.house.stage.service.house
        async with found.db.read(TENANT) as conn:
            talk = await conversations.of_id(conn, conn.vault.private("conversation", cid))
        assert talk is not None
        return talk.node_id

    async def ask(self) -> None:
        house = self.house.stage.service.house
        a, b = await self.node(self.cid), await self.node(self.his)
        async with house.db.begin(TENANT) as conn:
            assert await proposals.suggest(
                conn, a, b, "same_household", REASONS, source="online", now=utcnow(), likely=0.925
            )


async def _met(house: Floor, persona: Persona, text: str, page: Page) -> str:
    """The customer wrote and the desk's owner answered: from now on they are hers."""
    cid = await house.opened(page, persona, text)
    await page.locator("#say").fill("您好，我来介绍")
    await page.locator("#say").press("Control+Enter")
    await expect(page.locator("#bubs > li.out [data-state=sent]").last).to_be_visible()
    return cid


@pytest_asyncio.fixture(loop_scope="module")
async def home(house: Floor) -> AsyncIterator[Home]:
    page = await (await house.desk(LIN)).new_page()
    father, mother = house.customer(), house.customer()
    his = await _met(house, father, "你好，孩子爸爸", page)
    made = Home(house, father, his, await _met(house, mother, "你好，我是小宇妈妈", page))
    await made.ask()
    yield made


async def _clicks(page: Page) -> int:
    return int(await page.evaluate("Number(sessionStorage.getItem('clicks') || 0)"))


COUNT = """addEventListener("click", (e) => e.isTrusted && sessionStorage.setItem("clicks",
  Number(sessionStorage.getItem("clicks") || 0) + 1), true);"""


async def test_merge_look_and_undo_take_less_than_five_clicks(home: Home) -> None:
    page = await (await home.house.desk(LIN, viewport={"width": 375, "height": 800})).new_page()
    await page.add_init_script(COUNT)
    await page.goto(f"/s/c/{home.cid}")
    await expect(page.locator("[data-dot=live]").first).to_be_attached()

    await page.get_by_role("link", name="疑同户").click()
    sheet = page.locator("#family")
    await expect(sheet.get_by_text("可能是同一家庭")).to_be_visible()
    await expect(sheet.get_by_text("都提到孩子“小宇”")).to_be_visible()
    await _shot(page, "merge-sheet")
    await sheet.get_by_role("button", name="合并", exact=True).click()

    await expect(page.locator("#undone")).to_contain_text("已归到同一个家庭")
    await expect(page.locator(".house .mem")).to_have_count(2)
    await _shot(page, "merge-toast")
    await page.locator(".house .mem", has_text=home.father.name).click()
    await expect(page.locator("#timeline").get_by_text("你好，孩子爸爸")).to_be_visible()
    await page.locator("[data-undo]").click()

    await expect(page.locator("#undone")).to_contain_text("已撤销")
    await expect(page.get_by_role("link", name="疑同户")).to_be_visible()
    assert await _clicks(page) == 4


async def test_the_sheet_is_a_page_without_scripts(home: Home) -> None:
    page = await (await home.house.desk(LIN, java_script_enabled=False)).new_page()
    await page.goto(f"/s/c/{home.cid}")

    await page.get_by_role("link", name="疑同户").click()
    await page.get_by_role("button", name="不是同一家").click()

    await page.wait_for_url(f"**/s/c/{home.cid}?done=**")
    await expect(page.locator("#undone")).to_contain_text("已记住")
    await page.get_by_role("button", name="撤销").click()
    await expect(page.get_by_role("link", name="疑同户")).to_be_visible()


async def test_the_sheet_closes_with_escape_and_gives_the_focus_back(home: Home) -> None:
    page = await (await home.house.desk(LIN)).new_page()
    await page.goto(f"/s/c/{home.cid}")
    link = page.get_by_role("link", name="疑同户")
    await link.focus()

    await page.keyboard.press("Enter")
    await expect(page.locator("#family[open]")).to_be_visible()
    await page.keyboard.press("Escape")

    await expect(page.locator("#family[open]")).to_have_count(0)
    await expect(link).to_be_focused()


async def test_a_long_press_on_a_cell_opens_the_parts(home: Home) -> None:
    page = await (await home.house.desk(LIN, viewport={"width": 375, "height": 800})).new_page()
    await page.goto(f"/s/c/{home.cid}")
    await expect(page.locator("[data-dot=live]").first).to_be_attached()

    await page.locator(".house .mem:not(.may)").first.click(delay=900)

    await expect(page.locator("#family").get_by_role("button", name="改角色").first).to_be_visible()
    assert page.url.endswith(f"/s/c/{home.cid}")


async def test_an_open_household_shows_what_a_colleague_decides(home: Home) -> None:
    page = await (await home.house.desk(LIN)).new_page()
    await page.goto(await _household(home))
    await expect(page.locator("#household [data-dot=live]")).to_be_attached()
    await expect(page.locator("#household article")).to_have_count(1)

    other = await (await home.house.desk(LIN)).new_page()
    await other.goto(f"/s/c/{home.cid}")
    await other.get_by_role("link", name="疑同户").click()
    await other.locator("#family").get_by_role("button", name="合并", exact=True).click()

    await expect(page.locator("#household article")).to_have_count(2)


async def test_a_field_is_corrected_in_a_sheet_and_taken_back_by_the_toast(home: Home) -> None:
    page = await (await home.house.desk(LIN, viewport={"width": 375, "height": 800})).new_page()
    await page.goto(await _household(home))

    await page.locator(".known a", has_text="更正").first.click()
    sheet = page.locator("#family")
    await sheet.get_by_label("更正为").fill("林青霞")
    await sheet.get_by_label("凭什么").fill("她在电话里说的")
    await sheet.get_by_role("button", name="更正", exact=True).click()

    await expect(page.locator("#undone")).to_contain_text("已更正")
    await expect(page.get_by_role("heading", level=1)).to_have_text("林青霞一家")
    await expect(page.locator(".known").first).to_contain_text("她在电话里说的")
    await _shot(page, "corrected")
    await page.locator("[data-undo]").click()
    await expect(page.locator("#undone")).to_contain_text("已撤销")
    await expect(page.get_by_text("林青霞")).to_have_count(0)


async def test_a_field_is_corrected_and_taken_back_without_scripts(home: Home) -> None:
    page = await (await home.house.desk(LIN, java_script_enabled=False)).new_page()
    where = await _household(home)
    await page.goto(where)

    await page.get_by_role("link", name="补充资料").click()
    await page.get_by_label("哪一项").select_option("birthday")
    await page.get_by_label("更正为").fill("去年")
    await page.get_by_role("button", name="更正", exact=True).click()
    await expect(page.get_by_role("alert")).to_contain_text("生日请写成")
    await page.get_by_label("更正为").fill("2016-05-01")
    await page.get_by_role("button", name="更正", exact=True).click()

    await page.wait_for_url(f"**{where}?done=**")
    await expect(page.locator(".known").first).to_contain_text("2016-05-01")
    await page.get_by_role("button", name="撤回更正").click()
    await page.wait_for_url(f"**{where}?done=**")
    await expect(page.get_by_text("2016-05-01")).to_have_count(0)


async def _first_correction(page: Page, where: str) -> str:
    await page.goto(where)
    return await page.locator(".known a", has_text="更正").first.get_attribute("href") or ""


async def _household(home: Home) -> str:
    found = home.house.stage.service.house
    async with found.db.read(TENANT) as conn:
        persons = await store.persons_of(conn, [node := await home.node(home.cid)])
        ident = await identity.household_now(conn, persons[node])
        assert ident is not None
        return f"/households/{conn.vault.public('household', ident)}"


async def _grown(home: Home) -> None:
    """With a child, a telephone, and everything that was said of them."""
    found, now = home.house.stage.service.house, utcnow()
    mother, father = await home.node(home.cid), await home.node(home.his)
    phone = Handle(kind="phone", scope="e164", value=f"+86139{mother % 10_000:04}5678")
    child = Handle(kind="learner", scope="school", value=f"L{mother % 1_000_000}", name="小宇")
    async with found.db.begin(TENANT) as conn:
        handle = (await store.handles(conn, [mother]))[mother]
        link = Link(a=handle, b=phone, rule="app_phone", strength=75)
        sighting = Sighting(
            event_id=new_id(), at=now, key=f"k{mother}", handles=(handle, phone, child), links=(link,)
        )
        nodes = (await identity.resolve(conn, [sighting], now)).nodes
        kid = nodes[identity.address(child)]
        by = Actor(origin="rep", staff_id=None)
        for other, why in ((father, "电话里说是夫妻"), (kid, "报名时填的孩子")):
            await decisions.link(conn, mother, other, by=by, why=why, now=now, cls="same_household")
        said: list[Any] = []
        for a, b, what in ((mother, kid, "parent"), (mother, father, "spouse"), (father, kid, "parent")):
            said.append(
                Related(
                    relation_id=new_id(), key=f"r{new_id()}", at=now - timedelta(days=2), event_id=1,
                    account_id=1, node_a=a, node_b=b, type=what, rule=f"statement.{what}", strength=80,
                    target="account", tied_at=now,
                )
            )  # fmt: skip
        await kin.note(conn, said)


async def test_every_household_page_passes_axe_wide_and_narrow_light_and_dark(home: Home) -> None:
    page = await (await home.house.desk(LIN)).new_page()
    violations: dict[str, list[str]] = {}
    wide: dict[str, list[int]] = {}
    where = await _household(home)
    await _seen(page, "match", f"{where}/match", violations, wide)
    await _seen(page, "strip", f"/s/c/{home.cid}", violations, wide)
    await _grown(home)
    where = await _household(home)
    await _seen(page, "household", where, violations, wide)
    await _seen(page, "roles", f"{where}/roles", violations, wide)
    await _seen(page, "correct", await _first_correction(page, where), violations, wide)

    assert len(violations) == 20
    assert {k: v for k, v in violations.items() if v} == {}, dumped(violations)
    assert {k: v for k, v in wide.items() if v[0] > v[1]} == {}


async def _seen(
    page: Page, name: str, path: str, violations: dict[str, list[str]], wide: dict[str, list[int]]
) -> None:
    for theme in THEMES:
        await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        for size in (NARROW, WIDE):
            here = f"{name}-{theme}-{size[0]}"
            await page.set_viewport_size({"width": size[0], "height": size[1]})
            await page.goto(path)
            results = await Axe().run(page, options=RULES)
            found = results.response["violations"]
            violations[here] = [f"{v['id']}: {n['target']}" for v in found for n in v["nodes"]]
            sizes = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
            wide[here] = await page.evaluate(sizes)
            await _shot(page, here, full=True)


async def _shot(page: Page, name: str, *, full: bool = False) -> None:
    if SHOTS:
        await page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=full)
