"""`kill -9` of the worker while SOPs run: no step twice, none lost, whatever it was doing."""

from __future__ import annotations

import asyncio
import random
import statistics
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession, ClientTimeout

from tests.chaos.conftest import Tell
from tests.chaos.forking import Forked, Parent
from tests.chaos.harness import NOWHERE, PATIENCE_S, SCRM, Load, Server, seed

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEED = seed()
#: Thirty in all: each third on a customer base of its own, and each a test of its own for the fault handler.
THIRDS, KILLS = 3, 10
#: Of the database, while a server is at work on it: looking takes from its time.
LOOK_S = 0.1
HERE = Path(__file__).parent
STEPS: list[dict[str, Any]] = [
    {"id": "call", "task": {"kind": "call", "title": "打电话"}},
    {"id": "mark", "tag": {"add": ["跟进中"]}},
    {"id": "which", "branch": {"when": {"tags": ["跟进中"]}, "then": "hello", "otherwise": "lost"}},
    {"id": "hello", "message": {"text": "您好，周末有试听课"}},
    {"id": "more", "task": {"kind": "other", "title": "看看资料"}},
    {"id": "clear", "tag": {"remove": ["跟进中"], "add": ["跟完了"]}, "next": "over"},
    {"id": "lost", "end": "标签没打上"},
    {"id": "over", "end": "走完"},
]
WAY = ["call", "mark", "which", "hello", "more", "clear"]
SOP = {"code": "edu.chaos", "title": "跟进", "starts": [{"event": "message."}], "steps": STEPS}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parent(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Parent]:
    """Of every server here: what they have in common is read once."""
    made = Parent(tmp_path_factory.mktemp("parent") / "parent.log")
    await made.begin()
    yield made
    await made.end()


@pytest_asyncio.fixture(loop_scope="module")
async def server(tmp_path: Path, parent: Parent) -> AsyncIterator[Forked]:
    made = Forked(tmp_path / "server", parent=parent)
    made.configure(NOWHERE)
    yield made
    await made.end()


async def switched_on(server: Server) -> None:
    """In force before anybody writes."""
    headers = {"Authorization": f"Bearer {await server.new_token()}"}
    patience = ClientTimeout(total=PATIENCE_S)
    async with ClientSession(headers=headers, timeout=patience, trust_env=False) as http:
        for path, body in (
            ("sops", {"trade": "education", "content": SOP}),
            ("sops/publish", {"code": "edu.chaos", "version": 1}),
            ("sops/state", {"code": "edu.chaos", "on": True}),
        ):
            async with http.post(f"{server.url}/api/v1/{path}", json=body) as answer:
                assert answer.status < 300, await answer.text()


async def killed(server: Server, load: Load, kills: int, rng: random.Random) -> None:
    """While customers come in and their runs are under way; nobody's lease outlives the one who held it."""
    async with load.running():
        for _ in range(kills):
            await load.more(rng.randint(1, 6))
            await asyncio.sleep(rng.uniform(0, 0.25))
            await server.kill()
            server.outlive_leases()
            await server.start()


async def finished(server: Server) -> None:
    """Nothing is on its way any more."""

    open_ = "SELECT EXISTS (SELECT 1 FROM {} WHERE {})"
    wheres = (
        ("inbox", "state NOT IN ('done')"),
        ("due", "kind IN ('notice', 'sop')"),
        ("sop_run", "state = 'running'"),
    )
    for _ in range(int(PATIENCE_S / LOOK_S)):
        if all(server.rows(open_.format(*where)) == [(0,)] for where in wheres):
            return
        await asyncio.sleep(LOOK_S)
    raise AssertionError("not every run came to its end")


def faults(server: Server) -> Counter[str]:
    """What was done twice, what not at all."""
    found: Counter[str] = Counter()
    runs = {
        ident: (state, why) for ident, state, why in server.rows("SELECT run_id, state, why FROM sop_run")
    }
    steps = server.rows("SELECT run_id, n, step FROM sop_step ORDER BY run_id, n")
    by_run: dict[int, list[str]] = {ident: [] for ident in runs}
    for ident, _, step in steps:
        by_run[ident].append(step)
    found["off the way"] += sum(way != WAY for way in by_run.values())
    found["not at the end"] += sum(end != ("done", "走完") for end in runs.values())
    tasks = Counter((ident, step) for ident, step in server.rows("SELECT run_id, step FROM task"))
    wanted = {(ident, step) for ident in runs for step in ("call", "hello", "more")}
    found["twice"] += sum(times - 1 for times in tasks.values())
    found["lost"] += len(wanted - tasks.keys())
    tagged = Counter(name for (name,) in server.rows("SELECT name FROM tag"))
    found["lost"] += len(runs) - tagged["跟完了"]
    found["twice"] += tagged["跟进中"]
    return +found


@pytest.mark.parametrize("third", range(THIRDS))
async def test_thirty_kills_under_sops_take_no_step_twice_and_lose_none(
    server: Forked, tell: Tell, third: int
) -> None:
    rng = random.Random(SEED + third)
    await server.start()
    await switched_on(server)
    load = Load(server.url, rng, lanes=400, clients=2, rest_s=0.05)

    await killed(server, load, KILLS, rng)
    await finished(server)
    await server.stop()

    families = {load.ledger.tried[text].openid for text in load.ledger.acked}
    (runs,) = server.rows("SELECT count(*) FROM sop_run")[0]
    restart = statistics.median(server.starts)
    tell(
        f"seed {SEED + third}: {runs} runs of {len(WAY)} steps, {len(load.ledger.acked)} callbacks, "
        f"{KILLS} kills, restart p50 {restart * 1000:.0f} ms"
    )
    assert faults(server) == Counter()
    assert runs >= len(families) > KILLS
    assert server.intact()


async def test_a_worker_that_does_first_and_writes_down_later_is_caught(server: Forked, tell: Tell) -> None:
    server.program, rng = (str(HERE / "half_steps.py"),), random.Random(SEED)
    await server.start()
    await switched_on(server)
    load = Load(server.url, rng, lanes=200, clients=3, rest_s=0.04)

    await killed(server, load, 4, rng)
    await server.stop()
    server.program = SCRM  # the right one brings to an end what the wrong one left behind
    await server.start()
    server.outlive_leases()
    await finished(server)

    found = faults(server)
    tell(f"half steps: {dict(found)}")
    assert found["twice"]
