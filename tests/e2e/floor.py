"""A sales floor for browser tests: the demo's stage, one Chromium, desks people sit down at."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog
from playwright.async_api import Browser, BrowserContext, Locator, Page, async_playwright, expect

from connectors.kit.world import Bubble, Persona
from scrm import settings
from scrm.demo.stage import Stage, staged
from scrm.logs import open_logs

#: The platform's accounts: Official Account, customer service, WeCom itself.
OA, KF, WECOM = "school-oa", "school-kf", "school"
LIN, ZHOU, CHEN = "LinXiaoYan", "ZhouHao", "ChenSiQi"
#: For things that happen as soon as they can; long enough for a machine that is busy with something else.
PATIENCE_S = 20.0
PEOPLE = 72

expect.set_options(timeout=PATIENCE_S * 1000)

_ARGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_NAMES = ("chromium", "chromium-browser", "google-chrome")
NO_CHROMIUM = (
    "No Chromium for the browser tests: install it (Debian, Ubuntu: apt install chromium), run again."
)


def chromium() -> str:
    """Where Chromium is. Without it the tests fail; only a developer's own machine may do without."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found:
        return found
    if os.environ.get("CI"):
        pytest.fail(NO_CHROMIUM, pytrace=False)
    pytest.skip(NO_CHROMIUM)


async def until(so: Callable[[], bool], what: str) -> None:
    """Wait for a condition on our own side of the wire."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not so():  # noqa: ASYNC110 - the simulators have no event for it
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"never happened: {what}")


@dataclass
class Floor:
    """Everything a browser test touches. Each customer is taken once, so that tests do not meet."""

    stage: Stage
    browser: Browser
    #: What pages complained about that no test expects: script errors, the content policy.
    complaints: list[str] = field(default_factory=list)
    _keys: dict[str, Any] = field(default_factory=dict)
    _taken: set[int] = field(default_factory=set)
    _desks: list[BrowserContext] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.stage.url

    # ------------------------------------------------------------ our own people

    async def visitor(self, **options: Any) -> BrowserContext:
        """A browser nobody has signed in with."""
        desk = await self.browser.new_context(
            **{"base_url": self.url, "viewport": {"width": 1280, "height": 800}, **options}
        )
        self._desks.append(desk)
        desk.on("weberror", lambda error: self.complaints.append(str(error.error)))
        desk.on("console", self._listen)
        return desk

    async def desk(self, who: str = LIN, **options: Any) -> BrowserContext:
        """The browser of a member who is signed in."""
        if who not in self._keys:
            first = await self.visitor()
            await sign_in(await first.new_page(), self._name(who))
            self._keys[who] = await first.storage_state()
            self._desks.remove(first)
            await first.close()  # its page would go on listening
        return await self.visitor(storage_state=self._keys[who], **options)

    async def cut(self, desk: BrowserContext) -> None:
        """The network of that browser goes away: open streams end, nothing gets through."""
        await desk.set_offline(True)
        # Chromium leaves streams on loopback alone, so the other end hangs up.
        self.stage.service.house.live.close()

    async def close(self) -> None:
        """Everybody goes home; the next test starts with empty desks."""
        for desk in self._desks:
            with suppress(TimeoutError):  # a window that hangs must not hold up every test after it
                async with asyncio.timeout(PATIENCE_S):
                    await desk.close()
        self._desks.clear()

    def _name(self, userid: str) -> str:
        member = self.stage.world.member(userid)
        assert member is not None
        return member.name

    def _listen(self, message: Any) -> None:
        if message.type == "error" and "Content Security Policy" in message.text:
            self.complaints.append(message.text)

    # ------------------------------------------------------------ customers

    def customer(self, channel: str = "wechat_oa") -> Persona:
        """A customer of that channel whom no test has met."""
        found = next(
            p
            for p in self.stage.world.personas
            if p.number not in self._taken and p.channels == frozenset({channel})
        )
        self._taken.add(found.number)
        return found

    async def writes(self, persona: Persona, text: str, slug: str = OA) -> Bubble:
        """The customer sends a message; it was acknowledged."""
        bubble = await self.stage.world.say(persona, slug, text)
        assert bubble.state == "sent"
        return bubble

    async def befriends(self, persona: Persona, userid: str) -> None:
        """The customer and the member become friends in WeCom."""
        member = self.stage.world.member(userid)
        assert member is not None
        assert await self.stage.world.outlets[WECOM].meet(persona, member)

    def got(self, persona: Persona, text: str) -> int:
        """How often these words are on the customer's phone."""
        return self.stage.world.delivered(persona, text)

    async def talk(self, page: Page, persona: Persona, text: str) -> str:
        """The id of the customer's conversation whose last words are these, as the queue links it."""
        link = row(page, persona).filter(has_text=text)
        async with asyncio.timeout(PATIENCE_S):
            while True:  # again and again, because a page without scripts does not refresh itself
                await page.goto("/inbox")
                if await link.count():
                    return str(await link.get_attribute("href")).rpartition("/")[2]

    async def opened(self, page: Page, persona: Persona, text: str, *, slug: str = OA) -> str:
        """The customer wrote `text`, the desk shows the conversation, and suggestions are there."""
        await self.writes(persona, text, slug)
        cid = await self.talk(page, persona, text)
        async with asyncio.timeout(PATIENCE_S):
            while not await page.locator("[data-card]").count():
                await page.goto(f"/inbox/{cid}")
        return cid


async def sign_in(page: Page, name: str) -> None:
    """Through the company's own door: WeCom says who it is."""
    await page.goto("/login")
    await page.get_by_role("link", name="用企业微信登录").click()
    await page.get_by_role("link", name=name).click()
    await page.wait_for_url(re.compile(r"/(inbox|admin)\b"))


def row(page: Page, persona: Persona) -> Locator:
    """The customer's row in a queue."""
    return page.locator("[data-row]", has=page.get_by_text(persona.name, exact=True))


async def texts(page: Page, rows: str) -> list[str]:
    """The words of each row that says something, in the order shown."""
    found = await page.locator(f"{rows} > li .txt").all_inner_texts()
    return [text.strip() for text in found]


def ready_card(page: Page) -> Locator:
    """The first suggestion that needs nothing filled in."""
    return page.locator("#p-rec [data-card]:has(button[data-primary]:not([data-copy]))").first


async def words_of(card: Locator) -> str:
    return str(await card.get_attribute("data-words"))


@asynccontextmanager
async def floor(folder: Path) -> AsyncIterator[Floor]:
    """A whole service with simulated platforms in this process, and one browser."""
    program, logs = chromium(), structlog.get_config()
    open_logs("CRITICAL")
    given = settings.load(env={}, data_dir=str(folder), host="127.0.0.1", port=0)
    try:
        async with staged(given, people=PEOPLE) as stage, async_playwright() as play:
            browser = await play.chromium.launch(executable_path=program, args=list(_ARGS))
            try:
                yield Floor(stage=stage, browser=browser)
            finally:
                await browser.close()
    finally:
        structlog.configure(**logs)  # also when nothing above could start: later tests listen to the logs


def dumped(value: object) -> str:
    """As it stands in a failing assertion."""
    return json.dumps(value, ensure_ascii=False, indent=1)
