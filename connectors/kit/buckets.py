"""How often each vendor API may be called: a token bucket per account and API."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

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


@dataclass(slots=True)
class _Level:
    left: float
    at: float
    blocked_until: float = 0.0


class Buckets:
    """The levels of this process. `limits` maps an API path to its own limit."""

    def __init__(
        self, limits: Mapping[str, Limit] = LIMITS, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._levels: dict[tuple[int, int, str], _Level] = {}

    def take(self, owner: tuple[int, int], api: str) -> None:
        """Count one call of `api` by (tenant, account). Raises `NotSent` with the time to wait."""
        limit, level = self._level(owner, api)
        now = self._clock()
        if now < level.blocked_until:
            raise _full(level.blocked_until - now)
        level.left = min(limit.burst, level.left + (now - level.at) * limit.per_s)
        level.at = now
        if level.left < 1:
            raise _full((1 - level.left) / limit.per_s)
        level.left -= 1

    def block(self, owner: tuple[int, int], api: str, seconds: float) -> None:
        """The vendor said that the quota is used up: let nothing through for a while."""
        _, level = self._level(owner, api)
        level.blocked_until = self._clock() + seconds

    def _level(self, owner: tuple[int, int], api: str) -> tuple[Limit, _Level]:
        limit = self._limits.get(api, DEFAULT)
        level = self._levels.get((*owner, api))
        if level is None:
            level = self._levels[(*owner, api)] = _Level(left=limit.burst, at=self._clock())
        return limit, level


def _full(wait_s: float) -> NotSent:
    return NotSent("平台接口调用已达上限，稍后自动重试。", retry_after_s=wait_s, code="45009")
