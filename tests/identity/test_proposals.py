"""Proposals: asked once, ordered by what an answer is worth, decided by a human, and nothing moves before."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scrm.contract import Handle, Link
from scrm.db import Conn, Database
from scrm.errors import Conflict, NotFound
from scrm.identity import proposals, service, store
from scrm.identity.decisions import Actor
from scrm.identity.match.choosing import rank
from scrm.identity.match.sentences import Reason
from scrm.identity.match.store import proposals as rows
from scrm.identity.service import Sighting
from scrm.seal import new_id
from tests.ground import NOW, handle, later

ANNA, BEN, EVE = handle("anna"), handle("ben", kind="app_user"), handle("eve", kind="wecom_external")
REP = Actor(origin="rep", staff_id=7)
CHILD = Reason(text="都提到孩子“{child}”", values={"child": "小宇"}, field="child", level="same", weight=420)
APART = Reason(text="姓氏不同", field="surname", level="other", weight=-120)


async def see(conn: Conn, *handles: Handle, links: tuple[Link, ...] = ()) -> None:
    sightings = [
        Sighting(event_id=(ident := new_id()), at=NOW, key=f"k{ident}", handles=(one,)) for one in handles
    ]
    if links:
        ident = new_id()
        ends = tuple(h for link in links for h in (link.a, link.b))
        sightings.append(Sighting(event_id=ident, at=NOW, key=f"k{ident}", handles=ends, links=links))
    await service.resolve(conn, sightings, NOW)


async def node(conn: Conn, one: Handle) -> int:
    found = await service.find(conn, one)
    assert found is not None
    return found


async def person(conn: Conn, one: Handle) -> int:
    node_id = await node(conn, one)
    return (await store.persons_of(conn, [node_id]))[node_id]


async def ask(conn: Conn, a: Handle, b: Handle, cls: proposals.Cls = "same_person", **more: object) -> bool:
    given = {"source": "statement", "now": NOW, "likely": 0.8} | more
    return await proposals.suggest(
        conn, await node(conn, a), await node(conn, b), cls, [CHILD, APART], **given
    )  # type: ignore[arg-type]


async def the_one(conn: Conn, about: Handle) -> proposals.Proposal:
    (found,) = await proposals.open_for(conn, [await person(conn, about)])
    return found


# -- asking ------------------------------------------------------------------------------------------------
async def test_a_proposal_is_found_from_either_side_and_says_why(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, BEN, EVE)
        assert await ask(conn, BEN, ANNA)

        mine = await the_one(conn, ANNA)
        theirs = await the_one(conn, BEN)

        assert mine == theirs
        assert mine.other([await person(conn, ANNA)]) == await person(conn, BEN)
        assert [(r.sentence, r.strength) for r in mine.reasons] == [
            ("都提到孩子“小宇”", "medium"),
            ("姓氏不同", "against"),
        ]
        assert mine.percent == 80
        assert await proposals.open_for(conn, [await person(conn, EVE)]) == []


async def test_asking_again_adds_nothing_and_the_weightier_opinion_is_kept(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, BEN)
        await ask(conn, ANNA, BEN, likely=0.8)
        strong = Reason(text="手机号只差一处，可能写错：尾号 {tails}", values={"tails": "1、2"}, weight=900)
        pair = (await node(conn, ANNA), await node(conn, BEN))
        await proposals.suggest(conn, *pair, "same_person", [strong], source="online", now=NOW, likely=0.9)
        weak = Reason(text="由同一位同事跟进", weight=100)
        await proposals.suggest(conn, *pair, "same_person", [weak], source="other", now=NOW, likely=0.3)

        one = await the_one(conn, ANNA)

        assert (one.source, one.likely, one.reasons) == ("online", 900, (strong,))
        assert await proposals.counts(conn) == {"open": 1}


async def test_one_person_and_one_family_are_two_questions(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, BEN)
        await ask(conn, ANNA, BEN, "same_person")
        await ask(conn, ANNA, BEN, "same_household")

        found = await proposals.open_for(conn, [await person(conn, ANNA)])

        assert {one.cls for one in found} == {"same_person", "same_household"}


async def test_who_is_one_person_already_is_not_asked_about(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, BEN, links=(Link(a=ANNA, b=BEN, rule="wechat.unionid"),))

        assert not await ask(conn, ANNA, BEN)
        assert not await ask(conn, ANNA, ANNA)


async def test_what_evidence_answers_meanwhile_disappears(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, BEN)
        await ask(conn, ANNA, BEN)
        await see(conn, links=(Link(a=ANNA, b=BEN, rule="wechat.unionid"),))

        assert await proposals.open_for(conn, [await person(conn, ANNA)]) == []
        assert await proposals.queue(conn, now=NOW) == []


async def test_proposals_move_nobody(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, BEN, EVE)
        before = [await person(conn, one) for one in (ANNA, BEN, EVE)]
        await ask(conn, ANNA, BEN)
        await ask(conn, BEN, EVE)

        assert [await person(conn, one) for one in (ANNA, BEN, EVE)] == before


# -- the queue ---------------------------------------------------------------------------------------------
def test_a_doubtful_good_customer_comes_before_a_sure_one_and_before_a_small_one() -> None:
    assert rank(50, 0.5) > rank(50, 0.99) > rank(0, 0.99)
    assert rank(50, 0.6) > rank(2, 0.6)
    assert rank(10, 0.3) == rank(10, 0.7)


async def test_the_queue_is_walked_page_by_page_without_a_gap(database: Database) -> None:
    async with database.begin(1) as conn:
        people = [handle(f"p{i}") for i in range(6)]
        await see(conn, ANNA, *people)
        for i, one in enumerate(people):
            await ask(conn, ANNA, one, likely=0.5 + i / 20, value=i)

        walked, place = [], None
        while page := await proposals.queue(conn, place, 2, now=NOW):
            walked += page
            place = page[-1].place

        assert len(walked) == 6
        assert [one.rank for one in walked] == sorted((one.rank for one in walked), reverse=True)


async def test_what_is_put_off_comes_back_when_its_time_has_come(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, BEN)
        await ask(conn, ANNA, BEN)
        one = await the_one(conn, ANNA)

        await proposals.later(conn, one.proposal_id, now=NOW)

        assert await proposals.queue(conn, now=NOW) == []
        assert await proposals.open_for(conn, [await person(conn, ANNA)], now=NOW) == []
        (again,) = await proposals.queue(conn, now=NOW + timedelta(days=7))
        assert again.proposal_id == one.proposal_id


# -- deciding ----------------------------------------------------------------------------------------------
async def test_accepting_joins_them_and_the_second_to_decide_is_told(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, BEN)
        await ask(conn, ANNA, BEN)
        one = await the_one(conn, ANNA)

        await proposals.accept(conn, one.proposal_id, by=REP, now=later(1))

        assert await person(conn, ANNA) == await person(conn, BEN)
        with pytest.raises(Conflict):
            await proposals.reject(conn, one.proposal_id, by=REP, now=later(2))
        with pytest.raises(Conflict):
            await proposals.later(conn, one.proposal_id, now=later(2))


async def test_rejecting_is_remembered_and_never_asked_again(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, BEN)
        await ask(conn, ANNA, BEN)
        one = await the_one(conn, ANNA)

        await proposals.reject(conn, one.proposal_id, by=REP, now=later(1))

        assert await person(conn, ANNA) != await person(conn, BEN)
        assert not await ask(conn, ANNA, BEN)
        assert await proposals.open_for(conn, [await person(conn, ANNA)]) == []
        assert await ask(conn, ANNA, BEN, "same_household")  # another question


async def test_a_rejection_holds_for_every_identifier_of_the_two(database: Database) -> None:
    other = handle("anna2", kind="wechat_unionid")
    async with database.begin(1) as conn:
        await see(conn, BEN, links=(Link(a=ANNA, b=other, rule="wechat.unionid"),))
        await ask(conn, ANNA, BEN)
        await proposals.reject(conn, (await the_one(conn, BEN)).proposal_id, by=REP, now=later(1))

        assert not await ask(conn, other, BEN)


async def test_a_decision_can_be_undone_and_the_question_is_open_again(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, BEN)
        await ask(conn, ANNA, BEN)
        one = await the_one(conn, ANNA)
        await proposals.reject(conn, one.proposal_id, by=REP, now=later(1))

        await proposals.reopen(conn, one.proposal_id, by=REP, why="看错了", now=later(2))

        assert (await the_one(conn, ANNA)).proposal_id == one.proposal_id
        with pytest.raises(Conflict):
            await proposals.reopen(conn, one.proposal_id, by=REP, why="再来", now=later(3))


async def test_what_a_model_brought_is_taken_back_by_its_version(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, BEN, EVE)
        for other, version in ((BEN, "person-1-a"), (EVE, "person-1-b")):
            one = proposals.new(
                await node(conn, ANNA), await node(conn, other), "same_person", [CHILD],
                source="model", likely=0.9, value=1, model_version=version,
            )  # fmt: skip
            await rows.add(conn, [one], now=NOW)
        for one in await proposals.open_for(conn, [await person(conn, ANNA)]):
            await proposals.accept(conn, one.proposal_id, by=REP, now=later(1))
        everybody = {await person(conn, one) for one in (ANNA, BEN, EVE)}
        taken = await proposals.take_back(conn, "person-1-b", by=REP, why="模型有误", now=later(2))

        assert len(everybody) == 1
        assert taken == 1
        assert await person(conn, ANNA) == await person(conn, BEN)
        assert await person(conn, EVE) != await person(conn, ANNA)
        assert await proposals.take_back(conn, "person-1-b", by=REP, why="", now=later(3)) == 0


async def test_erasing_a_customer_erases_what_was_proposed(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, BEN)
        await ask(conn, ANNA, BEN)
        one = await the_one(conn, ANNA)

        await proposals.forget(conn, [await node(conn, BEN)])

        with pytest.raises(NotFound):
            await proposals.get(conn, one.proposal_id)


async def test_another_tenant_sees_nothing_of_it(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, BEN)
        await ask(conn, ANNA, BEN)
        one = await the_one(conn, ANNA)
    async with database.begin(2) as conn:
        assert await proposals.queue(conn, now=NOW) == []
        with pytest.raises(NotFound):
            await proposals.accept(conn, one.proposal_id, by=REP, now=NOW)
