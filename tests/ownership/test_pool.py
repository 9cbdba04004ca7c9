"""The public pool: warned, fallen, taken by exactly one, given up; what was claimed stays; both engines."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from scrm.db import Database, utcnow
from scrm.errors import BadInput, Conflict
from scrm.ownership import deciding, escalating, pooling, versions
from scrm.ownership.deciding import By
from scrm.ownership.policies import plain
from scrm.ownership.rules import pool as rules
from scrm.ownership.rules.policy import Pooling
from scrm.ownership.store import appeals, claims
from scrm.ownership.store import pool as store
from scrm.ownership.store.pool import Entry
from scrm.schema import conversation, staff
from scrm.staff.rules import Scope
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations, hands
from tests.ground import answered, node_of, said, talk_of
from tests.ownership.market import Market, day, market

POLICY = Pooling()
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
async def shop(database: Database, monkeypatch: pytest.MonkeyPatch) -> Market:
    return await market(database, monkeypatch)


async def customer(shop: Market, name: str = "anna", *, rep: str = "wang") -> int:
    """Somebody who wrote and was answered by this rep; the rep's id."""
    ident = await shop.rep(rep)
    await shop.hear(said(by=name, at=day(1)), answered(to=name, at=day(1.1), staff=rep))
    return ident


async def sweep(shop: Market, now: datetime) -> int:
    """As the errand does; how many conversations moved."""
    async with shop.db.begin(1) as conn:
        await pooling.tidy(conn, after=0, limit=500, now=now)
        _, falling = await pooling.sweep(conn, after=0, limit=500, now=now)
    moved = 0
    for ident in falling:
        async with shop.db.begin(1) as conn:
            moved += len(await pooling.fall(conn, ident, now=now))
    return moved


async def entries(shop: Market, state: str) -> list[Entry]:
    async with shop.db.read(1) as conn:
        return await store.page(conn, state, teams=None, before=None, limit=50)


async def talk(shop: Market, name: str = "anna") -> Talk:
    async with shop.db.read(1) as conn:
        return await talk_of(conn, name)


async def take(shop: Market, entry_id: int, rep: int, now: datetime) -> int:
    async with shop.db.begin(1) as conn:
        moved = await pooling.take(conn, entry_id, by=By(label=f"staff:{rep}", staff_id=rep), now=now)
    return len(moved)


async def fallen(shop: Market, now: datetime) -> Entry:
    """Warned, and fallen when the warning ran out."""
    await sweep(shop, now)
    await sweep(shop, now + 4 * DAY)
    (one,) = await entries(shop, "in")
    return one


# -- the rules -----------------------------------------------------------------------------------------------
NOW = datetime.fromisoformat("2026-03-02T01:30:00+00:00")


@pytest.mark.parametrize(
    ("level", "days", "step"),
    [
        ("new", 3.9, ""),
        ("new", 4, "warn"),  # 7 days less the 3 of the warning
        ("talked", 26, ""),
        ("talked", 27, "warn"),
        ("visited", 12, "warn"),
        ("bought", 86, ""),
        ("bought", 87, "warn"),
    ],
)
def test_each_level_is_warned_in_its_own_time(level: str, days: float, step: str) -> None:
    held = rules.Held(gone=False, level=level, followed_at=NOW - days * DAY)  # type: ignore[arg-type]

    assert rules.step(rules.fate(held, POLICY, now=NOW), None, POLICY, now=NOW) == step


def test_nobody_falls_before_the_warning_has_run_out() -> None:
    held = rules.Held(gone=False, level="new", followed_at=NOW - 400 * DAY)
    found = rules.fate(held, POLICY, now=NOW)
    assert found is not None
    until = rules.warned_until(found, POLICY, now=NOW)

    steps = [rules.step(found, until, POLICY, now=now) for now in (NOW, until - HOUR, until)]

    assert steps == ["", "", "fall"]
    assert until == NOW + 3 * DAY


def test_who_was_taken_from_the_pool_falls_again_sooner() -> None:
    held = rules.Held(gone=False, level="talked", followed_at=NOW - 5 * DAY)

    usual, picked = (rules.fate(replace(held, picked_at=at), POLICY, now=NOW) for at in (None, NOW - 5 * DAY))

    assert usual is not None
    assert picked is not None
    assert usual.falls_at - held.followed_at == 30 * DAY
    assert picked.falls_at - held.followed_at == 3 * DAY


@pytest.mark.parametrize(
    ("held", "taken", "from_id", "rule", "days", "why"),
    [
        (0, 0, 2, "idle", 0, None),
        (0, 0, 1, "idle", 6, "cooling"),
        (0, 0, 1, "idle", 7, None),
        (0, 0, 2, "declined", 29, "resting"),
        (0, 0, 2, "declined", 30, None),
        (300, 0, 2, "idle", 0, "full"),
        (0, 20, 2, "idle", 0, "today"),
    ],
)
def test_who_may_take_whom(
    held: int, taken: int, from_id: int, rule: str, days: float, why: str | None
) -> None:
    taker = rules.Taker(staff_id=1, held=held, taken=taken)

    refused = rules.may_take(
        taker, from_id=from_id, rule=rule, fell_at=NOW - days * DAY, policy=POLICY, now=NOW
    )

    assert (refused.why if refused else None) == why
    assert refused is None or "{" not in refused.sentence()


def test_a_pool_that_is_switched_off_does_nothing() -> None:
    off = replace(POLICY, enabled=False)
    for gone in (False, True):
        held = rules.Held(gone=gone, level="new", followed_at=NOW - 99 * DAY)
        assert rules.step(rules.fate(held, off, now=NOW), None, off, now=NOW) == ""


# -- falling in ----------------------------------------------------------------------------------------------
async def test_an_idle_customer_is_warned_of_and_then_falls_with_a_sentence(shop: Market) -> None:
    rep = await customer(shop)
    start = utcnow()

    assert await sweep(shop, start + 20 * DAY) == 0
    assert await entries(shop, "warned") == []
    assert await sweep(shop, start + 28 * DAY) == 0
    (warned,) = await entries(shop, "warned")
    assert await sweep(shop, start + 29 * DAY) == 0
    assert await sweep(shop, start + 32 * DAY) == 1

    (one,) = await entries(shop, "in")
    assert (one.entry_id, one.from_id, one.level) == (warned.entry_id, rep, "talked")
    assert rules.sentence(one.rule, one.facts, "王强") == (
        "聊过客户 32 天没有跟进（规则是 30 天），所以进入公海。"
    )
    assert (await talk(shop)).rep_id is None


async def test_a_follow_up_takes_the_warning_back(shop: Market) -> None:
    await customer(shop)
    start = utcnow()
    await sweep(shop, start + 28 * DAY)
    assert len(await entries(shop, "warned")) == 1

    await shop.hear(answered("方便聊聊吗", at=start + 29 * DAY, staff="wang"))
    moved = await sweep(shop, start + 32 * DAY)

    assert moved == 0
    assert await entries(shop, "warned") == []
    assert len(await entries(shop, "kept")) == 1
    assert (await talk(shop)).rep_id is not None


async def test_customers_of_a_rep_who_left_fall_at_once(shop: Market) -> None:
    rep = await customer(shop)
    async with shop.db.begin(1) as conn:
        gone = sa.update(staff).where(staff.c.tenant_id == 1, staff.c.staff_id == rep)
        await conn.run(gone.values(state="left"))

    assert await sweep(shop, utcnow()) == 1

    (one,) = await entries(shop, "in")
    assert rules.sentence(one.rule, one.facts, "王强") == "王强已离职，所以客户进入公海。"


async def test_claims_stay_when_a_customer_falls(shop: Market) -> None:
    await customer(shop)
    async with shop.db.read(1) as conn:
        before = await claims.page(conn, before=None, limit=50)

    await fallen(shop, utcnow() + 40 * DAY)

    async with shop.db.read(1) as conn:
        assert await claims.page(conn, before=None, limit=50) == before
    assert before != []


async def test_colleagues_do_not_see_the_pool_until_the_customer_writes(shop: Market) -> None:
    await customer(shop)
    scope, node = Scope(rep_id=77, team_id=5), 0
    await fallen(shop, utcnow() + 40 * DAY)

    async with shop.db.read(1) as conn:
        node = await node_of(conn, "anna")
        hidden = await conversations.visible_of_nodes(conn, scope, [node])
    await shop.hear(said("还在吗", at=utcnow() + 45 * DAY))
    async with shop.db.read(1) as conn:
        shown = await conversations.visible_of_nodes(conn, scope, [node])

    assert (len(hidden), len(shown)) == (0, 1)


async def test_who_was_answered_by_somebody_leaves_the_pool_by_itself(shop: Market) -> None:
    await customer(shop)
    start = utcnow() + 40 * DAY
    await fallen(shop, start)
    await shop.rep("li")

    await shop.hear(
        said("还在吗", at=start + 5 * DAY), answered("在的", at=start + 5 * DAY + HOUR, staff="li")
    )
    await sweep(shop, start + 6 * DAY)

    assert await entries(shop, "in") == []
    assert len(await entries(shop, "back")) == 1
    assert (await talk(shop)).rep_id == await shop.rep("li")


async def test_a_rep_gives_up_only_their_own(shop: Market) -> None:
    rep, other = await customer(shop), await shop.rep("li")
    async with shop.db.begin(1) as conn:
        one = await talk_of(conn, "anna")
        with pytest.raises(BadInput, match="自己名下"):
            await pooling.give_up(conn, one, "given", by=By(label="x", staff_id=other), now=utcnow())
        with pytest.raises(BadInput, match="原因"):
            await pooling.give_up(conn, one, "idle", by=By(label="x", staff_id=rep), now=utcnow())
        await pooling.give_up(conn, one, "declined", by=By(label="x", staff_id=rep), now=utcnow())

    (entry,) = await entries(shop, "in")
    with pytest.raises(BadInput, match="30 天内先不打扰"):
        await take(shop, entry.entry_id, other, utcnow() + DAY)
    assert await take(shop, entry.entry_id, other, utcnow() + 31 * DAY) == 1


# -- taking --------------------------------------------------------------------------------------------------
async def test_who_takes_has_them_and_nobody_else_can(shop: Market) -> None:
    lost, now = await customer(shop), utcnow() + 44 * DAY
    one = await fallen(shop, utcnow() + 40 * DAY)
    li, zhao = await shop.rep("li"), await shop.rep("zhao")

    with pytest.raises(BadInput, match="7 天内不能由你领回"):
        await take(shop, one.entry_id, lost, now + DAY)
    assert await take(shop, one.entry_id, li, now + DAY) == 1
    with pytest.raises(Conflict):
        await take(shop, one.entry_id, zhao, now + DAY)

    assert (await talk(shop)).rep_id == li
    async with shop.db.read(1) as conn:
        pooled = sa.select(sa.func.count()).where(conversation.c.pooled_at.is_not(None))
        assert await conn.scalar(pooled) == 0


async def test_of_eight_at_once_one_wins(shop: Market) -> None:
    await customer(shop)
    one = await fallen(shop, utcnow() + 40 * DAY)
    reps = [await shop.rep(f"r{n}") for n in range(8)]

    outcomes = await asyncio.gather(
        *(take(shop, one.entry_id, rep, utcnow() + 45 * DAY) for rep in reps), return_exceptions=True
    )

    assert [o for o in outcomes if not isinstance(o, Conflict)] == [1]
    assert (await talk(shop)).rep_id in reps


async def test_a_full_rep_takes_nobody(shop: Market) -> None:
    await customer(shop)
    one = await fallen(shop, utcnow() + 40 * DAY)
    li = await customer(shop, "bella", rep="li")
    async with shop.db.begin(1) as conn:
        policy = plain(await versions.current(conn))
        small = {**policy, "pool": {**policy["pool"], "capacity": 1}}
        await versions.save(conn, small, actor="staff:1", actor_id=1, note="", now=utcnow())

    with pytest.raises(BadInput, match="名下已有 1 位客户"):
        await take(shop, one.entry_id, li, utcnow() + 45 * DAY)


async def test_looking_is_counted_once_a_customer_and_ends_with_the_day(shop: Market) -> None:
    li, now = await shop.rep("li"), utcnow()
    made = [store.fresh(node_id=n, from_id=None, team_id=None, state="in", rule="idle", level="new")
            for n in range(1, 53)]  # fmt: skip
    async with shop.db.begin(1) as conn:
        for one in [made[0], *made[:50]]:
            await pooling.look(conn, one, li, now=now)
        with pytest.raises(BadInput, match="今天已查看 50 位"):
            await pooling.look(conn, made[50], li, now=now)
        await pooling.look(conn, made[50], li, now=now + DAY)


async def test_one_conversation_released_again_is_the_team_s_and_not_the_pool_s(shop: Market) -> None:
    await customer(shop)
    one = await fallen(shop, utcnow() + 40 * DAY)
    li = await shop.rep("li")
    await take(shop, one.entry_id, li, utcnow() + 45 * DAY)

    async with shop.db.begin(1) as conn:
        await hands.change(conn, await talk_of(conn, "anna"), rep_id=None)
        seen = await conversations.visible_of_nodes(
            conn, Scope(rep_id=77, team_id=5), [await node_of(conn, "anna")]
        )

    assert len(seen) == 1


# -- appeals nobody decides ----------------------------------------------------------------------------------
async def test_a_late_appeal_goes_up_once(shop: Market) -> None:
    await shop.added("anna", "wang", day(1))
    await shop.paid("anna", "A1", day(5))
    (ruled, *_) = await shop.rulings("A1")
    by = By(label="staff:7", staff_id=7)
    async with shop.db.begin(1) as conn:
        words = "客户是我先接待的，有录音为证。"
        made = await deciding.appeal(conn, ruled.ruling_id, words, by=by, now=ruled.at)

    found = []
    for now in (made.due_at - HOUR, made.due_at + HOUR, made.due_at + 2 * HOUR):
        async with shop.db.begin(1) as conn:
            found.append(await escalating.escalate(conn, now=now))

    assert found == [[], [made.appeal_id], []]
    async with shop.db.read(1) as conn:
        (late,) = await appeals.page(conn, before=None, limit=5, state="escalated")
    assert late.escalated_at == made.due_at + HOUR
