"""A rep's day with one family as it really comes about: six things of six kinds, worked to none at 360 px."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Page, expect

from connectors.kit.http import is_loopback, open_session
from scrm.app import TENANT
from scrm.db import utcnow
from scrm.demo import family, selling
from scrm.demo.family import Family
from scrm.demo.stage import ADMIN
from scrm.playbook.sops import versions
from scrm.staff import service as staff
from scrm.worker.boarding import remind
from tests.e2e.floor import LIN, Floor, dumped, ready_card, words_of
from tests.e2e.test_promises import LEAD, kept
from tests.e2e.test_ringing import exchange
from tests.e2e.test_today import PHONE, agree, put, screens
from tests.e2e.test_webchat import _answer
from tests.playbook.sops.clockwork import plan

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOTS = os.environ.get("SCRM_SCREENSHOTS", "")
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
FIRST, AGAIN = "老师，年课能优惠吗？", "周六上午孩子能来上课吗？"
PROMISE = "年课给您 8.5 折，今天有效"
TABLE = "这是春季班的课表，周六上午和周日下午各一节，您看哪一节方便？"
TAG = "要约试听"
#: What the plan wants once somebody labels the family: three things at once, each of another kind.
STEPS = f"""
- {{id: table, message: {{text: {TABLE}}}}}
- {{id: coupon, coupon: {{batch: EARLY-85}}}}
- {{id: call, task: {{kind: call, title: 约试听时间, due_hours: 1}}}}
"""


@dataclass
class Day:
    """The family, the conversation it is about, and everything that says how much there is to do."""

    house: Floor
    home: Family
    cid: str
    chat: dict[str, str]
    pages: dict[str, Page]
    token: str

    @property
    def today(self) -> Page:
        return self.pages["today"]

    async def left(self, n: int, *, replies: int = 0) -> None:
        """Every screen says so by itself, and so does the API, where replies due are conversations."""
        await agree(self.house, self.pages, n)
        counts = [int(c) for c in await self.today.locator("[data-count]").all_inner_texts()]
        assert sum(counts) == n
        answer = await self.today.request.get(
            f"{self.house.url}/api/v1/tasks?state=open", headers={"Authorization": f"Bearer {self.token}"}
        )
        assert answer.status == 200, await answer.text()
        open_ = (await answer.json())["items"]
        assert len(open_) + replies == n, dumped(open_)

    async def open(self, kind: str) -> Page:
        """With the keys: down to the first of that kind, then Enter."""
        await self.today.locator("h1").click()
        row = self.today.locator(f"#sec-{kind} + ul [data-row]").first
        for _ in range(await self.today.locator("[data-row]").count()):
            await self.today.keyboard.press("j")
            if await row.evaluate("row => row === document.activeElement"):
                break
        await expect(row).to_be_focused()
        await self.today.keyboard.press("Enter")
        await self.today.wait_for_url(f"**/s/c/{self.cid}**")
        await expect(self.today.locator("html.on")).to_be_attached()
        return self.today

    async def back(self) -> None:
        await self.today.goto("/s/today")
        await expect(self.today.locator("[data-dot=live]")).to_be_attached()


async def begun(house: Floor) -> Day:
    """The mother asked on the site, Lin answered with a promise, labelled the family, and she asked again."""
    await selling.stock(house.stage)
    home = family.family(house.stage.world)
    chat = await family.live(house.stage, home)
    inside = house.stage.service.house
    async with inside.db.begin(TENANT) as conn:
        one = plan(STEPS, code="edu.day", title="约试听", starts=[{"tag": TAG}])
        await versions.sync(conn, {"education": [one]}, now=utcnow())
        await versions.switch(conn, "edu.day", on=True, now=utcnow())
        token = await staff.new_token(conn, "rep", LIN.lower(), now=utcnow())
    await says(house, chat, FIRST)
    rep = await (await house.desk()).new_page()
    await rep.goto("/inbox?filter=all")
    await rep.locator("[data-row]", has_text=FIRST).first.click()
    await expect(rep.locator("#bubs .txt", has_text=FIRST)).to_have_count(1)
    await _answer(rep, PROMISE)
    await expect(rep.locator("#bubs > li.out", has_text=PROMISE)).to_have_count(1)
    cid = rep.url.rpartition("/")[2].partition("?")[0]
    await kept(house, cid)
    await labelled(rep, cid)
    async with inside.db.begin(TENANT) as conn:
        _, _, changes = await remind(conn, after=0, limit=9, now=utcnow())
        conn.after_commit(lambda: inside.live.publish(TENANT, changes))
    await put(house, cid, "visit", "周六到校试听", 60)
    await says(house, chat, AGAIN)
    await rep.close()
    pages = await screens(house, cid, **PHONE)
    return Day(house=house, home=home, cid=cid, chat=chat, pages=pages, token=token)


async def says(house: Floor, chat: dict[str, str], text: str) -> None:
    """The mother, on the site, as her browser posts."""
    async with open_session(is_loopback) as http:
        await selling._says(house.stage, http, chat, text)  # noqa: SLF001


async def labelled(rep: Page, cid: str) -> None:
    await rep.goto(f"/s/c/{cid}")
    await rep.locator("#labels summary").click()
    await rep.get_by_label("新标签").fill(TAG)
    await rep.get_by_role("button", name="加标签").click()
    await expect(rep.locator("#labels summary")).to_contain_text(TAG)


async def attends(day: Day) -> None:
    """The child came: the teaching system says so."""
    lesson = {
        "type": "lesson",
        "id": "K-day-1",
        "at": utcnow().isoformat(),
        "status": "attended",
        "course": "math-3",
        "name": "试听课",
        "learner": {"id": f"learner-{day.home.mother.number}", "name": day.home.mother.kid},
        "account": {"app_user": day.home.user},
    }
    async with open_session(is_loopback) as http:
        await family.signed(day.house.stage, http, "mall", lesson)


async def rings(day: Day) -> None:
    """Lin calls the mother; they talk for longer than it takes to miss somebody."""
    async with exchange(day.house, "day-line") as phones:
        line = await phones.ring(day.home.mother, LIN, direction="out")
        await phones.answer(line)
        line.answered_at -= 60
        await phones.hang_up(line)
        await day.left(1)


async def confirmed(page: Page) -> None:
    """What stands ready goes out as it is."""
    box = page.locator("#edit-text")
    words = await box.input_value()
    await box.press("Control+Enter")
    await out(page, words)


async def out(page: Page, words: str) -> None:
    """The channel has taken it."""
    await expect(page.locator("#out > li:has([data-state=sent])", has_text=words[:12])).to_have_count(1)


async def looked_at(page: Page, name: str) -> None:
    """In both themes: readable by axe, nothing wider than the telephone."""
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        if SHOTS:
            await page.screenshot(path=Path(SHOTS) / f"day-{name}-{theme}.png", full_page=True)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360, name
        found = await Axe().run(page, options={"runOnly": {"type": "tag", "values": TAGS}})
        wrong = [(v["id"], [n["target"] for n in v["nodes"]]) for v in found.response["violations"]]
        assert wrong == [], f"{name} {theme}: {dumped(wrong)}"


async def test_six_things_of_six_kinds_are_worked_to_none(house: Floor) -> None:
    day = await begun(house)
    await day.left(6, replies=1)
    await looked_at(day.today, "morning")

    # Who waits is answered with the key of a suggestion; nothing else counts as done by that.
    page = await day.open("reply")
    card = ready_card(page)
    await expect(card).to_be_visible()
    await page.keyboard.press(str(await card.get_attribute("data-n")))
    await out(page, await words_of(card))
    await day.back()
    await day.left(5)

    # A promise that ends stands ready in words, and so does what the plan wants to be sent.
    page = await day.open("quote")
    await expect(page.locator("#edit-text")).to_have_value(re.compile("按之前答应您家的 8.5 折"))
    await confirmed(page)
    await expect(page.locator("#edit-text")).to_have_count(0)  # and is not offered again
    await day.back()
    await day.left(4)
    page = await day.open("material")
    await expect(page.locator("#edit-text")).to_have_value(TABLE)
    await looked_at(page, "material")
    await confirmed(page)
    await day.back()
    await day.left(3)

    page = await day.open("coupon")
    await expect(page.locator("#coupons article", has_text="早鸟券")).to_contain_text("与答应过的一致")
    await looked_at(page, "coupon")
    await page.locator("#coupons article", has_text="早鸟券").get_by_role("button", name="发给").click()
    await expect(page.locator("#coupons")).to_contain_text("未使用")
    await day.back()
    await day.left(2)

    # What happens elsewhere is ticked off by itself, on whatever channel it happened.
    await rings(day)
    await attends(day)
    await day.left(0)
    await expect(day.today.get_by_text("今天的事都做完了")).to_be_visible()
    for how in ("发出消息后自动完成", "发券后自动完成", "通话后自动完成", "到访后自动完成"):
        await expect(day.today.locator(".did", has_text=how).first).to_be_attached()
    await looked_at(day.today, "evening")


@pytest.mark.parametrize(("size", "theme"), [((360, 640), "dark"), ((1280, 800), "light")], ids=str)
async def test_pages_of_those_behind_the_day_can_be_read(
    house: Floor, size: tuple[int, int], theme: Literal["light", "dark"]
) -> None:
    options: dict[str, Any] = {"viewport": {"width": size[0], "height": size[1]}, "color_scheme": theme}
    wrong: dict[str, object] = {}
    for who, path in (
        (ADMIN.userid, "/admin/scripts"),
        (ADMIN.userid, "/admin/scripts/effect"),
        (ADMIN.userid, "/admin/rules"),
        (ADMIN.userid, "/mkt/coupons"),
        (LEAD, "/lead/alerts?tab=findings"),
        (LEAD, "/lead/today"),
    ):
        page = await (await house.desk(who, **options)).new_page()
        answer = await page.goto(path)
        assert answer is not None
        assert answer.status == 200, path
        if SHOTS:
            name = path.strip("/").replace("/", "-").partition("?")[0]
            await page.screenshot(path=Path(SHOTS) / f"day-{name}-{size[0]}-{theme}.png", full_page=True)
        found = await Axe().run(page, options={"runOnly": {"type": "tag", "values": TAGS}})
        faults = [(v["id"], [n["target"] for n in v["nodes"]]) for v in found.response["violations"]]
        wide = await page.evaluate("document.documentElement.scrollWidth")
        wrong |= {path: (faults, wide)} if faults or wide > size[0] else {}
        await page.close()

    assert wrong == {}, dumped(wrong)


async def test_the_sheet_of_a_stage_moves_a_sale_with_the_keyboard(house: Floor) -> None:
    person = house.customer()
    desk = await house.desk(viewport={"width": 360, "height": 640})
    page = await desk.new_page()
    cid = await house.opened(page, person, "三年级数学有什么课？")
    await page.goto(f"/s/c/{cid}")
    await expect(page.locator("html.on")).to_be_attached()
    sheet = page.locator("#family")
    await page.get_by_role("link", name="新建商机").click()
    await sheet.get_by_label("产品").fill("数学年课")
    await sheet.get_by_label("金额").fill("6800")
    await looked_at(page, "sale")
    await sheet.get_by_role("button", name="新建商机").press("Enter")
    await expect(page.locator("#sale")).to_contain_text("¥6,800")

    await page.locator("#sale .sale-a").press("Enter")
    await sheet.get_by_label("阶段").select_option("quotation")
    await looked_at(page, "stage")
    await sheet.get_by_role("button", name="改阶段").press("Enter")

    await expect(page.locator("#sale .bar")).to_have_attribute("aria-label", re.compile("报价"))
    await expect(page.locator("#family[open]")).to_have_count(0)
