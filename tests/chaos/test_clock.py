"""The server's clock jumps by hours: nothing acked is lost, doubled or fired twice, and somebody is told."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from scrm.web.serving import listening
from tests.chaos.conftest import NewServer, Tell
from tests.chaos.faults import BadClock, lacking
from tests.chaos.harness import (
    SLUG,
    Api,
    Findings,
    Load,
    Sendings,
    account_of,
    judge_sendings,
    seed,
    states_of_pushes,
    verdict,
)

HOUR_S = 3600
#: Refuses what is older or newer than ten minutes; the account under load takes any age.
STRICT = "strict-oa"
ALARM = "many callbacks refused"
HERE = Path(__file__).parent


@pytest.fixture
def clock(tmp_path: Path) -> BadClock:
    if "libfaketime" in lacking():
        pytest.skip("libfaketime is not installed: no way to move a server's clock")
    found = BadClock(tmp_path / "time")
    found.set(0)
    return found


class Phones:
    """A vendor who delivers each push, slowly, and counts what arrived."""

    def __init__(self) -> None:
        self.texts: Counter[str] = Counter()
        self.app = web.Application()
        self.app.router.add_post("/cgi-bin/stable_token", self._token)
        self.app.router.add_post("/cgi-bin/message/custom/send", self._send)
        self.app.router.add_get("/cgi-bin/user/info", self._info)

    async def _token(self, _request: web.Request) -> web.Response:
        return web.json_response({"access_token": "T", "expires_in": 7200})

    async def _send(self, request: web.Request) -> web.Response:
        self.texts[(await request.json())["text"]["content"]] += 1
        await asyncio.sleep(0.3)
        return web.json_response({"errcode": 0})

    async def _info(self, request: web.Request) -> web.Response:
        return web.json_response({"subscribe": 1, "openid": request.query["openid"]})


async def answers(strict: Load, http: ClientSession, count: int) -> set[int]:
    """Statuses of rightly signed callbacks to the strict account."""
    statuses = set()
    for _ in range(count):
        word = strict.next(strict.rng)
        query, body = strict.sealed(word, strict.rng)
        async with http.post(f"{strict.url}/hooks/{STRICT}", params=query, data=body) as answer:
            statuses.add(answer.status)
            if answer.status == 200:
                strict.ledger.acked.add(word.text)
    return statuses


async def say_to_all(api: Api, talks: list[str], name: str) -> list[str]:
    """One push for each conversation, promised."""
    texts = [f"{name} {number}" for number in range(len(talks))]
    queued = await asyncio.gather(
        *(
            api.post("pushes", {"conversation_id": talk, "text": text}, text)
            for talk, text in zip(talks, texts, strict=True)
        )
    )
    assert {status for status, _ in queued} == {201}
    return texts


@pytest.mark.parametrize("jump_s", [-HOUR_S, 2 * HOUR_S], ids=["an-hour-back", "two-hours-ahead"])
async def test_a_jump_of_the_clock_loses_nothing_doubles_nothing_and_raises_an_alarm(
    new_server: NewServer, clock: BadClock, http: ClientSession, tell: Tell, tmp_path: Path, jump_s: int
) -> None:
    server, rng, phones = new_server(**clock.env), random.Random(seed()), Phones()
    load = Load(server.url, rng, lanes=20, clients=2)
    strict = Load(server.url, rng, slug=STRICT, app_id="wx-strict", ledger=load.ledger)
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(listening(phones.app, "127.0.0.1", 0))
        base = f"http://127.0.0.1:{port}"
        server.configure(account_of(SLUG, base, max_age_s=0), account_of(STRICT, base, app_id=strict.app_id))
        await server.start()
        api = Api(server.url, await server.new_token(), http)
        async with load.running():
            await load.more(200)
            talks = [t["id"] for t in await api.all("conversations")][:16]
            true_clock = await answers(strict, http, 3)
            promised = await say_to_all(api, talks, "跳之前")
            await clock.jump(server, http, jump_s)  # while they are on their way out
            await load.more(200)
            wrong_clock = await answers(strict, http, 25)
            promised += await say_to_all(api, talks, "跳之后")
            await load.more(200)
            await clock.jump(server, http, 0)  # somebody mended it
            promised += await say_to_all(api, talks, "修好了")
            await load.more(200)
            mended_clock = await answers(strict, http, 3)
        found, stored = await verdict(server, load, http)
        states = await states_of_pushes(api)
        sendings = judge_sendings(promised, states, phones.texts)
        await server.stop()

    kept = Counter(state for (state,) in states.values())
    tell(f"clock {jump_s:+d} s: {len(load.ledger.acked)} acked, {stored} stored, pushes {dict(kept)}")
    assert found == Findings(), f"ledger: {load.ledger.save(tmp_path / 'ledger.json')}"
    assert sendings == Sendings()
    assert (true_clock, wrong_clock, mended_clock) == ({200}, {403}, {200})
    assert ALARM in server.said()
    assert kept["sent"] >= len(talks)  # those of the mended clock at the least
