"""How often each vendor API may be called: a token bucket per account and API, shared by all processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from scrm.errors import NotSent


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """`burst` calls at once, then `per_s` a second."""

    burst: float
    per_s: float


#: WeCom allows 10,000 a minute and 150,000 an hour per corp and API (path 90454): 41.6/s over an hour.
DEFAULT = Limit(burst=600, per_s=40)
#: Stricter ones by API path. Fetching tokens without need is punished; tickets: 100 an hour per app.
LIMITS: Mapping[str, Limit] = MappingProxyType(
    {
        "/cgi-bin/gettoken": Limit(burst=30, per_s=0.5),
        "/cgi-bin/stable_token": Limit(burst=30, per_s=0.5),
        "/cgi-bin/get_jsapi_ticket": Limit(burst=20, per_s=80 / 3600),
        "/cgi-bin/ticket/get": Limit(burst=20, per_s=80 / 3600),
    }
)
#: A breach of the minute quota blocks the API for 60 s.
QUOTA_BLOCK_S = 60.0

Owner = tuple[int, int]


class Shared(Protocol):
    """Levels that all processes see. Neither call raises, and neither takes long."""

    async def take(self, owner: Owner, api: str, *, burst: float, per_s: float) -> float | None:
        """Seconds to wait, 0 = counted; None = nobody answers."""
        ...

    async def block(self, owner: Owner, api: str, seconds: float) -> None: ...


@dataclass(slots=True)
class _Level:
    left: float
    at: float
    blocked_until: float = 0.0


class Buckets:
    """`limits` maps an API path to its own limit.

    The shared levels decide; while nobody keeps them, each process has its `share()`-th part of the limit.
    """

    def __init__(
        self,
        limits: Mapping[str, Limit] = LIMITS,
        *,
        clock: Callable[[], float] = time.monotonic,
        shared: Shared | None = None,
        share: Callable[[], int] = lambda: 1,
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._shared = shared
        self._share = share
        self._levels: dict[tuple[int, int, str], _Level] = {}

    async def take(self, owner: Owner, api: str) -> None:
        """Count one call of `api` by (tenant, account). Raises `NotSent` with the time to wait."""
        limit, level = self._level(owner, api)
        now = self._clock()
        if now < level.blocked_until:
            raise _full(level.blocked_until - now)
        wait_s = None
        if self._shared is not None:
            wait_s = await self._shared.take(owner, api, burst=limit.burst, per_s=limit.per_s)
        if wait_s:
            raise _full(wait_s)
        # Counted here too, so that the part we fall back on is not a fresh bucket.
        short_s = self._count(limit, level)
        if wait_s is None and short_s:
            raise _full(short_s)

    async def block(self, owner: Owner, api: str, seconds: float) -> None:
        """The vendor said that the quota is used up: let nothing through for a while."""
        _, level = self._level(owner, api)
        level.blocked_until = self._clock() + seconds
        if self._shared is not None:
            await self._shared.block(owner, api, seconds)

    def _count(self, limit: Limit, level: _Level) -> float:
        """Take one from our part; the seconds to wait when it is empty."""
        now, parts = self._clock(), max(self._share(), 1)
        per_s = limit.per_s / parts
        level.left = min(max(limit.burst / parts, 1), level.left + (now - level.at) * per_s)
        level.at = now
        if level.left < 1:
            return (1 - level.left) / per_s
        level.left -= 1
        return 0.0

    def _level(self, owner: Owner, api: str) -> tuple[Limit, _Level]:
        limit = self._limits.get(api, DEFAULT)
        level = self._levels.get((*owner, api))
        if level is None:
            level = self._levels[(*owner, api)] = _Level(left=limit.burst, at=self._clock())
        return limit, level


def _full(wait_s: float) -> NotSent:
    return NotSent("平台接口调用已达上限，稍后自动重试。", retry_after_s=wait_s, code="45009")
