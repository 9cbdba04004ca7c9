"""What events do to identity: values that say nothing, crowds, devices, telephones that change hands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from scrm.contract import Handle, Link
from scrm.db import Conn, Database
from scrm.identity import service, store
from scrm.identity.gathering import Sighting
from scrm.identity.rules.solving import DEGREE_CAP
from scrm.identity.store import log, nodes
from scrm.seal import new_id
from tests.ground import NOW, handle

LATER = NOW + timedelta(days=900)


def openid(n: int) -> Handle:
    return handle(f"o{n:05}")


def phone(digits: str = "13912345678", **more: str) -> Handle:
    return handle(f"+86{digits}", kind="phone", scope="e164", **more)


def sight(*handles: Handle, day: float = 0, links: Sequence[Link] = (), key: str = "") -> Sighting:
    ident = new_id()
    at = NOW + timedelta(days=day)
    return Sighting(event_id=ident, at=at, key=key or f"k{ident}", handles=handles, links=links)


def same(a: Handle, b: Handle, strength: int = 75) -> Link:
    return Link(a=a, b=b, rule="test.same", strength=strength)


async def see(conn: Conn, *batch: Sighting) -> service.Resolved:
    return await service.resolve(conn, batch, LATER)


async def node(conn: Conn, one: Handle) -> int:
    found = await service.find(conn, one)
    assert found is not None
    return found


async def person(conn: Conn, one: Handle) -> int:
    return (await store.persons_of(conn, [await node(conn, one)]))[await node(conn, one)]


async def owner(conn: Conn, one: Handle, at: datetime) -> int:
    found = await node(conn, one)
    spans = (await store.persons.spans_of(conn, [found]))[found]
    return next(s.person_id for s in spans if s.covers(at))


async def test_a_value_that_says_nothing_keeps_its_event_and_links_nobody(database: Database) -> None:
    nobody = phone("13800138000")
    async with database.begin(1) as conn:
        done = await see(conn, sight(openid(1), links=[same(openid(1), nobody)]))
        await see(conn, sight(openid(2), links=[same(openid(2), nobody)]), sight(nobody, day=1))
        found = await person(conn, nobody)

        assert len({await person(conn, h) for h in (openid(1), openid(2), nobody)}) == 3
        assert done.nodes[service.address(nobody)] == await node(conn, nobody)
        assert [i.node_id for i in await store.intervals(conn, found)] == [await node(conn, nobody)]


async def test_a_telephone_of_many_releases_all_it_tied(database: Database) -> None:
    async with database.begin(1) as conn:
        for n in range(3):
            union = handle(f"u{n}", kind="wechat_unionid")
            await see(
                conn, sight(openid(n), day=n, links=[same(openid(n), phone()), same(openid(n), union, 100)])
            )
        assert await person(conn, openid(0)) == await person(conn, phone())
        await see(conn, sight(openid(3), day=3, links=[same(openid(3), phone())]))
        known = (await nodes.by_id(conn, [await node(conn, phone())]))[await node(conn, phone())]

        assert known.state == "generic"
        assert len({await person(conn, h) for h in (phone(), *(openid(n) for n in range(4)))}) == 5
        assert "generic_on" in {r.op for r in await log.page(conn, limit=50)}


async def test_a_hotline_of_thousands_costs_an_event_no_more_than_any_other(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    whole = store.evidence.near

    async def counted(conn: Conn, node_ids: set[int]) -> list[object]:
        found = await whole(conn, node_ids)
        read.append(len(found))
        return list(found)

    monkeypatch.setattr(store.evidence, "near", counted)
    async with database.begin(1) as conn:
        for start in range(0, 3000, 500):
            crowd = [sight(openid(n), links=[same(openid(n), phone())]) for n in range(start, start + 500)]
            await see(conn, *crowd)
        read.clear()
        await see(conn, sight(openid(9999), links=[same(openid(9999), phone())]))

        assert sum(read) <= DEGREE_CAP
        assert len(await store.intervals(conn, await person(conn, phone()))) == 1


async def test_a_device_is_theirs_who_alone_use_it(database: Database) -> None:
    tablet = handle("tablet", kind="device", scope="")
    async with database.begin(1) as conn:
        await see(conn, sight(tablet))
        alone = await person(conn, tablet)
        await see(conn, sight(openid(1), tablet, day=1))
        assert await person(conn, tablet) == await person(conn, openid(1))
        await see(conn, sight(openid(2), tablet, day=2))

        assert await person(conn, tablet) == alone
        assert alone not in {await person(conn, openid(1)), await person(conn, openid(2))}


async def test_a_tablet_that_two_of_a_home_share_ties_them(database: Database) -> None:
    tablet = handle("tablet", kind="device", scope="")
    async with database.begin(1) as conn:
        for n in range(6):
            await see(conn, sight(openid(n % 2), tablet, day=n))

        assert await service.family(conn, await person(conn, openid(0))) == [
            await person(conn, openid(0)),
            await person(conn, openid(1)),
        ]


def recycled(late: bool, n: int) -> list[Sighting]:
    """The old owner is silent for months; then somebody else shows the number."""
    number = phone(f"139123{n:05}")
    old, new = handle(f"old{n}", kind="wechat_unionid"), handle(f"new{n}", kind="wechat_unionid")
    told = [
        sight(old, number, key=f"{n}a", links=[same(old, number)]),
        sight(number, day=20, key=f"{n}b"),
        sight(number, day=150 + n % 40, key=f"{n}c"),
        sight(new, number, day=200, key=f"{n}d", links=[same(new, number)]),
    ]
    return [told[0], told[3], told[1], told[2]] if late and n % 4 else told


@pytest.mark.parametrize("late", [False, True])
async def test_a_number_that_changed_hands_is_two_persons_and_no_family(
    database: Database, late: bool
) -> None:
    async with database.begin(1) as conn:
        wrong, changed = 0, 0
        for n in range(25):
            for one in recycled(late, n):
                changed += len((await see(conn, one)).recycled)
            number = phone(f"139123{n:05}")
            old = await person(conn, handle(f"old{n}", kind="wechat_unionid"))
            new = await person(conn, handle(f"new{n}", kind="wechat_unionid"))
            wrong += await owner(conn, number, NOW + timedelta(days=20)) != old
            wrong += await owner(conn, number, NOW + timedelta(days=195)) != new
            wrong += await person(conn, number) != new or old == new
            wrong += len(await service.family(conn, new)) != 1

        assert wrong == 0
        assert changed >= 25
