"""The SQL engine says what the engine in memory says, whatever is said to it and in whatever order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scrm.contract import Handle, Link
from scrm.db import Conn, Database
from scrm.errors import BadInput
from scrm.identity import decisions, service, versions
from scrm.identity.decisions import Actor
from scrm.identity.gathering import Sighting
from scrm.identity.rules import address, solving
from scrm.identity.rules.memory import Engine
from scrm.identity.rules.reading import Ident
from scrm.identity.store import evidence
from tests.ground import NOW, handle
from tests.identity import oracle

tenants = count(20_000)
#: Both engines run the same statements elsewhere; here the cases count.
ENGINES = ["sqlite"]
REP = Actor(origin="rep", staff_id=7)
HANDLES = [
    *(handle(f"o{n}") for n in range(3)),
    *(handle(f"u{n}", kind="wechat_unionid") for n in range(2)),
    *(handle(f"+86139123456{n:02}", kind="phone", scope="e164") for n in range(3)),
    *(handle(f"a{n}", kind="app_user", scope="app") for n in range(2)),
    handle("w0", kind="wecom_external", scope="corp"),
    handle("l0", kind="learner", scope="app"),
    *(handle(f"d{n}", kind="device", scope="") for n in range(2)),
]
NAMES = ("", "", "", "王伟", "李娜", "王女士", "开心果")
indexes = st.integers(0, len(HANDLES) - 1)
Cases = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@st.composite
def sightings(draw: st.DrawFn) -> list[Sighting]:
    made = []
    for n in range(draw(st.integers(1, 12))):
        shown = [HANDLES[i] for i in draw(st.lists(indexes, min_size=1, max_size=2, unique=True))]
        name = draw(st.sampled_from(NAMES))
        first = Handle(kind=shown[0].kind, scope=shown[0].scope, value=shown[0].value, name=name)
        links = [_link(draw, first if a == 0 else HANDLES[a], HANDLES[b]) for a, b in _pairs(draw)]
        at = NOW + timedelta(
            days=draw(st.sampled_from((0, 0, 1, 40, 100, 101, 250))), seconds=draw(st.integers(0, 2))
        )
        rep = draw(st.sampled_from(("", "", "1", "2", "3", "4", "5", "6")))
        handles = [first, *shown[1:]]
        made.append(Sighting(event_id=n + 1, at=at, key=f"k{n}", handles=handles, links=links, rep=rep))
    return made


def _pairs(draw: st.DrawFn) -> list[tuple[int, int]]:
    return draw(st.lists(st.tuples(indexes, indexes), max_size=3))


def _link(draw: st.DrawFn, a: Handle, b: Handle) -> Link:
    family = draw(st.integers(0, 3)) == 0
    if family:
        return Link(a=a, b=b, rule="statement", strength=75, kind="same_household")
    strength = draw(st.sampled_from((100, 80, 60)))
    return Link(a=a, b=b, rule=f"r{strength}", strength=strength)


LATER = NOW + timedelta(days=400)


async def pour(conn: Conn, log: Sequence[Sighting], data: st.DataObject) -> None:
    """In any order, in any batches."""
    rest = list(data.draw(st.permutations(log)))
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        await service.resolve(conn, rest[:size], LATER)
        rest = rest[size:]


async def both(conn: Conn, log: Sequence[Sighting]) -> Engine:
    policy = await versions.current(conn)
    engine = Engine(policy)
    oracle.tell(engine, policy, log, LATER)
    return engine


async def same(conn: Conn, engine: Engine) -> None:
    assert await oracle.state_in(conn) == oracle.state_of(engine, engine.policy)


@settings(Cases, max_examples=200)
@given(log=sightings(), data=st.data())
async def test_in_any_order_and_any_batches_it_says_what_the_engine_in_memory_says(
    database: Database, log: list[Sighting], data: st.DataObject
) -> None:
    async with database.begin(next(tenants)) as conn:
        await pour(conn, log, data)

        await same(conn, await both(conn, log))


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three pieces of evidence are a crowd."""
    monkeypatch.setattr(solving, "DEGREE_CAP", 3)
    monkeypatch.setattr(solving, "DEGREE_MOST", 4)
    monkeypatch.setattr(solving, "KIN_CAP", 3)


@pytest.mark.usefixtures("crowded")
@settings(Cases, max_examples=100)
@given(log=sightings(), data=st.data())
async def test_so_it_does_where_identifiers_are_crowded(
    database: Database, log: list[Sighting], data: st.DataObject
) -> None:
    async with database.begin(next(tenants)) as conn:
        await pour(conn, log, data)

        await same(conn, await both(conn, log))


@pytest.mark.usefixtures("crowded")
@settings(Cases, max_examples=100)
@given(log=sightings(), data=st.data())
async def test_what_a_human_said_of_an_identifier_is_heard_when_it_is_crowded_later(
    database: Database, log: list[Sighting], data: st.DataObject
) -> None:
    async with database.begin(next(tenants)) as conn:
        early = data.draw(st.integers(1, len(log)))
        await pour(conn, log[:early], data)
        engine = await both(conn, log[:early])
        for n in range(data.draw(st.integers(1, 3))):
            await _decide(conn, engine, data, n)
        await pour(conn, log[early:], data)
        oracle.tell(engine, engine.policy, log[early:], LATER)

        await same(conn, engine)


async def _decide(conn: Conn, engine: Engine, data: st.DataObject, n: int) -> None:
    known = [h for h in HANDLES if h.kind != "device" and await service.find(conn, h) is not None]
    if not known:
        return
    a, b = data.draw(st.sampled_from(known)), data.draw(st.sampled_from(known))
    nodes = [await service.find(conn, h) or 0 for h in (a, b)]
    if nodes[0] == nodes[1]:
        return
    cls = data.draw(st.sampled_from(tuple(decisions.RULES)))
    at = LATER + timedelta(seconds=n)
    verb: Any = decisions.link if cls.startswith("same") else decisions.apart
    try:
        await verb(conn, nodes[0], nodes[1], by=REP, why="test", now=at, cls=cls)
    except BadInput:
        return  # too many share one of them
    oracle.decide(engine, address(a), address(b), cls, at)


@settings(Cases, max_examples=100)
@given(log=sightings(), data=st.data())
async def test_humans_are_heard_alike(database: Database, log: list[Sighting], data: st.DataObject) -> None:
    async with database.begin(next(tenants)) as conn:
        await pour(conn, log, data)
        engine = await both(conn, log)
        for n in range(data.draw(st.integers(1, 4))):
            await _decide(conn, engine, data, n)
            await same(conn, engine)


@settings(Cases, max_examples=100)
@given(log=sightings(), data=st.data())
async def test_what_is_retracted_never_was(
    database: Database, log: list[Sighting], data: st.DataObject
) -> None:
    async with database.begin(next(tenants)) as conn:
        await pour(conn, log, data)
        engine = await both(conn, log)
        before = await oracle.fingerprint(conn)
        rows = await evidence.found(conn, evidence.Which(since=NOW - timedelta(days=1)), limit=100)
        gone = (
            data.draw(st.lists(st.sampled_from(rows), max_size=3, unique_by=lambda e: e.evidence_id))
            if rows
            else []
        )
        names = {
            n: engine.node(Ident(h.kind, h.scope, h.value))
            for h in HANDLES
            if (n := await service.find(conn, h))
        }
        done = await decisions.withdraw(conn, [e.evidence_id for e in gone], by=REP, why="test", now=LATER)
        for e in gone:
            a, b = sorted((names[e.a] or 0, names[e.b] or 0))
            engine.retract(engine._rows[a, b, e.cls, e.rule])  # noqa: SLF001 - by what it says
        await same(conn, engine)
        await decisions.reinstate(conn, done.evidence_ids, by=REP, why="test", now=LATER)

        assert await oracle.fingerprint(conn) == before
