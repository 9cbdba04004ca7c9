"""The bound of settle: the rows it added, inserted raw into twins of their tables on the same engine."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
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
    "node_name": "node_id, name_key",
    "evidence": "evidence_id",
    "evidence_state": "evidence_id",
    "household_member": "person_id",
    "identity_log": "log_id",
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


#: By table: ids of the rows that each transaction writes, for the first time or again.
Again = Mapping[str, Sequence[Collection[int]]]
#: What writing a row again changes.
_CHANGES = {
    "node": " ON CONFLICT (tenant_id, node_id) DO UPDATE SET last_at = excluded.last_at",
    "evidence": " ON CONFLICT (tenant_id, evidence_id) "
    "DO UPDATE SET n = evidence.n + 1, last_at = excluded.last_at",
}


async def raw_inserts(
    place: Site, before: Mapping[str, int], *, batches: int, again: Again | None = None
) -> tuple[int, dict[str, float]]:
    """How many rows were added since `before`, and the seconds inserting them takes, by the way it is done.

    One connection, rows already in memory, as many durable transactions as settle needs. Of the tables in
    `again` each transaction upserts the rows it touched.
    """
    if place.many:
        return await _on_postgres(place.database, before, batches, again or {})
    added, took = await asyncio.to_thread(
        _on_sqlite, place.settings.sqlite_path, before, batches, again or {}
    )
    return added, {"values": took}


def _share(rows: Rows, number: int, batches: int) -> Rows:
    return rows[len(rows) * number // batches : len(rows) * (number + 1) // batches]


def _parts(rows: Rows, ids: Sequence[int], batches: int, touched: Sequence[Collection[int]]) -> list[Rows]:
    """The rows of each transaction; those that none touches are shared out."""
    known = dict(zip(ids, rows, strict=True))
    named = {i for some in touched for i in some}
    rest = [row for i, row in known.items() if i not in named]
    found = [_share(rest, number, batches) for number in range(batches)]
    return [[*(known[i] for i in sorted(some)), *part] for some, part in zip(touched, found, strict=True)]


def _picked(table: str, skip: int, unlimited: str) -> str:
    return f"SELECT * FROM {table} ORDER BY {TABLES[table]} LIMIT {unlimited} OFFSET {skip}"


def _ids(table: str) -> str:
    """Of a table that was empty before: every id, in the order of its rows."""
    return f"SELECT {TABLES[table]} FROM {table} ORDER BY {TABLES[table]}"


# -- SQLite ------------------------------------------------------------------------------------------------
def _on_sqlite(path: Path, before: Mapping[str, int], batches: int, again: Again) -> tuple[int, float]:
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
        shares = {
            t: _parts(rows, [r[0] for r in old.execute(_ids(t))], batches, again[t])
            for t, rows in tables.items()
            if t in again
        }
        began = perf_counter()
        for number in range(batches):
            new.execute("BEGIN IMMEDIATE")
            for table, rows in tables.items():
                if part := shares[table][number] if table in shares else _share(rows, number, batches):
                    marks = ", ".join("?" * len(part[0]))
                    change = _CHANGES[table] if table in shares else ""
                    new.executemany(f"INSERT INTO {table} VALUES ({marks}){change}", part)
            new.execute("COMMIT")
        return sum(map(len, tables.values())), perf_counter() - began


# -- PostgreSQL --------------------------------------------------------------------------------------------
async def _on_postgres(
    url: str, before: Mapping[str, int], batches: int, again: Again
) -> tuple[int, dict[str, float]]:
    raw = await asyncpg.connect(
        plain(url), timeout=10, command_timeout=_TIMEOUT_S, server_settings={"scrm.tenant": "*"}
    )
    try:
        tables = {t: [tuple(r) for r in await raw.fetch(_picked(t, before[t], "ALL"))] for t in TABLES}
        shares = {
            t: _parts(tables[t], [r[0] for r in await raw.fetch(_ids(t))], batches, touched)
            for t, touched in again.items()
        }
        await raw.execute("CREATE SCHEMA bench_raw")
        took = {}
        for name, insert in _WAYS.items():
            # Indexes, defaults and keys are the same; the wall between tenants is spared.
            for table in TABLES:
                await raw.execute(f"CREATE TABLE bench_raw.{table} (LIKE public.{table} INCLUDING ALL)")
            took[name] = await _filled(raw, tables, shares, insert, batches)
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
    raw: asyncpg.Connection,
    tables: Mapping[str, Rows],
    shares: Mapping[str, Sequence[Rows]],
    insert: _Insert,
    batches: int,
) -> float:
    """Seconds, with every statement prepared before."""
    columns = {t: await _columns(raw, t) for t in tables}
    began = perf_counter()
    for number in range(batches):
        async with raw.transaction():
            for table, rows in tables.items():
                if table in shares:
                    await _by_unnest(raw, table, shares[table][number], columns[table], _CHANGES[table])
                elif part := _share(rows, number, batches):
                    await insert(raw, table, part, columns[table])
    return perf_counter() - began


async def _columns(raw: asyncpg.Connection, table: str) -> list[str]:
    found = await raw.fetch(
        "SELECT format_type(atttypid, atttypmod) AS kind FROM pg_attribute "
        "WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        f"bench_raw.{table}",
    )
    return [r["kind"] for r in found]


async def _by_unnest(
    raw: asyncpg.Connection, table: str, rows: Rows, kinds: Sequence[str], change: str = ""
) -> None:
    arrays = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(kinds, 1))
    sql = f"INSERT INTO bench_raw.{table} SELECT * FROM unnest({arrays}){change}"
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
