"""Rate limits that all processes share: one script in Redis, so that counting and asking are one step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import structlog
from redis.asyncio import Redis

from scrm.bus.over_redis import RedisWire
from scrm.errors import Busy

log = structlog.get_logger()

#: GCRA: one number a limit, the time at which the bucket is full again, by Redis' own clock.
#: KEYS: the level, the vendor's block. ARGV: microseconds a call costs, microseconds a full bucket holds.
#: The answer is the microseconds to wait; 0 = counted.
_TAKE = """
local blocked = redis.call('PTTL', KEYS[2])
if blocked > 0 then return blocked * 1000 end
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local cost, full = tonumber(ARGV[1]), tonumber(ARGV[2])
local level = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now) + cost
if level - now > full then return level - now - full end
redis.call('SET', KEYS[1], string.format('%.0f', level), 'PX', math.ceil((level - now) / 1000))
return 0
"""
#: One complaint a minute about a Redis that refuses to count (full).
_COMPLAIN_S = 60.0


class SharedLevels:
    """What `connectors.kit.buckets` asks first; None = nobody answers, count for yourself."""

    def __init__(self, redis: RedisWire, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._clock = clock
        self._complained = -math.inf

    async def take(self, owner: tuple[int, int], api: str, *, burst: float, per_s: float) -> float | None:
        """Count one call; seconds to wait when there is no room for it."""
        cost = 1e6 / per_s
        keys = _keys(owner, api)
        found = await self._asked(
            lambda redis: redis.eval(_TAKE, 2, *keys, f"{cost:.0f}", f"{max(burst, 1) * cost:.0f}")
        )
        return None if found is None else max(int(str(found)), 0) / 1e6

    async def block(self, owner: tuple[int, int], api: str, seconds: float) -> None:
        """Let nobody through for a while."""
        _, blocked = _keys(owner, api)
        await self._asked(lambda redis: redis.set(blocked, 1, px=max(int(seconds * 1000), 1)))

    async def _asked(self, question: Callable[[Redis], object]) -> object:
        try:
            return await self._redis.ask(question)  # type: ignore[arg-type]
        except Busy as refused:
            if self._clock() - self._complained > _COMPLAIN_S:
                self._complained = self._clock()
                log.warning("rate limits counted by each process alone", why=refused.sentence)
            return None


def _keys(owner: tuple[int, int], api: str) -> tuple[str, str]:
    """The tenant leads; the braces keep both keys on one shard of a Redis cluster."""
    name = f"scrm:{{{owner[0]}:{owner[1]}:{api}}}"
    return f"{name}:level", f"{name}:blocked"
