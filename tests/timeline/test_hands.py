"""Conversations change hands: by rules once, by hand at any time, each with its reason; put off, closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from scrm.contract import Envelope
from scrm.db import Conn, Database
from scrm.desk import service as desk
from scrm.desk import store as desk_store
from scrm.errors import BadInput, Conflict
from scrm.staff import store as staff
from scrm.staff.rules import Scope
from scrm.timeline import hands
from scrm.timeline.hands import Moved
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations
from scrm.timeline.store import hands as whose
from tests.ground import NOW, answered, entry, later, said, settle, talk_of

ACCOUNT, WAIT_S = 11, 120
EVERYTHING = Scope(everything=True)


class Team:
    """Two reps of one team and one of another, at their desks unless a test says otherwise."""

    def __init__(self, conn: Conn) -> None:
        self.conn = conn
        self.ids: dict[str, int] = {}
        self.teams: dict[str, int] = {}

    async def hire(self, login: str, team: str, *, role: str = "rep", here: datetime | None = NOW) -> int:
        self.teams[team] = await staff.team_id(self.conn, team)
        ident = await staff.add(
            self.conn,
            login=login,
            name=login,
            role=role,
            team_id=self.teams[team],
            password="",
            now=NOW,
        )
        self.ids[login] = ident
        if here is not None:
            await desk.here(self.conn, ident, now=here)
        return ident

    async def tell(self, envelope: Envelope, key: str, by: str = "") -> None:
        own: dict[str, Any] = {"staff_id": self.ids[by]} if by else {}
        await settle(self.conn, entry(envelope, key, team_id=self.teams["A"], **own))

    async def give(self, name: str, *, at: datetime = NOW) -> Moved | None:
        talk = await talk_of(self.conn, name)
        return await hands.give(self.conn, talk.conversation_id, return_wait_s=WAIT_S, now=at)

    async def owner(self, name: str) -> str:
        rep_id = (await talk_of(self.conn, name)).rep_id
        return next((login for login, ident in self.ids.items() if ident == rep_id), "")

    async def rules(self, name: str) -> Sequence[str]:
        talk = await talk_of(self.conn, name)
        found = await desk_store.moves(self.conn, talk.conversation_id, limit=9)
        return [m.rule for m in found][::-1]


@pytest.fixture
async def team(database: Database) -> AsyncIterator[Team]:
    async with database.begin(1) as conn:
        made = Team(conn)
        await made.hire("ann", "A")
        await made.hire("bob", "A")
        await made.hire("eve", "B")
        yield made


# -- by rules ----------------------------------------------------------------------------------------------
async def test_a_new_conversation_goes_to_the_freest_rep_of_the_team_once(team: Team) -> None:
    await team.tell(said(by="x"), "0")
    await hands.take(team.conn, await talk_of(team.conn, "x"), by=team.ids["ann"], now=NOW)
    await team.tell(said(), "1")
    waiting = await hands.due(team.conn, [ACCOUNT], return_wait_s=WAIT_S, now=NOW)
    elsewhere = await hands.due(team.conn, [12], return_wait_s=WAIT_S, now=NOW)

    moved, again = await team.give("anna"), await team.give("anna")

    assert waiting == [(await talk_of(team.conn, "anna")).conversation_id]
    assert elsewhere == []
    assert moved is not None
    assert again is None
    assert await team.owner("anna") == "bob"
    (move,) = await desk_store.moves(team.conn, moved.after.conversation_id, limit=9)
    assert (move.rule, move.from_id, move.by_id) == ("load", None, None)
    assert dict(move.facts) == {"load": 0, "capacity": 8}
    assert {c.topic for c in moved.changes} == {
        f"team:{team.teams['A']}",
        f"rep:{team.ids['bob']}",
        f"node:{moved.after.node_id}",
    }


async def test_reps_take_turns_and_nobody_gets_more_than_fits(team: Team) -> None:
    for n in range(20):
        await team.tell(said(by=f"c{n}", at=later(n)), f"k{n}")

    given = [await team.give(f"c{n}", at=later(20 + n / 9)) for n in range(20)]

    owners = [await team.owner(f"c{n}") for n in range(20)]
    assert {owners.count("ann"), owners.count("bob")} == {8}
    assert [g is None for g in given] == [False] * 16 + [True] * 4
    assert all(a != b for a, b in pairwise(owners[:16]))


async def test_nobody_there_leaves_it_in_the_queue_until_somebody_comes(team: Team) -> None:
    await team.tell(said(), "1")
    assert await team.give("anna", at=later(60)) is None

    await desk.here(team.conn, team.ids["bob"], now=later(70))

    assert await team.give("anna", at=later(71)) is not None
    assert await team.owner("anna") == "bob"


async def test_away_takes_nothing_and_back_does(team: Team) -> None:
    await team.tell(said(), "1")
    for login in ("ann", "bob"):
        await desk.set_away(team.conn, team.ids[login], away=True, now=NOW)
    assert await team.give("anna") is None

    await desk.set_away(team.conn, team.ids["ann"], away=False, now=NOW)

    assert await team.give("anna") is not None
    assert await team.owner("anna") == "ann"


async def test_closed_and_asked_again_it_returns_to_the_rep_who_knows_the_customer(team: Team) -> None:
    await team.tell(said(), "1")
    await team.tell(answered(at=later(1)), "2", by="bob")
    await hands.close(team.conn, await talk_of(team.conn, "anna"), now=later(2))
    await team.tell(said("还在吗", at=later(9)), "3")
    opened = await talk_of(team.conn, "anna")

    await team.give("anna", at=later(10))

    assert (opened.state, opened.waiting_since) == ("new", later(9))
    assert await team.owner("anna") == "bob"
    assert await team.rules("anna") == ["return"]


async def test_the_last_rep_is_found_over_the_customers_other_conversations(team: Team) -> None:
    await team.tell(said(thread="a"), "1")
    await team.tell(answered(at=later(1), thread="a"), "2", by="bob")
    await team.tell(said(by="x", at=later(2)), "3")
    await hands.take(team.conn, await talk_of(team.conn, "x"), by=team.ids["bob"], now=later(2))
    await team.tell(said(at=later(3), thread="b"), "4")
    (second,) = [
        t
        for t in await conversations.of_nodes(team.conn, [(await _talks(team))[0].node_id])
        if t.thread == "b"
    ]

    moved = await hands.give(team.conn, second.conversation_id, return_wait_s=WAIT_S, now=later(4))

    assert moved is not None
    assert moved.after.rep_id == team.ids["bob"]


async def _talks(team: Team) -> list[Talk]:
    return [t for t, _ in await conversations.queue(team.conn, EVERYTHING, "all", now=NOW, limit=9)][::-1]


async def test_its_rep_gone_home_it_goes_to_a_colleague_or_waits_for_one(team: Team) -> None:
    await team.tell(said(), "1")
    await team.tell(answered(at=later(1)), "2", by="bob")
    await hands.close(team.conn, await talk_of(team.conn, "anna"), now=later(2))
    await team.tell(said(at=later(3600)), "3")
    released = await team.give("anna", at=later(3601))
    alone = await team.owner("anna")

    await desk.here(team.conn, team.ids["ann"], now=later(3602))
    await team.give("anna", at=later(3603))

    assert released is not None
    assert alone == ""
    assert await team.owner("anna") == "ann"
    assert await team.rules("anna") == ["queue", "instead"]


async def test_a_silent_rep_loses_it_to_the_next_and_never_gets_it_back(team: Team) -> None:
    await team.tell(said(), "1")
    await team.give("anna")
    first = await team.owner("anna")
    assert await hands.due(team.conn, [ACCOUNT], return_wait_s=WAIT_S, now=later(119)) == []
    for login in ("ann", "bob"):
        await desk.here(team.conn, team.ids[login], now=later(240))

    for seconds in (120, 121, 239, 240, 999):
        await team.give("anna", at=later(seconds))

    assert {first, await team.owner("anna")} == {"ann", "bob"}
    assert (await team.rules("anna"))[1:] == ["next"]
    ((_, last),) = [(m.at, m.facts["wait"]) for m in await _moves(team, "anna") if m.rule == "next"]
    assert last == WAIT_S


async def _moves(team: Team, name: str) -> list[desk_store.Move]:
    talk = await talk_of(team.conn, name)
    return await desk_store.moves(team.conn, talk.conversation_id, limit=9)


async def test_an_answer_settles_it(team: Team) -> None:
    await team.tell(said(), "1")
    await team.give("anna")
    owner = await team.owner("anna")
    await team.tell(answered(at=later(60)), "2", by=owner)
    await team.tell(said("那多少钱", at=later(61)), "3")
    for login in ("ann", "bob"):
        await desk.here(team.conn, team.ids[login], now=later(600))

    assert await team.give("anna", at=later(600)) is None
    assert await team.owner("anna") == owner


async def test_what_the_vendor_gave_to_somebody_is_left_alone(team: Team) -> None:
    await team.tell(said(), "1")
    await conversations.set_session(team.conn, (await talk_of(team.conn, "anna")).conversation_id, "human")

    assert await hands.due(team.conn, [ACCOUNT], return_wait_s=WAIT_S, now=NOW) == []
    assert await team.give("anna") is None


async def test_a_greeting_of_ours_is_no_answer_of_a_rep(team: Team) -> None:
    await team.tell(answered("欢迎"), "greet")
    await team.tell(said(at=later(1)), "1")

    assert await team.give("anna", at=later(2)) is not None


async def test_what_an_earlier_release_began_is_not_handed_out(team: Team) -> None:
    await team.tell(said(), "1")
    await whose.change(team.conn, await talk_of(team.conn, "anna"), state="open")

    assert await hands.due(team.conn, [ACCOUNT], return_wait_s=WAIT_S, now=NOW) == []


async def test_two_workers_give_each_conversation_once_and_keep_to_the_capacity(database: Database) -> None:
    async with database.begin(1) as conn:
        team = Team(conn)
        await team.hire("ann", "A")
        for n in range(12):
            await team.tell(said(by=f"c{n}"), f"k{n}")
        found = await hands.due(conn, [ACCOUNT], return_wait_s=WAIT_S, now=NOW)

    async def worker() -> int:
        given = 0
        for ident in found:
            async with database.begin(1) as conn:
                moved = await hands.give(conn, ident, return_wait_s=WAIT_S, now=NOW)
                given += moved is not None
        return given

    assert sum(await asyncio.gather(*(worker() for _ in range(3)))) == 8
    async with database.read(1) as conn:
        assert await whose.loads(conn, [team.ids["ann"]], now=NOW) == {team.ids["ann"]: 8}


# -- by hand -----------------------------------------------------------------------------------------------
async def test_taking_handing_and_releasing_are_recorded_with_who_did_it(team: Team) -> None:
    ann, bob = team.ids["ann"], team.ids["bob"]
    await team.tell(said(), "1")
    taken = await hands.take(team.conn, await talk_of(team.conn, "anna"), by=ann, now=later(1))
    await hands.take(team.conn, taken.after, by=ann, now=later(1))  # twice is once
    handed = await hands.hand(team.conn, taken.after, to=bob, by=ann, now=later(2))
    released = await hands.release(team.conn, handed.after, by=bob, now=later(3))

    moves = [(m.rule, m.from_id, m.to_id, m.by_id) for m in await _moves(team, "anna")][::-1]

    assert moves == [
        ("take", None, ann, ann),
        ("hand", ann, bob, ann),
        ("release", bob, None, bob),
    ]
    assert {c.topic for c in handed.changes} >= {f"rep:{ann}", f"rep:{bob}"}
    assert (released.after.rep_id, released.after.state) == (None, "new")


async def test_whoever_put_it_back_is_not_given_it_again(team: Team) -> None:
    await team.tell(said(), "1")
    await hands.take(team.conn, await talk_of(team.conn, "anna"), by=team.ids["ann"], now=later(1))
    await hands.release(team.conn, await talk_of(team.conn, "anna"), by=team.ids["ann"], now=later(2))
    await desk.set_away(team.conn, team.ids["bob"], away=True, now=later(2))
    assert await team.give("anna", at=later(3)) is None

    await desk.set_away(team.conn, team.ids["bob"], away=False, now=later(4))

    assert await team.give("anna", at=later(5)) is not None
    assert await team.owner("anna") == "bob"


async def test_it_is_handed_only_to_people_of_its_team_who_talk(team: Team) -> None:
    await team.hire("max", "A", role="marketing")
    await team.hire("tom", "A", role="lead", here=None)
    await team.tell(said(), "1")
    talk = await talk_of(team.conn, "anna")

    for login in ("eve", "max"):
        with pytest.raises(BadInput):
            await hands.hand(team.conn, talk, to=team.ids[login], by=team.ids["ann"], now=NOW)

    moved = await hands.hand(team.conn, talk, to=team.ids["tom"], by=team.ids["ann"], now=NOW)
    assert moved.after.rep_id == team.ids["tom"]


async def test_another_teams_queue_gives_it_to_that_teams_reps(team: Team) -> None:
    await team.tell(said(), "1")
    talk = await talk_of(team.conn, "anna")
    moved = await hands.hand_to_team(team.conn, talk, team_id=team.teams["B"], by=team.ids["ann"], now=NOW)
    with pytest.raises(BadInput):
        await hands.hand_to_team(team.conn, moved.after, team_id=team.teams["B"], by=team.ids["ann"], now=NOW)

    await team.give("anna")
    await team.tell(said("又", at=later(9)), "2")

    assert await team.owner("anna") == "eve"
    assert (await talk_of(team.conn, "anna")).team_id == team.teams["B"]


async def test_a_page_that_shows_somebody_else_as_its_rep_is_told_so(team: Team) -> None:
    await team.tell(said(), "1")
    talk = await talk_of(team.conn, "anna")
    hands.demand_unmoved(talk, None)

    with pytest.raises(Conflict):
        hands.demand_unmoved(talk, team.ids["ann"])


# -- put off and closed ------------------------------------------------------------------------------------
async def test_put_off_it_leaves_the_waiting_list_and_comes_back_by_itself(team: Team) -> None:
    await team.tell(said(), "1")
    await hands.snooze(team.conn, await talk_of(team.conn, "anna"), later(1800))

    assert await _listed(team, later(1799)) == {"snoozed", "unassigned", "all"}
    assert await _listed(team, later(1800)) == {"waiting", "unassigned", "all"}
    assert await hands.due(team.conn, [ACCOUNT], return_wait_s=WAIT_S, now=NOW) == []
    woken = await whose.woken(team.conn, after=later(1799), until=later(1800), limit=9)
    assert [t.node_id for t in woken] == [(await talk_of(team.conn, "anna")).node_id]
    assert await whose.woken(team.conn, after=later(1800), until=later(1900), limit=9) == []


async def test_put_off_without_a_question_it_still_comes_back(team: Team) -> None:
    await team.tell(said(), "1")
    await team.tell(answered(at=later(1)), "2", by="ann")
    await hands.snooze(team.conn, await talk_of(team.conn, "anna"), later(1800))

    assert await _listed(team, later(1800)) == {"waiting", "all"}
    assert await conversations.waiting_count(team.conn, EVERYTHING, now=later(1800)) == 1


async def test_the_customers_words_end_a_pause_and_so_do_ours(team: Team) -> None:
    await team.tell(said(), "1")
    await hands.snooze(team.conn, await talk_of(team.conn, "anna"), later(1800))
    await team.tell(said("急", at=later(5)), "2")
    assert await _listed(team, later(6)) == {"waiting", "unassigned", "all"}

    await hands.snooze(team.conn, await talk_of(team.conn, "anna"), later(1800))
    await team.tell(answered(at=later(7)), "3", by="ann")

    assert await _listed(team, later(8)) == {"all"}


async def test_closed_it_waits_for_nobody_until_the_customer_writes(team: Team) -> None:
    await team.tell(said(), "1")
    closed = await hands.close(team.conn, await talk_of(team.conn, "anna"), now=later(2))
    assert await _listed(team, later(3)) == {"closed", "all"}
    with pytest.raises(BadInput):
        await hands.snooze(team.conn, closed.after, later(1800))

    await team.tell(said("还有问题", at=later(9)), "2")

    assert await _listed(team, later(9)) == {"waiting", "unassigned", "all"}


async def test_what_we_said_before_closing_does_not_open_it_when_told_late(team: Team) -> None:
    await team.tell(said(), "1")
    await hands.close(team.conn, await talk_of(team.conn, "anna"), now=later(60))
    await team.tell(answered(at=later(30)), "2", by="ann")

    assert (await talk_of(team.conn, "anna")).state == "closed"
    reopened = await hands.reopen(team.conn, await talk_of(team.conn, "anna"))
    assert (reopened.after.state, reopened.after.closed_at) == ("open", None)


async def _listed(team: Team, at: datetime) -> set[str]:
    """The lists that show the one conversation."""
    every: tuple[conversations.Filter, ...] = ("waiting", "unassigned", "snoozed", "closed", "all")
    return {
        which for which in every if await conversations.queue(team.conn, EVERYTHING, which, now=at, limit=9)
    }
