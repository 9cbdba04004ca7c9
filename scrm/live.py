"""Live: ids and versions of what changed, to open screens; each fetches under its own policy."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_BUFFER = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """`topic` is `node:<id>`, `rep:<id>` or `team:<id>`."""

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

    def close(self) -> None:
        self.closed = True
        self._wake.set()

    async def take(self, timeout_s: float) -> list[Change]:
        """What changed since the last call, each thing once; empty after `timeout_s` of silence."""
        if not self._changes and not self.closed:
            try:
                await asyncio.wait_for(self._wake.wait(), timeout_s)
            except TimeoutError:
                return []
        self._wake.clear()
        taken, self._changes = self._changes, []
        return list({(c.topic, c.ident): c for c in taken}.values())

    def start_afresh(self) -> bool:
        """True once after an overflow."""
        was, self.overflowed = self.overflowed, False
        return was


class Live:
    """In-process fan-out by topic."""

    def __init__(self) -> None:
        self._topics: dict[str, set[Subscription]] = defaultdict(set)
        self._open: set[Subscription] = set()

    @contextmanager
    def subscribe(self, topics: Iterable[str]) -> Iterator[Subscription]:
        """Changes published from now on are kept, so state fetched after this call misses nothing."""
        subscription, named = Subscription(), set(topics)
        for topic in named:
            self._topics[topic].add(subscription)
        self._open.add(subscription)
        try:
            yield subscription
        finally:
            self._open.discard(subscription)
            for topic in named:
                self._topics[topic].discard(subscription)
                if not self._topics[topic]:
                    del self._topics[topic]

    def publish(self, changes: Iterable[Change]) -> None:
        for change in changes:
            for subscription in self._topics.get(change.topic, ()):
                subscription.put(change)

    def close(self) -> None:
        """End every stream; the screens reconnect elsewhere and start afresh."""
        for subscription in self._open:
            subscription.close()

    def watched(self, topic: str) -> bool:
        """Whether any open screen follows this topic."""
        return topic in self._topics

    @property
    def screens(self) -> int:
        return len(self._open)
