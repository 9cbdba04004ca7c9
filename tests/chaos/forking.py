"""A server that starts fast: all is read once, each start is a fork of that, as killable as any."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from runpy import run_path
from typing import Any, cast

from scrm.cli import main
from scrm.playbook.service import Library
from scrm.settings import shipped
from tests.chaos.harness import ROOT, SCRM, Server

_WHERE = ("--config", "scrm.toml", "--data-dir", "data")


# -- here, in the process of the tests ---------------------------------------------------------------------
@dataclass(slots=True)
class Child:
    """A process that somebody else is the parent of, with the face of our own."""

    pid: int
    returncode: int | None = None
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    def ended(self, code: int) -> None:
        self.returncode = code
        self._over.set()

    async def wait(self) -> int:
        await self._over.wait()
        assert self.returncode is not None
        return self.returncode

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)


@dataclass
class Parent:
    """A process that did nothing but import all there is, and makes forks of itself."""

    log: Path
    _process: Process = field(init=False)
    _hearing: asyncio.Task[None] = field(init=False)
    _children: dict[int, Child] = field(default_factory=dict, init=False)
    _born: asyncio.Queue[Child] = field(default_factory=asyncio.Queue, init=False)

    async def begin(self) -> None:
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SCRM_RESERVE_MB": "0"}
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, __file__, stdin=PIPE, stdout=PIPE, stderr=log, env=env
            )
        self._hearing = asyncio.create_task(self._hear())

    async def fork(self, program: Sequence[str], args: Sequence[str], log: Path) -> Child:
        """One at a time."""
        assert self._process.stdin is not None
        order = {"program": [*program], "args": [*args], "log": str(log), "folder": str(log.parent)}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        return await self._born.get()

    async def _hear(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            what, pid, code = line.split()
            if what == b"born":
                self._children[int(pid)] = Child(int(pid))
                self._born.put_nowait(self._children[int(pid)])
            else:
                self._children[int(pid)].ended(int(code))

    async def end(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._hearing


@dataclass
class Forked(Server):
    """What it runs is `program`, forked from a process that has read all it needs."""

    parent: Parent = field(kw_only=True)

    async def new_token(self) -> str:
        said = self.folder / "token.log"
        args = ("token", "create", "--role", "admin", *_WHERE)
        assert await (await self.parent.fork(SCRM, args, said)).wait() == 0
        return said.read_text().split()[-1]

    async def _spawn(self, *args: str, program: Sequence[str] = (), stdout: int | None = None) -> Process:
        assert not program, "only what `start` asks for"
        assert stdout is None, "its words go to its log"
        return cast(Process, await self.parent.fork(self.program, (*args, *_WHERE), self.log))


# -- there: imports, forks, and tells who began and who ended ----------------------------------------------
def _run(order: dict[str, Any]) -> None:
    os.chdir(order["folder"])
    os.environ["HOME"] = order["folder"]
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    program = tuple(order["program"])
    sys.argv = [*program[-1:], *order["args"]]
    if program == SCRM:
        main()
    else:
        run_path(program[0], run_name="__main__")


def _reaped() -> None:
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            _tell("over", found[0], os.waitstatus_to_exitcode(found[1]))


def _tell(what: str, pid: int, code: int = 0) -> None:
    os.write(1, f"{what} {pid} {code}\n".encode())


def serve() -> None:
    """Orders come in by lines; the end of them is the end. No thread is ever begun here."""
    Library.load(shipped("scripts_library"))
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    waiting = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 64)
            _reaped()
        if 0 not in ready:
            continue
        some = os.read(0, 65536)
        if not some:
            return
        *orders, waiting = (waiting + some).split(b"\n")
        for order in orders:
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _run(json.loads(order))
                os._exit(0)
            _tell("born", pid)


if __name__ == "__main__":
    serve()
