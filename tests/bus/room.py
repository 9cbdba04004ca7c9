"""Wires for tests: a room in which everybody hears everybody, and where the air can be taken away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from scrm.bus.hub import Bus, Heard, Meter, Wire
from scrm.errors import Busy
from tests.ground import until


@dataclass
class Air:
    """What carries the words of one wire; each ear is one process."""

    name: str
    still: bool = False
    messages: list[str] = field(default_factory=list)
    ears: dict[Heard, asyncio.Event] = field(default_factory=dict)

    def cut(self) -> None:
        """Nothing is carried, and everybody notices."""
        self.still = True
        for broken in self.ears.values():
            broken.set()

    def restore(self) -> None:
        self.still = False


@dataclass
class Ear:
    """One process' end of the air; plugged, it hears nothing although the others do."""

    air: Air
    plugged: bool = False
    _broken: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        return self.air.name

    async def send(self, message: str) -> None:
        if self.air.still:
            raise Busy
        self.air.messages.append(message)
        for heard in list(self.air.ears):
            heard(message)

    async def listen(self, heard: Heard, ready: Callable[[], None]) -> None:
        if self.air.still or self.plugged:
            raise Busy
        broken = self._broken = self.air.ears[heard] = asyncio.Event()
        try:
            ready()
            await broken.wait()
            raise Busy
        finally:
            del self.air.ears[heard]

    def plug(self) -> None:
        self.plugged = True
        self._broken.set()


@dataclass
class Process:
    """A process on the bus with what it heard."""

    bus: Bus
    heard: list[str] = field(default_factory=list)
    missed: int = 0

    def __post_init__(self) -> None:
        self.bus.hear("word", self.heard.append)
        self.bus.when_missed(self._count)

    def _count(self) -> None:
        self.missed += 1

    async def hears(self, *words: str) -> None:
        """Until it has heard at least these."""

        async def so() -> bool:
            return set(words) <= set(self.heard)

        await until(so)


@asynccontextmanager
async def process(*wires: Wire) -> AsyncIterator[Process]:
    """Running, and hearing over every wire that works."""
    made = Process(Bus(wires, meter=Meter()))
    async with made.bus.running():
        yield made


async def acquainted(*processes: Process) -> None:
    """Until each knows of all the others."""

    async def so() -> bool:
        return all(p.bus.share == len(processes) for p in processes)

    await until(so)
