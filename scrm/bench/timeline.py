"""Timeline: the newest 50 events of a person with five identifiers among millions, against raw SQL."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any

import asyncpg

from scrm.app import TENANT
from scrm.bench import finding
from scrm.bench.bound import plain
from scrm.bench.crowd import NODES, Crowd, gather, load
from scrm.bench.ground import Figures, quantile
from scrm.bench.site import Site, service, site
from scrm.db import Database
from scrm.identity import store as identity
from scrm.timeline.genres import Genre
from scrm.timeline.store import events

EVENTS, PAGE, PERSONS = 2_000_000, 50, 8
_ROUNDS = 40
_READ = (
    "e.event_id, e.account_id, e.source_key, e.version, e.kind, e.direction, e.at, e.seq, e.text, e.node_id, "
    "e.conversation_id, e.staff_id, e.recalled_at, e.body"
)
_NEWEST = "ORDER BY at DESC, seq DESC, event_id DESC"
_SPANS_SQLITE = (
    "SELECT node_id, from_at, until_at FROM node_person WHERE tenant_id = ? AND person_id = ? "
    "ORDER BY node_id, from_at LIMIT 64"
)
_ONE_NODE = (
    "SELECT * FROM (SELECT event_id, at, seq FROM event_node WHERE tenant_id = ? AND node_id = ? "
    f"AND at >= ? {_NEWEST} LIMIT ?)"
)
_SPANS_POSTGRES = (
    "SELECT node_id, from_at, until_at FROM node_person WHERE tenant_id = $1 AND person_id = $2 "
    "ORDER BY node_id, from_at LIMIT 64"
)
_PAGE_POSTGRES = (
    f"SELECT {_READ} FROM (SELECT x.event_id "
    "FROM unnest($2::bigint[], $3::bigint[]) AS span (node_id, from_at) "
    "CROSS JOIN LATERAL (SELECT n.event_id, n.at, n.seq FROM event_node n WHERE n.tenant_id = $1 "
    f"AND n.node_id = span.node_id AND n.at >= span.from_at {_NEWEST} LIMIT $4) x "
    "ORDER BY x.at DESC, x.seq DESC, x.event_id DESC LIMIT $4) top "
    "JOIN event e ON e.tenant_id = $1 AND e.event_id = top.event_id "
    "ORDER BY e.at DESC, e.seq DESC, e.event_id DESC"
)


async def run(count: int = 0, *, database: str = "") -> Figures:
    """`count` events, else `SCRM_BENCH_EVENTS`, else as many of two million as load within a minute."""
    wanted = count or int(os.environ.get("SCRM_BENCH_EVENTS", "0"))
    async with site(database) as place, service(place) as one:
        crowd = await gather(one.house.db, PERSONS)
        loaded, took = await load(place, crowd, wanted or EVENTS, exactly=bool(wanted))
        short, long = await pages_by_turns(one.house.db, crowd, rounds=_ROUNDS)
        raw = await _raw_pages(place, crowd.short)
        shelf, longer_shelf = await shelves_by_turns(one.house.db, crowd, rounds=_ROUNDS)
        found = await finding.measured(place, one.house.db, crowd)
    ours, longer, bound = (statistics.median(times) for times in (short, long, raw))
    return {
        "events": loaded,
        "load_s": round(took, 1),
        "nodes_a_person": NODES,
        "page": PAGE,
        "page_us": round(ours * 1e6),
        "page_p95_us": round(quantile(short, 0.95) * 1e6),
        "raw_page_us": round(bound * 1e6),
        "page_10x_history_us": round(longer * 1e6),
        "ratio": round(bound / ours, 3),
        "bar": 0.25,
        "aim": 0.5,
        "history_10x_costs": round(longer / ours, 2),
        "history_10x_bar": 1.3,
        "files_page_us": round(statistics.median(shelf) * 1e6),
        "files_page_10x_costs": round(statistics.median(longer_shelf) / statistics.median(shelf), 2),
        **found,
    }


async def shelves_by_turns(db: Database, crowd: Crowd, *, rounds: int) -> tuple[list[float], list[float]]:
    """The same for a page of files alone, of which there is one in fifty events."""
    return await pages_by_turns(db, crowd, rounds=rounds, genres=("file",))


async def pages_by_turns(
    db: Database, crowd: Crowd, *, rounds: int, genres: tuple[Genre, ...] = ()
) -> tuple[list[float], list[float]]:
    """Seconds a page of a short history takes, and of a long one; by turns: both meet the same noise."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(-1, rounds):  # the first round warms caches and connections
        for pair in zip(crowd.short, crowd.long, strict=True):
            for person, taken in zip(pair, times, strict=True):
                took = await _page(db, person, genres)
                if number >= 0:
                    taken.append(took)
    return times


async def _page(db: Database, person: int, genres: tuple[Genre, ...]) -> float:
    """From the person's id to the rows, in a snapshot of its own."""
    began = perf_counter()
    async with db.read(TENANT) as conn:
        await events.page(
            conn, await identity.intervals(conn, person), before=None, limit=PAGE, genres=genres
        )
    return perf_counter() - began


async def _raw_pages(place: Site, persons: Sequence[int]) -> list[float]:
    if place.many:
        return await _pages_of_postgres(place.database, persons)
    return await asyncio.to_thread(_pages_of_sqlite, place.settings.sqlite_path, persons)


def _pages_of_sqlite(path: Path, persons: Sequence[int]) -> list[float]:
    times = []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        db.execute("PRAGMA mmap_size=268435456")
        for number in range(_ROUNDS * len(persons)):
            began = perf_counter()
            raw_page(db, persons[number % len(persons)])
            times.append(perf_counter() - began)
    return times


def raw_page(db: sqlite3.Connection, person_id: int) -> list[tuple[Any, ...]]:
    """The same page by two hand-written statements."""
    spans = db.execute(_SPANS_SQLITE, (TENANT, person_id)).fetchall()
    parts = " UNION ".join([_ONE_NODE] * len(spans))
    asked = [value for node, begin, _ in spans for value in (TENANT, node, begin, PAGE)]
    newest = f"SELECT event_id FROM ({parts}) {_NEWEST} LIMIT ?"
    sql = (
        f"SELECT {_READ} FROM event e WHERE e.tenant_id = ? AND e.event_id IN ({newest}) "
        "ORDER BY e.at DESC, e.seq DESC, e.event_id DESC"
    )
    return db.execute(sql, (TENANT, *asked, PAGE)).fetchall()


async def _pages_of_postgres(url: str, persons: Sequence[int]) -> list[float]:
    times = []
    walled = {"scrm.tenant": str(TENANT)}
    raw = await asyncpg.connect(plain(url), timeout=10, command_timeout=60, server_settings=walled)
    try:
        for number in range(_ROUNDS * len(persons)):
            began = perf_counter()
            await raw_page_of_postgres(raw, persons[number % len(persons)])
            times.append(perf_counter() - began)
    finally:
        await raw.close(timeout=10)
    return times


async def raw_page_of_postgres(raw: asyncpg.Connection, person_id: int) -> list[asyncpg.Record]:
    """The same page by two hand-written statements, each prepared once."""
    spans = await raw.fetch(_SPANS_POSTGRES, TENANT, person_id)
    nodes, begins = [s["node_id"] for s in spans], [s["from_at"] for s in spans]
    return await raw.fetch(_PAGE_POSTGRES, TENANT, nodes, begins, PAGE)
