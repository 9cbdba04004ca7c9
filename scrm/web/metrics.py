"""What `/metrics` shows: counters of this process, and the state of the queues read at scrape time."""

from __future__ import annotations

import time
from collections import deque

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_ALARM_COUNT, _ALARM_S = 20, 60.0


class Metrics:
    """One registry per service, so that several can live in one process."""

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
        self._inbox = Gauge("scrm_inbox_rows", "Inbox rows that wait", ["state"], registry=self._registry)
        self._outbox = Gauge("scrm_outbox_rows", "Outbox rows that wait", ["state"], registry=self._registry)
        self._lag = Gauge(
            "scrm_inbox_lag_seconds", "Age of the oldest unsettled row", registry=self._registry
        )
        self._refusals: dict[str, deque[float]] = {}
        self._screens = Gauge("scrm_live_screens", "Open live streams", registry=self._registry)

    def refused(self, account: str) -> bool:
        """Count a refused callback; True when so many within a minute look like a wrong clock or key."""
        recent = self._refusals.setdefault(account, deque(maxlen=_ALARM_COUNT))
        recent.append(time.monotonic())
        alarming = len(recent) == _ALARM_COUNT and recent[-1] - recent[0] < _ALARM_S
        if alarming:
            recent.clear()
        return alarming

    def scrape(self, *, inbox: dict[str, int], outbox: dict[str, int], lag_s: float, screens: int) -> bytes:
        for state, number in inbox.items():
            self._inbox.labels(state).set(number)
        for state, number in outbox.items():
            self._outbox.labels(state).set(number)
        self._lag.set(lag_s)
        self._screens.set(screens)
        return generate_latest(self._registry)
