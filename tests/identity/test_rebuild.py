"""Everything derived again at once: the rows that the online engine left, from whatever they are in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from scrm.bench.identity import cases, chances
from scrm.bench.identity.generate import generate
from scrm.contract import Handle, Link
from scrm.db import Conn, Database
from scrm.identity import rebuild, service, store
from scrm.identity.gathering import Sighting
from scrm.identity.rules.reading import Ident, Reader
from scrm.schema import evidence_state, household_member, node, node_person, person
from tests.ground import NOW, handle, later

TABLES = (node_person, person, household_member, evidence_state)
MONDAY = NOW + timedelta(days=4000)


def sightings(households: int) -> list[Sighting]:
    """A generated town, as a connector would tell of it."""
    reader, made = Reader(cases.policy()), []
    for number, event in enumerate(
        generate(7, households=households, dirt=3.0, shape=chances.shape(7, "")).events, 1
    ):
        reading = reader.read(event)
        links = [
            *(_link(a, b, rule, strength) for a, b, rule, strength in reading.persons),
            *(_link(a, b, rule, strength, "same_household") for a, b, rule, strength in reading.families),
        ]
        shown = [*reading.actors, *reading.weak, *([reading.account] if reading.account else [])]
        first, *rest = [_handle(i) for i in shown] or [handle("nobody")]
        named = Handle(kind=first.kind, scope=first.scope, value=first.value, name=event.name)
        made.append(
            Sighting(
                event_id=number, at=event.at, key=event.id, handles=(named, *rest), links=links, rep=event.rep
            )
        )
    return made


def _handle(ident: Ident) -> Handle:
    return Handle(kind=ident.kind, scope=ident.scope, value=ident.value)


def _link(a: Ident, b: Ident, rule: str, strength: int, kind: Any = "same_person") -> Link:
    return Link(a=_handle(a), b=_handle(b), rule=rule, strength=strength, kind=kind)


async def told(conn: Conn, seen: Sequence[Sighting], batch: int) -> None:
    for start in range(0, len(seen), batch):
        await service.resolve(conn, seen[start : start + batch], MONDAY)


async def rows(conn: Conn) -> dict[str, set[tuple[Any, ...]]]:
    """All that is projected, but for how often it was written."""
    found = {}
    for t in TABLES:
        wanted = [c for c in t.c if c.name != "version"]
        found[t.name] = {tuple(r) for r in await conn.rows(sa.select(*wanted))}
    states = await conn.rows(sa.select(node.c.node_id, node.c.state, node.c.degree, node.c.kin))
    return {**found, "node": {tuple(r) for r in states}}


async def test_a_town_rebuilt_in_bulk_is_row_for_row_what_was_there(database: Database) -> None:
    async with database.begin(1) as conn:
        await told(conn, sightings(60), 97)
        whole = await rows(conn)
        pieces = await rebuild.plan(conn, limit=90)
        done = [await rebuild.these(conn, ids, now=MONDAY) for ids in pieces]
        assert not [deed for piece in done for deed in piece.deeds]
        assert await rows(conn) == whole

        for t in TABLES:
            await conn.run(sa.delete(t))
        for ids in pieces:
            await rebuild.these(conn, ids, now=MONDAY)

        assert await rows(conn) == whole


async def test_each_identifier_is_in_one_piece_and_whoever_belongs_together_in_the_same(
    database: Database,
) -> None:
    async with database.begin(1) as conn:
        await told(conn, sightings(40), 200)
        every = [r.node_id for r in await conn.rows(sa.select(node.c.node_id))]
        pieces = await rebuild.plan(conn, limit=50)
        owners = await store.persons_of(conn, every)

        assert sorted(n for ids in pieces for n in ids) == sorted(every)
        assert max(map(len, pieces)) <= 50
        where = {n: i for i, ids in enumerate(pieces) for n in ids}
        parted = {owners[n] for n in every if n in owners} - {
            p for p in owners.values() if len({where[n] for n, owner in owners.items() if owner == p}) == 1
        }
        assert len(parted) <= len(pieces)


async def test_a_device_shown_later_leaves_a_person_their_name_and_their_beginning(
    database: Database,
) -> None:
    anna = Handle(kind="wechat_openid", scope="app", value="anna", name="安娜")
    async with database.begin(1) as conn:
        await service.resolve(conn, [Sighting(event_id=1, at=NOW, key="e1", handles=[anna])], MONDAY)
        (before,) = await conn.rows(sa.select(person.c.person_id, person.c.first_at, person.c.name_node_id))
        shown = [anna, handle("pad", kind="device", scope="")]
        again = Sighting(event_id=2, at=later(86_400), key="e2", handles=shown)
        await service.resolve(conn, [again], MONDAY)

        (after,) = await conn.rows(sa.select(person.c.person_id, person.c.first_at, person.c.name_node_id))
        assert tuple(after) == tuple(before)


async def test_more_persons_than_are_looked_at_beside_one_find_their_families_in_one_batch(
    database: Database,
) -> None:
    def uses(who: str, day: int) -> list[Sighting]:
        return [
            Sighting(
                event_id=n,
                at=later(day * 86_400 + n),
                key=f"{who}{n:03}-{day}",
                handles=[handle(f"{who}{n}"), handle(f"pad{n}", kind="device", scope="")],
            )
            for n in range(520)
        ]

    async with database.begin(1) as conn:
        for who in ("a", "b"):
            await told(conn, [one for day in range(3) for one in uses(who, day)], 5000)

        # The pads of five hundred homes: in the second batch only one of each family shows themselves.
        assert len(await conn.rows(sa.select(household_member.c.person_id))) == 1040
