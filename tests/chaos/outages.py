"""What happens to PostgreSQL while customers write: `make test` and `make soak` tell the same stories."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from aiohttp import ClientSession

from tests import services
from tests.chaos.harness import (
    NOWHERE,
    SCRM,
    Api,
    Findings,
    Load,
    Profile,
    Server,
    Word,
    judge,
    seed,
)
from tests.services import Missing, Postgres

#: A wrong server that a fault must show up: the same load, the same fault, at the same time.
FORGETFUL = (str(Path(__file__).parent / "forgetful.py"),)


@dataclass
class Steady(Load):
    """They write at one pace whatever happens, so what piles up depends on how long it happens."""

    clients: int = 6
    #: On average between two words of a client.
    pause_s: float = 0.05

    async def _deliver(self, http: ClientSession, word: Word, rng: random.Random) -> None:
        await super()._deliver(http, word, rng)
        await asyncio.sleep(rng.uniform(0, 2 * self.pause_s))


@dataclass(frozen=True, slots=True)
class Acks:
    """How long a platform waited for each."""

    waits_s: Sequence[float]

    def ms(self, part: float) -> float:
        """So much of them took no longer."""
        return sorted(self.waits_s)[int((len(self.waits_s) - 1) * part)] * 1000

    def __str__(self) -> str:
        p50, p99, worst = (f"{self.ms(part):.0f} ms" for part in (0.5, 0.99, 1))
        return f"{len(self.waits_s)} acks, p50 {p50}, p99 {p99}, worst {worst}"


@dataclass
class Stand:
    """A server with customers of its own, and what they experienced."""

    server: Server
    load: Steady
    api: Api

    # -- while it lasts ------------------------------------------------------------------------------------
    async def metric(self, name: str) -> float:
        """Over all processes and labels."""
        async with self.api.http.get(f"{self.server.url}/metrics") as answer:
            lines = [line for line in (await answer.text()).splitlines() if line.startswith(name)]
        assert lines, f"no metric {name}"
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    async def direct(self) -> None:
        """Until callbacks go to the database again: only then a fault meets their commits."""

        async def so() -> bool:
            return not await self.metric("scrm_spool_open")

        await self.api.until(so, "callbacks that go to the database directly")

    # -- afterwards ----------------------------------------------------------------------------------------
    async def drained(self) -> float:
        """Until nothing waits, on this host or in the database; the seconds that took."""
        began = time.monotonic()

        async def so() -> bool:
            return not await self.metric("scrm_spool_rows")

        await self.api.until(so, "an empty spool")
        await self.api.drained()
        return time.monotonic() - began

    async def findings(self) -> Findings:
        return judge(self.load.ledger, await self.api.timelines())

    def blamed(self) -> dict[str, int]:
        """What its log calls an error of its own, though only the database was away."""
        lines = (json.loads(line) for line in self.server.said().splitlines() if line.startswith("{"))
        found = Counter(f"{e['event']}: {e.get('error', '')}" for e in lines if e["level"] == "error")
        return {event: times for event, times in found.items() if not event.startswith("database slow")}

    @property
    def given_up(self) -> int:
        """Words their platform tried three times and then dropped."""
        return len(self.load.ledger.tried) - len(self.load.ledger.acked)

    def acks(self, since: int = 0) -> Acks:
        """After the first `since` of them."""
        return Acks(tuple(self.load.ledger.waits_s[since:]))


# -- putting it up -----------------------------------------------------------------------------------------
@contextmanager
def durable() -> Iterator[Postgres]:
    """A PostgreSQL to be broken, that keeps what it commits."""
    try:
        made = services.postgres(durable=True)
    except Missing as why:
        pytest.skip(str(why))
    with made:
        yield made


def profile(postgres: Postgres, *, workers: int, port: int = 0) -> Profile:
    """A new database there; `port` is another way to it."""
    url = postgres.new_database(services.migrated)
    used = sa.make_url(url).set(port=port or postgres.port).render_as_string(hide_password=False)
    return Profile(database_url=used, owner_url=postgres.cluster.superuser(url), workers=workers)


async def _up(server: Server, http: ClientSession) -> Stand:
    await server.start()
    api = Api(server.url, await server.new_token(), http)
    return Stand(server, Steady(server.url, random.Random(seed())), api)


@asynccontextmanager
async def stand(folder: Path, on: Profile, http: ClientSession) -> AsyncIterator[Stand]:
    """The real thing; it must also end well."""
    server = Server(folder, SCRM, on)
    server.configure(NOWHERE)
    try:
        yield await _up(server, http)
        await server.stop()
    finally:
        await server.end()


@asynccontextmanager
async def side_by_side(
    folder: Path,
    http: ClientSession,
    right_on: Profile,
    wrong_on: Profile,
    program: Sequence[str] = SCRM,
    **settings: object,
) -> AsyncIterator[tuple[Stand, Stand]]:
    """The real thing, and one with a wrong `program` or `settings` that meets the same faults."""
    wrong = Server(folder / "wrong", program, wrong_on)
    wrong.configure(NOWHERE, **settings)
    right = Server(folder / "right", SCRM, right_on)
    right.configure(NOWHERE)
    try:
        both = await asyncio.gather(_up(right, http), _up(wrong, http))
        yield both[0], both[1]
        await right.stop()
    finally:
        await right.end()
        await wrong.end()


@asynccontextmanager
async def writing(*stands: Stand) -> AsyncIterator[None]:
    """Their customers write, each to their own; at the end what they have in hand is finished."""
    async with AsyncExitStack() as stack:
        for one in stands:
            await stack.enter_async_context(one.load.running())
        yield


# -- the stories -------------------------------------------------------------------------------------------
async def crashes(postgres: Postgres, ours: Stand, times: int) -> None:
    """The database dies in the middle of its work and comes back, again and again."""
    rng = ours.load.rng
    for _ in range(times):
        await ours.direct()
        await ours.load.more(rng.randint(20, 80))
        await asyncio.to_thread(postgres.stop, "immediate")
        await ours.load.more(rng.randint(20, 60))
        await asyncio.to_thread(postgres.start)
    await ours.direct()
    await ours.load.more(50)


async def away(leave: Callable[[], None], back: Callable[[], None], ours: Stand, seconds: float) -> Acks:
    """The database is not there for so long; how callbacks were acked meanwhile."""
    await ours.direct()
    await ours.load.more(50)
    since = len(ours.load.ledger.waits_s)
    await asyncio.to_thread(leave)
    try:
        await asyncio.sleep(seconds)
        assert len(ours.load.ledger.waits_s) > since, "no callback was acked"
        return ours.acks(since)
    finally:
        await asyncio.to_thread(back)
