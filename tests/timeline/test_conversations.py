"""Conversations: one per customer and thread, and nobody sees one outside their scope."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from scrm.contract import Link
from scrm.db import Conn, Database
from scrm.identity import store as nodes
from scrm.schema import staff
from scrm.staff.rules import NOTHING, Actor, Scope, scope
from scrm.timeline.store import conversations
from tests.ground import NOW, answered, entry, handle, later, node_of, said, settle, talk_of

REP, MATE, STRANGER = 101, 102, 201
TEAM, OTHERS = 1, 2


# -- state -------------------------------------------------------------------------------------------------
async def test_a_conversation_moves_with_its_events_over_batches(database: Database) -> None:
    async with database.begin(1) as conn:
        await settle(conn, entry(said("在吗"), "1"))
        first = await talk_of(conn, "anna")
        await settle(
            conn, entry(answered("在", at=later(5)), "2", staff_id=REP), entry(said("好", at=later(9)), "3")
        )
        second = await talk_of(conn, "anna")

    assert (first.waiting_since, first.rep_id, first.last_text) == (NOW, None, "在吗")
    assert (second.waiting_since, second.rep_id, second.last_text) == (later(9), REP, "好")
    assert second.conversation_id == first.conversation_id


async def test_threads_and_accounts_are_conversations_of_their_own(database: Database) -> None:
    async with database.begin(1) as conn:
        await settle(
            conn,
            entry(said(thread="a"), "1"),
            entry(said(thread="b"), "2"),
            entry(said(thread="a"), "3", account_id=12),
        )

        talks = await conversations.of_nodes(conn, [await node_of(conn, "anna")])

    assert {(t.account_id, t.thread) for t in talks} == {(11, "a"), (11, "b"), (12, "a")}


async def test_an_event_told_twice_moves_nothing_twice(database: Database) -> None:
    async with database.begin(1) as conn:
        await settle(conn, entry(said(), "1"))
        await settle(conn, entry(answered(at=later(5)), "2"))
        once = await talk_of(conn, "anna")
        await settle(conn, entry(said(), "1"))

        assert await talk_of(conn, "anna") == once


async def test_reading_and_a_vendors_refusal_are_kept(database: Database) -> None:
    everything = Scope(everything=True)
    async with database.begin(1) as conn:
        await settle(conn, entry(said(), "1"))
        ident = (await talk_of(conn, "anna")).conversation_id
        await conversations.mark_read(conn, ident, now=later(3))
        await conversations.set_session(conn, ident, "human")
        await settle(conn, entry(said("又", at=later(4)), "2"))

        ((talk, read_at),) = await conversations.queue(conn, everything, "all", now=NOW, limit=9)
        assert (talk.session, read_at) == ("human", later(3))


# -- scope -------------------------------------------------------------------------------------------------
#: Conversation by customer: (team of its account, owner).
TALKS = {
    "mine": (TEAM, REP),
    "mine-elsewhere": (OTHERS, REP),
    "mate": (TEAM, MATE),
    "free": (TEAM, None),
    "free-nobodys": (None, None),
    "stranger": (OTHERS, STRANGER),
    "free-others": (OTHERS, None),
    "mate-nobodys": (None, MATE),
    "stranger-nobodys": (None, STRANGER),
}


def actor(role: str, staff_id: int | None, team_id: int | None = TEAM) -> Actor:
    return Actor(tenant_id=1, role=role, staff_id=staff_id, team_id=team_id)  # type: ignore[arg-type]


SEES = [
    # a rep: own customers anywhere, the team's unassigned, those of accounts without a team
    (actor("rep", REP), {"mine", "mine-elsewhere", "free", "free-nobodys"}),
    # a rep without a team: own customers only
    (actor("rep", REP, None), {"mine", "mine-elsewhere"}),
    # a lead: the whole team, and own customers
    (actor("lead", 109), {"mine", "mate", "mate-nobodys", "free", "free-nobodys"}),
    (
        actor("lead", STRANGER, OTHERS),
        {"mine-elsewhere", "stranger", "stranger-nobodys", "free-others", "free-nobodys"},
    ),
    # persons of other roles: no customers from here
    (actor("admin", 301), set()),
    (actor("compliance", 302), set()),
    (actor("marketing", 303), set()),
    # machines
    (actor("admin", None, None), set(TALKS)),
    (actor("compliance", None, None), set(TALKS)),
    (actor("rep", None, None), set()),
    (actor("marketing", None, None), set()),
]
by_actor = pytest.mark.parametrize(
    ("who", "sees"), SEES, ids=[f"{a.role}-{a.staff_id}-{a.team_id}" for a, _ in SEES]
)


def _member(staff_id: int, team_id: int) -> dict[str, object]:
    return {
        "tenant_id": 1,
        "staff_id": staff_id,
        "team_id": team_id,
        "login": f"m{staff_id}",
        "created_at": NOW,
    }


@pytest.fixture
async def conn(database: Database) -> AsyncIterator[Conn]:
    """A tenant with a conversation of each kind, all waiting; and another tenant with one of its own."""
    async with database.begin(2) as conn:
        await settle(conn, entry(said(by="foreign"), "1", team_id=TEAM))
    async with database.begin(1) as conn:
        await conn.insert(staff, [_member(REP, TEAM), _member(MATE, TEAM), _member(STRANGER, OTHERS)])
        for n, (name, (team, rep)) in enumerate(TALKS.items()):
            taken = (
                [entry(answered(to=name, at=later(n)), f"{name}1", team_id=team, staff_id=rep)] if rep else []
            )
            await settle(conn, *taken, entry(said(by=name, at=later(n + 100)), f"{name}2", team_id=team))
    async with database.read(1) as conn:
        yield conn


async def _names(conn: Conn, node_ids: set[int]) -> set[str]:
    return {h.value for h in (await nodes.handles(conn, list(node_ids))).values()}


@by_actor
@pytest.mark.parametrize("which", ["all", "waiting"])
async def test_the_queue_shows_what_the_scope_allows(
    conn: Conn, who: Actor, sees: set[str], which: conversations.Filter
) -> None:
    found = await conversations.queue(conn, scope(who), which, now=NOW, limit=99)

    assert await _names(conn, {talk.node_id for talk, _ in found}) == sees
    assert await conversations.waiting_count(conn, scope(who), now=NOW) == len(sees)


@by_actor
async def test_a_conversation_by_id_is_there_for_its_scope_only(
    conn: Conn, who: Actor, sees: set[str]
) -> None:
    for name in TALKS:
        talk = await talk_of(conn, name)
        found = await conversations.get(conn, talk.conversation_id, scope(who))

        assert (found is not None) == (name in sees), name


@by_actor
async def test_persons_and_nodes_are_visible_with_a_conversation_only(
    conn: Conn, who: Actor, sees: set[str]
) -> None:
    ids = {name: await node_of(conn, name) for name in TALKS}
    persons = await nodes.persons_of(conn, list(ids.values()))

    visible = await conversations.visible_nodes(conn, scope(who), list(ids.values()))
    people = await conversations.visible_persons(conn, scope(who), list(persons.values()))

    talks = await conversations.visible_of_nodes(conn, scope(who), list(ids.values()))
    every = {(await talk_of(conn, name)).conversation_id for name in TALKS}

    assert await _names(conn, visible) == sees
    assert people == {persons[ids[name]] for name in sees}
    assert await _names(conn, {talk.node_id for talk in talks}) == sees
    assert await conversations.visible_ids(conn, scope(who), every) == {t.conversation_id for t in talks}


@by_actor
async def test_narrower_filters_never_widen_the_scope(conn: Conn, who: Actor, sees: set[str]) -> None:
    for which in ("mine", "unassigned"):
        found = await conversations.queue(conn, scope(who), which, now=NOW, limit=99)
        for talk, _ in found:
            assert await _names(conn, {talk.node_id}) <= sees
            assert talk.rep_id == (who.staff_id if which == "mine" else None)


async def test_no_scope_sees_nothing_and_nothing_asked_is_nothing_found(conn: Conn) -> None:
    assert await conversations.queue(conn, NOTHING, "all", now=NOW, limit=9) == []
    assert await conversations.of_nodes(conn, []) == []
    assert await conversations.visible_nodes(conn, NOTHING, []) == set()
    assert await conversations.of_id(conn, 1) is None


@pytest.mark.parametrize("which", ["all", "waiting"])
async def test_the_queue_pages_without_gap_or_double(database: Database, which: conversations.Filter) -> None:
    everything = Scope(everything=True)
    async with database.begin(1) as conn:
        for n in range(11):
            await settle(conn, entry(said(by=f"c{n:02}", at=later(n // 3)), f"k{n}"))  # several at once
        shown, before = [], None
        while page := await conversations.queue(conn, everything, which, before=before, now=NOW, limit=4):
            shown += [talk for talk, _ in page]
            last = shown[-1]
            before = (last.waiting_since or NOW if which == "waiting" else last.last_at, last.conversation_id)

    order = [(t.waiting_since if which == "waiting" else t.last_at, t.conversation_id) for t in shown]
    assert len(set(order)) == len(order) == 11
    assert order == sorted(order, reverse=which == "all")


async def test_who_sees_one_address_of_a_person_sees_the_person(database: Database) -> None:
    a, u = handle("anna"), handle("u1", kind="wechat_unionid")
    mine, node = Scope(team_id=TEAM, rep_id=REP), 0
    async with database.begin(1) as conn:
        await settle(
            conn, entry(said(by="anna"), "1", team_id=TEAM), entry(said(handles=(u,)), "2", team_id=OTHERS)
        )
        node = await node_of(conn, "u1", kind=u.kind)
        apart = await conversations.visible_nodes(conn, mine, [node])
        link = Link(a=a, b=u, rule="wechat.unionid")
        await settle(conn, entry(said(by="anna", at=later(5), links=(link,)), "3", team_id=TEAM))
        joined = await conversations.visible_nodes(conn, mine, [node])

    assert (apart, joined) == (set(), {node})
