"""What `/metrics` shows: counters of all processes on this socket, and the queues read at scrape time."""

from __future__ import annotations

import os
import time
from collections import deque
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from scrm.bus.hub import Meter
from scrm.spool.rules import Depth

_ALARM_COUNT, _ALARM_S = 20, 60.0


class Metrics:
    """One registry per service, so that several can live in one process.

    Under a supervisor the values lie in a folder all its processes share: whoever is asked answers for all.
    A gauge has to say what several processes make together (`multiprocess_mode`).
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.hooks = Counter(
            "scrm_hooks_total",
            "Callbacks by account and outcome",
            ["account", "outcome"],
            registry=self._registry,
        )
        self.ack = Histogram(
            "scrm_ack_seconds",
            "From the request to the durable answer",
            registry=self._registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
        )
        self.requests = Counter(
            "scrm_requests_total",
            "Answers by policy and status",
            ["policy", "status"],
            registry=self._registry,
        )
        self._inbox = self._queue("scrm_inbox_rows", "Inbox rows that wait", ["state"])
        self._outbox = self._queue("scrm_outbox_rows", "Outbox rows that wait", ["state"])
        self._lag = self._queue("scrm_inbox_lag_seconds", "Age of the oldest unsettled row", [])
        self._behind = self._queue(
            "scrm_stream_lag_seconds", "How far behind the vendor a stream is", ["account", "stream"]
        )
        self._trouble = self._queue(
            "scrm_account_trouble", "0 the account is well, 1 wants a look, 2 bad", ["account"]
        )
        self._waiting = self._queue("scrm_account_waiting_rows", "Unsettled rows of an account", ["account"])
        self._account_lag = self._queue(
            "scrm_account_lag_seconds", "Age of an account's oldest unsettled row", ["account"]
        )
        self.screens = Gauge(
            "scrm_live_screens", "Open live streams", registry=self._registry, multiprocess_mode="livesum"
        )
        self.bus = _BusMeter(self._registry)
        self.spool = _SpoolMeter(self._registry)
        self.disk = self._queue("scrm_disk_used_ratio", "Share of the data folder's disk in use", [])
        self._refusals: dict[str, deque[float]] = {}

    def _queue(self, name: str, about: str, labels: list[str]) -> Gauge:
        """Everybody reads the same database, so the last word holds."""
        return Gauge(name, about, labels, registry=self._registry, multiprocess_mode="mostrecent")

    def refused(self, account: str) -> bool:
        """Count a refused callback; True when so many within a minute look like a wrong clock or key."""
        recent = self._refusals.setdefault(account, deque(maxlen=_ALARM_COUNT))
        recent.append(time.monotonic())
        alarming = len(recent) == _ALARM_COUNT and recent[-1] - recent[0] < _ALARM_S
        if alarming:
            recent.clear()
        return alarming

    def behind(self, streams: dict[tuple[str, str], float]) -> None:
        """Seconds by account and stream."""
        for (account, stream), seconds in streams.items():
            self._behind.labels(account, stream).set(seconds)

    def account(self, slug: str, *, trouble: int, waiting: int, lag_s: float) -> None:
        """As the admin's card says: 0 well, 1 wants a look, 2 bad; what waits, and for how long."""
        self._trouble.labels(slug).set(trouble)
        self._waiting.labels(slug).set(waiting)
        self._account_lag.labels(slug).set(lag_s)

    def scrape(self, *, inbox: dict[str, int], outbox: dict[str, int], lag_s: float) -> bytes:
        for state, number in inbox.items():
            self._inbox.labels(state).set(number)
        for state, number in outbox.items():
            self._outbox.labels(state).set(number)
        self._lag.set(lag_s)
        return generate_latest(_everybody() if "PROMETHEUS_MULTIPROC_DIR" in os.environ else self._registry)


class _SpoolMeter:
    """The spool of this host, and whether the database answers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._rows = Gauge(
            "scrm_spool_rows",
            "Callbacks kept on this host: waiting for the database, or stuck",
            ["state"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._age = Gauge(
            "scrm_spool_age_seconds",
            "Age of the oldest callback kept on this host",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.bypass = Gauge(
            "scrm_spool_open",
            "Whether callbacks go to the spool because the database is down or slow, in any process",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.forwarded = Counter(
            "scrm_spool_forwarded_total",
            "Rows that went on from the spool to the database",
            registry=registry,
        )
        self.database = Gauge(
            "scrm_database_up",
            "Whether the database answered at scrape time",
            registry=registry,
            multiprocess_mode="mostrecent",
        )

    def show(self, depth: Depth, *, now: datetime) -> None:
        self._rows.labels("waiting").set(depth.waiting)
        self._rows.labels("stuck").set(depth.stuck)
        self._age.set((now - depth.oldest_at).total_seconds() if depth.oldest_at else 0.0)


class _BusMeter(Meter):
    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._messages = Counter(
            "scrm_bus_messages_total",
            "Hints between processes: said, heard, lost (no wire worked), missed (screens fetched afresh)",
            ["what"],
            registry=registry,
        )
        self._wires = Gauge(
            "scrm_bus_up",
            "Whether a wire between processes works, in every process",
            ["wire"],
            registry=registry,
            multiprocess_mode="livemin",
        )

    def count(self, what: str, number: int = 1) -> None:
        super().count(what, number)
        self._messages.labels(what).inc(number)

    def wire(self, name: str, up: bool) -> None:
        self._wires.labels(name).set(int(up))


def _everybody() -> CollectorRegistry:
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry
