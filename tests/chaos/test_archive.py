"""`kill -9` while streams are read, the archive by seq, customer service by cursor: no loss, no repeat."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from connectors.kit.platform import PLATFORM
from connectors.kit.world import World
from connectors.wecom_kf import simulator as kf_simulator
from connectors.wecom_kf.simulator import CustomerService
from scrm.contract import Account
from tests.chaos.conftest import NewServer, Tell
from tests.chaos.harness import AES_KEY, SECRET, TOKEN, Server, seed, until
from tests.native.cloud import CORP_ID, Cloud, compiled, pem, words
from tests.native.cloud import SECRET as ARCHIVE_SECRET

HERE = Path(__file__).parent
DIES = (str(HERE / "dies_reading.py"),)
#: Several pages: one is 500 messages of the archive, 1,000 of customer service.
MESSAGES = {"archive": 1_300, "kf": 2_200}
DEATHS = ("asked:1", "stored:1", "asked:2")


@pytest.fixture(scope="session")
def library() -> Iterator[Path]:
    with compiled() as made:
        yield made


def texts(server: Server) -> Counter[str]:
    """What stands on the timeline."""
    rows = server.rows("SELECT text FROM event WHERE kind LIKE 'message.%' AND superseded_by IS NULL")
    return Counter(text for (text,) in rows)


def read(server: Server) -> int:
    """Rows taken in."""
    rows = server.rows("SELECT count(*) FROM inbox WHERE source_key LIKE 'msg:%' OR source_key LIKE 'kf:%'")
    return int(rows[0][0])


def again_soon(server: Server) -> None:
    """As if the minute until the next poll, and the lease of the dead, had passed."""
    server.rows("UPDATE due SET at = 0, lease_until = NULL WHERE kind = 'poll'")


# -- the two vendors ---------------------------------------------------------------------------------------
def archive_settings(library: Path) -> Mapping[str, object]:
    return {
        "slug": "archive",
        "channel": "wecom_archive",
        "corp_id": CORP_ID,
        "secret": ARCHIVE_SECRET,
        "library": str(library),
        "private_keys": pem(1),
    }


@asynccontextmanager
async def customer_service(server: Server, count: int) -> AsyncIterator[tuple[CustomerService, str]]:
    """The platform with a long log, and its address."""
    account = Account(
        tenant_id=1, account_id=0, slug="kf", channel="wecom_kf", name="kf",
        options={"corp_id": CORP_ID}, secrets={"token": TOKEN, "aes_key": AES_KEY, "secret": SECRET},
    )  # fmt: skip
    world = World(random.Random(seed()))
    app = kf_simulator.simulate(world, account, f"{server.url}/hooks/kf")
    platform = app[PLATFORM]
    assert isinstance(platform, CustomerService)
    platform.hiccups = 0.3
    for number in range(count):
        person = world.personas[number % len(world.personas)].external_userid(CORP_ID)
        who = {"open_kfid": platform.open_kfid, "external_userid": person, "msgid": f"m{number}"}
        said = {"send_time": int(world.time()), "origin": 3, "msgtype": "text"}
        platform.log.append(who | said | {"text": {"content": f"第 {number + 1} 句"}})
    async with TestServer(app, host="127.0.0.1") as running:
        yield platform, str(running.make_url("")).rstrip("/")


@asynccontextmanager
async def reading(server: Server, stream: str, library: Path) -> AsyncIterator[None]:
    """A running server that is about to read the whole stream, not having begun."""
    count = MESSAGES[stream]
    if stream == "archive":
        cloud = Cloud(server.folder)
        for number in range(1, count + 1):
            cloud.say(words(number))
        server.configure(archive_settings(library))
        yield
        return
    async with customer_service(server, count) as (platform, base):
        server.configure(
            {"slug": "kf", "channel": "wecom_kf", "corp_id": CORP_ID, "token": TOKEN, "aes_key": AES_KEY,
             "secret": SECRET, "api_base": base},
        )  # fmt: skip
        server.env = {}
        await server.start()
        platform.log, kept = [], platform.log
        assert await platform.notify()  # from here on the stream is known
        await until(lambda: bool(server.rows("SELECT 1 FROM due WHERE kind = 'poll'")), "the stream")
        await server.stop()
        platform.log = kept
        again_soon(server)
        yield


async def to_the_end(server: Server, count: int) -> None:
    """A healthy server reads what is left; then everything is settled."""
    server.env = {}
    again_soon(server)
    await server.start()
    await until(lambda: read(server) >= count or not _more(server), "the end of the stream")
    await until(lambda: not server.rows("SELECT 1 FROM inbox WHERE state IN ('new', 'settled')"), "settling")


def _more(server: Server) -> bool:
    """Whether the last poll is still to come or under way."""
    rows = server.rows("SELECT 1 FROM due WHERE kind = 'poll' AND (at = 0 OR lease_until IS NOT NULL)")
    return bool(rows)


# -- killed at every moment --------------------------------------------------------------------------------
@pytest.mark.parametrize("stream", ["archive", "kf"])
async def test_killed_at_each_moment_of_reading_nothing_is_lost_and_nothing_repeated(
    new_server: NewServer, library: Path, tell: Tell, stream: str
) -> None:
    server = new_server(DIES)
    async with reading(server, stream, library):
        for death in DEATHS:
            server.env = {"DIE_AT": death}
            if server.database.exists():
                again_soon(server)
            await _started(server)
            assert await server.died() == -signal.SIGKILL
        half = read(server)
        await to_the_end(server, MESSAGES[stream])

    found = texts(server)
    await server.stop()
    tell(
        f"{stream}: {len(DEATHS)} deaths, {half} of {MESSAGES[stream]} read by then, {len(found)} in the end"
    )
    assert found == Counter(f"第 {n} 句" for n in range(1, MESSAGES[stream] + 1))
    assert 0 < half < MESSAGES[stream]


@pytest.mark.parametrize("stream", ["archive", "kf"])
async def test_a_server_that_stores_the_cursor_before_the_rows_is_caught(
    new_server: NewServer, library: Path, tell: Tell, stream: str
) -> None:
    server = new_server(DIES)
    async with reading(server, stream, library):
        server.env = {"DIE_AT": "between:1", "CURSOR_FIRST": "1"}
        await _started(server)
        assert await server.died() == -signal.SIGKILL
        await to_the_end(server, MESSAGES[stream])

    found = texts(server)
    await server.stop()
    tell(f"{stream}, cursor first: {MESSAGES[stream] - len(found)} of {MESSAGES[stream]} lost")
    assert 0 < len(found) < MESSAGES[stream]


async def _started(server: Server) -> None:
    """It may be dead before it says that it is ready."""
    try:
        await server.start()
    except AssertionError:
        assert "Traceback" not in server.said()[-2000:]


# -- killed at any moment ----------------------------------------------------------------------------------
async def test_server_and_child_killed_again_and_again_while_people_talk(
    new_server: NewServer, library: Path, tell: Tell
) -> None:
    server, rng = new_server(), random.Random(seed())
    cloud = Cloud(server.folder)
    server.configure(archive_settings(library))
    await server.start()
    said, killed = 0, Counter[str]()

    for turn in range(6):
        for _ in range(rng.randint(60, 140)):
            said += 1
            cloud.say(words(said))
        again_soon(server)
        await asyncio.sleep(rng.uniform(0, 1.2))
        children = server.children()
        if children and turn % 2:
            killed["child"] += 1
            rng.choice(children).kill()
        else:
            killed["server"] += 1
            await server.kill()
            await server.start()
    await server.kill()
    await to_the_end(server, said)

    found, children = texts(server), server.children()
    await server.stop()
    tell(f"archive: {said} said, killed {dict(killed)}")
    assert found == Counter(f"第 {n} 句" for n in range(1, said + 1))
    assert min(killed["child"], killed["server"]) > 0
    await until(lambda: not any(child.is_running() for child in children), "the children to be gone")
