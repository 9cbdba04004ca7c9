"""Two who decide about the same at once: one word counts, and the second is told or changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from scrm.db import Conn, Database
from scrm.errors import Conflict
from scrm.identity import decisions, proposals, service
from scrm.identity.decisions import Actor
from scrm.identity.gathering import Sighting
from scrm.identity.store import evidence, log
from scrm.seal import new_id
from tests.ground import NOW, handle, later, node_of

ONE, OTHER = Actor(origin="rep", staff_id=7), Actor(origin="rep", staff_id=8)
T = TypeVar("T")
Act = Callable[[Conn], Awaitable[T]]


async def met(database: Database) -> tuple[int, int]:
    async with database.begin(1) as conn:
        seen = [
            Sighting(event_id=(n := new_id()), at=NOW, key=f"k{n}", handles=(handle(who),))
            for who in ("anna", "ben")
        ]
        await service.resolve(conn, seen, NOW)
        return await node_of(conn, "anna"), await node_of(conn, "ben")


async def at_once(database: Database, first: Act[T], second: Act[T]) -> tuple[T, T]:
    """The second begins while the first is not yet written down."""

    async def alone() -> T:
        async with database.begin(1) as conn:
            return await second(conn)

    async with asyncio.timeout(30):
        async with database.begin(1) as conn:
            one = await first(conn)
            task = asyncio.create_task(alone())
            # Whoever does not wait is done by then: the worst case, not a gate.
            await asyncio.wait({task}, timeout=0.3)
        return one, await task


async def ops(database: Database) -> list[str]:
    async with database.read(1) as conn:
        return [one.op for one in await log.page(conn, after=0, limit=50)]


async def test_what_two_take_back_is_taken_back_once(database: Database) -> None:
    a, b = await met(database)
    async with database.begin(1) as conn:
        said = await decisions.link(conn, a, b, by=ONE, why="同一个人", now=later(1))

    def back(by: Actor) -> Act[decisions.Outcome]:
        return lambda conn: decisions.withdraw(conn, said.evidence_ids, by=by, why="看错", now=later(2))

    one, other = await at_once(database, back(ONE), back(OTHER))

    assert (one.evidence_ids, other.evidence_ids) == (said.evidence_ids, ())
    assert (await ops(database)).count("retract") == 1
    async with database.begin(1) as conn:
        put_back = await decisions.reinstate(conn, one.evidence_ids, by=ONE, why="没错", now=later(3))
        assert put_back.evidence_ids == said.evidence_ids


async def test_what_two_put_back_is_put_back_once(database: Database) -> None:
    a, b = await met(database)
    async with database.begin(1) as conn:
        said = await decisions.link(conn, a, b, by=ONE, why="同一个人", now=later(1))
        await decisions.withdraw(conn, said.evidence_ids, by=ONE, why="看错", now=later(2))

    def again(by: Actor) -> Act[decisions.Outcome]:
        return lambda conn: decisions.reinstate(conn, said.evidence_ids, by=by, why="没错", now=later(3))

    one, other = await at_once(database, again(ONE), again(OTHER))

    assert (one.evidence_ids, other.evidence_ids) == (said.evidence_ids, ())
    assert (await ops(database)).count("reinstate") == 1


async def proposed(database: Database) -> int:
    a, b = await met(database)
    async with database.begin(1) as conn:
        assert await proposals.suggest(conn, a, b, "same_person", ["同一个孩子"], source="model", now=NOW)
        (one,) = await proposals.queue(conn, now=NOW)
        return one.proposal_id


async def test_of_two_who_undo_a_decision_the_second_is_told(database: Database) -> None:
    ident = await proposed(database)
    async with database.begin(1) as conn:
        await proposals.accept(conn, ident, by=ONE, now=later(1))

    async def undo(conn: Conn) -> object:
        return await proposals.reopen(conn, ident, by=ONE, why="", now=later(2))

    with pytest.raises(Conflict, match="已经撤销"):
        await at_once(database, undo, undo)

    assert (await ops(database)).count("retract") == 1


async def test_an_undo_that_comes_late_takes_back_nothing_that_was_decided_since(database: Database) -> None:
    ident = await proposed(database)
    async with database.begin(1) as conn:
        await proposals.accept(conn, ident, by=ONE, now=later(1))

    async def undo_and_decide_again(conn: Conn) -> object:
        await proposals.reopen(conn, ident, by=ONE, why="", now=later(2))
        return await proposals.reject(conn, ident, by=OTHER, now=later(3))

    async def undo(conn: Conn) -> object:
        return await proposals.reopen(conn, ident, by=ONE, why="", now=later(4))

    # The later one finds a decision, the other's, and undoes that: the proposal and its evidence agree.
    await at_once(database, undo_and_decide_again, undo)

    async with database.read(1) as conn:
        (one,) = await proposals.queue(conn, now=later(5))
        assert one.state == "open"
        assert await evidence.found(conn, evidence.Which(actor_id=8), limit=5) == []


async def test_of_two_who_decide_one_proposal_the_second_is_told(database: Database) -> None:
    ident = await proposed(database)

    async def yes(conn: Conn) -> object:
        return await proposals.accept(conn, ident, by=ONE, now=later(1))

    async def no(conn: Conn) -> object:
        return await proposals.reject(conn, ident, by=OTHER, now=later(1))

    with pytest.raises(Conflict, match="别人处理"):
        await at_once(database, yes, no)

    assert (await ops(database)).count("unlink") == 0
