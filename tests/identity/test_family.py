"""One household is several persons: evidence of it joins nobody, and a family is never a whole town."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from scrm.contract import Handle, Link
from scrm.db import Conn, Database
from scrm.identity import service, store, versions
from scrm.identity.service import Sighting
from scrm.seal import new_id
from tests.ground import NOW, handle


def ties(a: Handle, b: Handle) -> Link:
    return Link(a=a, b=b, rule="order.payer", kind="same_household")


def are_one(a: Handle, b: Handle) -> Link:
    return Link(a=a, b=b, rule="wechat.unionid")


async def see(conn: Conn, *links: Link) -> None:
    sightings = [
        Sighting(event_id=(ident := new_id()), at=NOW, key=f"k{ident}", handles=(one.a, one.b), links=(one,))
        for one in links
    ]
    await service.resolve(conn, sightings, NOW)


async def family(conn: Conn, value: str) -> list[str]:
    """The family of whom this address belongs to, by one address of each."""
    persons = await service.family(conn, await person(conn, value))
    names = {p: h for n, p in (await store.nodes_of(conn, persons)).items() for h in [await named(conn, n)]}
    return [names[p] for p in persons]


async def person(conn: Conn, value: str, **more: str) -> int:
    node = await service.find(conn, handle(value, **more))
    assert node is not None
    (found,) = (await store.persons_of(conn, [node])).values()
    return found


async def named(conn: Conn, node_id: int) -> str:
    return (await store.handles(conn, [node_id]))[node_id].value


def line(*names: str) -> Sequence[Link]:
    return [ties(handle(a), handle(b)) for a, b in pairwise(names)]


async def test_evidence_of_one_household_joins_nobody(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ties(handle("mother"), handle("child")))

        assert await person(conn, "mother") != await person(conn, "child")
        assert await family(conn, "mother") == ["mother", "child"]
        assert await family(conn, "child") == ["child", "mother"]


async def test_a_person_alone_is_a_family_of_one(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ties(handle("a"), handle("b")))
        alone = Sighting(event_id=1, at=NOW, key="k", handles=(handle("eve"),), links=())
        await service.resolve(conn, [alone], NOW)

        assert await family(conn, "eve") == ["eve"]


async def test_a_family_is_the_same_whomever_one_asks(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, *line("a", "b", "c", "d", "e"))

        assert sorted(await family(conn, "a")) == ["a", "b", "c", "d", "e"]
        assert await family(conn, "c") == ["c", "a", "b", "d", "e"]
        home = await service.household(conn, await person(conn, "d"))
        assert home.household_id == await person(conn, "a")
        assert await service.household_now(conn, await person(conn, "e")) == home.household_id


async def test_all_addresses_of_a_person_tie_the_family(database: Database) -> None:
    app, wechat, father = handle("app", kind="app_user"), handle("wechat"), handle("father")
    async with database.begin(1) as conn:
        await see(conn, are_one(app, wechat), ties(wechat, father))
        persons = await service.family(conn, await person(conn, "app", kind="app_user"))

        assert persons == [await person(conn, "wechat"), await person(conn, "father")]
        assert await service.family(conn, await person(conn, "father")) == persons[::-1]


async def test_who_turns_out_to_be_the_same_person_is_in_the_family_once(database: Database) -> None:
    a, b, c = handle("a"), handle("b"), handle("c", kind="wechat_unionid")
    async with database.begin(1) as conn:
        await see(conn, ties(a, b), ties(a, c))
        assert len(await family(conn, "a")) == 3
        await see(conn, are_one(b, c))

        assert len(await service.family(conn, await person(conn, "a"))) == 2


async def test_a_telephone_that_a_whole_street_shares_makes_no_family_of_it(database: Database) -> None:
    shared = handle("shared")
    async with database.begin(1) as conn:
        await see(conn, *(ties(shared, handle(f"n{n:02}")) for n in range(30)))
        first = await family(conn, "shared")

        assert len(first) == (await versions.current(conn)).household_cap
        assert first == await family(conn, "shared")
        assert first[0] == "shared"
        assert await family(conn, "n29") == ["n29"]


async def test_a_family_of_one_tenant_is_not_anothers(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ties(handle("a"), handle("b")))
        theirs = await person(conn, "a")
    async with database.begin(2) as conn:
        await see(conn, are_one(handle("a"), handle("b", kind="wechat_unionid")))

        assert await service.family(conn, theirs) == [theirs]
        assert len(await service.family(conn, await person(conn, "a"))) == 1
