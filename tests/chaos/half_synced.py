"""A wrong server on purpose: SQLite syncs at checkpoints only, which survives any crash but a power cut."""

from __future__ import annotations

import sqlite3
from functools import partial
from sqlite3 import dbapi2
from typing import Any

from scrm.cli import main


class Careless(sqlite3.Connection):
    def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
        return super().execute(sql.replace("synchronous=FULL", "synchronous=NORMAL"), *given)


if __name__ == "__main__":
    dbapi2.connect = partial(sqlite3.connect, factory=Careless)  # type: ignore[assignment]
    main()
