"""Cards: from the callback to its suggestions in the open sidebar: the event, the fragment, the page."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from scrm.bench.ground import Figures, quantile, text_message
from scrm.bench.live import Rep, Stream, browser, desk, post, quantiles, timed

PROBES = 60
#: Said in turn: each is answered by other scripts than the one before it.
_SAID = ("太贵了，能便宜点吗", "有没有试听课，想先听一节", "报名以后不想上了可以退费吗")
_PATIENCE_S = 20.0
_TOPICS = re.compile(r'data-cid="[^"]+" data-topics="([^"]+)"')
_CARDS = re.compile(r'name="suggestion" value="([^"]+)"')
#: Resolves when the page shows cards and none of them is one of the old, with the browser's time of it.
_SEEN = """old => new Promise(done => {
  const look = () => {
    const now = [...document.querySelectorAll('#customer input[name=suggestion]')].map(i => i.value);
    const cards = now.filter(Boolean);
    if (cards.length && !cards.some(id => old.includes(id))) { watch.disconnect(); done(Date.now()); }
  };
  const watch = new MutationObserver(look);
  watch.observe(document.body, {childList: true, subtree: true, attributes: true}); look();
})"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Probe:
    """Seconds since the callback was sent: answered, the event of its cards came, they were there."""

    acked: float
    told: float
    shown: float


async def run(probes: int = PROBES, *, database: str = "") -> Figures:
    """One customer's messages, one after the other, nobody else there."""
    async with desk(database) as rep:
        talk = await _met(rep)
        async with talk.stream.open():
            await talk.probe()
            found = [await talk.probe() for _ in range(probes)]
        async with browser(rep, talk.cid, tab="reply") as page:
            dom = [await talk.seen(page) for _ in range(probes if page else 0)]
    ack = quantile([one.acked for one in found], 0.5)
    return {
        "probes": probes,
        **quantiles("event", [one.told for one in found]),
        **quantiles("cards", [one.shown for one in found]),
        **quantiles("dom", dom),
        # The bound: no screen can know before the callback itself was answered.
        "ack_p50_ms": round(ack * 1e3, 1),
        "ratio": round(ack / quantile([one.shown for one in found], 0.5), 3),
    }


async def _met(rep: Rep) -> _Talk:
    """The first message makes the conversation, and its page says what an open sidebar listens to."""
    queue = Stream(rep)
    async with queue.open():
        await post(rep, text_message("o_bench_cards", str(9 * 10**18), int(time.time()), "在吗"))
        cid = await queue.until()
    topics = ""
    async with asyncio.timeout(_PATIENCE_S):
        while not (cards := _CARDS.findall(html := await _fragment(rep, cid))):  # noqa: ASYNC110 - another process rings no bell of ours
            await asyncio.sleep(0.02)
    if found := _TOPICS.search(html):
        topics = ",".join(found[1].split())
    return _Talk(rep, cid, Stream(rep, topics), frozenset(cards))


async def _fragment(rep: Rep, cid: str) -> str:
    async with rep.http.get(f"{rep.url}/s/c/{cid}", headers=rep.headers) as answer:
        if answer.status != 200:
            raise RuntimeError(f"the sidebar answered {answer.status}")
        return await answer.text()


class _Talk:
    """A customer whose sidebar is open."""

    def __init__(self, rep: Rep, cid: str, stream: Stream, cards: frozenset[str]) -> None:
        self.rep, self.cid, self.stream = rep, cid, stream
        self._cards, self._said = cards, 0

    async def _say(self) -> None:
        self._said += 1
        words = f"{_SAID[self._said % len(_SAID)]}（{self._said}）"
        await post(
            self.rep, text_message("o_bench_cards", str(9 * 10**18 + self._said), int(time.time()), words)
        )

    async def probe(self) -> _Probe:
        """As the open screen does: whenever something changed, the fragment is fetched."""
        self.stream.forget()
        began = perf_counter()
        acked = asyncio.create_task(timed(self._say, began))
        told = 0.0
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                await self.stream.until()
                told = perf_counter() - began
                cards = frozenset(_CARDS.findall(await _fragment(self.rep, self.cid)))
                if cards and cards.isdisjoint(self._cards):
                    break
        shown, self._cards = perf_counter() - began, cards
        return _Probe(acked=await acked, told=told, shown=shown)

    async def seen(self, page: Any) -> float:
        """Seconds from the callback to its cards on the page."""
        old = sorted(set(_CARDS.findall(await _fragment(self.rep, self.cid))))
        watching = asyncio.create_task(page.evaluate(_SEEN, old))
        await page.evaluate("0")  # the watch is in place once the page answers again
        began = time.time()
        await self._say()
        async with asyncio.timeout(_PATIENCE_S):
            return float(await watching) / 1e3 - began
