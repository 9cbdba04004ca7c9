"""Timeline: the newest 50 events of a person with five identifiers among millions, against raw SQL."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import statistics
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

from scrm.app import TENANT
from scrm.bench.ground import Figures, quantile, service
from scrm.db import Database
from scrm.identity import store as identity
from scrm.seal import new_id
from scrm.timeline.store import events

EVENTS, LEAST, LOAD_S = 2_000_000, 500_000, 60.0
PAGE, NODES, PERSONS = 50, 5, 8
#: Events of a person with a usual history, and of one with ten times as much.
SHORT, LONG = 200, 2_000
_ROUNDS = 40
_EVENT = (
    "tenant_id, event_id, account_id, source_key, version, kind, direction, at, seq, text, body, node_id, "
    "conversation_id, inbox_id, stored_at"
)
_READ = (
    "e.event_id, e.account_id, e.source_key, e.version, e.kind, e.direction, e.at, e.seq, e.text, e.node_id, "
    "e.conversation_id, e.staff_id, e.recalled_at, e.body"
)
_NODES_SQL = (
    "SELECT node_id, from_at, until_at FROM node_person WHERE tenant_id = ? AND person_id = ? "
    "ORDER BY node_id, from_at LIMIT 64"
)
_ONE_NODE = (
    "SELECT * FROM (SELECT event_id, at, seq FROM event_node WHERE tenant_id = ? AND node_id = ? "
    "AND at >= ? ORDER BY at DESC, seq DESC, event_id DESC LIMIT ?)"
)
_INDEXES = "SELECT name, sql FROM sqlite_master WHERE tbl_name = 'event' AND type = 'index' AND sql != ''"
_ADD_SPAN = "INSERT INTO node_person (tenant_id, node_id, from_at, person_id) VALUES (?, ?, ?, ?)"
_ADD_PERSON = "INSERT INTO person (tenant_id, person_id, first_at, version) VALUES (?, ?, ?, ?)"
_SAID = "老师您好，想问一下周末的课还有名额吗？"
#: At so many microseconds the first event happened; the next ones a second apart.
_BEGAN = 1_700_000_000_000_000


@dataclass(slots=True, kw_only=True)
class Crowd:
    """Who is measured: persons by the length of their history, and the nodes of each."""

    short: list[int] = field(default_factory=list)
    long: list[int] = field(default_factory=list)
    nodes: dict[int, list[int]] = field(default_factory=dict)

    def persons(self) -> Iterator[tuple[int, int]]:
        yield from ((p, SHORT) for p in self.short)
        yield from ((p, LONG) for p in self.long)


async def run(count: int = 0) -> Figures:
    """`count` events, else `SCRM_BENCH_EVENTS`, else as many of two million as load within a minute."""
    wanted = count or int(os.environ.get("SCRM_BENCH_EVENTS", "0"))
    async with service() as one:
        path = one.house.settings.sqlite_path
        crowd, loaded, took = await asyncio.to_thread(load, path, wanted or EVENTS, bool(wanted))
        short, long = await _pages(one.house.db, crowd.short), await _pages(one.house.db, crowd.long)
        raw = await asyncio.to_thread(_raw_pages, path, crowd.short)
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
    }


def load(path: Path, count: int, exactly: bool) -> tuple[Crowd, int, float]:
    """Fill the tables in the order of time, so that one person's events lie far apart as they do in life.

    Unless `exactly`, it stops early when loading takes longer than a minute.
    """
    crowd, began = _crowd(), perf_counter()
    owners = _owners(crowd, count)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA cache_size=-262144")
        indexes = db.execute(_INDEXES).fetchall()
        for name, _ in indexes:
            db.execute(f"DROP INDEX {name}")
        db.execute("BEGIN")
        _fill(db, crowd)
        rows, loaded = _rows(owners, count), 0
        marks = ", ".join("?" * (_EVENT.count(",") + 1))
        while part := list(islice(rows, 50_000)):
            db.executemany(f"INSERT INTO event ({_EVENT}) VALUES ({marks})", part)
            loaded += len(part)
            late = perf_counter() - began > LOAD_S / 2  # the other half is for sorting and indexes
            if late and loaded >= LEAST and not exactly:
                break
        db.execute(
            "INSERT INTO event_node SELECT tenant_id, node_id, at, seq, event_id, account_id, 'actor' "
            "FROM event WHERE node_id IS NOT NULL ORDER BY tenant_id, node_id, at, seq, event_id"
        )
        for _, sql in indexes:
            db.execute(sql)
        db.execute("COMMIT")
        db.execute("ANALYZE")
    return crowd, loaded, perf_counter() - began


def _crowd() -> Crowd:
    crowd = Crowd()
    for group in (crowd.short, crowd.long):
        for _ in range(PERSONS):
            person = new_id()
            group.append(person)
            crowd.nodes[person] = [new_id() for _ in range(NODES)]
    return crowd


def _owners(crowd: Crowd, count: int) -> dict[int, int]:
    """Which event belongs to a measured node; everything else is other people's."""
    rng = random.Random(count)
    wanted = [(person, min(size, count // (4 * PERSONS))) for person, size in crowd.persons()]
    places = iter(rng.sample(range(count), sum(size for _, size in wanted)))
    return {next(places): rng.choice(crowd.nodes[person]) for person, size in wanted for _ in range(size)}


def _fill(db: sqlite3.Connection, crowd: Crowd) -> None:
    pairs = [(TENANT, node, 0, person) for person, nodes in crowd.nodes.items() for node in nodes]
    db.executemany(_ADD_SPAN, pairs)
    persons = [(TENANT, person, _BEGAN, 1) for person in crowd.nodes]
    db.executemany(_ADD_PERSON, persons)


def _rows(owners: dict[int, int], count: int) -> Iterator[tuple[Any, ...]]:
    body, others = random.Random(7).randbytes(180), max(1, count // 40)
    for number in range(count):
        at, node = _BEGAN + number * 1_000_000, owners.get(number, 1 + number * 7919 % others)
        key = f"msg:{number:019d}"
        head = (TENANT, 10**9 + number, 1, key, 1, "message.text", "in")
        yield *head, at, number, _SAID, body, node, node, number, at


async def _pages(db: Database, persons: list[int]) -> list[float]:
    """Seconds a page takes, from the person's id to the rows, each in a snapshot of its own."""
    times = []
    for number in range(_ROUNDS * len(persons)):
        began = perf_counter()
        async with db.read(TENANT) as conn:
            spans = await identity.intervals(conn, persons[number % len(persons)])
            await events.page(conn, spans, before=None, limit=PAGE)
        times.append(perf_counter() - began)
    return times


def _raw_pages(path: Path, persons: list[int]) -> list[float]:
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
    spans = db.execute(_NODES_SQL, (TENANT, person_id)).fetchall()
    parts = " UNION ".join([_ONE_NODE] * len(spans))
    asked = [value for node, begin, _ in spans for value in (TENANT, node, begin, PAGE)]
    newest = f"SELECT event_id FROM ({parts}) ORDER BY at DESC, seq DESC, event_id DESC LIMIT ?"
    sql = (
        f"SELECT {_READ} FROM event e WHERE e.tenant_id = ? AND e.event_id IN ({newest}) "
        "ORDER BY e.at DESC, e.seq DESC, e.event_id DESC"
    )
    return db.execute(sql, (TENANT, *asked, PAGE)).fetchall()
