"""Who is who: whatever order events arrive in, the same identifiers are the same persons."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import count

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scrm.contract import Handle, Link
from scrm.db import Conn, Database
from scrm.identity import service, store
from scrm.identity.service import Sighting
from scrm.schema import evidence, node, node_person, person
from scrm.seal import new_id
from tests.ground import CASTLE, NOW, handle, later

tenants = count(5000)
ANNA, UNION, BEN = handle("anna"), handle("u-anna", kind="wechat_unionid"), handle("ben")

#: What a test compares: for each person, the founding address and every address.
Persons = dict[str, frozenset[str]]


def seen(*handles: Handle, at_s: float = 0, key: str = "", links: Sequence[Link] = ()) -> Sighting:
    ident = new_id()
    return Sighting(event_id=ident, at=later(at_s), key=key or f"k{ident}", handles=handles, links=links)


def same(a: Handle, b: Handle, rule: str = "wechat.unionid") -> Link:
    return Link(a=a, b=b, rule=rule)


async def persons(conn: Conn) -> Persons:
    n, np, t = node.c, node_person.c, conn.tenant_id
    rows = await conn.rows(
        sa.select(n.node_id, n.birth_id, np.person_id)
        .join(node_person, sa.and_(np.tenant_id == n.tenant_id, np.node_id == n.node_id))
        .where(n.tenant_id == t)
    )
    named = {
        i: f"{h.kind}/{h.value}" for i, h in (await store.handles(conn, [r.node_id for r in rows])).items()
    }
    founder = {r.birth_id: named[r.node_id] for r in rows}
    found: dict[str, set[str]] = {}
    for r in rows:
        found.setdefault(founder[r.person_id], set()).add(named[r.node_id])
    kept = {
        r.person_id for r in await conn.rows(sa.select(person.c.person_id).where(person.c.tenant_id == t))
    }
    assert kept == {r.person_id for r in rows}  # no person without nodes, no node without its person
    return {name: frozenset(members) for name, members in found.items()}


async def person_of(conn: Conn, one: Handle) -> int:
    node_id = await service.find(conn, one)
    assert node_id is not None
    return (await store.persons_of(conn, [node_id]))[node_id]


# -- examples ----------------------------------------------------------------------------------------------
async def test_the_same_address_is_the_same_person_and_another_is_another(database: Database) -> None:
    async with database.begin(1) as conn:
        first = await service.resolve(conn, [seen(ANNA), seen(BEN)], NOW)
        again = await service.resolve(conn, [seen(ANNA, at_s=9)], NOW)

        assert len(first.new) == 2
        assert again.new == frozenset()
        assert again.nodes[service.address(ANNA)] == first.nodes[service.address(ANNA)]
        assert len(await persons(conn)) == 2


@pytest.mark.parametrize("other", [handle("anna", scope="app2"), handle("anna", kind="wecom_external")])
async def test_an_address_is_its_kind_and_scope_too(database: Database, other: Handle) -> None:
    async with database.begin(1) as conn:
        await service.resolve(conn, [seen(ANNA), seen(other)], NOW)

        assert await person_of(conn, ANNA) != await person_of(conn, other)


async def test_a_verified_pair_is_one_person_and_both_old_ids_lead_there(database: Database) -> None:
    async with database.begin(1) as conn:
        await service.resolve(conn, [seen(ANNA), seen(UNION, at_s=5)], NOW)
        a, u = await person_of(conn, ANNA), await person_of(conn, UNION)
        joined = await service.resolve(conn, [seen(ANNA, at_s=9, links=[same(ANNA, UNION)])], NOW)

        assert a != u
        assert await person_of(conn, UNION) == await person_of(conn, ANNA) == a  # seen first
        assert [await store.person_now(conn, old) for old in (a, u, 1)] == [a, a, None]
        assert joined.changed == {a}
        assert len(await store.intervals(conn, a)) == 2
        assert await store.intervals(conn, u) == []


async def test_an_event_that_arrives_late_moves_the_person_to_the_one_seen_first(database: Database) -> None:
    async with database.begin(1) as conn:
        await service.resolve(
            conn, [seen(ANNA, at_s=10, links=[same(ANNA, UNION)]), seen(UNION, at_s=11)], NOW
        )
        before = await person_of(conn, ANNA)
        await service.resolve(conn, [seen(UNION, at_s=-10)], NOW)
        after = await person_of(conn, ANNA)

        assert await persons(conn) == {
            "wechat_unionid/u-anna": {"wechat_openid/anna", "wechat_unionid/u-anna"}
        }
        assert before != after
        assert await store.person_now(conn, before) == after


async def test_places_are_no_persons(database: Database) -> None:
    async with database.begin(1) as conn:
        resolved = await service.resolve(conn, [seen(ANNA, CASTLE)], NOW)

        place = resolved.nodes[service.address(CASTLE)]
        assert await store.persons_of(conn, [place]) == {}
        assert len(await persons(conn)) == 1


async def test_the_same_evidence_again_only_counts_up(database: Database) -> None:
    link = same(ANNA, UNION)
    async with database.begin(1) as conn:
        await service.resolve(conn, [seen(ANNA, links=[link])], NOW)
        await service.resolve(conn, [seen(ANNA, at_s=9, links=[same(UNION, ANNA)])], NOW)
        await service.resolve(conn, [seen(ANNA, at_s=-9, links=[link, same(ANNA, ANNA)])], NOW)
        rows = await conn.rows(sa.select(evidence.c.n, evidence.c.first_at, evidence.c.last_at))

        assert [tuple(r) for r in rows] == [(3, later(-9), later(9))]


async def test_every_link_of_a_person_is_explained_by_evidence(database: Database) -> None:
    async with database.begin(1) as conn:
        sighting = seen(ANNA, links=[same(ANNA, UNION, "rule.a")])
        resolved = await service.resolve(conn, [sighting], NOW)
        (why,) = await store.evidence_of(conn, list(resolved.nodes.values()))

        assert {why.node_a, why.node_b} == set(resolved.nodes.values())
        assert (why.rule, why.strength, why.first_event_id) == ("rule.a", 100, sighting.event_id)


async def test_an_address_lies_sealed_and_comes_back_opened(database: Database) -> None:
    phone = handle("13800001234", kind="phone", name="安娜妈妈", avatar="http://a/1")
    async with database.begin(1) as conn:
        resolved = await service.resolve(conn, [seen(phone)], NOW)
        (node_id,) = resolved.nodes.values()
        (row,) = await conn.rows(sa.select(node.c.value, node.c.name, node.c.value_key))
        opened = (await store.handles(conn, [node_id]))[node_id]

    assert b"13800001234" not in row.value + row.value_key
    assert "安娜".encode() not in row.name
    assert (opened.value, opened.name, opened.avatar) == ("13800001234", "安娜妈妈", "http://a/1")


# -- names -------------------------------------------------------------------------------------------------
async def test_a_person_shows_the_name_of_the_best_source(database: Database) -> None:
    wecom = handle("wm1", kind="wecom_external", name="王女士（企微）")
    async with database.begin(1) as conn:
        await service.resolve(conn, [seen(handle("anna", name="小安"))], NOW)
        one = await person_of(conn, ANNA)
        assert (await store.shown(conn, [one]))[one].name == "小安"

        await service.resolve(conn, [seen(wecom, at_s=5, links=[same(wecom, ANNA)])], NOW)

        assert (await store.shown(conn, [one]))[one].name == "王女士（企微）"
        node_id = await service.find(conn, ANNA)
        assert await store.names(conn, [node_id or 0]) == {node_id: "王女士（企微）"}


async def test_a_new_name_replaces_the_old_and_no_name_leaves_it(database: Database) -> None:
    async with database.begin(1) as conn:
        await service.resolve(conn, [seen(handle("anna", name="小安"), at_s=1)], NOW)
        await service.resolve(
            conn, [seen(handle("anna", name="新"), at_s=3), seen(handle("anna", name="旧"), at_s=2)], NOW
        )
        changed = await service.resolve(
            conn, [seen(handle("anna", name="新"), at_s=4), seen(ANNA, at_s=5)], NOW
        )
        one = await person_of(conn, ANNA)

        assert (await store.shown(conn, [one]))[one].name == "新"
        assert changed.changed == frozenset()  # nothing to tell any screen


async def test_an_older_name_that_arrives_late_does_not_replace_the_newer(database: Database) -> None:
    async with database.begin(1) as conn:
        await service.resolve(conn, [seen(handle("anna", name="新"), at_s=1)], NOW)
        await service.resolve(conn, [seen(handle("anna", name="新"), at_s=9)], NOW)
        await service.resolve(conn, [seen(handle("anna", name="旧"), at_s=5)], NOW)
        one = await person_of(conn, ANNA)

        assert (await store.shown(conn, [one]))[one].name == "新"


async def test_a_person_nobody_named_has_no_name(database: Database) -> None:
    async with database.begin(1) as conn:
        await service.resolve(conn, [seen(ANNA)], NOW)
        one = await person_of(conn, ANNA)

        assert (await store.shown(conn, [one]))[one].name == ""
        assert await store.names(conn, [await service.find(conn, ANNA) or 0]) == {}


async def test_last_sight_never_goes_back_nor_ahead_of_now(database: Database) -> None:
    async with database.begin(1) as conn:
        for at_s in (0, 99 * 86400, -50):
            await service.resolve(conn, [seen(ANNA, at_s=at_s)], later(60))

        row = await conn.row(sa.select(node.c.first_at, node.c.last_at))
        assert row is not None
        assert (row.first_at, row.last_at) == (later(-50), later(60))


async def test_persons_page_without_gap_or_double(database: Database) -> None:
    async with database.begin(1) as conn:
        await service.resolve(conn, [seen(handle(f"p{n}")) for n in range(11)], NOW)
        shown, before = [], None
        while page := await store.page(conn, before=before, limit=4):
            shown += page
            before = page[-1]

        assert len(set(shown)) == len(shown) == 11


# -- properties --------------------------------------------------------------------------------------------
HANDLES = [
    handle(f"h{n}", kind=("wechat_openid", "wechat_unionid", "wecom_external")[n % 3]) for n in range(7)
]
indexes = st.integers(0, len(HANDLES) - 1)


@st.composite
def sightings(draw: st.DrawFn) -> list[Sighting]:
    made = []
    for n in range(draw(st.integers(1, 9))):
        shown = draw(st.lists(indexes, min_size=1, max_size=2))
        pairs = draw(st.lists(st.tuples(indexes, indexes), max_size=2))
        made.append(
            Sighting(
                event_id=n + 1,
                at=NOW + timedelta(seconds=draw(st.integers(0, 4))),  # several in the same second
                key=f"k{n}",
                handles=[HANDLES[i] for i in shown],
                links=[same(HANDLES[a], HANDLES[b]) for a, b in pairs],
            )
        )
    return made


Cases = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@Cases
@given(log=sightings(), data=st.data())
async def test_every_id_ever_given_leads_somewhere(
    database: Database, log: list[Sighting], data: st.DataObject
) -> None:
    async def there(conn: Conn) -> set[int]:
        which = sa.select(person.c.person_id).where(person.c.tenant_id == conn.tenant_id)
        return {r.person_id for r in await conn.rows(which)}

    async with database.begin(next(tenants)) as conn:
        ids: set[int] = set()
        rest = data.draw(st.permutations(log))
        while rest:
            size = data.draw(st.integers(1, len(rest)))
            await service.resolve(conn, rest[:size], NOW)
            rest = rest[size:]
            ids |= await there(conn)

        assert {await store.person_now(conn, old) for old in ids} <= await there(conn)
        assert await persons(conn)


@Cases
@given(log=sightings(), data=st.data())
async def test_events_delivered_again_change_nobody(
    database: Database, log: list[Sighting], data: st.DataObject
) -> None:
    async with database.begin(next(tenants)) as conn:
        await service.resolve(conn, log, NOW)
        once, who = {h.value: await person_of(conn, h) for s in log for h in s.handles}, await persons(conn)

        for s in data.draw(st.lists(st.sampled_from(log), max_size=6)):
            again = await service.resolve(conn, [s], NOW)
            assert again.new == frozenset()

        assert {h.value: await person_of(conn, h) for s in log for h in s.handles} == once
        assert await persons(conn) == who
