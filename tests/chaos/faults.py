"""What can be done to a running server from outside: its disk fails or fills up, its clock jumps."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import time
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

from aiohttp import ClientSession

from tests.chaos.harness import PATIENCE_S, Server

#: Where distributions keep the preloaded libraries.
_FIU = ("/usr/lib/fiu", "/usr/local/lib/fiu", "/usr/lib64/fiu")
_FAKETIME = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/lib64/faketime", "/usr/local/lib/faketime")
EIO, ENOSPC = 5, 28


def _found(folders: tuple[str, ...], name: str) -> str:
    """The library's path; "" when this machine has none."""
    paths = (path for folder in folders for path in Path("/").glob(f"{folder[1:]}/{name}"))
    return str(next(paths, ""))


def lacking() -> list[str]:
    """The packages (Debian's names) whose absence would leave a fault untested here."""
    have = {
        "fiu-utils": bool(_found(_FIU, "fiu_run_preload.so") and shutil.which("fiu-ctrl")),
        "libfaketime": bool(_found(_FAKETIME, "libfaketime.so.1")),
    }
    return [name for name, there in have.items() if not there]


# -- the disk ----------------------------------------------------------------------------------------------
def fill_up(server: Server, room: int = 0) -> None:
    """From now on no file of the server grows beyond its largest one and `room` bytes; needs no privilege.

    SQLite is told EFBIG instead of ENOSPC; `BadDisk` says the latter.
    """
    largest = max(path.stat().st_size for path in (server.folder / "data").iterdir())
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (largest + room, hard))


def long_log(server: Server) -> None:
    """Its log is already longer than any file may become on a disk that `fill_up` filled."""
    os.truncate(server.log, 32 << 20)


def make_room(server: Server) -> None:
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (hard, hard))


@dataclass(frozen=True, slots=True)
class BadDisk:
    """System calls of a server that fail when told to (libfiu); its environment goes to the server."""

    folder: Path

    @property
    def env(self) -> Mapping[str, str]:
        libraries = [_found(_FIU, f"fiu_{name}_preload.so") for name in ("run", "posix")]
        return {"LD_PRELOAD": " ".join(libraries), "FIU_CTRL_FIFO": self._prefix, "FIU_ENABLE": ""}

    async def fail(self, server: Server, call: str, probability: float, errno: int = EIO) -> None:
        """`call` as libfiu names it: `rw/pwrite`, `sync/fdatasync`."""
        await self._tell(
            server,
            f"enable_random name=posix/io/{call},probability={probability},failinfo={errno}",
        )

    async def mend(self, server: Server, call: str) -> None:
        await self._tell(server, f"disable name=posix/io/{call}")

    @property
    def _prefix(self) -> str:
        return str(self.folder / "fiu")

    async def _tell(self, server: Server, command: str) -> None:
        process = await asyncio.create_subprocess_exec(
            "fiu-ctrl", "-f", self._prefix, "-c", command, str(server.pid), stdout=PIPE, stderr=PIPE
        )
        async with asyncio.timeout(20):
            said, complaints = await process.communicate()
        assert process.returncode == 0, complaints
        assert (said, complaints) == (b"", b"")


# -- the clock ---------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class BadClock:
    """The wall clock of a server, read from a file every second (libfaketime); monotonic time stays true."""

    folder: Path

    @property
    def env(self) -> Mapping[str, str]:
        return {
            "LD_PRELOAD": _found(_FAKETIME, "libfaketime.so.1"),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            # Reading it at each look at the clock makes a server ten times slower.
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    @property
    def _file(self) -> Path:
        return self.folder / "clock"

    def set(self, seconds: int) -> None:
        """So far from the true time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.replace(self._file)  # never read half written

    async def jump(self, server: Server, http: ClientSession, seconds: int) -> None:
        """Set the clock and wait until the server goes by it."""
        self.set(seconds)
        deadline = time.monotonic() + PATIENCE_S
        while abs(await _skew_s(server, http) - seconds) > 60:
            assert time.monotonic() < deadline, "the server does not see its clock jump"
            await asyncio.sleep(0.1)


async def _skew_s(server: Server, http: ClientSession) -> float:
    """How far ahead the server's clock is, by the Date of an answer."""
    async with http.get(f"{server.url}/healthz") as answer:
        return parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()
