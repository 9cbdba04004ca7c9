"""A wrong server on purpose: Redis is its only way to the other processes, and screens never look afresh."""

from __future__ import annotations

from collections.abc import Callable

from scrm.bus import links
from scrm.bus.hub import Heard
from scrm.cli import main
from scrm.db import Database
from scrm.errors import Busy
from scrm.live import Live


class Nothing:
    """In the place of PostgreSQL's wire."""

    def __init__(self, db: Database) -> None:
        self.name = "postgresql"
        self._db = db

    async def send(self, message: str) -> None:  # noqa: ARG002
        raise Busy

    async def listen(self, heard: Heard, ready: Callable[[], None]) -> None:  # noqa: ARG002
        raise Busy


if __name__ == "__main__":
    links.PostgresWire = Nothing  # type: ignore[attr-defined, assignment]
    Live.doubt = lambda _: None  # type: ignore[method-assign, assignment]
    Live.deaf = False  # type: ignore[assignment, method-assign]
    main()
