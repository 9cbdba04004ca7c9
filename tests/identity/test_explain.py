"""Why two are one, or are not: every link has its path, every refusal its reason, in plain sentences."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations, count, pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scrm.contract import Handle, Link
from scrm.db import Conn, Database
from scrm.errors import NotFound
from scrm.identity import rebuild
from scrm.identity import service as identity
from scrm.identity.erasing import erase
from scrm.identity.explain import catalogue, rules
from scrm.identity.explain import service as explain
from scrm.identity.explain.rules import Dot, Graph, Piece
from scrm.identity.explain.words import Known, Teller
from scrm.identity.policies import read
from scrm.identity.rules.memory import Engine
from scrm.identity.rules.reading import Ident, Relation, Seen
from scrm.schema import data_key, evidence, evidence_state, household_member, node, node_person
from scrm.seal import Vault, new_id
from scrm.staff import service as staff
from tests.ground import NOW, entry, handle, later, said, settle

POLICY = read(Path("config/identity.yaml"))
tenants = count(7000)
PHONE = handle("+8613912345678", kind="phone", scope="e164")
USER = handle("u1001", kind="app_user", scope="app", name="王女士")
UNION = handle("oUnionOfMotherWang", kind="wechat_unionid", scope="subject")
OTHER = handle("oUnionOfSomebodyElse", kind="wechat_unionid", scope="subject")


# -- the pure engine's histories -------------------------------------------------------------------------
_IDENTS = [
    *(Ident("phone", "", f"1391234567{n}") for n in range(4)),
    *(Ident("app_user", "app", f"u{n}") for n in range(4)),
    *(Ident("unionid", "s", f"un{n}") for n in range(4)),
    *(Ident("learner", "app", f"kid{n}") for n in range(2)),
    *(Ident("device", "", f"dev{n}") for n in range(2)),
]
_events = st.builds(
    lambda ids, target, days, type_, slot: (tuple(dict.fromkeys(ids)), target, days, type_, slot),
    st.lists(st.sampled_from(_IDENTS), min_size=1, max_size=3),
    st.none() | st.sampled_from(_IDENTS[:14]),
    st.integers(0, 400),
    st.sampled_from(["register", "mp_open", "wecom_add", "order", "statement", "class", "browse"]),
    st.sampled_from(["holder", "learner", "unknown"]),
)


def history(events: Sequence[Any]) -> Engine:
    engine = Engine(POLICY)
    for n, (ids, target, days, type_, slot) in enumerate(events):
        relations = (Relation("same_household", target),) if target else ()
        at = NOW + timedelta(days=days)
        engine.see([Seen(id=f"e{n:03}", at=at, type=type_, slot=slot, ids=ids, relations=relations)])
    return engine


def graph_of(engine: Engine) -> Graph:
    """What the tables would hold of it."""
    homes = engine.households()
    persons: dict[int, set[int]] = {}
    for node_id, spans in engine.spans.items():
        for span in spans:
            persons.setdefault(span.person_id, set()).add(node_id)
    verdicts = {**engine.verdicts, **homes.verdicts}
    pieces = []
    for ident, edge in engine.edges.items():
        verdict = verdicts.get(ident)
        pieces.append(
            Piece(
                evidence_id=ident,
                a=edge.a,
                b=edge.b,
                cls=edge.cls,
                rule=edge.rule,
                rule_version=1,
                strength=edge.strength,
                origin=edge.origin,
                first_event_id=ident,
                first_at=edge.first_at,
                last_at=edge.last_at,
                n=edge.n,
                standing=verdict.standing if verdict else "accepted",
                blocked_why=verdict.why if verdict else "",
                blocked_by=verdict.by if verdict else (),
            )
        )
    dots = {
        n: Dot(
            node_id=n,
            kind=v.kind,
            scope=v.scope,
            first_at=v.first_at,
            state="generic" if n in engine.generic else "active",
        )
        for n, v in engine.vertices.items()
    }
    return Graph(
        nodes=dots,
        persons={p: frozenset(nodes) for p, nodes in persons.items()},
        pieces=pieces,
        homes=dict(homes.of),
    )


@settings(max_examples=500, deadline=None)
@given(st.lists(_events, min_size=1, max_size=25))
def test_every_pair_of_a_person_and_of_a_household_has_a_path_of_cited_evidence(events: list[Any]) -> None:
    graph = graph_of(history(events))

    for person_id, nodes in graph.persons.items():
        steps = rules.within(graph, person_id)
        for a, b in combinations(sorted(nodes), 2):
            if "device" not in (graph.nodes[a].kind, graph.nodes[b].kind):
                found = rules.path(steps, [(a, person_id)], [(b, person_id)])
                assert found, (person_id, a, b)
                assert all(p.first_event_id and p.carries for p in found)
                _leads(found, a, b)
    homes: dict[int, list[int]] = {}
    for person_id, home in graph.homes.items():
        homes.setdefault(home, []).append(person_id)
    for members in homes.values():
        steps = rules.across(graph, members)
        for p, q in combinations(members, 2):
            roots, goals = [{(n, x) for n in graph.persons[x]} for x in (p, q)]
            found = rules.path(steps, roots, goals)
            assert found is not None, (p, q)
            assert all(piece.first_event_id and piece.carries for piece in found)


def _leads(pieces: Sequence[Piece], a: int, b: int) -> None:
    """It is a chain from one to the other."""
    at = a
    for piece in pieces:
        assert at in (piece.a, piece.b)
        at = piece.other(at)
    assert at == b


@settings(max_examples=300, deadline=None)
@given(st.lists(_events, min_size=2, max_size=25))
def test_two_persons_always_have_a_reason_why_they_are_two(events: list[Any]) -> None:
    graph = graph_of(history(events))
    exclusive = {k for k, kind in POLICY.kinds.items() if kind.exclusive}

    for p, q in list(combinations(sorted(graph.persons), 2))[:20]:
        found = rules.blocks(graph, graph.persons[p], graph.persons[q], exclusive=exclusive)
        assert found, (p, q)
        assert not any(b.piece is not None and b.reason == "conflict" and b.piece.carries for b in found)


@settings(max_examples=200, deadline=None)
@given(st.lists(_events, min_size=1, max_size=15), st.randoms())
def test_a_story_is_the_same_in_whatever_order_its_evidence_was_read(events: list[Any], any_: Any) -> None:
    graph = graph_of(history(events))
    shuffled = list(graph.pieces)
    any_.shuffle(shuffled)
    other = Graph(nodes=graph.nodes, persons=graph.persons, pieces=shuffled)

    for person_id in graph.persons:
        story = rules.story(graph, person_id)
        assert story == rules.story(other, person_id)
        assert [m.at for m in story] == sorted(m.at for m in story)


def test_without_its_only_evidence_there_is_no_path() -> None:
    graph = graph_of(history([((_IDENTS[0], _IDENTS[4]), None, 0, "register", "holder")]))
    (person_id,) = graph.persons
    bare = Graph(nodes=graph.nodes, persons=graph.persons, pieces=())

    assert rules.path(rules.within(graph, person_id), [(1, person_id)], [(2, person_id)])
    assert rules.path(rules.within(bare, person_id), [(1, person_id)], [(2, person_id)]) is None


# -- on the database ---------------------------------------------------------------------------------------
def one(a: Handle, b: Handle, rule: str, **more: Any) -> Link:
    return Link(a=a, b=b, rule=rule, **more)


async def see(conn: Conn, *links: Link, at: datetime = NOW) -> None:
    """Events that say so, on the timeline too."""
    ident = new_id()
    handles = tuple({(h.kind, h.value): h for link in links for h in (link.a, link.b)}.values())
    await settle(conn, entry(said(at=at, handles=handles, links=links), f"k{ident}"), now=NOW)


async def node_id(conn: Conn, h: Handle) -> int:
    found = await identity.find(conn, h)
    assert found is not None
    return found


async def person_id(conn: Conn, h: Handle) -> int:
    np = node_person.c
    which = (np.tenant_id == conn.tenant_id, np.node_id == await node_id(conn, h), np.until_at.is_(None))
    return int(await conn.scalar(sa.select(np.person_id).where(*which)))


async def add(conn: Conn, a: Handle, b: Handle, cls: str, rule: str, **more: Any) -> int:
    """A row of evidence as another part of identity would write it."""
    x, y = sorted((await node_id(conn, a), await node_id(conn, b)))
    row: dict[str, Any] = {"origin": "auto", "why": "", "strength": 60, "first_event_id": 0}
    row |= {"rule_version": 1, "n": 1, "key": "", "batch": "", "retracted_why": ""}
    row |= {"tenant_id": conn.tenant_id, "evidence_id": new_id(), "node_a": x, "node_b": y, "class": cls}
    row |= {"rule": rule, "first_at": NOW, "last_at": NOW, **more}
    await conn.insert(evidence, [row])
    return int(row["evidence_id"])


async def stands(conn: Conn, evidence_id: int, standing: str, why: str = "", by: Sequence[int] = ()) -> None:
    row = {"tenant_id": conn.tenant_id, "evidence_id": evidence_id, "standing": standing, "why": why}
    which = (evidence_state.c.tenant_id == conn.tenant_id, evidence_state.c.evidence_id == evidence_id)
    await conn.run(sa.delete(evidence_state).where(*which))
    await conn.insert(evidence_state, [row | {"by": json.dumps(list(by))}])


def teller(known: Known, **more: Any) -> Teller:
    usual: dict[str, Any] = {"masked": lambda v: f"{v[:3]}****{v[-4:]}" if len(v) > 8 else "****"}
    usual |= {"channel": lambda _account: "官网", "now": NOW}
    return Teller(known=known, **(usual | more))


async def test_a_pair_says_when_where_and_by_which_rule(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, one(USER, PHONE, "app_phone", strength=60))
        why = await explain.why(
            conn, explain.node(await node_id(conn, PHONE)), explain.node(await node_id(conn, USER))
        )

    assert why.tie == "person"
    assert [teller(why.known).piece(p) for p in why.steps] == [
        "手机 139****5678 是 会员号 ****（王女士） 在应用里登记的手机（3月2日，官网，规则：登记手机）"
    ]


async def test_the_shortest_chain_is_told_and_not_every_chain(database: Database) -> None:
    links = [
        one(USER, PHONE, "app_phone", strength=60),
        one(USER, UNION, "app_unionid", strength=85),
        one(UNION, PHONE, "order_phone", strength=60),
    ]
    async with database.begin(1) as conn:
        for n, link in enumerate(links):
            await see(conn, link, at=later(n))
        ends = [explain.node(await node_id(conn, h)) for h in (PHONE, UNION)]
        why = await explain.why(conn, *ends)
        whole = await explain.why(conn, explain.person(await person_id(conn, USER)))

    assert [p.rule for p in why.steps] == ["order_phone"]
    assert {p.rule for p in whole.steps} == {"app_phone", "app_unionid"}
    assert (whole.tie, why.tie) == ("person", "person")


async def test_two_different_unionids_are_the_reason(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, one(PHONE, UNION, "order_phone"))
        await see(conn, one(OTHER, OTHER, "vendor_api"))
        held = await add(conn, PHONE, OTHER, "same_person", "order_phone")
        clash = [await node_id(conn, UNION), await node_id(conn, OTHER)]
        await stands(conn, held, "held", "wechat_unionid", clash)
        sides = [explain.person(await person_id(conn, h)) for h in (UNION, OTHER)]
        why = await explain.why(conn, *sides)

    assert (why.tie, why.steps) == ("apart", ())
    assert teller(why.known).block(why.blocks[0]) == (
        "两个不同的微信（微信 oUn****Wang、微信 oUn****Else），所以没有合并"
    )


async def test_a_number_of_many_people_is_the_reason(database: Database) -> None:
    users = [handle(f"u{n}", kind="app_user", scope="app") for n in range(4)]
    async with database.begin(1) as conn:
        for user in users:
            await see(conn, one(user, user, "app_login"))
        await see(conn, one(PHONE, PHONE, "app_login"))
        for user in users:
            await stands(conn, await add(conn, user, PHONE, "same_person", "app_phone"), "generic", "phone")
        which = (node.c.tenant_id == 1, node.c.node_id == await node_id(conn, PHONE))
        await conn.run(sa.update(node).where(*which).values(state="generic"))
        why = await explain.why(conn, *[explain.person(await person_id(conn, u)) for u in users[:2]])

    assert why.tie == "apart"
    assert [b.reason for b in why.blocks] == ["generic", "exclusive"]
    assert teller(why.known).block(why.blocks[0]) == "手机 139****5678 有 4 个人用过，只作参考"


async def test_what_a_colleague_said_is_the_reason_with_name_and_day(database: Database) -> None:
    async with database.begin(1) as conn:
        who = await staff.add(conn, login="limin", name="李敏", role="rep", team="", now=NOW)
        await see(conn, one(USER, PHONE, "app_phone"))
        await see(conn, one(OTHER, OTHER, "vendor_api"))
        await add(
            conn,
            PHONE,
            OTHER,
            "not_same_person",
            "human.apart",
            origin="rep",
            actor_id=who,
            why="电话里说是她妹妹",
        )
        why = await explain.why(conn, *[explain.person(await person_id(conn, h)) for h in (USER, OTHER)])

    assert teller(why.known).block(why.blocks[0]) == "李敏 3月2日 说不是同一个人：电话里说是她妹妹"


async def test_a_number_that_changed_hands_says_so(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, one(USER, PHONE, "app_phone"))
        await see(conn, one(OTHER, OTHER, "vendor_api"))
        mother, other, phone = (
            await person_id(conn, USER),
            await person_id(conn, OTHER),
            await node_id(conn, PHONE),
        )
        which = (node_person.c.tenant_id == 1, node_person.c.node_id == phone)
        await conn.run(sa.update(node_person).where(*which).values(until_at=later(99)))
        later_row = {"tenant_id": 1, "node_id": phone, "from_at": later(99), "person_id": other}
        await conn.insert(node_person, [later_row])
        why = await explain.why(conn, explain.person(mother), explain.person(other))

    assert why.tie == "apart"
    assert teller(why.known).block(why.blocks[0]) == "手机 139****5678 换过主人，前后不是同一个人"


async def test_what_was_taken_back_is_told_and_nothing_is_said_to_be_nothing(database: Database) -> None:
    async with database.begin(1) as conn:
        for h in (USER, OTHER, PHONE):
            await see(conn, one(h, h, "app_login"))
        gone = await add(conn, USER, OTHER, "same_person", "app_unionid", retracted_at=NOW, retracted_by=0)
        why = await explain.why(conn, *[explain.person(await person_id(conn, h)) for h in (USER, OTHER)])
        none = await explain.why(conn, *[explain.person(await person_id(conn, h)) for h in (PHONE, OTHER)])

    reasons = [b.reason for b in why.blocks]
    assert "withdrawn" in reasons
    assert next(b for b in why.blocks if b.reason == "withdrawn").piece is not None
    assert gone
    assert [teller(none.known).block(b) for b in none.blocks] == ["没有共同的证据"]


async def test_a_household_is_told_by_what_ties_its_persons(database: Database) -> None:
    payer = handle("oUnionOfTheFather", kind="wechat_unionid", scope="subject", name="王先生")
    async with database.begin(1) as conn:
        await see(conn, one(USER, PHONE, "app_phone"))
        await see(conn, one(USER, payer, "order_payer", strength=80, kind="same_household"))
        mother, father = await person_id(conn, USER), await person_id(conn, payer)
        rows = [{"tenant_id": 1, "person_id": p, "household_id": mother} for p in (mother, father)]
        await conn.run(sa.delete(household_member).where(household_member.c.tenant_id == 1))
        await conn.insert(household_member, rows)
        why = await explain.why(conn, explain.person(mother), explain.person(father))
        whole = await explain.why(conn, explain.household(father))

    tell = teller(why.known)
    assert why.tie == "household"
    assert [tell.said(p) for p in why.steps] == ["会员号 ****（王女士） 替 王先生的微信 付了款"] or [
        tell.said(p) for p in why.steps
    ] == ["王先生的微信 替 会员号 ****（王女士） 付了款"]
    assert {p.rule for p in whole.steps} == {"app_phone", "order_payer"}
    assert set(whole.persons) == {mother, father}


async def test_two_families_with_accounts_are_told_to_be_two_though_one_word_ties_them(
    database: Database,
) -> None:
    hers, his = USER, handle("u2002", kind="app_user", scope="app", name="王先生")
    async with database.begin(1) as conn:
        for number, account in enumerate((hers, his)):
            child = handle(f"L{number}", kind="learner", scope="school")
            for day in (1, 2):
                await see(conn, one(account, child, "order_learner", kind="same_household"), at=later(day))
        await see(conn, one(hers, his, "order_payer", strength=80, kind="same_household"), at=later(9))
        homes = [explain.household(await person_id(conn, account)) for account in (hers, his)]
        why = await explain.why(conn, *homes)

    assert why.tie == "apart"
    assert [b.reason for b in why.blocks] == ["one_word"]
    assert teller(why.known).block(why.blocks[0]).endswith("只听说过一次，而两边各是一家人，所以没有并成一家")


async def test_how_replays_the_steps_in_order_of_time(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, one(UNION, PHONE, "order_phone"), at=later(9))
        await see(conn, one(USER, PHONE, "app_phone"), at=later(2))
        story = await explain.how(conn, await person_id(conn, USER))

    assert [m.what for m in story.moments] == ["seen", "seen", "joined", "seen", "joined"]
    assert [m.size for m in story.moments if m.what == "joined"] == [2, 3]
    assert (
        teller(story.known)
        .moment(story.moments[-1])
        .endswith("合成一个人，共 3 个标识（3月2日，官网，规则：订单手机）")
    )


async def test_of_somebody_erased_only_the_kind_is_told_and_the_graph_stays(
    database: Database, database_url: str, vault: Vault
) -> None:
    async with database.begin(1) as conn:
        await see(conn, one(USER, PHONE, "app_phone"))
        phone, mother = await node_id(conn, PHONE), await person_id(conn, USER)
        before = await conn.rows(sa.select(evidence).order_by(evidence.c.evidence_id))
    async with database.begin(1) as conn:
        assert await erase(conn, mother, by="staff:1", now=NOW) == 2
    async with database.begin(1) as conn:
        assert await erase(conn, mother, by="staff:1", now=NOW) == 2  # again: nothing more to lose
        why = await explain.why(conn, explain.node(phone), explain.person(mother))
        after = await conn.rows(sa.select(evidence).order_by(evidence.c.evidence_id))
        assert (await rebuild.some(conn, now=NOW)).deeds == ()  # the graph can still be derived
        left = await conn.rows(sa.select(data_key.c.owner).where(data_key.c.owner == f"node:{phone}"))
    again = await Database.open(database_url, vault)  # a process that never had the keys
    try:
        async with again.begin(1) as conn:
            there = await explain.why(conn, explain.node(phone), explain.person(mother))
            assert await identity.find(conn, PHONE) is None
            await see(conn, one(USER, PHONE, "app_phone"), at=later(5))
            assert await person_id(conn, USER) != mother
    finally:
        await again.close()

    assert teller(why.known).said(why.steps[0]) == "已清除的手机 是 已清除的会员号 在应用里登记的手机"
    assert teller(there.known).said(there.steps[0]) == teller(why.known).said(why.steps[0])
    assert (before, left) == (after, [])


async def test_nobody_is_not_explained(database: Database) -> None:
    async with database.begin(1) as conn:
        with pytest.raises(NotFound):
            await explain.why(conn, explain.person(1))
        with pytest.raises(NotFound):
            await explain.why(conn, explain.node(1))
        await see(conn, one(USER, PHONE, "app_phone"))
        mine = await node_id(conn, USER)
    async with database.begin(2) as conn:
        with pytest.raises(NotFound):
            await explain.why(conn, explain.node(mine))


# -- words -------------------------------------------------------------------------------------------------
def _links(value: Any) -> list[Mapping[str, Any]]:
    if isinstance(value, dict):
        mine = [value] if {"rule", "a", "b"} <= value.keys() else []
        return mine + [link for part in value.values() for link in _links(part)]
    return [link for part in value for link in _links(part)] if isinstance(value, list) else []


def test_every_rule_a_connector_emits_has_a_sentence() -> None:
    stored = [json.loads(p.read_text("utf-8")) for p in sorted(Path("connectors").glob("*/fixtures/*.json"))]
    emitted = {link["rule"] for link in _links(stored)}

    assert len(emitted) > 10
    assert {r for r in emitted if r not in catalogue.RULES} == set()
    assert not catalogue.is_told("no_such_rule")


def test_every_rule_of_the_engine_has_a_sentence() -> None:
    events = [
        ((a, b), c, 0, type_, slot)
        for (a, b), c in zip(pairwise(_IDENTS), _IDENTS[::-1], strict=False)
        for type_ in ("register", "mp_open", "wecom_add", "order", "statement", "class", "contract", "cosign")
        for slot in ("holder", "unknown", "learner")
    ]
    emitted = {e.rule for e in history(events).edges.values() if e.cls != "uses"}

    assert len(emitted) > 10
    assert {r for r in emitted if not catalogue.is_told(r)} == set()
    for cls in ("same_person", "same_household", "not_same_person", "not_same_household", "uses"):
        assert "{one}" in catalogue.told("no_such_rule", cls).says


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(0, 50)), min_size=1, max_size=10))
async def test_what_is_stored_as_one_person_is_explained(
    database: Database, pairs: list[tuple[int, int, int]]
) -> None:
    tenant = next(tenants)
    async with database.begin(tenant) as conn:
        for a, b, at in pairs:
            left, right = (handle(f"n{n}", kind="email", scope="") for n in (a, b))
            await see(conn, one(left, right, "app_email"), at=later(at))
        np = node_person.c
        rows = await conn.rows(sa.select(np.node_id, np.person_id).where(np.tenant_id == tenant))
        for x, y in combinations(sorted(rows, key=lambda r: r.node_id), 2):
            why = await explain.why(conn, explain.node(x.node_id), explain.node(y.node_id))
            if x.person_id == y.person_id:
                assert why.steps
                assert {p.first_event_id for p in why.steps} <= why.known.events.keys()
            else:
                assert (why.steps, bool(why.blocks)) == ((), True)


def test_days_of_another_year_say_the_year() -> None:
    tell = teller(Known(opened={}))

    assert tell.day(NOW) == "3月2日"
    assert tell.day(datetime(2025, 3, 2, tzinfo=UTC)) == "2025年3月2日"
