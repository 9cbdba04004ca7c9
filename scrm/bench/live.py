"""Live: from the callback to what a rep sees: the delta on the stream, the fragment, the open page."""

from __future__ import annotations

import asyncio
import json
import random
import re
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from time import perf_counter
from typing import Any

from aiohttp import ClientResponse, ClientSession, ClientTimeout

from connectors.kit.http import is_loopback, open_session
from scrm.app import TENANT, opened
from scrm.bench.ground import (
    SLUG,
    Figures,
    Said,
    platform,
    quantile,
    signed,
    talk,
    text_message,
)
from scrm.bench.site import process, site
from scrm.db import utcnow
from scrm.staff import service as staff
from scrm.web.pages import topic

PROBES, PEOPLE, CONNECTIONS = 60, 500, 32
CAPACITY_S, SHARE = 3.0, 0.7
_PATIENCE_S, _DRAIN_S = 20.0, 60.0
#: Resolves when the timeline shows the words, with the moment the browser saw them.
_SEEN = """words => new Promise(done => {
  const look = () => document.body.innerText.includes(words) && (watch.disconnect(), done(Date.now()));
  const watch = new MutationObserver(look);
  watch.observe(document.body, {childList: true, subtree: true, characterData: true}); look();
})"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rep:
    """Somebody with the sidebar open."""

    url: str
    cookie: str
    #: The queue of those without a team, where unassigned conversations show.
    topic: str
    http: ClientSession

    @property
    def headers(self) -> dict[str, str]:
        return {"Cookie": f"scrm={self.cookie}", "HX-Request": "true"}


async def run(probes: int = PROBES, capacity_s: float = CAPACITY_S, *, database: str = "") -> Figures:
    """One customer's messages timed one by one: in quiet, then among others at 70 % of what we can take."""
    async with desk(database) as rep:
        stream = Stream(rep)
        async with stream.open():
            customer = Customer(rep, stream)
            await customer.meet()
            idle = [await customer.probe() for _ in range(probes)]
            async with browser(rep, customer.cid) as page:
                dom = [await _seen(page, customer) for _ in range(probes if page else 0)]
                rate = await _capacity(rep, capacity_s)
                async with _background(rep, rate * SHARE):
                    busy = [await customer.probe() for _ in range(probes)]
                    busy_dom = [await _seen(page, customer) for _ in range(probes if page else 0)]
    return {
        "probes": probes,
        **quantiles("idle_delta", [delta for _, delta, _ in idle]),
        **quantiles("idle_fragment", [shown for _, _, shown in idle]),
        **quantiles("idle_dom", dom),
        "capacity_s": round(rate),
        "load_s": round(rate * SHARE),
        **quantiles("load_delta", [delta for _, delta, _ in busy]),
        **quantiles("load_fragment", [shown for _, _, shown in busy]),
        **quantiles("load_dom", busy_dom),
        # The bound: no screen can know before the callback itself was answered.
        "idle_ack_p50_ms": round(quantile([ack for ack, _, _ in idle], 0.5) * 1e3, 1),
        "ratio": round(
            quantile([ack for ack, _, _ in idle], 0.5) / quantile([shown for _, _, shown in idle], 0.5), 3
        ),
        "aim_idle_p95_ms": 150,
    }


def quantiles(name: str, seconds: list[float]) -> Figures:
    if not seconds:
        return {name: "not measured: needs playwright and chromium"}
    return {f"{name}_p{share}_ms": round(quantile(seconds, share / 100) * 1e3, 1) for share in (50, 95)}


@asynccontextmanager
async def desk(database: str) -> AsyncIterator[Rep]:
    """A service in a process of its own, and a lead who is signed in."""
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(site(database))
        async with opened(place.settings) as (db, _), db.begin(TENANT) as conn:
            lead = await staff.add(conn, login="bench", name="bench", role="lead", team="bench", now=utcnow())
            cookie = await staff.open_session(conn, lead, now=utcnow(), hours=2)
            name = topic(db.vault, "team", 0)
        api = await stack.enter_async_context(platform())
        words = ("scrm.bench.host", "full", place.config(api))
        url = await stack.enter_async_context(process(*words, cwd=place.folder))
        http = await stack.enter_async_context(open_session(is_loopback))
        yield Rep(url=url, cookie=cookie, topic=name, http=http)


class Stream:
    """The open `/live`: says which conversation changed."""

    def __init__(self, rep: Rep, topics: str = "") -> None:
        self._rep = rep
        self._topics = topics or rep.topic
        self._changes: asyncio.Queue[str] = asyncio.Queue()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        asked, forever = {"topics": self._topics}, ClientTimeout(total=None)
        headers = self._rep.headers
        async with self._rep.http.get(
            f"{self._rep.url}/live", params=asked, headers=headers, timeout=forever
        ) as answer:
            if answer.status != 200:
                raise RuntimeError(f"/live answered {answer.status}")
            reading = asyncio.create_task(self._read(answer))
            try:
                yield
            finally:
                reading.cancel()
                with suppress(asyncio.CancelledError):
                    await reading

    async def _read(self, answer: ClientResponse) -> None:
        kind = ""
        async for line in answer.content:
            name, _, value = line.decode().strip().partition(": ")
            if name == "event":
                kind = value
            elif name == "data" and kind == "change":
                self._changes.put_nowait(json.loads(value)["id"])

    def forget(self) -> None:
        while not self._changes.empty():
            self._changes.get_nowait()

    async def until(self, ident: str = "") -> str:
        """The next change of this conversation, or of any."""
        async with asyncio.timeout(_PATIENCE_S):
            while (changed := await self._changes.get()) != (ident or changed):
                pass
        return changed


class Customer:
    """The one whose messages are timed."""

    def __init__(self, rep: Rep, stream: Stream) -> None:
        self._rep, self._stream = rep, stream
        self._said = 0
        self.cid = ""

    async def meet(self) -> None:
        """The first message makes the conversation; the profile that follows it moves no queue."""
        await self.say()
        self.cid = await self._stream.until()
        for _ in range(3):
            await self.probe()

    @property
    def next_words(self) -> str:
        return f"第{self._said + 1:05d}句：报名还有优惠吗"

    async def say(self) -> None:
        words = self.next_words
        self._said += 1
        said = text_message("o_bench_timed", str(8 * 10**18 + self._said), int(time.time()), words)
        await post(self._rep, said)

    async def probe(self) -> tuple[float, float, float]:
        """Seconds until the callback was answered, the delta came, the fragment was there."""
        self._stream.forget()
        began = perf_counter()
        acked = asyncio.create_task(timed(self.say, began))
        await self._stream.until(self.cid)
        delta = perf_counter() - began
        url = f"{self._rep.url}/s/c/{self.cid}?tab=timeline"
        async with self._rep.http.get(url, headers=self._rep.headers) as answer:
            await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"the fragment answered {answer.status}")
        return await acked, delta, perf_counter() - began


async def timed(act: Callable[[], Awaitable[None]], began: float) -> float:
    await act()
    return perf_counter() - began


def _endless(*, first: int, people: int) -> Iterator[Said]:
    while True:
        yield from (said for said in talk(1000, people=people, first=first, seed=first) if not said.is_event)
        first += 1000


async def post(rep: Rep, said: Said) -> None:
    query, body = signed(said, salt=random.randbytes(16))
    async with rep.http.post(f"{rep.url}/hooks/{SLUG}?{query}", data=body) as answer:
        await answer.read()
        if answer.status != 200:
            raise RuntimeError(f"a callback was answered {answer.status}")


async def _capacity(rep: Rep, seconds: float) -> float:
    """Messages a second from the first callback until the last one is settled and reacted to.

    Answers alone would say too much: they go first, and what they bring in waits its turn.
    """
    words, sent, end = _endless(first=2 * 10**9, people=PEOPLE), 0, perf_counter() + seconds

    async def connection() -> None:
        nonlocal sent
        while perf_counter() < end:
            await post(rep, next(words))
            sent += 1

    began = perf_counter()
    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    async with asyncio.timeout(_DRAIN_S):
        while await _waiting(rep):  # noqa: ASYNC110 - another process's queue rings no bell of ours
            await asyncio.sleep(0.05)
    return sent / (perf_counter() - began)


async def _waiting(rep: Rep) -> float:
    """Rows the worker has still to do."""
    async with rep.http.get(f"{rep.url}/metrics") as answer:
        text = await answer.text()
    rows = re.findall(r'^scrm_inbox_rows{state="(?:new|settled)"} ([0-9.]+)$', text, re.MULTILINE)
    return sum(map(float, rows))


@asynccontextmanager
async def _background(rep: Rep, rate: float) -> AsyncIterator[None]:
    """Other customers at a steady rate; never more at once than there are connections."""
    words, free = _endless(first=3 * 10**9, people=PEOPLE), asyncio.Semaphore(CONNECTIONS)

    async def one(said: Said) -> None:
        try:
            await post(rep, said)
        finally:
            free.release()

    async def all_of_them() -> None:
        begun, number = perf_counter(), 0
        async with asyncio.TaskGroup() as group:
            while True:
                await free.acquire()
                group.create_task(one(next(words)))
                number += 1
                await asyncio.sleep(max(0.0, begun + number / rate - perf_counter()))

    task = asyncio.create_task(all_of_them())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def browser(rep: Rep, cid: str, tab: str = "timeline") -> AsyncIterator[Any]:
    """A page with this tab of the customer's; None without playwright and Chromium."""
    chromium = shutil.which("chromium")
    if chromium is None or find_spec("playwright") is None:
        yield None
        return
    playwright: Any = import_module("playwright.async_api")
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            context = await browser.new_context(extra_http_headers={"Cookie": f"scrm={rep.cookie}"})
            await context.add_cookies([{"name": "scrm", "value": rep.cookie, "url": rep.url}])
            page = await context.new_page()
            await page.goto(f"{rep.url}/s/c/{cid}?tab={tab}")
            yield page
        finally:
            await browser.close()


async def _seen(page: Any, customer: Customer) -> float:
    """Seconds from the callback to its words on the page."""
    watching = asyncio.create_task(page.evaluate(_SEEN, customer.next_words))
    await page.evaluate("0")  # the watch is in place once the page answers again
    began = time.time()
    await customer.say()
    async with asyncio.timeout(_PATIENCE_S):
        return float(await watching) / 1e3 - began
