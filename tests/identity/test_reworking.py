"""Bulk works: what fits is counted by rule, what one work took back is found again, a trial adds up once."""

from __future__ import annotations

from typing import Any

import pytest

from scrm import shapes
from scrm.contract import Handle, Link
from scrm.db import Conn, Database
from scrm.identity import decisions, policies, rebuild, service, store, versions
from scrm.identity.decisions import Actor, Which
from scrm.identity.reworking import Found, kind_of, mark, which_of
from scrm.identity.service import Sighting
from scrm.identity.store import reverting
from scrm.identity.store.log import Deed
from scrm.seal import new_id
from scrm.settings import shipped
from tests.ground import NOW, handle, later
from tests.identity import oracle

REP, OTHER = Actor(origin="rep", staff_id=7), Actor(origin="admin", staff_id=8)


async def node(conn: Conn, one: Handle) -> int:
    sight = Sighting(event_id=(ident := new_id()), at=NOW, key=f"k{ident}", handles=(one,))
    await service.resolve(conn, [sight], NOW)
    found = await service.find(conn, one)
    assert found is not None
    return found


async def linked(conn: Conn) -> list[int]:
    """Three of one person by the rep's word, and one kept apart by somebody else's."""
    ids = [await node(conn, handle(name, kind="web_visitor")) for name in ("a", "b", "c", "d")]
    for n in ids[1:3]:
        await decisions.link(conn, ids[0], n, by=REP, why="一个人", now=NOW)
    await decisions.apart(conn, ids[0], ids[3], by=OTHER, why="不是", now=later(60))
    return ids


async def test_what_fits_is_counted_by_rule(database: Database) -> None:
    async with database.begin(1) as conn:
        ids = await linked(conn)

        async def count(**which: object) -> dict[str, int]:
            return await reverting.counted(conn, Which(**which), limit=100)  # type: ignore[arg-type]

        assert await count(actor_id=7) == {"human.link": 2}
        assert await count(actor_id=8) == {"human.apart": 1}
        assert await count(since=NOW) == {"human.apart": 1, "human.link": 2}
        assert await count(until=NOW) == {}
        assert await count(rule="human.link", actor_id=8) == {}
        assert sum((await reverting.counted(conn, Which(actor_id=7), limit=1)).values()) == 1
        assert await reverting.rules(conn) == ["human.apart", "human.link"]
        assert await reverting.nodes(conn) == len(ids)


async def test_exactly_what_one_work_took_back_is_given_back(database: Database) -> None:
    async with database.begin(1) as conn:
        ids = await linked(conn)
        first = await decisions.revert(conn, Which(actor_id=7), by=OTHER, why=f"错 {mark(26)}", now=later(90))
        await decisions.revert(conn, Which(actor_id=8), by=OTHER, why=f"错 {mark(27)}", now=later(90))

        mine = await reverting.taken_back(conn, mark(26), limit=10)
        assert mine == sorted(first.evidence_ids)
        assert await reverting.taken_back(conn, mark(2), limit=10) == []
        await decisions.reinstate(conn, mine, by=OTHER, why="撤销", now=later(99))

        assert await reverting.taken_back(conn, mark(26), limit=10) == []
        owners = await store.persons_of(conn, ids[:3])
        assert len(set(owners.values())) == 1


def test_a_change_told_by_two_pieces_counts_once_also_after_a_stop() -> None:
    merge = Deed(op="merge", body={"before": {"1": [1], "2": [2]}, "after": {"1": [1, 2]}})
    held = Deed(op="hold", body={"why": "conflict"}, evidence_id=4)
    found = Found()
    found.take([merge, held])

    found = Found.of(found.place)
    found.take([merge, Deed(op="generic_on", body={"node": 9})])

    assert dict(found.counts) == {"merge": 1, "hold": 1, "generic_on": 1}
    assert found.examples == [("merge", [[1], [2]]), ("generic_on", [[9]])]


def test_what_a_work_is_asked_for_survives_its_payload() -> None:
    said = {
        "rule": "r",
        "rule_version": None,
        "batch": "",
        "actor_id": 7,
        "since": NOW.isoformat(),
        "until": "",
    }

    which = which_of({"which": {**said, "until": None}})

    assert which == Which(rule="r", actor_id=7, since=NOW)


# -- households of a trial ---------------------------------------------------------------------------------
def ties(a: str, b: str) -> Link:
    return Link(a=handle(a), b=handle(b), rule="order.payer", kind="same_household", strength=80)


async def said(conn: Conn, *links: Link) -> None:
    for one in links:
        sight = Sighting(
            event_id=(ident := new_id()), at=NOW, key=f"k{ident}", handles=(one.a, one.b), links=(one,)
        )
        await service.resolve(conn, [sight], NOW)


def written(**changes: object) -> dict[str, Any]:
    """The policy that ships, changed."""
    return {**shapes.read_yaml(shipped("config") / "identity.yaml"), **changes}


async def tried(conn: Conn, data: dict[str, Any], *, limit: int) -> Found:
    """As the work does it: piece by piece, remembered in between."""
    policy, found, over = policies.parse(data, where="trial"), Found(), False
    while not over:
        piece = await rebuild.some(
            conn, after=found.after, policy=policy, write=False, now=later(9), limit=limit
        )
        found.after, over = piece.last, piece.over
        found.take(piece.deeds)
        found = Found.of(found.place)
    return found


async def homes(conn: Conn) -> set[frozenset[int]]:
    people = await store.page(conn, before=None, limit=100)
    of = await store.households_of(conn, people)
    return {frozenset(p for p in people if of.get(p) == h) for h in of.values()}


@pytest.mark.parametrize("limit", [100, 3])
async def test_a_trial_tells_households_that_would_split_and_writes_nothing(
    database: Database, limit: int
) -> None:
    async with database.begin(1) as conn:
        await said(conn, ties("mother", "father"), ties("father", "child"), ties("child", "grandma"))
        await said(conn, ties("ben", "eva"))
        whole, before = await oracle.fingerprint(conn), await homes(conn)
        nothing = await tried(conn, written(), limit=limit)
        found = await tried(conn, written(household_cap=2), limit=limit)
        untouched = await oracle.fingerprint(conn)
        await versions.adopt(conn, written(household_cap=2), by=None, note="", now=NOW)
        await rebuild.some(conn, now=later(9))
        after = await homes(conn)
        back = await tried(conn, written(), limit=limit)

    assert untouched == whole
    assert dict(nothing.counts) == {}
    assert {len(h) for h in before} == {4, 2}
    assert {len(h) for h in after} == {2}
    assert {op: n for op, n in found.counts.items() if op.startswith("home")} == {"home_split": 1}
    assert {op: n for op, n in back.counts.items() if op.startswith("home")} == {"home_merge": 1}
    (sides,) = [sides for op, sides in found.examples if op == "home_split"]
    assert {frozenset(side) for side in sides} <= after


async def test_a_person_who_would_join_another_brings_their_family(database: Database) -> None:
    number = handle("+8613912345678", kind="phone", scope="e164")
    visitor = handle("ben", kind="web_visitor")
    kinds = dict(written()["kinds"])
    kinds["phone"] = {**kinds["phone"], "blocked": [".*"]}
    async with database.begin(1) as conn:
        await versions.adopt(conn, written(kinds=kinds), by=None, note="", now=NOW)
        await said(conn, ties("anna", "mother"))
        await said(conn, Link(a=visitor, b=handle("father"), rule="order.payer", kind="same_household"))
        for who in (handle("anna"), visitor):
            await said(conn, Link(a=who, b=number, rule="app_phone", strength=75))
        apart = await homes(conn)
        found = await tried(conn, written(), limit=100)
        same = await tried(conn, written(kinds=kinds), limit=100)

    assert len(apart) == 2
    assert dict(same.counts) == {}
    assert found.counts["merge"] == 1
    assert found.counts["home_merge"] == 1
    assert not found.counts["home_split"]


def test_what_a_household_change_is_called() -> None:
    def called(before: dict[str, list[int]], after: dict[str, list[int]]) -> str:
        return kind_of(Deed(op="household", body={"before": before, "after": after}))

    assert called({"1": [1, 2], "3": [3]}, {"1": [1, 2, 3]}) == "home_merge"
    assert called({"1": [1, 2, 3]}, {"1": [1, 2], "3": [3]}) == "home_split"
    assert called({"1": [1, 2], "3": [3, 4]}, {"1": [1], "3": [2, 3, 4]}) == "home_move"
    assert called({"1": [1, 2]}, {"2": [2, 1]}) == ""  # the same people under another number
    assert called({"1": [1, 2, 3]}, {"1": [1, 3]}) == ""  # two of them were one person
    assert called({"1": [1, 2]}, {"1": [1, 2, 9]}) == ""  # one of them was two persons
    assert kind_of(Deed(op="merge", body={})) == "merge"
