"""`--workers N`: one process holds the socket, N serve on it; each is replaced when it dies and on SIGHUP."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic

import structlog

from scrm.cli.inherited import GO, LINE, LISTEN, READY, WARM

log = structlog.get_logger()

#: A first start may migrate the schema.
_START_S = 300.0
#: SIGTERM, and after this long SIGKILL.
STOP_S = 9.5
#: Between the death of a child and the next try; back to the first after a child that served this long.
_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_SETTLED_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What all children of one supervisor have in common."""

    #: The command that started the supervisor: a fresh interpreter, so new code is taken up.
    argv: Sequence[str]
    env: Mapping[str, str]
    listener: socket.socket | None
    #: Two generations may work side by side. False: the old one ends before the new one touches the database;
    #: meanwhile callers wait at the socket.
    overlap: bool
    #: Told the pid of each child that has ended.
    ended: Callable[[int], None]


@dataclass(slots=True, eq=False)
class Child:
    """One process, from its start to its end."""

    process: Process
    line: socket.socket
    kind: Kind
    _buried: bool = field(default=False, init=False)

    @classmethod
    async def start(cls, kind: Kind) -> Child:
        ours, theirs = socket.socketpair()
        fds = [s.fileno() for s in (theirs, kind.listener) if s is not None]
        given = {LINE: str(theirs.fileno())}
        if kind.listener is not None:
            given[LISTEN] = str(kind.listener.fileno())
        try:
            # A session of its own: Ctrl-C at the terminal is for the supervisor, who passes it on.
            process = await asyncio.create_subprocess_exec(
                *kind.argv, env={**kind.env, **given}, pass_fds=fds, start_new_session=True
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        return cls(process, ours, kind)

    async def warm(self) -> bool:
        """Wait until its code is loaded and its settings are read; False when it ended instead."""
        return await self._says(WARM)

    async def serves(self) -> bool:
        """Let it go on, and wait until it serves; False when it ended instead, or took too long."""
        with suppress(ConnectionError):
            await asyncio.get_running_loop().sock_sendall(self.line, GO)
        return await self._says(READY)

    async def _says(self, word: bytes) -> bool:
        try:
            async with asyncio.timeout(_START_S):
                return await asyncio.get_running_loop().sock_recv(self.line, len(word)) == word
        except (TimeoutError, ConnectionError):
            return False

    async def end(self) -> int:
        """Ask it to stop, then make it; how it ended."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S):
                await self.process.wait()
        except TimeoutError:
            log.warning("process did not stop in time", pid=self.process.pid)
            self._signal(signal.SIGKILL)
        return await self.gone()

    async def gone(self) -> int:
        """Wait for its end; how it ended."""
        code = await self.process.wait()
        if not self._buried:
            self._buried = True
            self.line.close()
            self.kind.ended(self.process.pid)
        return code

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)


class Place:
    """One of N: whoever serves here is replaced when it dies (`keep`) and on request (`renew`)."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._serving: Child | None = None
        self._alive: set[Child] = set()
        self._changing = asyncio.Lock()

    async def fill(self) -> int | None:
        """The first child. None when it serves; else how it ended."""
        child = await self._start()
        if await child.warm() and await child.serves():
            self._serving = child
            return None
        return await self._end(child)

    async def keep(self) -> None:
        """Somebody serves here, for ever."""
        pause_s = 0.0
        while True:
            child, began = self._serving, monotonic()
            assert child is not None
            code = await child.gone()
            async with self._changing:
                if self._serving is child:
                    pause_s = _longer(0.0 if monotonic() - began > _SETTLED_S else pause_s)
                    self._alive.discard(child)
                    log.error("process ended", pid=child.process.pid, code=code, again_in_s=pause_s)
                    await self._refill(pause_s)

    async def renew(self) -> bool:
        """A fresh process in place of this one; False when the old one stays."""
        async with self._changing:
            old, new = self._serving, await self._start()
            assert old is not None
            if not await new.warm():
                return await self._kept(new)
            if not self._kind.overlap:
                await self._end(old)
            if await new.serves():
                self._serving = new
            elif self._kind.overlap:
                return await self._kept(new)
            else:
                await self._failed(new, _PAUSE_S)
                await self._refill(_PAUSE_S)
            await self._end(old)
            return True

    async def close(self) -> None:
        """End whoever serves, starts or stops here."""
        await asyncio.gather(*(self._end(child) for child in list(self._alive)))

    async def _refill(self, pause_s: float) -> None:
        """Try until one serves."""
        while True:
            await asyncio.sleep(pause_s)
            child = await self._start()
            if await child.warm() and await child.serves():
                self._serving = child
                log.info("process serves", pid=child.process.pid)
                return
            pause_s = _longer(pause_s)
            await self._failed(child, pause_s)

    async def _kept(self, new: Child) -> bool:
        log.error("new process did not start, the old one stays", code=await self._end(new))
        return False

    async def _failed(self, child: Child, pause_s: float) -> None:
        code = await self._end(child)
        log.error("process did not start", pid=child.process.pid, code=code, again_in_s=pause_s)

    async def _start(self) -> Child:
        child = await Child.start(self._kind)
        self._alive.add(child)
        return child

    async def _end(self, child: Child) -> int:
        code = await child.end()
        self._alive.discard(child)
        return code


def _longer(pause_s: float) -> float:
    return min(max(2 * pause_s, _PAUSE_S), _LONGEST_PAUSE_S)


async def supervise(kind: Kind, size: int, *, ready: Callable[[], None]) -> int:
    """Keep `size` children serving until SIGTERM or SIGINT; SIGHUP renews them one by one. An exit code."""
    stop, renew = asyncio.Event(), asyncio.Event()
    for number, event in ((signal.SIGTERM, stop), (signal.SIGINT, stop), (signal.SIGHUP, renew)):
        asyncio.get_running_loop().add_signal_handler(number, event.set)
    places = [Place(kind) for _ in range(size)]
    tasks = [asyncio.create_task(_work(places, renew, ready)), asyncio.create_task(stop.wait())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await asyncio.gather(*(place.close() for place in places))
    working = tasks[0]
    return 0 if working.cancelled() else int(working.result() or 0)


async def _work(places: Sequence[Place], renew: asyncio.Event, ready: Callable[[], None]) -> int:
    # The first migrates and says what is wrong with the configuration; its neighbours need not.
    for group in (places[:1], places[1:]):
        for code in await asyncio.gather(*(place.fill() for place in group)):
            if code is not None:
                return code or 1
    ready()
    async with asyncio.TaskGroup() as keeping:
        for place in places:
            keeping.create_task(place.keep())
        keeping.create_task(_renew_all(places, renew))
    return 0


async def _renew_all(places: Sequence[Place], renew: asyncio.Event) -> None:
    """One after another, so that most serve all the time; a release that does not start is tried once."""
    while True:
        await renew.wait()
        renew.clear()
        log.info("renewing every process", processes=len(places))
        done = 0
        for place in places:
            if not await place.renew():
                break
            done += 1
        log.info("renewed", processes=done, of=len(places))


def own_command() -> list[str]:
    """How this process was started, to the letter."""
    return [sys.executable, *sys.orig_argv[1:]]


def own_env(**more: str) -> dict[str, str]:
    """This environment without what was meant for this process alone."""
    mine = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET"}
    return {name: value for name, value in os.environ.items() if name not in mine} | more
