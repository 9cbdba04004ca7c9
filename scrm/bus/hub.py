"""One process on the bus: gathers what it says, picks the wire, knows when it may have missed something."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal, Protocol

import structlog

from scrm.errors import Busy

log = structlog.get_logger()

#: What is said within so many seconds travels together.
_GATHER_S = 0.005
#: Longest message; PostgreSQL takes 8,000 bytes in a notification.
_MESSAGE_BYTES = 7000
#: Said and not yet sent, at most; beyond it the others are told that they missed something.
_PENDING = 5000
#: Longer than a wire's own timeouts; a send that takes longer counts as failed.
_SEND_S = 2.0
#: How often a process says that it is there, and when it is taken for gone.
_BEAT_S, _GONE_S = 5.0, 16.0
#: Seconds until a broken wire is tried again: doubled up to the second figure.
_AGAIN_S, _AGAIN_MAX_S = 1.0, 30.0
#: Who has worked for so long breaks for a new reason.
_STEADY_S = 60.0
#: What was on its way over a wire that broke has arrived or is lost after this.
_ON_ITS_WAY_S = 0.3
_RECENT = 4096
_HEED_S = 0.2
_BEAT, _MISSED = "beat", "missed"

Heard = Callable[[str], None]


class Wire(Protocol):
    """One way to reach the other processes. Both calls raise `Busy` when it does not work."""

    @property
    def name(self) -> str: ...

    async def send(self, message: str) -> None: ...

    async def listen(self, heard: Heard, ready: Callable[[], None]) -> None:
        """Hand over what arrives until the wire breaks; `ready` once nothing more is missed."""
        ...


@dataclass(slots=True, kw_only=True)
class _Line:
    """A wire and what we know about it."""

    wire: Wire
    up: bool = False
    warned: bool = False
    wait_s: float = 0.0
    #: The listener waits here between two tries, and hears here that a send has failed.
    broken: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True, kw_only=True)
class _Peer:
    seen: float
    #: Names of the wires over which it hears nothing.
    deaf: frozenset[str]


class Meter:
    """What the bus tells `/metrics`; this one keeps it for those who look themselves."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def count(self, what: str, number: int = 1) -> None:
        """`said`, `heard`, `lost` (no wire worked), `missed` (everybody had to look afresh)."""
        self.counts[what] += number

    def wire(self, name: str, up: bool) -> None:
        """A wire works, or does not."""


class Bus:
    """`publish` never waits and never fails. Without wires (embedded, one process) it does nothing.

    The first wire that works carries a message; later ones too when a peer says that it is deaf on the
    first. Nobody hears himself.
    """

    def __init__(
        self,
        wires: Sequence[Wire] = (),
        *,
        meter: Meter | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.meter = meter or Meter()
        self._me = secrets.token_hex(6)
        self._clock = clock
        self._lines = [_Line(wire=wire) for wire in wires]
        self._hearing: dict[str, list[Heard]] = {}
        self._when_missed: list[Callable[[], None]] = []
        self._peers: dict[str, _Peer] = {}
        self._pending: dict[str, None] = {}
        self._said = asyncio.Event()
        self._number = 0
        self._recent: dict[tuple[str, str], None] = {}
        self._owing = False
        self.hear(_MISSED, lambda _: self._missed())

    # -- for everybody -------------------------------------------------------------------------------------
    def publish(self, kind: str, text: str = "") -> None:
        """Tell the other processes, soon; the same thing said twice before it is sent is said once."""
        if not self._lines:
            return
        if len(self._pending) >= _PENDING:
            self.meter.count("lost", len(self._pending))
            self._pending.clear()
            self._owing = True
        self._pending[f"{kind} {text}"] = None
        self._said.set()

    def hear(self, kind: str, heard: Heard) -> None:
        """Call `heard` with the text of each message of this kind from another process."""
        self._hearing.setdefault(kind, []).append(heard)

    def when_missed(self, act: Callable[[], None]) -> None:
        """Call `act` whenever messages from others may have been lost."""
        self._when_missed.append(act)

    @property
    def deaf(self) -> bool:
        """There are other processes to hear, and no wire over which to hear them."""
        return bool(self._lines) and not any(line.up for line in self._lines)

    @property
    def share(self) -> int:
        """How many processes there are, ours included, as far as we know: they share the limits."""
        now = self._clock()
        if not self.deaf:  # who cannot hear does not know who has gone
            self._peers = {name: p for name, p in self._peers.items() if now - p.seen < _GONE_S}
        return 1 + len(self._peers)

    @property
    def wires(self) -> dict[str, bool]:
        """Which wires work, by name."""
        return {line.wire.name: line.up for line in self._lines}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen and send until the context ends; what was said last goes out first."""
        tasks = [asyncio.create_task(self._keep(line), name=f"bus {line.wire.name}") for line in self._lines]
        if tasks:
            tasks += [asyncio.create_task(self._pump(), name="bus"), asyncio.create_task(self._beats())]
        try:
            yield
        finally:
            if self._pending:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._flush(), _SEND_S)
            await _ended(*tasks)

    # -- out -----------------------------------------------------------------------------------------------
    async def _pump(self) -> None:
        while True:
            await self._said.wait()
            await asyncio.sleep(_GATHER_S)
            await self._flush()

    async def _flush(self) -> None:
        self._said.clear()
        if self._owing and not self.deaf:
            self._owing = False
            self._pending[f"{_MISSED} "] = None
        texts, self._pending = list(self._pending), {}
        for part in _parts(texts):
            self._number += 1
            message = "\n".join([self._me, str(self._number), *part])
            if await self._sent(message):
                self.meter.count("said", len(part))
            elif lost := [text for text in part if not text.startswith((f"{_BEAT} ", f"{_MISSED} "))]:
                self.meter.count("lost", len(lost))
                self._owing = True  # they are told as soon as a wire works again
            else:
                self._owing |= f"{_MISSED} " in part

    async def _sent(self, message: str) -> bool:
        """Over the first wire that works, and over every other that somebody needs."""
        sent, now = False, self._clock()
        deaf = [p.deaf for p in self._peers.values() if now - p.seen < _GONE_S]
        for line in self._lines:
            needed = not sent or any(earlier in d for d in deaf for earlier in self._before(line))
            if line.up and needed:
                sent = await self._sent_over(line, message) or sent
        return sent

    def _before(self, line: _Line) -> list[str]:
        return [each.wire.name for each in self._lines[: self._lines.index(line)]]

    async def _sent_over(self, line: _Line, message: str) -> bool:
        try:
            async with asyncio.timeout(_SEND_S):
                await line.wire.send(message)
        except (Busy, TimeoutError):
            line.broken.set()
            self._lost(line)
            return False
        return True

    async def _beats(self) -> None:
        """Say that we are there, and over which wires we hear nothing."""
        while True:
            self._beat()
            await asyncio.sleep(_BEAT_S)

    def _beat(self) -> None:
        self.publish(_BEAT, ",".join(line.wire.name for line in self._lines if not line.up))

    # -- in ------------------------------------------------------------------------------------------------
    async def _keep(self, line: _Line) -> None:
        """Listen, and listen again after every outage."""
        while True:
            tried = self._clock()
            listening = asyncio.create_task(
                line.wire.listen(lambda message: self._heard(message), lambda: self._found(line))
            )
            breaking = asyncio.create_task(line.broken.wait())
            try:
                await asyncio.wait([listening, breaking], return_when=asyncio.FIRST_COMPLETED)
            finally:
                await _ended(listening, breaking)
            why = None if listening.cancelled() else listening.exception()
            if why is not None and not isinstance(why, Busy):
                log.error("bus wire failed", wire=line.wire.name, error=type(why).__name__)
            self._lost(line)
            line.broken.clear()
            # One that breaks as soon as it works is tried less and less often: each time screens look afresh.
            if self._clock() - tried > _STEADY_S:
                line.wait_s = 0.0
            line.wait_s = min(max(2 * line.wait_s, _AGAIN_S), _AGAIN_MAX_S)
            await asyncio.sleep(line.wait_s)

    def _found(self, line: _Line) -> None:
        if line.warned:
            log.warning("bus wire works again", wire=line.wire.name)
        if self.deaf:  # nobody has gone just because we could not hear
            for peer in self._peers.values():
                peer.seen = self._clock()
        line.up, line.warned = True, False
        self.meter.wire(line.wire.name, True)
        self._beat()
        self._missed()

    def _lost(self, line: _Line) -> None:
        was, line.up = line.up, False
        self.meter.wire(line.wire.name, False)
        if not line.warned:
            line.warned = True
            log.warning("bus wire broken", wire=line.wire.name)
        if was:
            self._beat()  # so that the others say it over another wire too
            asyncio.get_running_loop().call_later(_ON_ITS_WAY_S, self._missed)

    def _missed(self) -> None:
        self.meter.count("missed")
        for act in self._when_missed:
            act()

    def _heard(self, message: str) -> None:
        sender, number, *texts = message.split("\n")
        if sender == self._me or (sender, number) in self._recent:
            return
        self._recent[sender, number] = None
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]
        for text in texts:
            kind, _, rest = text.partition(" ")
            if kind == _BEAT:
                self._met(sender, rest)
                continue
            self.meter.count("heard")
            for heard in self._hearing.get(kind, ()):
                heard(rest)

    def _met(self, sender: str, deaf: str) -> None:
        new = sender not in self._peers
        self._peers[sender] = _Peer(seen=self._clock(), deaf=frozenset(deaf.split(",")) - {""})
        if new:
            self._beat()  # it does not know us either


async def _ended(*tasks: asyncio.Task[None] | asyncio.Task[Literal[True]]) -> None:
    """Cancelled and gone. A client library may swallow a cancellation, so it is said until it is heard."""
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_HEED_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # looked at, whoever asks later


def _parts(texts: Sequence[str]) -> list[list[str]]:
    """As many to a message as fit."""
    made: list[list[str]] = []
    size = _MESSAGE_BYTES
    for text in texts:
        length = len(text.encode()) + 1
        if size + length > _MESSAGE_BYTES:
            made.append([])
            size = 40  # sender and number
        made[-1].append(text)
        size += length
    return made
