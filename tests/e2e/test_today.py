"""The day of a rep: five things worked to none by keys and by taps; every screen says how many are left."""

from __future__ import annotations

import os
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Page, expect

from connectors.kit.world import Persona
from scrm.app import TENANT
from scrm.db import utcnow
from scrm.desk.tasks import service as tasks
from scrm.desk.tasks.service import Wanted
from scrm.timeline.store import conversations
from tests.e2e.floor import CHEN, LIN, ZHOU, Floor, dumped, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOTS = os.environ.get("SCRM_SCREENSHOTS", "")
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
QUESTION, AGAIN, ANSWER, TABLE = (
    "周六能试听吗？",
    "那几点开始呢？",
    "可以的，周六十点。",
    "这是暑期班的课表，请看。",
)
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "has_touch": True}


async def begun(house: Floor, who: str = LIN) -> tuple[Persona, str]:
    """A customer of `who` who was answered and asks again, with four more things to do for them."""
    person = house.customer()
    page = await (await house.desk(who)).new_page()
    cid = await house.opened(page, person, QUESTION)
    await page.get_by_role("button", name="接手").click()
    await page.locator("#say").fill(ANSWER)
    await page.locator("#say").press("Control+Enter")
    await until(lambda: house.got(person, ANSWER) == 1, "the customer has the answer")
    await page.close()
    await put(house, cid, "material", "发课表", 5, action={"text": TABLE}, why="上次问过暑期班")
    await put(house, cid, "call", "约试听时间", -30, value=598000)
    await put(house, cid, "coupon", "推早鸟券 8.5 折", 30)
    await put(house, cid, "other", "整理孩子的情况", 90)
    await house.writes(person, AGAIN)
    return person, cid


async def put(house: Floor, cid: str, kind: Any, title: str, minutes: int, **more: Any) -> None:
    db, live = house.stage.service.house.db, house.stage.service.house.live
    ident = db.vault.private("conversation", cid)
    async with db.begin(TENANT) as conn:
        talk = await conversations.of_id(conn, ident)
        assert talk is not None
        usual: dict[str, Any] = {"why": "计划第 2 天", "source": "sop"}
        one = Wanted(
            key=secrets.token_hex(6),
            kind=kind,
            title=title,
            node_id=talk.node_id,
            conversation_id=ident,
            due_at=utcnow() + timedelta(minutes=minutes),
            **usual | more,
        )
        made = await tasks.put(conn, [one], now=utcnow())
        conn.after_commit(lambda: live.publish(TENANT, tasks.changes(made)))


async def screens(house: Floor, cid: str, who: str = LIN, **options: Any) -> dict[str, Page]:
    """Everything that says how much there is to do, open at once."""
    desk, lead = await house.desk(who, **options), await house.desk(house.stage.world.staff[3].userid)
    made = {}
    for name, place, where in (
        ("today", desk, "/s/today"),
        ("sidebar", desk, f"/s/c/{cid}"),
        ("inbox", desk, "/inbox?filter=tasks"),
        ("lead", lead, "/lead/today"),
    ):
        made[name] = await place.new_page()
        await made[name].goto(where)
        await expect(made[name].locator("[data-dot=live]").first).to_be_attached()
    return made


async def agree(house: Floor, pages: dict[str, Page], n: int, who: str = LIN) -> None:
    """Without anybody reloading anything."""
    name = house._name(who)  # noqa: SLF001
    await expect(pages["today"].locator("[data-total]")).to_have_text(str(n))
    await expect(pages["today"].locator("#board [data-task]")).to_have_count(n)
    badge = pages["sidebar"].locator("#t-todo .cnt")
    await (expect(badge).to_have_text(str(n)) if n else expect(badge).to_have_count(0))
    await expect(pages["inbox"].locator("#queue [data-task]")).to_have_count(n)
    tab = pages["inbox"].locator(".flt a", has_text="待办")
    await expect(tab).to_have_text(f"待办 {n}" if n else "待办", use_inner_text=True)
    mine = pages["lead"].locator("tbody tr", has=pages["lead"].get_by_role("link", name=name, exact=True))
    await expect(mine.locator("[data-open]")).to_have_text(str(n))


async def test_five_things_are_worked_to_none_by_keys(house: Floor) -> None:
    person, cid = await begun(house)
    pages = await screens(house, cid)
    today = pages["today"]
    await agree(house, pages, 5)

    # The reply stands first in its section; Enter opens the customer, a key sends the answer.
    await today.keyboard.press("j")
    await expect(today.locator("#sec-reply + ul [data-row]")).to_be_focused()
    await today.keyboard.press("Enter")
    await today.wait_for_url(f"**/s/c/{cid}")
    await expect(today.locator("html.on")).to_be_attached()
    await today.locator("#p-rec [data-card]").first.wait_for()
    await pages["sidebar"].goto(f"/inbox/{cid}")
    await pages["sidebar"].locator("#say").fill("十点开始，我在前台等您。")
    await pages["sidebar"].locator("#say").press("Control+Enter")
    await until(lambda: house.got(person, "十点开始，我在前台等您。") == 1, "the customer has the answer")
    await pages["sidebar"].goto(f"/s/c/{cid}")
    await today.goto("/s/today")
    # The reply is given; the timetable that stands ready is not sent by that.
    await agree(house, pages, 4)

    # The call: d says it is done, and the keys go on with the next one.
    await today.keyboard.press("j")
    await today.keyboard.press("d")
    await agree(house, pages, 3)
    # The next but one is put off with a reason.
    await today.keyboard.press("j")
    await today.keyboard.press("p")
    await expect(today.locator("details.put[open] input")).to_be_focused()
    await today.keyboard.type("客户说晚上再联系")
    await today.get_by_role("button", name="2 小时").first.click()
    await agree(house, pages, 2)
    for left in (1, 0):
        await today.locator("h1").click()
        await today.keyboard.press("j")
        await today.keyboard.press("d")
        await agree(house, pages, left)

    await expect(today.get_by_text("今天的事都做完了")).to_be_visible()
    await expect(today.locator(".did", has_text="发课表")).to_contain_text("手工完成")


async def test_five_things_are_worked_to_none_by_taps_on_a_phone(house: Floor) -> None:
    person, cid = await begun(house, ZHOU)
    pages = await screens(house, cid, ZHOU, **PHONE)
    today = pages["today"]
    await agree(house, pages, 5, ZHOU)

    # What is to be sent stands ready; one more tap sends it.
    await today.locator("[data-task]", has_text="发课表").get_by_role("link", name="去发").tap()
    await expect(today.locator("#edit-text")).to_have_value(TABLE)
    await today.locator("#edit").get_by_role("button", name="发送").tap()
    await until(lambda: house.got(person, TABLE) == 1, "the customer has the timetable")
    await today.goto("/s/today")
    await agree(house, pages, 3, ZHOU)

    for left in (2, 1, 0):
        await today.locator("[data-task] .tick").first.tap()
        await agree(house, pages, left, ZHOU)
    assert house.got(person, TABLE) == 1


async def test_without_scripts_the_board_works_by_forms(house: Floor) -> None:
    _, cid = await begun(house, CHEN)
    page = await (await house.desk(CHEN, java_script_enabled=False, **PHONE)).new_page()
    await page.goto("/s/today")
    before = await page.locator("[data-task]").count()

    await page.locator("[data-task]", has_text="整理孩子的情况").locator(".tick").click()
    await page.wait_for_url("**/s/today")
    await expect(page.locator("[data-task]")).to_have_count(before - 1)
    call = page.locator("[data-task]", has_text="约试听时间")
    await call.locator("summary", has_text="推迟").click()
    await call.get_by_label("为什么推迟").fill("客户在开会")
    await call.get_by_role("button", name="2 小时").click()

    await page.wait_for_url("**/s/today")
    await expect(page.locator("[data-task]")).to_have_count(before - 2)
    await page.goto(f"/s/c/{cid}?tab=todo")
    await expect(page.locator("#p-todo [data-task]")).to_have_count(before - 2)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_boards_fit_and_can_be_read(house: Floor, width: int, theme: str) -> None:
    _, cid = await begun(house)
    options: dict[str, Any] = {"viewport": {"width": width, "height": 900}, "color_scheme": theme}
    desk, lead = await house.desk(**options), await house.desk(house.stage.world.staff[3].userid, **options)
    wrong = {}
    for place, name, where in (
        (desk, "today", "/s/today"),
        (desk, "sidebar", f"/s/c/{cid}?tab=todo"),
        (desk, "inbox", "/inbox?filter=tasks"),
        (desk, "inbox-open", f"/inbox/{cid}?filter=tasks"),
        (lead, "lead", "/lead/today"),
    ):
        page = await place.new_page()
        await page.goto(where)
        await expect(page.locator("[data-dot=live]").first).to_be_attached()
        if SHOTS:
            await page.screenshot(path=Path(SHOTS) / f"today-{name}-{width}-{theme}.png", full_page=True)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, where
        found = await Axe().run(page, options={"runOnly": {"type": "tag", "values": TAGS}})
        if found.response["violations"]:
            wrong[name] = [(v["id"], [n["target"] for n in v["nodes"]]) for v in found.response["violations"]]
        await page.close()

    assert not wrong, dumped(wrong)
