"""Coupons speak for themselves; families found after the words raise what was said, and take it back."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import pytest

from scrm import jobs
from scrm.campaigns.coupons import service as coupons
from scrm.campaigns.coupons.rules import Batch
from scrm.db import Database, utcnow
from scrm.identity import aftermath, decisions
from scrm.identity.decisions import Actor, Outcome
from scrm.live import Live
from scrm.pipeline import promising
from scrm.pipeline.drafts import Drafts
from scrm.playbook.checks import service as checks
from scrm.playbook.checks.rules import judge
from scrm.playbook.checks.store import findings
from scrm.playbook.checks.store.findings import Finding
from scrm.playbook.promises import service, store
from scrm.timeline.store import events
from scrm.web.sale.tab import saying
from scrm.worker.errands import Premises
from scrm.worker.turning import Turning
from tests.campaigns.test_coupons import batch
from tests.ground import House, Talking, house, installed, node_of, said
from tests.playbook.promises.test_react import FATHER, MOTHER, note, ours, states, take

LEAD = Actor(origin="rep")


@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    channel = Talking()
    installed(monkeypatch, channel)
    return await house(database, channel)


async def met(home: House) -> None:
    await take(home, m=said("你好", at=utcnow()), f=said("你好", by=FATHER, at=utcnow()))


async def told(home: House) -> None:
    """Whoever turned out to be others: as the worker does it."""
    on = SimpleNamespace(db=home.db, live=Live())
    async with home.db.begin(1) as conn:
        due = await jobs.claim(conn, now=await conn.now() + timedelta(days=1), kind=aftermath.KIND, limit=50)
    for job in due:
        await Turning(cast(Premises, on)).run(1, job)


async def joined(home: House) -> Outcome:
    async with home.db.begin(1) as conn:
        pair = await node_of(conn, MOTHER), await node_of(conn, FATHER)
        done = await decisions.link(conn, *pair, by=LEAD, why="一家", now=utcnow(), cls="same_household")
    await told(home)
    return done


async def parted(home: House, done: Outcome) -> None:
    async with home.db.begin(1) as conn:
        await decisions.withdraw(conn, done.evidence_ids, by=LEAD, why="认错了", now=utcnow())
    await told(home)


async def everything(home: House) -> list[Finding]:
    async with home.db.read(1) as conn:
        return await findings.page(conn, team_ids=None, state="", before=None, limit=50)


# -- families ----------------------------------------------------------------------------------------------
async def promised_twice(home: House) -> None:
    await met(home)
    await take(home, b=ours("年课给您 8.5 折", ago_s=120), c=ours("年课 9 折", to=FATHER, ago_s=30))


async def test_a_family_found_after_the_words_raises_what_was_said(home: House) -> None:
    await promised_twice(home)
    before = await everything(home)
    await joined(home)

    (one,) = await everything(home)
    async with home.db.read(1) as conn:
        father = await node_of(conn, FATHER)
    assert not before
    assert (one.rule, one.node_id, one.state) == ("promise.worse", father, "open")


async def test_it_is_raised_once_and_withdrawn_with_the_family(home: House) -> None:
    await promised_twice(home)
    done = await joined(home)
    await parted(home, done)
    after = await everything(home)
    await joined(home)
    again = await everything(home)

    assert [(f.state, f.note) for f in after] == [("closed", checks.APART)]
    assert [(f.state, f.note, f.finding_id) for f in again] == [("open", "", after[0].finding_id)]


async def test_what_a_leader_closed_stays_closed_when_the_family_is_found_again(home: House) -> None:
    await promised_twice(home)
    done = await joined(home)
    async with home.db.begin(1) as conn:
        (one,) = await findings.page(conn, team_ids=None, state="open", before=None, limit=5)
        await checks.close_finding(conn, one, by=3, note="已补差价", now=utcnow())
    await parted(home, done)
    await joined(home)

    assert [(f.state, f.note) for f in await everything(home)] == [("closed", "已补差价")]


async def test_a_finding_that_needs_no_family_outlives_it(home: House) -> None:
    await met(home)
    done = await joined(home)
    await take(home, a=ours("年课给您 8.5 折", ago_s=90), b=ours("年课 9 折", ago_s=30))
    await parted(home, done)

    assert [f.state for f in await everything(home)] == ["open"]


async def test_strangers_words_stay_nobody_s_business(home: House) -> None:
    await promised_twice(home)
    async with home.db.begin(1) as conn:
        nodes = [await node_of(conn, w) for w in (MOTHER, FATHER)]
        await decisions.apart(conn, *nodes, by=LEAD, why="不认识", now=utcnow(), cls="not_same_household")
    await told(home)

    assert not await everything(home)


# -- coupons -----------------------------------------------------------------------------------------------
async def given(home: House, one: Batch, who: str = MOTHER) -> str:
    """The code of a coupon in these hands."""
    async with home.db.begin(1) as conn:
        node = await node_of(conn, who)
        await coupons.save_batch(conn, one)
        made = await coupons.issue(conn, one.batch_id, node, [node], key="k", staff_id=None, now=utcnow())
    return made.code


def lasting(**more: object) -> Batch:
    return batch(starts_at=utcnow() - timedelta(days=1), ends_at=utcnow() + timedelta(days=9), **more)


OFFERS = [
    {"fen": 50_000, "min_fen": 500_000},
    {"kind": "discount", "fen": None, "share": 8500},
    {"fen": 20_000, "name": "立减 200 元送两节体验课券"},
    {"fen": 20_000, "name": "减 200 元券", "min_fen": 300_000},
]


@pytest.mark.parametrize("offer", OFFERS)
async def test_the_words_that_bring_a_coupon_promise_nothing_besides_it(
    home: House, offer: dict[str, object]
) -> None:
    await met(home)
    await take(home, a=ours("年课给您 8 折", ago_s=300))
    one = lasting(**offer)
    await take(home, b=ours(saying(one, await given(home, one)), ago_s=-1))

    async with home.db.read(1) as conn:
        rows = await store.of_nodes(conn, [await node_of(conn, MOTHER)])
    assert [(r.kind, r.share) for r in rows] == [("discount", 8000)]
    assert not await everything(home)


async def test_what_is_said_beside_a_coupon_is_a_promise(home: House) -> None:
    await met(home)
    one = lasting(fen=50_000)
    await take(home, b=ours(saying(one, await given(home, one)) + "另外学费给您打 9 折"))

    async with home.db.read(1) as conn:
        rows = await store.of_nodes(conn, [await node_of(conn, MOTHER)])
    assert [(r.kind, r.share) for r in rows] == [("discount", 9000)]


async def test_another_family_s_coupon_speaks_for_nobody_here(home: House) -> None:
    await met(home)
    one = lasting(kind="discount", fen=None, share=8500)
    await take(home, b=ours(saying(one, await given(home, one, FATHER))))

    async with home.db.read(1) as conn:
        rows = await store.of_nodes(conn, [await node_of(conn, MOTHER)])
    assert [r.share for r in rows] == [8500]


async def test_a_draft_that_brings_a_coupon_is_held_against_no_other_promise(home: House) -> None:
    await met(home)
    await take(home, a=ours("年课给您 8 折", ago_s=300))
    one = lasting(kind="discount", fen=None, share=9000)
    code = await given(home, one)
    async with home.db.read(1) as conn:
        ground = await Drafts().of_node(conn, await node_of(conn, MOTHER), role="rep", now=utcnow())

    assert judge(saying(one, code), ground, now=utcnow()).level == "ok"
    assert judge("券也给您了，年课 9 折", ground, now=utcnow()).level == "block"


async def test_a_verdict_is_stale_once_somebody_with_an_older_promise_is_of_the_family(home: House) -> None:
    await met(home)
    await take(home, a=ours("年课给您 8 折", ago_s=300))
    await take(home, b=ours("年课给您 9 折", to=FATHER, ago_s=30))

    async def version() -> str:
        async with home.db.read(1) as conn:
            ground = await Drafts().of_node(conn, await node_of(conn, FATHER), role="rep", now=utcnow())
        return ground.version

    before = await version()
    await joined(home)

    assert await version() != before


# -- put right ---------------------------------------------------------------------------------------------
async def test_reading_the_words_again_leaves_what_was_put_right_and_a_recall_does_not(home: House) -> None:
    await take(home, a=ours("年课给您 8.5 折", ago_s=60))
    async with home.db.begin(1) as conn:
        (one,) = await store.of_nodes(conn, [await node_of(conn, MOTHER)])
        right = service.Right(share=9000)
        await service.correct(conn, one.promise_id, right, by=3, why="应为 9 折", now=utcnow())
        told = await events.of_account(conn, [home.account.account_id], before=None, limit=9)
        assert not await promising.heed(conn, Drafts(), told, now=utcnow())
    before = await states(home)
    await take(home, b=note("event.recall", recalls="a"))

    assert sorted(before) == [(8500, "withdrawn"), (9000, "live")]
    assert sorted(await states(home)) == [(8500, "withdrawn"), (9000, "void")]
