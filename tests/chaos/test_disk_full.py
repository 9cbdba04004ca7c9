"""A disk that fills up or fails: what cannot be stored is not acked, and nobody has to restart anything."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.chaos.conftest import NewServer, Tell
from tests.chaos.faults import ENOSPC, BadDisk, fill_up, lacking, long_log, make_room
from tests.chaos.harness import NOWHERE, SCRM, Api, Findings, Load, Server, seed, until, verdict

HERE = Path(__file__).parent
ACK_FIRST = (str(HERE / "ack_first.py"),)
#: Callbacks that must fail before we believe that the disk is really full.
REFUSED = 60


async def full_disk(server: Server, load: Load) -> None:
    """Acks until nothing more fits, then until `REFUSED` callbacks were turned away."""
    await load.more(300)
    fill_up(server, room=64 * 1024)
    enough = load.ledger.failures + REFUSED
    await until(lambda: load.ledger.failures >= enough, "callbacks that are not acked")


async def status(api: Api, path: str) -> int:
    async with api.http.get(f"{api.url}{path}", headers={"Authorization": f"Bearer {api.token}"}) as answer:
        return answer.status


async def test_a_full_disk_acks_nothing_it_cannot_keep_and_recovers_without_a_restart(
    new_server: NewServer, http: ClientSession, tell: Tell, tmp_path: Path
) -> None:
    server = new_server()
    server.configure(NOWHERE)
    load = Load(server.url, random.Random(seed()))
    await server.start()
    api = Api(server.url, await server.new_token(), http)
    long_log(server)  # it lies on the same disk: nothing can be said either

    async with load.running():
        await full_disk(server, load)
        before = len(load.ledger.acked)
        alive = await status(api, "/healthz")
        # Plain lists are still shown; what must be written down before it is shown is not.
        plain, sensitive = (
            await status(api, "/api/v1/conversations"),
            [await status(api, f"/api/v1/{path}") for path in ("events", "persons")],
        )
        make_room(server)
        await load.more(300)
    found, stored = await verdict(server, load, http)
    sensitive_again = await status(api, "/api/v1/events")
    await server.stop()

    tell(
        f"disk full: {before} acked before, {load.ledger.failures} not acked while full, "
        f"{len(load.ledger.acked)} acked, {stored} stored"
    )
    assert found == Findings(), f"ledger: {load.ledger.save(tmp_path / 'ledger.json')}"
    assert (alive, plain, sensitive) == (200, 200, [503, 503])
    assert sensitive_again == 200
    assert server.intact()
    assert server.rows("SELECT DISTINCT state FROM inbox") == [("done",)]


async def test_a_server_that_acks_before_it_stores_loses_on_a_full_disk(
    new_server: NewServer, http: ClientSession
) -> None:
    server = new_server(ACK_FIRST)
    server.configure(NOWHERE)
    load = Load(server.url, random.Random(seed()))
    await server.start()

    async with load.running():
        await load.more(100)
        fill_up(server, room=64 * 1024)
        await load.more(3000)  # it does not notice
        make_room(server)
    await server.stop()
    server.program = SCRM
    await server.start()
    found, _ = await verdict(server, load, http)

    assert len(found.lost) > 100
    assert found == Findings(lost=found.lost)


@pytest.fixture
def disk(tmp_path: Path) -> BadDisk:
    if "fiu-utils" in lacking():
        pytest.skip("fiu-utils (libfiu) is not installed: no way to make system calls fail")
    return BadDisk(tmp_path)


@pytest.mark.parametrize(
    ("faults", "errno"),
    [
        # A dying disk: one sync in five and one write in ten fail.
        ({"sync/fdatasync": 0.2, "rw/pwrite": 0.1}, 5),
        # Nearly full: one write in twenty finds no room.
        ({"rw/pwrite": 0.05}, ENOSPC),
    ],
    ids=["io-errors", "no-space"],
)
async def test_a_commit_that_failed_is_never_acked(
    new_server: NewServer,
    disk: BadDisk,
    http: ClientSession,
    tell: Tell,
    tmp_path: Path,
    faults: dict[str, float],
    errno: int,
) -> None:
    server = new_server(**disk.env)
    server.configure(NOWHERE)
    load = Load(server.url, random.Random(seed()), tries=1)
    await server.start()

    async with load.running():
        await load.more(100)
        for call, probability in faults.items():
            await disk.fail(server, call, probability, errno)
        enough = load.ledger.failures + REFUSED
        await until(lambda: load.ledger.failures >= enough, "commits that fail")
        await load.more(100)  # between the failures it still takes what it can keep
        for call in faults:
            await disk.mend(server, call)
        await load.more(100)
    found, stored = await verdict(server, load, http)
    await server.stop()

    tell(f"{faults}: {len(load.ledger.acked)} acked, {load.ledger.failures} failed, {stored} stored")
    assert found == Findings(), f"ledger: {load.ledger.save(tmp_path / 'ledger.json')}"
    assert server.intact()
    assert server.rows("SELECT DISTINCT state FROM inbox") == [("done",)]


async def test_a_server_that_acks_before_it_stores_loses_on_a_dying_disk(
    new_server: NewServer, disk: BadDisk, http: ClientSession
) -> None:
    server = new_server(ACK_FIRST, **disk.env)
    server.configure(NOWHERE)
    load = Load(server.url, random.Random(seed()))
    await server.start()

    async with load.running():
        await load.more(100)
        await disk.fail(server, "sync/fdatasync", 0.2)
        await load.more(1000)
        await disk.mend(server, "sync/fdatasync")
    await server.stop()
    server.program, server.env = SCRM, {}
    await server.start()
    found, _ = await verdict(server, load, http)

    assert found.lost
    assert found == Findings(lost=found.lost)
