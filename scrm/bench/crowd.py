"""Persons with a short history and persons with a long one among other people's events, on both engines."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from time import perf_counter
from typing import Any

import asyncpg

from scrm.app import TENANT
from scrm.bench.bound import plain
from scrm.bench.site import Site
from scrm.contract import Handle, Link
from scrm.db import Database, utcnow
from scrm.identity import service as identity
from scrm.identity import store as nodes
from scrm.identity.rules import address

#: Events of a person with a usual history, and of one with ten times as much.
SHORT, LONG = 200, 2_000
NODES = 5
#: Where loading takes longer it stops, but not below so many.
LEAST, LOAD_S = 500_000, 60.0
_PART = 50_000
_EVENT = (
    "tenant_id, event_id, account_id, source_key, version, kind, direction, at, seq, text, body, node_id, "
    "conversation_id, inbox_id, stored_at"
)
_COLUMNS = _EVENT.split(", ")
_LINKS = (
    "INSERT INTO event_node (tenant_id, node_id, at, seq, event_id, account_id, part, genre) "
    "SELECT tenant_id, node_id, at, seq, event_id, account_id, 'actor', "
    "CASE WHEN event_id % 50 = 0 THEN 'file' ELSE 'talk' END "
    "FROM event WHERE node_id IS NOT NULL ORDER BY tenant_id, node_id, at, seq, event_id"
)
_INDEXES_SQLITE = (
    "SELECT name, sql FROM sqlite_master WHERE tbl_name = 'event' AND type = 'index' AND sql != ''"
)
_INDEXES_POSTGRES = (
    "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'event' AND schemaname = 'public' "
    "AND indexname NOT IN (SELECT conname FROM pg_constraint) ORDER BY indexname"
)
#: Half of what is said is this; the rest is told apart by a few words, some of them rare.
_SAID = "老师您好，想问一下周末的课还有名额吗？"
_MORE = ("太贵了，能便宜点吗", "孩子三年级数学跟不上怎么办", "我再和孩子爸爸商量一下", "作业发一下")
#: One event in so many says this.
RARE, RARE_EVERY = "请问能开发票吗", 20_000
#: At so many microseconds the first event happened; the next ones a second apart.
_BEGAN = 1_700_000_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Who is measured: persons by the length of their history, and the nodes of each."""

    short: Sequence[int]
    long: Sequence[int]
    nodes: dict[int, list[int]]


async def gather(db: Database, size: int) -> Crowd:
    """`size` persons of each kind, known by five identifiers each."""
    now = utcnow()
    sightings = [_sighting(number, now) for number in range(2 * size)]
    async with db.begin(TENANT) as conn:
        made = (await identity.resolve(conn, sightings, now)).nodes
        mine = [[made[address(h)] for h in s.handles] for s in sightings]
        persons = await nodes.persons_of(conn, made.values())
    known = {persons[group[0]]: group for group in mine}
    everybody = list(known)
    return Crowd(short=everybody[:size], long=everybody[size:], nodes=known)


def handle(number: int, place: int) -> Handle:
    # Of which a person may have any number: two customers become one in the course of the measurement.
    return Handle(kind="email", scope="", value=f"crowd_{number}_{place}@example.com")


def _sighting(number: int, now: datetime) -> identity.Sighting:
    handles = [handle(number, place) for place in range(NODES)]
    links = [Link(a=handles[0], b=other, rule="bench") for other in handles[1:]]
    return identity.Sighting(event_id=0, at=now, key=f"bench:{number}", handles=handles, links=links)


async def load(place: Site, crowd: Crowd, count: int, *, exactly: bool) -> tuple[int, float]:
    """Fill the timeline in the order of time, so that one person's events lie far apart as they do in life.

    How many events, and the seconds it took: unless `exactly`, it stops early when a minute is not enough.
    """
    began = perf_counter()
    parts = _parts(crowd, count, began, exactly=exactly)
    if place.many:
        loaded = await _into_postgres(place.database, parts)
    else:
        loaded = await asyncio.to_thread(_into_sqlite, place, parts)
    return loaded, perf_counter() - began


def _parts(crowd: Crowd, count: int, began: float, *, exactly: bool) -> Iterator[list[tuple[Any, ...]]]:
    rows, loaded = _rows(_owners(crowd, count), count), 0
    while part := list(islice(rows, _PART)):
        yield part
        loaded += len(part)
        late = perf_counter() - began > LOAD_S / 2  # the other half is for sorting and indexes
        if late and loaded >= LEAST and not exactly:
            return


def _into_sqlite(place: Site, parts: Iterator[list[tuple[Any, ...]]]) -> int:
    loaded, marks = 0, ", ".join("?" * len(_COLUMNS))
    with closing(sqlite3.connect(place.settings.sqlite_path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA cache_size=-262144")
        indexes = db.execute(_INDEXES_SQLITE).fetchall()
        for name, _ in indexes:
            db.execute(f"DROP INDEX {name}")
        db.execute("BEGIN")
        for part in parts:
            db.executemany(f"INSERT INTO event ({_EVENT}) VALUES ({marks})", part)
            loaded += len(part)
        db.execute(_LINKS)
        for _, sql in indexes:
            db.execute(sql)
        db.execute("COMMIT")
        db.execute("ANALYZE")
    return loaded


async def _into_postgres(url: str, parts: Iterator[list[tuple[Any, ...]]]) -> int:
    loaded = 0
    raw = await asyncpg.connect(plain(url), timeout=10, command_timeout=300)
    try:
        async with raw.transaction():
            # COPY does not go through the wall between tenants; the owner may stand on top of it meanwhile.
            for table in ("event", "event_node"):
                await raw.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
            indexes = await raw.fetch(_INDEXES_POSTGRES)
            for index in indexes:
                await raw.execute(f"DROP INDEX {index['indexname']}")
            for part in parts:
                await raw.copy_records_to_table("event", records=part, columns=_COLUMNS)
                loaded += len(part)
            await raw.execute(_LINKS)
            for index in indexes:
                await raw.execute(index["indexdef"])
            for table in ("event", "event_node"):
                await raw.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        await raw.execute("VACUUM ANALYZE event, event_node, node, node_person, person")
    finally:
        await raw.close(timeout=10)
    return loaded


def _owners(crowd: Crowd, count: int) -> dict[int, int]:
    """Which event belongs to a measured node; everything else, three quarters at least, is other people's."""
    rng = random.Random(count)
    sizes = {**dict.fromkeys(crowd.short, SHORT), **dict.fromkeys(crowd.long, LONG)}
    share = min(1.0, count / 4 / sum(sizes.values()))
    wanted = [(person, max(1, int(size * share))) for person, size in sizes.items()]
    places = iter(rng.sample(range(count), sum(size for _, size in wanted)))
    return {next(places): rng.choice(crowd.nodes[person]) for person, size in wanted for _ in range(size)}


def _rows(owners: dict[int, int], count: int) -> Iterator[tuple[Any, ...]]:
    body, others = random.Random(7).randbytes(180), max(1, count // 40)
    for number in range(count):
        at, node = _BEGAN + number * 1_000_000, owners.get(number, 1 + number * 7919 % others)
        key = f"msg:{number:019d}"
        head = (TENANT, 10**9 + number, 1, key, 1, "message.text", "in")
        yield *head, at, number, _said(number), body, node, node, number, at


def _said(number: int) -> str:
    if number % RARE_EVERY == 7:
        return RARE
    return _SAID if number % 2 else _MORE[number // 2 % len(_MORE)]
