"""What is too much to be read says nothing by rules, is never read again, and does not drown a human."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from scrm.contract import Handle, Link
from scrm.db import Conn, Database
from scrm.identity import decisions, service, store
from scrm.identity.decisions import Actor
from scrm.identity.gathering import Sighting
from scrm.identity.rules.solving import DEGREE_CAP, DEGREE_MOST, KIN_CAP
from scrm.identity.store import log, standings
from scrm.seal import new_id
from tests.ground import NOW, handle, later

LATER = NOW + timedelta(days=900)
REP = Actor(origin="rep", staff_id=7)
ANNA, UNION = handle("anna"), handle("u", kind="wechat_unionid")
PHONE = handle("+8613912345678", kind="phone", scope="e164")


def openid(n: int) -> Handle:
    return handle(f"o{n:05}")


def same(a: Handle, b: Handle) -> Link:
    return Link(a=a, b=b, rule="test.same", strength=75)


def kin(a: Handle, b: Handle) -> Link:
    return Link(a=a, b=b, rule="statement", strength=75, kind="same_household")


async def see(conn: Conn, *links: Link, handles: Sequence[Handle] = ()) -> service.Resolved:
    told = [Sighting(event_id=new_id(), at=NOW, key=f"k{new_id()}", handles=(), links=[li]) for li in links]
    if handles:
        told.append(Sighting(event_id=new_id(), at=NOW, key=f"k{new_id()}", handles=handles))
    return await service.resolve(conn, told, LATER)


async def node(conn: Conn, one: Handle) -> int:
    found = await service.find(conn, one)
    assert found is not None
    return found


async def person(conn: Conn, one: Handle) -> int:
    return (await store.persons_of(conn, [await node(conn, one)]))[await node(conn, one)]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Pieces of evidence that each statement brought."""
    found: list[int] = []
    whole = store.evidence._touching  # noqa: SLF001 - counted, not replaced

    async def counted(conn: Conn, stmt: object, node_ids: set[int]) -> list[object]:
        edges = await whole(conn, stmt, node_ids)
        found.append(len(edges))
        return list(edges)

    monkeypatch.setattr(store.evidence, "_touching", counted)
    return found


async def test_what_a_human_said_of_a_telephone_stands_when_hundreds_share_it_later(
    database: Database, read: list[int]
) -> None:
    async with database.begin(1) as conn:
        await see(conn, handles=[ANNA])
        await see(conn, handles=[PHONE])
        ends = await node(conn, ANNA), await node(conn, PHONE)
        await decisions.link(conn, *ends, by=REP, why="本人", now=later(9))
        await see(conn, *(same(openid(n), PHONE) for n in range(DEGREE_CAP + 8)))
        read.clear()
        await see(conn, same(openid(9999), PHONE))

        assert await person(conn, PHONE) == await person(conn, ANNA)
        assert await person(conn, openid(9999)) != await person(conn, ANNA)
        assert sum(read) <= DEGREE_CAP


async def test_an_account_with_more_evidence_than_anybody_has_ties_nothing_and_is_not_read(
    database: Database, read: list[int]
) -> None:
    async with database.begin(1) as conn:
        await see(conn, same(ANNA, UNION))
        assert await person(conn, ANNA) == await person(conn, UNION)
        await see(conn, *(same(openid(n), UNION) for n in range(DEGREE_MOST)))
        read.clear()
        await see(conn, same(openid(9999), UNION))
        edges = await store.evidence.near(conn, [await node(conn, openid(9999))])
        verdicts = await standings.standings(conn, [e.evidence_id for e in edges])

        assert await person(conn, ANNA) != await person(conn, UNION)
        assert [v.standing for v in verdicts.values()] == ["capped"]
        assert sum(read) <= DEGREE_CAP


async def test_a_name_in_hundreds_of_families_makes_none_but_by_a_humans_word(
    database: Database, read: list[int]
) -> None:
    async with database.begin(1) as conn:
        await see(conn, kin(ANNA, UNION))
        before = await service.family(conn, await person(conn, ANNA))
        await see(conn, *(kin(one, openid(n)) for n in range(KIN_CAP + 1) for one in (ANNA, PHONE)))
        alone = await service.family(conn, await person(conn, ANNA))
        ends = await node(conn, ANNA), await node(conn, PHONE)
        await decisions.link(conn, *ends, by=REP, why="夫妻", now=later(9), cls="same_household")
        told = await service.family(conn, await person(conn, ANNA))
        read.clear()
        await see(conn, kin(ANNA, openid(9999)))

        assert len(before) == 2
        assert alone == [await person(conn, ANNA)]
        assert told == [await person(conn, ANNA), await person(conn, PHONE)]
        assert await service.family(conn, await person(conn, ANNA)) == told
        assert sum(read) <= DEGREE_CAP


async def test_when_what_was_too_much_is_taken_back_the_rest_ties_again(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, kin(ANNA, UNION))
        await see(conn, *(kin(ANNA, openid(n)) for n in range(KIN_CAP)))
        mine = await store.evidence.kin_and_used(conn, [await node(conn, ANNA)])
        crowd = [e.evidence_id for e in mine if await node(conn, UNION) not in (e.a, e.b)]
        await decisions.withdraw(conn, crowd, by=REP, why="误导入", now=later(9))

        assert await service.family(conn, await person(conn, UNION)) == [
            await person(conn, UNION),
            await person(conn, ANNA),
        ]


async def test_a_login_on_hundreds_of_devices_owns_none_and_costs_no_more(
    database: Database, read: list[int]
) -> None:
    async with database.begin(1) as conn:
        for n in range(KIN_CAP + 1):
            await see(conn, handles=[ANNA, handle(f"d{n}", kind="device", scope="")])
        read.clear()
        await see(conn, handles=[ANNA, handle("d9999", kind="device", scope="")])

        owners = {await person(conn, handle(f"d{n}", kind="device", scope="")) for n in (0, 5, 9999)}
        assert len(owners | {await person(conn, ANNA)}) == 4
        assert sum(read) <= DEGREE_CAP


async def test_persons_founded_together_have_their_row_in_the_log(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, same(ANNA, UNION), handles=[PHONE])
        rows = await log.page(conn, limit=10)
        both = sorted([await node(conn, ANNA), await node(conn, UNION)])

        assert [(r.op, r.body["before"], r.body["after"]) for r in rows] == [
            ("join", {}, {str(await person(conn, ANNA)): both})
        ]
