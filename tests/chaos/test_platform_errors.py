"""A platform that misbehaves in every known way: few calls, one refresh, and the right end of each push."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from scrm.errors import Unknown
from tests import services
from tests.chaos.conftest import NewServer, Tell
from tests.chaos.harness import Api, Load, Profile, Server, account_of, seed
from tests.connectors.vendor import TOKEN_OK, Reply, Vendor, page
from tests.services import Cluster

SEND, TOKEN = "message/custom/send", "stable_token"
OK: Reply = {"errcode": 0, "errmsg": "ok"}
HERE = Path(__file__).parent
#: Attempts before a push is given up; the second comes two seconds after the first.
ATTEMPTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one push ended, and what it cost."""

    state: str
    code: str
    sends: int
    arrived: int
    refreshes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What the vendor answers to sends, and how our push must end."""

    send: tuple[Reply, ...]
    state: str
    code: str = ""
    #: Calls of the send API, over all attempts.
    sends: int = 1
    #: How many of its sends the vendor took.
    arrived: int = 0
    #: Tokens fetched for it, besides the one that was there.
    refreshes: int = 0
    token: Reply = field(default_factory=lambda: TOKEN_OK)

    @property
    def end(self) -> Ended:
        return Ended(
            state=self.state,
            code=self.code,
            sends=self.sends,
            arrived=self.arrived,
            refreshes=self.refreshes,
        )


SCRIPTS: Mapping[str, Script] = {
    # Try again later: certainly not delivered.
    "busy": Script(send=({"errcode": -1}, OK), state="sent", sends=2, arrived=1),
    "busy-for-ever": Script(send=({"errcode": -1},), state="dead", code="-1", sends=2),
    "too-fast": Script(send=({"errcode": 45033}, OK), state="sent", sends=2, arrived=1),
    # One refresh mends it.
    "expired": Script(send=({"errcode": 42001}, OK), state="sent", sends=2, arrived=1, refreshes=1),
    "invalid-token": Script(send=({"errcode": 40014}, OK), state="sent", sends=2, arrived=1, refreshes=1),
    # One refresh does not mend it: no loop, one waits and the other says what to repair.
    "expired-for-ever": Script(send=({"errcode": 42001},), state="retry", code="42001", sends=2, refreshes=1),
    "40001-for-ever": Script(send=({"errcode": 40001},), state="dead", code="40001", sends=2, refreshes=1),
    # Quota: the next call waits a minute, whatever else wants to go out.
    "quota": Script(send=({"errcode": 45009},), state="retry", code="45009"),
    # Final refusals: the window is shut, or the answers in it are used up.
    "window-shut": Script(send=({"errcode": 45015},), state="dead", code="45015"),
    "too-many-answers": Script(send=({"errcode": 45047},), state="dead", code="45047"),
    "too-many-in-a-row": Script(send=({"errcode": 95001},), state="dead", code="95001"),
    # No clear answer: it may have arrived, so it is never sent again.
    "html": Script(send=(page("200 OK", b"<html>maintenance</html>"),), state="unknown"),
    "truncated": Script(send=(page("200 OK", b'{"errcode": 0'),), state="unknown"),
    "gateway": Script(send=(page("502 Bad Gateway", b"<html>"),), state="unknown"),
    "reset": Script(send=("reset",), state="unknown"),
    "hang": Script(send=("hang",), state="unknown"),
    "drip": Script(send=("drip",), state="unknown"),
    # A code nobody knows inside a 200 is no success.
    "strange-code": Script(send=({"errcode": 99999},), state="dead", code="99999"),
    # A lifetime that makes no sense does not make us fetch a token in a loop.
    "odd-lifetime": Script(
        send=(OK,),
        state="sent",
        arrived=1,
        refreshes=1,
        token={"errcode": 0, "access_token": "T", "expires_in": -5},
    ),
}


class Platform(Vendor):
    """The scripted vendor of one account, which also knows which sends it took."""

    def __init__(self, script: Script) -> None:
        profile = {"subscribe": 1, "openid": "o", "errcode": 0}
        super().__init__({SEND: script.send, TOKEN: [script.token], "user/info": [profile]})
        self.taken = 0

    def _next(self, path: str) -> Reply:
        reply = super()._next(path)
        self.taken += path == SEND and isinstance(reply, Mapping) and reply.get("errcode") == 0
        return reply


async def greeted(server: Server, http: ClientSession, slug: str, app_id: str) -> None:
    """A customer of this account writes, so that there is a window to answer in."""
    load = Load(server.url, random.Random(seed()), slug=slug, app_id=app_id, lanes=1)
    query, body = load.sealed(load.next(load.rng), load.rng)
    async with http.post(f"{server.url}/hooks/{slug}", params=query, data=body) as answer:
        assert answer.status == 200


async def pushed_through(
    server: Server, http: ClientSession, scripts: Mapping[str, Script]
) -> dict[str, Ended]:
    """One account, one vendor and one push for each script; all at the same time."""
    async with AsyncExitStack() as stack:
        vendors = {n: Platform(script) for n, script in scripts.items()}
        for vendor in vendors.values():
            await stack.enter_async_context(vendor.running())
        accounts = [account_of(name, v.base, app_id=f"wx-{name}") for name, v in vendors.items()]
        server.configure(*accounts, max_attempts=ATTEMPTS)
        await server.start()
        api = Api(server.url, await server.new_token(), http)
        await asyncio.gather(*(greeted(server, http, name, f"wx-{name}") for name in scripts))
        await api.until(partial(all_known, vendors), "every vendor was asked who that is")
        await api.drained()
        for vendor in vendors.values():
            vendor.asked.clear()
        talks = {t["account"]: t["id"] for t in await api.all("conversations")}
        for name in scripts:
            status, _ = await api.post("pushes", {"conversation_id": talks[name], "text": name}, name)
            assert status == 201
        waiting = {name for name, script in scripts.items() if script.state == "retry"}
        pushes = await api.until(partial(ended, api, talks, waiting), "pushes that came to an end")
        return {
            name: Ended(
                state=pushes[name]["state"],
                code=pushes[name]["code"],
                sends=vendor.calls[SEND],
                arrived=vendor.taken,
                refreshes=vendor.calls[TOKEN],
            )
            for name, vendor in vendors.items()
        }


async def all_known(vendors: Mapping[str, Platform]) -> bool:
    return all(vendor.calls["user/info"] for vendor in vendors.values())


async def ended(
    api: Api, talks: Mapping[str, str], waiting: Collection[str]
) -> dict[str, dict[str, Any]] | None:
    """Each script's push, once none has anything left to try; but `waiting` ones do wait."""
    names = {talk: name for name, talk in talks.items()}
    pushes = {names[p["conversation_id"]]: p for p in await api.all("pushes")}
    going = {"queued", "sending", "retry"}
    busy = [n for n, p in pushes.items() if p["state"] in (going - {"retry"} if n in waiting else going)]
    return None if busy else pushes


async def test_every_misbehaviour_ends_as_it_should_and_costs_little(
    new_server: NewServer, http: ClientSession, tell: Tell
) -> None:
    server = new_server()

    found = await pushed_through(server, http, SCRIPTS)
    after = await status_of(server, http)
    await server.stop()

    calls, refreshes = sum(e.sends for e in found.values()), sum(e.refreshes for e in found.values())
    ends = dict(Counter(e.state for e in found.values()))
    tell(f"{len(SCRIPTS)} scripts: {calls} sends, {refreshes} refreshes, ends {ends}")
    assert found == {name: script.end for name, script in SCRIPTS.items()}
    assert max(e.sends for e in found.values()) <= 2
    assert max(e.refreshes for e in found.values()) <= 1
    assert max(e.arrived for e in found.values()) <= 1
    assert after == 200  # nothing crashed
    assert "Traceback" not in server.said()
    assert "send failed" not in server.said()


async def status_of(server: Server, http: ClientSession) -> int:
    async with http.get(f"{server.url}/readyz") as answer:
        return answer.status


async def test_a_server_that_sends_again_what_is_unclear_is_caught(
    new_server: NewServer, http: ClientSession
) -> None:
    few = {name: SCRIPTS[name] for name in ("html", "reset", "window-shut")}

    found = await pushed_through(new_server((str(HERE / "blind_retry.py"),)), http, few)

    assert {name for name, end in found.items() if end != few[name].end} == {"html", "reset"}
    assert found["html"].sends == 2


@dataclass
class Expiring(Vendor):
    """A vendor whose tokens can be ended; each fetch gives the one that is good now."""

    script: Mapping[str, Any] = field(default_factory=dict)
    good: int = 1
    refused: int = 0

    def expire(self) -> None:
        self.good += 1

    def _next(self, path: str) -> Reply:
        if path == TOKEN:
            return {"errcode": 0, "access_token": f"T{self.good}", "expires_in": 7200}
        if self.asked[-1].query.get("access_token") != f"T{self.good}":
            self.refused += 1
            return {"errcode": 42001}
        return {"errcode": 0, "subscribe": 1, "openid": "o"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What it cost to go on after a token had ended."""

    talks: int
    fetched: int
    refused: int
    states: Counter[str]


async def token_ended(server: Server, http: ClientSession) -> Renewal:
    """The vendor ends the token while a push to everybody is on its way."""
    vendor = Expiring()
    async with vendor.running():
        server.configure(vendor.base)
        await server.start()
        api = Api(server.url, await server.new_token(), http)
        load = Load(server.url, random.Random(seed()), lanes=60)
        async with load.running():
            await load.more(400)
        await api.drained()
        talks = [t["id"] for t in await api.all("conversations")]
        before = vendor.calls[TOKEN]
        vendor.expire()
        # Not the id: letters by lot may spell what no rep may say.
        posts = [api.post("pushes", {"conversation_id": t, "text": "周末有空位，您来吗？"}, t) for t in talks]
        assert {status for status, _ in await asyncio.gather(*posts)} == {201}
        await api.drained()
        states = Counter(f"{p['state']} {p['error']}".rstrip() for p in await api.all("pushes"))
        await server.stop()
        assert "send failed" not in server.said(), server.said()[-5000:]
        return Renewal(
            talks=len(talks), fetched=vendor.calls[TOKEN] - before, refused=vendor.refused, states=states
        )


async def test_a_token_that_ends_in_the_middle_of_many_pushes_is_fetched_once_more(
    new_server: NewServer, http: ClientSession, tell: Tell
) -> None:
    found = await token_ended(new_server(), http)

    tell(f"one process: {found}")
    assert found.states == {"sent": found.talks}
    assert found.fetched == 1
    assert found.refused > 1  # several had the old one in hand


@pytest.fixture
def four(cluster: Cluster, redis_url: str) -> Iterator[Profile]:
    """Four processes on PostgreSQL and Redis."""
    url = cluster.new_database(services.migrated)
    yield Profile(database_url=url, owner_url=cluster.superuser(url), redis_url=redis_url, workers=4)
    cluster.drop(url)


async def test_four_processes_fetch_an_ended_token_once_together(
    new_server: NewServer, four: Profile, http: ClientSession, tell: Tell
) -> None:
    found = await token_ended(new_server(profile=four), http)

    tell(f"four processes: {found}")
    # On a busy machine an answer may come too late; then nobody knows, and nothing is sent again.
    assert set(found.states) <= {"sent", f"unknown {Unknown()}"}
    assert found.states["sent"] > found.talks // 2
    assert found.fetched == 1
    assert found.refused > 1


async def test_processes_with_tokens_of_their_own_fetch_too_many(
    new_server: NewServer, four: Profile, http: ClientSession, tell: Tell
) -> None:
    found = await token_ended(new_server((str(HERE / "own_tokens.py"),), four), http)

    tell(f"tokens of their own: {found}")
    assert found.fetched > 1
