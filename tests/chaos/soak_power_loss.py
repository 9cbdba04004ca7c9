"""The power fails: what was acked is on the disk. Needs root, a loop device and mkfs.ext4: `make soak`.

A stopped server's disk image is copied as it is: what only the page cache of its file system knew is gone.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import time
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.chaos.conftest import Tell
from tests.chaos.harness import NOWHERE, SCRM, Findings, Load, Server, seed, verdict
from tests.chaos.soak import minutes

#: At most; fewer when a tenth of the time is over.
ROUNDS = 20
NORMAL = (str(Path(__file__).parent / "half_synced.py"),)
_IMAGE_MB = 96


async def run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT)
    said, _ = await process.communicate()
    assert process.returncode == 0, f"{command}: {said.decode()}"
    return said.decode()


@asynccontextmanager
async def mounted(image: Path, folder: Path) -> AsyncIterator[Path]:
    await run("mkdir", "-p", str(folder))
    await run("mount", "-o", "loop", str(image), str(folder))
    try:
        yield folder
    finally:
        await run("umount", str(folder))


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """An image with an empty ext4 file system."""
    lacks = [name for name in ("mount", "umount", "mkfs.ext4", "losetup") if not shutil.which(name)]
    if os.geteuid() != 0 or lacks or not Path("/dev/loop-control").exists():
        why = f"lacking: {', '.join(lacks)}" if lacks else "it takes root and a loop device"
        pytest.skip(f"power loss was not tested: {why}")
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(_IMAGE_MB << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True, timeout=60)
    return image


async def power_lost(disk: Path, program: Sequence[str], rng: random.Random, acks: int) -> tuple[Load, Path]:
    """The ledger of what was acked before the power went, and the disk as it was found afterwards."""
    found = disk.with_name("found.img")
    async with mounted(disk, disk.with_name("before")) as folder:
        server = Server(folder / "server", program)
        server.configure(NOWHERE)
        load = Load(server.url, rng, tries=1)
        try:
            await server.start()
            async with load.running():
                await load.more(acks)
                await asyncio.sleep(rng.uniform(0, 0.3))
                server.freeze()
                load.stopping = True
                await run("cp", "--sparse=always", str(disk), str(found))
        finally:
            await server.end()
    return load, found


async def afterwards(found: Path, load: Load, http: ClientSession) -> Findings:
    """What a right server shows of a disk that lost its power."""
    async with mounted(found, found.with_name("after")) as folder:
        server = Server(folder / "server")
        try:
            await server.start()
            load.url = server.url
            judged, _ = await verdict(server, load, http)
            await server.stop()
            assert server.intact()
        finally:
            await server.end()
    return judged


async def test_no_acked_event_is_lost_with_the_power(
    disk: Path, http: ClientSession, tell: Tell, tmp_path: Path
) -> None:
    rng, acked, number, began = random.Random(seed()), 0, 0, time.monotonic()
    while number < ROUNDS and time.monotonic() - began < minutes() * 60 / 10:
        load, found = await power_lost(disk, SCRM, rng, rng.randint(50, 600))
        judged = await afterwards(found, load, http)
        acked += len(load.ledger.acked)
        assert judged == Findings(), f"ledger: {load.ledger.save(tmp_path / f'ledger-{number}.json')}"
        await run("mkfs.ext4", "-q", "-F", str(disk))
        number += 1
    tell(f"seed {seed()}: power lost {number} times, {acked} acked, 0 lost")


async def test_a_database_that_syncs_at_checkpoints_only_does_lose(
    disk: Path, http: ClientSession, tell: Tell
) -> None:
    # Few enough that no checkpoint has synced them by chance.
    load, found = await power_lost(disk, NORMAL, random.Random(seed()), 100)
    judged = await afterwards(found, load, http)

    tell(f"synchronous=NORMAL: {len(judged.lost)} of {len(load.ledger.acked)} acked lost")
    assert judged.lost
