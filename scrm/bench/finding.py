"""Search among millions of events: what is often said, what hardly anybody says, what one person said."""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
from collections.abc import Callable
from contextlib import closing
from time import perf_counter

import asyncpg

from scrm.app import TENANT
from scrm.bench.bound import plain
from scrm.bench.crowd import Crowd
from scrm.bench.ground import Figures, quantile
from scrm.bench.site import Site
from scrm.db import Database
from scrm.identity import store as identity
from scrm.identity.store import Interval
from scrm.staff.rules import Scope
from scrm.timeline import finding
from scrm.timeline.store import search

PAGE, _ROUNDS = 20, 40
_OFTEN, _RARELY, _BOTH = "便宜", "发票", "孩子 数学"
_FILL = (
    "INSERT INTO search_doc SELECT tenant_id, (at / 1000 << 22) | (event_id & 4194303), event_id, node_id, "
    "marks(text, node_id) FROM event WHERE node_id IS NOT NULL"
)
_RAW = (
    "SELECT d.search_id, d.event_id FROM search_index i JOIN search_doc d ON d.search_id = i.rowid "
    "WHERE i.search_index MATCH ? ORDER BY i.rowid DESC LIMIT ?"
)


async def measured(place: Site, db: Database, crowd: Crowd) -> Figures:
    """Microseconds of a page of each kind; on SQLite also of the same by one hand-written statement."""
    began = perf_counter()
    await _fill(place, db)
    filled = perf_counter() - began
    spans = {}
    async with db.read(TENANT) as conn:
        for person in crowd.long:
            spans[person] = await identity.intervals(conn, person)
    often, rarely, both = [await _times(db, q) for q in (_OFTEN, _RARELY, _BOTH)]
    within = [t for mine in spans.values() for t in await _times(db, _OFTEN, mine, rounds=5)]
    figures: Figures = {
        "search_fill_s": round(filled, 1),
        "search_often_us": _median(often),
        "search_often_p95_us": round(quantile(often, 0.95) * 1e6),
        "search_rarely_us": _median(rarely),
        "search_two_words_us": _median(both),
        "search_one_person_us": _median(within),
    }
    if place.many:
        return figures
    raw = await asyncio.to_thread(_raw, place, search.marks(db.vault, TENANT, finding.asked(_OFTEN)))
    return {**figures, "raw_search_us": _median(raw), "search_ratio": round(_median(raw) / _median(often), 3)}


def _median(times: list[float]) -> int:
    return round(statistics.median(times) * 1e6)


async def _times(
    db: Database, question: str, spans: list[Interval] | None = None, *, rounds: int = _ROUNDS
) -> list[float]:
    times = []
    for number in range(-1, rounds):  # the first warms caches and connections
        began = perf_counter()
        async with db.read(TENANT) as conn:
            await search.page(conn, question, scope=Scope(everything=True), spans=spans, limit=PAGE)
        if number >= 0:
            times.append(perf_counter() - began)
    return times


def _raw(place: Site, marks: list[str]) -> list[float]:
    times = []
    with closing(sqlite3.connect(f"file:{place.settings.sqlite_path}?mode=ro", uri=True)) as raw:
        for _ in range(_ROUNDS):
            began = perf_counter()
            raw.execute(_RAW, (" AND ".join(marks), PAGE)).fetchall()
            times.append(perf_counter() - began)
    return times


# -- filling -----------------------------------------------------------------------------------------------
async def _fill(place: Site, db: Database) -> None:
    said: dict[str, str] = {}

    def marks(text: str, node: int) -> str:
        if text not in said:
            said[text] = " ".join(search.marks(db.vault, TENANT, finding.terms(text)))
        return f"{search.marks(db.vault, TENANT, [f'n:{node}'])[0]} {said[text]}"

    if place.many:
        await _fill_postgres(place.database, marks)
    else:
        await asyncio.to_thread(_fill_sqlite, place, marks)


def _fill_sqlite(place: Site, marks: Callable[[str, int], str]) -> None:
    with closing(sqlite3.connect(place.settings.sqlite_path, isolation_level=None)) as raw:
        raw.execute("PRAGMA synchronous=OFF")
        raw.execute("PRAGMA cache_size=-262144")
        raw.create_function("marks", 2, marks, deterministic=True)
        raw.execute("BEGIN")
        raw.execute(_FILL)
        raw.execute("COMMIT")
        raw.execute("ANALYZE search_doc")


async def _fill_postgres(url: str, marks: Callable[[str, int], str]) -> None:
    """Without triggers, the index in one go: what takes an hour row by row takes a minute."""
    raw = await asyncpg.connect(plain(url), timeout=10, command_timeout=600)
    try:
        async with raw.transaction():
            for table in ("event", "search_doc"):
                await raw.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
            await raw.execute("ALTER TABLE search_doc DISABLE TRIGGER search_doc_follows")
            await raw.execute("DROP INDEX ix_search_index_words")
            part = []
            asked = "SELECT at, event_id, node_id, text FROM event WHERE node_id IS NOT NULL"
            async for r in raw.cursor(asked, prefetch=10_000):
                place = (r["at"] // 1000 << 22) | (r["event_id"] & 4_194_303)
                part.append((TENANT, place, r["event_id"], r["node_id"], marks(r["text"], r["node_id"])))
                if len(part) == 50_000:
                    await raw.copy_records_to_table("search_doc", records=part)
                    part = []
            await raw.copy_records_to_table("search_doc", records=part)
            await raw.execute(
                "INSERT INTO search_index SELECT tenant_id, search_id, "
                "array_to_tsvector(string_to_array(words, ' ')) FROM search_doc"
            )
            await raw.execute("CREATE INDEX ix_search_index_words ON search_index USING gin (words)")
            await raw.execute("ALTER TABLE search_doc ENABLE TRIGGER search_doc_follows")
            for table in ("event", "search_doc"):
                await raw.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        await raw.execute("VACUUM ANALYZE search_doc, search_index")
    finally:
        await raw.close(timeout=10)
