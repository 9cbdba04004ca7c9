"""The bus over PostgreSQL's NOTIFY: for several processes without Redis, and while Redis is down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scrm.bus.hub import Heard
from scrm.db import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresWire:
    db: Database
    name: str = "postgresql"

    async def send(self, message: str) -> None:
        await self.db.notify([message])

    async def listen(self, heard: Heard, ready: Callable[[], None]) -> None:
        await self.db.listen(heard, ready)
