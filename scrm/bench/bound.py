"""The bound of settle: the rows it added, inserted raw into twins of their tables on the same engine."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any

import asyncpg
import sqlalchemy as sa

from scrm.bench.site import Site

#: What settling adds rows to, each in the order they were made. A row of the inbox it only changes, which the
#: bound is spared.
TABLES = {
    "data_key": "key_id",
    "node": "node_id",
    "person": "person_id",
    "node_person": "person_id, node_id",
    "evidence": "evidence_id",
    "conversation": "conversation_id",
    "event": "event_id",
    "event_node": "event_id, node_id",
    "due": "due_id",
}
#: As the product opens its database (scrm/db/sqlite.py).
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "temp_store=MEMORY",
    "cache_size=-65536",
    "mmap_size=268435456",
)
_TIMEOUT_S = 120
#: PostgreSQL takes 32,767 parameters in one statement.
_PARAMETERS = 32_000

Rows = list[tuple[Any, ...]]


def counts(place: Site) -> dict[str, int]:
    """Rows of each table; blocking."""

    def count(sync: sa.Connection, table: str) -> int:
        return int(sync.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar() or 0)

    return place.ask(lambda sync: {table: count(sync, table) for table in TABLES})


async def raw_inserts(
    place: Site, before: Mapping[str, int], *, batches: int
) -> tuple[int, dict[str, float]]:
    """How many rows were added since `before`, and the seconds inserting them takes, by the way it is done.

    One connection, rows already in memory, as many durable transactions as settle needs.
    """
    if place.many:
        return await _on_postgres(place.database, before, batches)
    added, took = await asyncio.to_thread(_on_sqlite, place.settings.sqlite_path, before, batches)
    return added, {"values": took}


def _share(rows: Rows, number: int, batches: int) -> Rows:
    return rows[len(rows) * number // batches : len(rows) * (number + 1) // batches]


def _picked(table: str, skip: int, unlimited: str) -> str:
    return f"SELECT * FROM {table} ORDER BY {TABLES[table]} LIMIT {unlimited} OFFSET {skip}"


# -- SQLite ------------------------------------------------------------------------------------------------
def _on_sqlite(path: Path, before: Mapping[str, int], batches: int) -> tuple[int, float]:
    with (
        tempfile.TemporaryDirectory(prefix="scrm-bench-", dir=path.parent) as folder,
        closing(sqlite3.connect(path)) as old,
        closing(sqlite3.connect(Path(folder) / "raw.db", isolation_level=None)) as new,
    ):
        tables = {t: old.execute(_picked(t, before[t], "-1")).fetchall() for t in TABLES}
        for pragma in PRAGMAS:
            new.execute(f"PRAGMA {pragma}")
        # Only what the bound writes, with its indexes: the search index makes tables of its own.
        shape = "SELECT tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL AND type IN ('table', 'index')"
        for statement in (sql for name, sql in old.execute(shape).fetchall() if name in TABLES):
            new.execute(statement)
        began = perf_counter()
        for number in range(batches):
            new.execute("BEGIN IMMEDIATE")
            for table, rows in tables.items():
                if part := _share(rows, number, batches):
                    new.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(part[0]))})", part)
            new.execute("COMMIT")
        return sum(map(len, tables.values())), perf_counter() - began


# -- PostgreSQL --------------------------------------------------------------------------------------------
async def _on_postgres(url: str, before: Mapping[str, int], batches: int) -> tuple[int, dict[str, float]]:
    raw = await asyncpg.connect(
        plain(url), timeout=10, command_timeout=_TIMEOUT_S, server_settings={"scrm.tenant": "*"}
    )
    try:
        tables = {t: [tuple(r) for r in await raw.fetch(_picked(t, before[t], "ALL"))] for t in TABLES}
        await raw.execute("CREATE SCHEMA bench_raw")
        took = {}
        for name, insert in _WAYS.items():
            # Indexes, defaults and keys are the same; the wall between tenants is spared.
            for table in TABLES:
                await raw.execute(f"CREATE TABLE bench_raw.{table} (LIKE public.{table} INCLUDING ALL)")
            took[name] = await _filled(raw, tables, insert, batches)
            for table, rows in tables.items():
                if await raw.fetchval(f"SELECT count(*) FROM bench_raw.{table}") != len(rows):
                    raise RuntimeError(f"by {name} not every row of {table} was inserted")
            await raw.execute(f"DROP TABLE {', '.join(f'bench_raw.{table}' for table in TABLES)}")
        return sum(map(len, tables.values())), took
    finally:
        await raw.execute("DROP SCHEMA IF EXISTS bench_raw CASCADE")
        await raw.close(timeout=10)


def plain(url: str) -> str:
    """As the driver itself wants it."""
    return sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


_Insert = Callable[[asyncpg.Connection, str, Rows, Sequence[str]], Awaitable[object]]


async def _filled(
    raw: asyncpg.Connection, tables: Mapping[str, Rows], insert: _Insert, batches: int
) -> float:
    """Seconds, with every statement prepared before."""
    columns = {t: await _columns(raw, t) for t in tables}
    began = perf_counter()
    for number in range(batches):
        async with raw.transaction():
            for table, rows in tables.items():
                if part := _share(rows, number, batches):
                    await insert(raw, table, part, columns[table])
    return perf_counter() - began


async def _columns(raw: asyncpg.Connection, table: str) -> list[str]:
    found = await raw.fetch(
        "SELECT format_type(atttypid, atttypmod) AS kind FROM pg_attribute "
        "WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        f"bench_raw.{table}",
    )
    return [r["kind"] for r in found]


async def _by_unnest(raw: asyncpg.Connection, table: str, rows: Rows, kinds: Sequence[str]) -> None:
    arrays = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(kinds, 1))
    sql = f"INSERT INTO bench_raw.{table} SELECT * FROM unnest({arrays})"
    await raw.execute(sql, *(list(column) for column in zip(*rows, strict=True)))


async def _by_values(raw: asyncpg.Connection, table: str, rows: Rows, kinds: Sequence[str]) -> None:
    step = _PARAMETERS // len(kinds)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        marks = iter(range(1, len(part) * len(kinds) + 1))
        one = ", ".join(f"({', '.join(f'${next(marks)}::{kind}' for kind in kinds)})" for _ in part)
        await raw.execute(f"INSERT INTO bench_raw.{table} VALUES {one}", *(v for row in part for v in row))


async def _by_copy(raw: asyncpg.Connection, table: str, rows: Rows, _kinds: Sequence[str]) -> None:
    await raw.copy_records_to_table(table, schema_name="bench_raw", records=rows)


_WAYS: Mapping[str, _Insert] = {"unnest": _by_unnest, "values": _by_values, "copy": _by_copy}
