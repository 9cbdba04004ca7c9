"""Settle: from the inbox to the timeline with identity, against the same rows inserted raw."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from scrm.app import TENANT
from scrm.bench.ground import Figures, pipeline, profiles, service, store, talk

ROWS = 20_000
#: What settling adds rows to; a row of the inbox it only changes, which the bound is spared.
TABLES = (
    "data_key",
    "node",
    "person",
    "node_person",
    "evidence",
    "conversation",
    "event",
    "event_node",
    "due",
)
#: As the product opens its database (scrm/db.py).
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "temp_store=MEMORY",
    "cache_size=-65536",
    "mmap_size=268435456",
)


async def run(rows: int = ROWS) -> Figures:
    """A tenth of the rows are profiles that join two identifiers; the rest is talk of as many people."""
    people = max(1, rows // 10)
    async with service() as one:
        raws = [*(said.raw for said in talk(rows - people, people=people)), *profiles(people)]
        await store(one, _shuffled(raws))
        before = await asyncio.to_thread(_counts, one.house.settings.sqlite_path)
        line, began = pipeline(one), perf_counter()
        while await line.settle(TENANT):
            pass
        took = perf_counter() - began
        path, batch = one.house.settings.sqlite_path, one.house.settings.settle_rows
        added, bound = await asyncio.to_thread(raw_inserts, path, before, batches=max(1, rows // batch))
    return {
        "rows": rows,
        "people": people,
        "rows_a_transaction": batch,
        "rows_written": added,
        "settle_rows_s": round(rows / took),
        "settle_us_a_row": round(took / rows * 1e6, 1),
        "raw_rows_s": round(rows / bound),
        "raw_us_a_row": round(bound / rows * 1e6, 1),
        "ratio": round(bound / took, 3),
        "bar": 0.20,
    }


def _shuffled(raws: list[Any]) -> list[Any]:
    """Profiles arrive between messages: every tenth row, not all at the end."""
    talk_rows = [r for r in raws if r.urgent]
    others = [r for r in raws if not r.urgent]
    step = max(1, len(talk_rows) // max(1, len(others)))
    mixed: list[Any] = []
    for number, row in enumerate(others):
        mixed += [*talk_rows[number * step : (number + 1) * step], row]
    return [*mixed, *talk_rows[len(others) * step :]]


def _counts(path: Path) -> dict[str, int]:
    with sqlite3.connect(path) as db:
        return {t: db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in TABLES}


def raw_inserts(path: Path, before: dict[str, int], *, batches: int) -> tuple[int, float]:
    """How many rows were added to `path`, and the seconds it takes to insert them into an empty twin of it.

    One connection, prepared statements, rows already in memory, the same number of durable transactions.
    """
    with tempfile.TemporaryDirectory(prefix="scrm-bench-", dir=path.parent) as folder:
        old, new = sqlite3.connect(path), sqlite3.connect(Path(folder) / "raw.db", isolation_level=None)
        try:
            tables = {t: _written(old, t, before[t]) for t in TABLES}
            for pragma in PRAGMAS:
                new.execute(f"PRAGMA {pragma}")
            for (statement,) in old.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall():
                new.execute(statement)
            began = perf_counter()
            for number in range(batches):
                _insert_share(new, tables, number, batches)
            return sum(len(rows) for _, rows in tables.values()), perf_counter() - began
        finally:
            old.close()
            new.close()


def _written(db: sqlite3.Connection, table: str, skip: int) -> tuple[str, list[tuple[Any, ...]]]:
    order = {"event_node": "event_id", "node_person": "person_id"}.get(table, "rowid")
    cursor = db.execute(f"SELECT * FROM {table} ORDER BY {order} LIMIT -1 OFFSET {skip}")
    places = ", ".join("?" * len(cursor.description))
    return f"INSERT INTO {table} VALUES ({places})", cursor.fetchall()


def _insert_share(
    db: sqlite3.Connection, tables: dict[str, tuple[str, list[tuple[Any, ...]]]], number: int, batches: int
) -> None:
    db.execute("BEGIN IMMEDIATE")
    for statement, rows in tables.values():
        part = rows[len(rows) * number // batches : len(rows) * (number + 1) // batches]
        db.executemany(statement, part)
    db.execute("COMMIT")
