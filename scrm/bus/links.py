"""How this process hangs together with the others: Redis if configured, PostgreSQL, or nothing (embedded)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from scrm.bus.hub import Bus, Meter, Wire
from scrm.bus.levels import SharedLevels
from scrm.bus.over_postgres import PostgresWire
from scrm.bus.over_redis import RedisWire
from scrm.db import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    bus: Bus
    #: Rate limits in Redis; None = each process keeps its part of them.
    levels: SharedLevels | None


@asynccontextmanager
async def linked(db: Database, redis_url: str, *, meter: Meter | None = None) -> AsyncIterator[Links]:
    """Raises `BadConfig` for an address that is none. We start without a Redis that does not answer."""
    if not db.many:  # one process: nobody to tell
        yield Links(bus=Bus(meter=meter), levels=None)
        return
    redis = RedisWire(redis_url) if redis_url else None
    wires: list[Wire] = [PostgresWire(db=db)] if redis is None else [redis, PostgresWire(db=db)]
    bus = Bus(wires, meter=meter)
    try:
        async with bus.running():
            yield Links(bus=bus, levels=SharedLevels(redis) if redis else None)
    finally:
        if redis is not None:
            await redis.close()
