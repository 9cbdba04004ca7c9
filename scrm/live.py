"""Live: ids and versions of what changed, to open screens; each fetches under its own policy."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from scrm.bus.hub import Bus

_BUFFER = 500
#: How changes are named on the bus.
_KIND = "change"
#: After an outage every screen fetches afresh; not all in the same moment.
_SPREAD_S = 0.7
#: Who is typing: the `ident` of a change of `typing:<node>`.
VISITOR_TYPES, WE_TYPE = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """`topic`: `node:<id>`, `typing:<node>`, `rep:<id>`, `team:<id>`, or of the telephone `ring:rep:<id>`."""

    topic: str
    ident: int
    version: int


class Subscription:
    """What one screen has not been told yet. Too much of it, and the screen is told to start afresh."""

    def __init__(self) -> None:
        self._changes: list[Change] = []
        self._wake = asyncio.Event()
        self.overflowed = False
        self.closed = False

    def put(self, change: Change) -> None:
        if len(self._changes) >= _BUFFER:
            self._changes.clear()
            self.overflowed = True
        self._changes.append(change)
        self._wake.set()

    def doubt(self) -> None:
        """Something may have been missed: only a fresh look helps."""
        self.overflowed = True
        self._wake.set()

    def close(self) -> None:
        self.closed = True
        self._wake.set()

    async def take(self, timeout_s: float) -> list[Change]:
        """What changed since the last call, each thing once; empty after `timeout_s` of silence."""
        if not self._changes and not self.closed and not self.overflowed:
            try:
                await asyncio.wait_for(self._wake.wait(), timeout_s)
            except TimeoutError:
                return []
        self._wake.clear()
        taken, self._changes = self._changes, []
        return list({(c.topic, c.ident): c for c in taken}.values())

    def start_afresh(self) -> bool:
        """True once after an overflow or a doubt."""
        was, self.overflowed = self.overflowed, False
        return was


class Live:
    """Fan-out by (tenant, topic): at once to the screens of this process, over the bus to the others'."""

    def __init__(self, bus: Bus | None = None) -> None:
        self._topics: dict[tuple[int, str], set[Subscription]] = defaultdict(set)
        self._open: set[Subscription] = set()
        self._bus = bus or Bus()
        self._bus.hear(_KIND, self._heard)
        self._bus.when_missed(self.doubt)

    @contextmanager
    def subscribe(self, tenant_id: int, topics: Iterable[str]) -> Iterator[Subscription]:
        """Changes published from now on are kept, so state fetched after this call misses nothing."""
        subscription, named = Subscription(), {(tenant_id, topic) for topic in topics}
        for name in named:
            self._topics[name].add(subscription)
        self._open.add(subscription)
        try:
            yield subscription
        finally:
            self._open.discard(subscription)
            for name in named:
                self._topics[name].discard(subscription)
                if not self._topics[name]:
                    del self._topics[name]

    def publish(self, tenant_id: int, changes: Iterable[Change]) -> None:
        for change in changes:
            self._put(tenant_id, change)
            self._bus.publish(_KIND, f"{tenant_id} {change.topic} {change.ident} {change.version}")

    def doubt(self) -> None:
        """Changes of other processes may have been missed: every screen fetches afresh, spread over time."""
        loop = asyncio.get_running_loop()
        for subscription in self._open:
            loop.call_later(random.uniform(0, _SPREAD_S), subscription.doubt)

    @property
    def deaf(self) -> bool:
        """Nothing that other processes say arrives here now: screens must look by themselves."""
        return self._bus.deaf

    def close(self) -> None:
        """End every stream; the screens reconnect elsewhere and start afresh."""
        for subscription in self._open:
            subscription.close()

    def watched(self, tenant_id: int, topic: str) -> bool:
        """Whether any open screen of this process follows this topic."""
        return (tenant_id, topic) in self._topics

    @property
    def screens(self) -> int:
        return len(self._open)

    def _put(self, tenant_id: int, change: Change) -> None:
        for subscription in self._topics.get((tenant_id, change.topic), ()):
            subscription.put(change)

    def _heard(self, text: str) -> None:
        tenant_id, topic, ident, version = text.split(" ")
        self._put(int(tenant_id), Change(topic=topic, ident=int(ident), version=int(version)))
