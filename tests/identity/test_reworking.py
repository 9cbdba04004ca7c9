"""Bulk works: what fits is counted by rule, what one work took back is found again, a trial adds up once."""

from __future__ import annotations

from scrm.contract import Handle
from scrm.db import Conn, Database
from scrm.identity import decisions, service, store
from scrm.identity.decisions import Actor, Which
from scrm.identity.reworking import Found, mark, which_of
from scrm.identity.service import Sighting
from scrm.identity.store import reverting
from scrm.identity.store.log import Deed
from scrm.seal import new_id
from tests.ground import NOW, handle, later

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
