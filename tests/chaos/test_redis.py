"""Redis killed, frozen, flushed and full under load: ingest does not notice, screens lag 3 s at most."""

from __future__ import annotations

import asyncio
import base64
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession, ClientTimeout

from scrm.app import TENANT
from scrm.db import Database, utcnow
from scrm.seal import Vault
from scrm.staff import service as staff
from scrm.web.pages import topic
from tests import services
from tests.chaos.conftest import Tell
from tests.chaos.harness import (
    NOWHERE,
    SCRM,
    Api,
    Findings,
    Load,
    Profile,
    Server,
    judge,
    seed,
    until,
)
from tests.services import Cluster, Redis

HERE = Path(__file__).parent
MASTER = bytes(range(32))
#: What the issue asks of a screen whatever happens to Redis.
LAG_S = 3.0
#: A word a second from each client: what a busy team of reps sees, not what a benchmark makes.
CLIENTS, PAUSE_S = 8, 0.2
#: How long a fault lasts before anybody judges it.
HOLD_S = 4.0


class WebOnly(Profile):
    """It shows, and works on nothing: every change reaches its screens from another process."""

    @property
    def flags(self) -> tuple[str, ...]:
        return ("--no-work",)


@dataclass
class Paced(Load):
    """It does not hurry, and remembers when each word was acked and how long that took."""

    acked_at: dict[str, float] = field(default_factory=dict)
    took_s: dict[str, float] = field(default_factory=dict)

    async def _client(self, rng: random.Random) -> None:
        async with ClientSession(timeout=ClientTimeout(total=5), trust_env=False) as http:
            while not self.stopping:
                word, began = self.next(rng), time.monotonic()
                await self._deliver(http, word, rng)
                if word.text in self.ledger.acked:
                    self.acked_at[word.text] = time.monotonic()
                    self.took_s[word.text] = time.monotonic() - began
                await asyncio.sleep(rng.uniform(0, 2 * PAUSE_S))


@dataclass
class Screen:
    """A browser at the web-only process: it hears ids, then fetches; what it has shown and since when."""

    api: Api
    cookie: str
    topics: Sequence[str]
    seen: dict[str, float] = field(default_factory=dict)
    heard: dict[str, int] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[Screen]:
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._fetch())]
        try:
            await until(lambda: "fresh" in self.heard, "an open stream")
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> None:
        headers, query = {"Cookie": f"scrm={self.cookie}"}, {"topics": ",".join(self.topics)}
        endless = ClientTimeout(total=None, sock_read=60)
        async with ClientSession(timeout=endless, trust_env=False) as http:
            while True:
                try:
                    async with http.get(f"{self.api.url}/live", headers=headers, params=query) as stream:
                        assert stream.status == 200, await stream.text()
                        async for line in stream.content:
                            self._hear(line.decode().strip())
                except (ClientError, TimeoutError):
                    await asyncio.sleep(0.5)

    def _hear(self, line: str) -> None:
        name = line.removeprefix("event: ")
        if name in ("change", "fresh") and name != line:
            self.heard[name] = self.heard.get(name, 0) + 1
            self._news.set()

    async def _fetch(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            for event in (await self.api.get("events", limit="200"))["items"]:
                self.seen.setdefault(event["text"], time.monotonic())


@dataclass
class Stage:
    """One process that works and takes callbacks, one that only shows, on one PostgreSQL and one Redis."""

    redis: Redis
    load: Paced
    screen: Screen
    api: Api
    urls: tuple[str, str]

    async def connected(self) -> None:
        """Until both processes use Redis: only then it can be taken from them."""

        async def so() -> bool:
            for url in self.urls:
                async with self.api.http.get(f"{url}/metrics") as answer:
                    if 'scrm_bus_up{wire="redis"} 1.0' not in await answer.text():
                        return False
            return True

        await self.api.until(so, "Redis in use")

    def lags(self, since: float, until_: float) -> list[float]:
        """Of the words acked in between and seen by now."""
        at, seen = self.load.acked_at, self.screen.seen
        return [max(seen[t] - a, 0) for t, a in at.items() if since <= a < until_ and t in seen]

    def unseen(self, before: float) -> list[str]:
        return [t for t, a in self.load.acked_at.items() if a < before and t not in self.screen.seen]


@pytest.fixture
def redis() -> Iterator[Redis]:
    with services.redis() as one:
        yield one


@asynccontextmanager
async def staged(
    folder: Path, cluster: Cluster, redis: Redis, http: ClientSession, program: Sequence[str] = SCRM
) -> AsyncIterator[Stage]:
    url = cluster.new_database(services.migrated)
    env = {"SCRM_MASTER_KEY": base64.b64encode(MASTER).decode()}
    works = Server(folder / "works", program, _profile(Profile, url, redis, cluster), env)
    shows = Server(folder / "shows", program, _profile(WebOnly, url, redis, cluster), env)
    try:
        for server in (works, shows):
            server.configure(NOWHERE)
            await server.start()
        token, cookie = await _let_in(url)
        api = Api(shows.url, token, http)
        named = [topic(Vault(MASTER), "team", 0)]
        async with Screen(api, cookie, named).watching() as screen:
            load = Paced(works.url, random.Random(seed()), clients=CLIENTS, lanes=30)
            async with load.running():
                yield Stage(redis=redis, load=load, screen=screen, api=api, urls=(works.url, shows.url))
        await shows.stop()
        await works.stop()
    finally:
        await works.end()
        await shows.end()
        cluster.drop(url)


def _profile(kind: type[Profile], url: str, redis: Redis, cluster: Cluster) -> Profile:
    return kind(database_url=url, redis_url=redis.url, owner_url=cluster.superuser(url))


async def _let_in(url: str) -> tuple[str, str]:
    """A machine's token and the session of a rep."""
    db = await Database.open(url, Vault(MASTER))
    try:
        async with db.begin(TENANT) as conn:
            rep = await staff.add(conn, login="anna", name="Anna", role="rep", now=utcnow())
            token = await staff.new_token(conn, "admin", "", now=utcnow())
            return token, await staff.open_session(conn, rep, now=utcnow(), hours=8)
    finally:
        await db.close()


def _hurt(redis: Redis, fault: str) -> Callable[[], None]:
    """Do it; what undoes it."""
    match fault:
        case "killed":
            redis.kill()
            return redis.start
        case "frozen":
            redis.freeze()
            return redis.thaw
        case "flushed":
            redis.flush()
            return lambda: None
        case _:
            redis.limit(1)
            return lambda: redis.limit(0)


async def _in_thread(act: Callable[[], object]) -> None:
    await asyncio.to_thread(act)


async def test_ingest_does_not_notice_what_happens_to_redis_and_screens_lag_three_seconds_at_most(
    tmp_path: Path, cluster: Cluster, redis: Redis, http: ClientSession, tell: Tell
) -> None:
    lines, worst = list[str](), list[float]()
    async with staged(tmp_path, cluster, redis, http) as stage:
        await stage.load.more(40)
        for fault in ("none", "killed", "frozen", "flushed", "full"):
            await stage.connected()
            began = time.monotonic()
            heal = _hurt(redis, fault) if fault != "none" else None
            await asyncio.sleep(HOLD_S)
            held = time.monotonic()
            # While Redis is still away: nobody waits for it to come back.
            await until(lambda held=held: not stage.unseen(held), f"the screen, Redis {fault}")  # type: ignore[misc]
            if heal is not None:
                await _in_thread(heal)
            await asyncio.sleep(HOLD_S / 2)
            ended = time.monotonic()
            await until(lambda ended=ended: not stage.unseen(ended), f"the screen after {fault}")  # type: ignore[misc]
            lags, acks = stage.lags(began, ended), _acks(stage.load, began, ended)
            worst.append(max(lags))
            lines.append(
                f"Redis {fault:8}: {len(lags):4} words, lag p50 {_part(lags, 0.5):5.0f} ms, worst "
                f"{max(lags) * 1000:5.0f} ms; ack p50 {_part(acks, 0.5):4.0f} ms, p99 {_part(acks, 0.99):.0f}"
            )
        stage.load.stopping = True
        await stage.api.drained()
        found = judge(stage.load.ledger, await stage.api.timelines())
        failures, heard = stage.load.ledger.failures, dict(stage.screen.heard)

    tell("\n".join([*lines, f"the screen heard {heard}"]))
    assert found == Findings()
    assert failures == 0
    assert max(worst) <= LAG_S


async def test_a_server_for_which_redis_is_everything_leaves_its_screens_behind(
    tmp_path: Path, cluster: Cluster, redis: Redis, http: ClientSession, tell: Tell
) -> None:
    wrong = (str(HERE / "redis_alone.py"),)
    async with staged(tmp_path, cluster, redis, http, wrong) as stage:
        await stage.load.more(40)
        await stage.connected()
        began = time.monotonic()
        await until(lambda: not stage.unseen(began), "the screen, while Redis works")

        redis.freeze()
        await asyncio.sleep(HOLD_S + LAG_S)
        behind = stage.unseen(time.monotonic() - LAG_S)
        redis.thaw()

    tell(f"Redis is everything: {len(behind)} words unseen after {LAG_S:.0f} s")
    assert behind


def _acks(load: Paced, since: float, until_: float) -> list[float]:
    return [load.took_s[t] for t, a in load.acked_at.items() if since <= a < until_]


def _part(values: Sequence[float], part: float) -> float:
    """A quantile, in milliseconds."""
    return sorted(values)[min(int(len(values) * part), len(values) - 1)] * 1000 if values else 0.0
