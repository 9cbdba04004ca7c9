"""The SQL engine says what the engine in memory says, whatever is said to it and in whatever order.

Each case is five histories in one tenant; 100 cases of each property, on both engines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from scrm.contract import Envelope
from scrm.db import Conn, Database
from scrm.errors import BadInput
from scrm.identity import decisions, service, versions
from scrm.identity import store as persons
from scrm.identity.decisions import Actor, Outcome, Which
from scrm.identity.rules import Address, address, solving
from scrm.identity.rules.memory import Engine
from scrm.identity.store import evidence
from scrm.schema import event, person
from scrm.timeline.store import events
from tests.ground import entry, settle
from tests.identity import oracle, worlds
from tests.identity.worlds import FEW, LATER, MANY, PEOPLE, WORLDS, Story, stories

tenants = count(20_000)
ONE, OTHER = Actor(origin="rep", staff_id=7), Actor(origin="admin", staff_id=8)
#: 5 histories a case, 500 in all. What fails is told as it is found: to shrink it takes too long.
Cases = settings(
    max_examples=500 // WORLDS,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)


# -- acts --------------------------------------------------------------------------------------------------
async def pour(conn: Conn, log: Story, data: st.DataObject) -> None:
    """In any order, in any batches."""
    rest = list(data.draw(st.permutations(log)))
    while rest:
        size = data.draw(st.integers(len(rest) // 4 + 1, len(rest)))
        await service.resolve(conn, rest[:size], LATER)
        rest = rest[size:]


async def both(conn: Conn, log: Story) -> Engine:
    policy = await versions.current(conn)
    engine = Engine(policy)
    oracle.tell(engine, policy, log, LATER)
    return engine


async def same(conn: Conn, engine: Engine) -> None:
    assert await oracle.state_in(conn) == oracle.state_of(engine, engine.policy)
    await worlds.invariants(conn, engine.policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What a human says of two identifiers of one world."""

    a: Address
    b: Address
    cls: str
    at: datetime


@st.composite
def words(
    draw: st.DrawFn, *, most: int = 2, classes: Sequence[str] = worlds.RULES, among: int = MANY
) -> list[Word]:
    """So many in every world, no two at the same time."""
    made: list[Word] = []
    for mine in PEOPLE:
        able = st.sampled_from([address(h) for h in mine[:among] if h.kind != "device"])
        for _ in range(draw(st.integers(0, most))):
            a, b = draw(able), draw(able)
            at = LATER + timedelta(seconds=len(made))
            made.append(Word(a=a, b=b, cls=draw(st.sampled_from(classes)), at=at))
    return made


async def say(conn: Conn, word: Word, nodes: Mapping[Address, int], *, by: Actor = ONE) -> Outcome | None:
    """None = not possible: nobody met one of them, or too many share it."""
    a, b = nodes.get(word.a), nodes.get(word.b)
    if a is None or b is None or a == b:
        return None
    verb: Any = decisions.link if word.cls.startswith("same") else decisions.apart
    try:
        done: Outcome = await verb(conn, a, b, by=by, why="test", now=word.at, cls=word.cls)
    except BadInput:
        return None
    return done


async def say_both(conn: Conn, engine: Engine, told: Sequence[Word]) -> None:
    nodes = await worlds.known(conn)
    for word in told:
        if await say(conn, word, nodes):
            oracle.decide(engine, word.a, word.b, word.cls, word.at)


# -- any order (I2, R6) ------------------------------------------------------------------------------------
@Cases
@given(log=stories(), data=st.data())
async def test_in_any_order_and_any_batches_it_says_what_the_engine_in_memory_says(
    database: Database, log: Story, data: st.DataObject
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
@Cases
@given(log=stories(), data=st.data())
async def test_so_it_does_where_identifiers_are_crowded(
    database: Database, log: Story, data: st.DataObject
) -> None:
    async with database.begin(next(tenants)) as conn:
        await pour(conn, log, data)

        await same(conn, await both(conn, log))


# -- humans (I9, R16) --------------------------------------------------------------------------------------
@pytest.mark.usefixtures("crowded")
@Cases
@given(
    log=stories(most=3, among=FEW),
    told=words(among=FEW),
    more=stories(most=6, since=1, among=FEW),
    data=st.data(),
)
async def test_what_a_human_said_of_an_identifier_is_heard_when_it_is_crowded_later(
    database: Database, log: Story, told: list[Word], more: Story, data: st.DataObject
) -> None:
    async with database.begin(next(tenants)) as conn:
        await pour(conn, log, data)
        engine = await both(conn, log)
        await say_both(conn, engine, told)
        await pour(conn, more, data)
        oracle.tell(engine, engine.policy, more, LATER)

        await same(conn, engine)


@Cases
@given(log=stories(most=6), told=words(), more=stories(most=4, since=1), data=st.data())
async def test_humans_are_heard_alike_and_no_rule_says_otherwise(
    database: Database, log: Story, told: list[Word], more: Story, data: st.DataObject
) -> None:
    async with database.begin(next(tenants)) as conn:
        await pour(conn, log, data)
        engine = await both(conn, log)
        await say_both(conn, engine, told)
        await same(conn, engine)
        await pour(conn, more, data)
        oracle.tell(engine, engine.policy, more, LATER)

        await same(conn, engine)


@Cases
@given(log=stories(most=6), told=words(), data=st.data())
async def test_all_that_one_of_us_said_is_taken_back_at_once_and_the_others_words_stay(
    database: Database, log: Story, told: list[Word], data: st.DataObject
) -> None:
    about = {(min(w.a, w.b), max(w.a, w.b), w.cls): w for w in told}  # what two say is the later's
    shares = [data.draw(st.booleans()) for _ in about]
    async with database.begin(next(tenants)) as conn:
        await pour(conn, log, data)
        engine, nodes = await both(conn, log), await worlds.known(conn)
        said = [
            (word, mine)
            for word, mine in zip(about.values(), shares, strict=True)
            if await say(conn, word, nodes, by=ONE if mine else OTHER)
        ]
        await decisions.revert(conn, Which(actor_id=ONE.staff_id), by=OTHER, why="test", now=LATER)
        for word, mine in said:
            if not mine:
                oracle.decide(engine, word.a, word.b, word.cls, word.at)

        await same(conn, engine)


@Cases
@given(log=stories(), told=words(classes=("same_household", "not_same_household")), data=st.data())
async def test_what_is_said_of_families_moves_no_identifier(
    database: Database, log: Story, told: list[Word], data: st.DataObject
) -> None:
    async with database.begin(next(tenants)) as conn:
        await pour(conn, log, data)
        before, nodes = (await oracle.state_in(conn))["spans"], await worlds.known(conn)
        for word in told:
            await say(conn, word, nodes)

        assert (await oracle.state_in(conn))["spans"] == before


# -- taken back (I3, I5, R2, R15) --------------------------------------------------------------------------
@Cases
@given(log=stories(most=6), data=st.data())
async def test_what_is_retracted_never_was(database: Database, log: Story, data: st.DataObject) -> None:
    async with database.begin(next(tenants)) as conn:
        await pour(conn, log, data)
        engine = await both(conn, log)
        before = await oracle.fingerprint(conn)
        rows = await evidence.found(conn, Which(since=LATER - timedelta(days=900)), limit=200)
        some = st.lists(st.sampled_from(rows), max_size=8, unique_by=lambda e: e.evidence_id)
        gone = data.draw(some) if rows else []
        names = {n: oracle.node_in(engine, a) for a, n in (await worlds.known(conn)).items()}
        done = await decisions.withdraw(conn, [e.evidence_id for e in gone], by=ONE, why="test", now=LATER)
        for e in gone:
            a, b = sorted((names[e.a], names[e.b]))
            engine.retract(engine._rows[a, b, e.cls, e.rule])  # noqa: SLF001 - by what it says
        await same(conn, engine)
        await decisions.reinstate(conn, done.evidence_ids, by=ONE, why="test", now=LATER)

        assert await oracle.fingerprint(conn) == before


async def live(conn: Conn, log: Story) -> None:
    """Through identity and onto the timeline, in two batches."""
    for half in (log[::2], log[1::2]):
        told = [
            entry(
                Envelope(
                    kind="message.text",
                    direction="in",
                    at=s.at,
                    handles=tuple(s.handles),
                    links=tuple(s.links),
                    text=s.key,
                ),
                s.key,
            )
            for s in half
        ]
        await settle(conn, *told, now=LATER)


async def told_of(conn: Conn) -> list[str]:
    """What the timelines of all persons hold together; who takes part together sees it together."""
    seen: list[str] = []
    everybody = sa.select(person.c.person_id).where(person.c.tenant_id == conn.tenant_id)
    for (person_id,) in await conn.rows(everybody.order_by(person.c.person_id)):
        spans = await persons.intervals(conn, person_id)
        mine = [e.text for e in await events.page(conn, spans, before=None, limit=200)]
        assert len(mine) == len(set(mine))
        seen += mine
    return sorted(seen)


async def rows(conn: Conn) -> list[tuple[object, ...]]:
    """The timeline as it is kept, to the byte."""
    found = await conn.rows(sa.select(event).where(event.c.tenant_id == conn.tenant_id))
    return sorted(tuple(r) for r in found)


@Cases
@given(
    log=stories(most=4),
    told=words(most=1, classes=("same_person", "same_household")),
    more=stories(most=4, since=1),
)
async def test_merged_lived_with_and_split_is_as_if_never_merged(
    database: Database, log: Story, told: list[Word], more: Story
) -> None:
    async with database.begin(next(tenants)) as conn:
        await live(conn, log)
        await live(conn, more)
        never, there = await oracle.fingerprint(conn), await told_of(conn)
    async with database.begin(next(tenants)) as conn:
        await live(conn, log)
        nodes = await worlds.known(conn)
        done = [d for word in told if (d := await say(conn, word, nodes))]
        await live(conn, more)
        merged, kept, counted = await told_of(conn), await rows(conn), await worlds.events_by_node(conn)
        ids = {i for d in done for i in d.evidence_ids}
        await decisions.withdraw(conn, ids, by=ONE, why="test", now=LATER)

        assert await oracle.fingerprint(conn) == never
        assert (await rows(conn), await worlds.events_by_node(conn)) == (kept, counted)
        assert await told_of(conn) == there
        assert set(merged) == set(there) == {s.key for s in (*log, *more)}
