"""The work board: counts equal lists, things happen once, events do tasks by themselves."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrm.db import Conn, Database
from scrm.desk.tasks import rules, service, store
from scrm.desk.tasks.rules import Happened
from scrm.desk.tasks.service import Wanted
from scrm.desk.tasks.store import Whose
from scrm.errors import BadInput, Conflict, NotFound
from scrm.staff import service as staff
from scrm.staff import store as staff_store
from tests.ground import NOW, later

ME, TEAM, ANNA, BOB = 7, 3, 100, 200


PEOPLE = (("me", "A"), ("peer", "A"), ("other", "B"))


async def hired(conn: Conn, login: str, team: str) -> int:
    return await staff.add(conn, login=login, name=login, role="rep", team=team, now=NOW)


def wanted(key: str = "k", kind: rules.Kind = "call", **more: Any) -> Wanted:
    usual: dict[str, Any] = {
        "title": "约试听",
        "why": "问过时间",
        "source": "sop",
        "node_id": ANNA,
        "staff_id": ME,
        "team_id": TEAM,
        "due_at": later(3600),
    }
    return Wanted(key=key, kind=kind, **usual | more)


async def agree(conn: Conn, whose: Whose, now: Any = NOW) -> int:
    """The list and the counts of one board; they must say the same."""
    listed = await store.board(conn, whose, now=now)
    counted = await store.counts(conn, whose, now=now)
    assert {kind: sum(t.kind == kind for t in listed) for kind in counted} == counted
    assert len(listed) == sum(counted.values())
    return len(listed)


async def test_a_task_is_made_once_per_key(database: Database) -> None:
    async with database.begin(1) as conn:
        first = await service.put(conn, [wanted(), wanted()], now=NOW)
        again = await service.put(conn, [wanted(title="别的")], now=NOW)

        assert (len(first), again) == (1, [])
        assert await agree(conn, Whose(staff_id=ME)) == 1


async def test_a_call_of_any_member_does_it_and_says_so(database: Database) -> None:
    async with database.begin(1) as conn:
        (made,) = await service.put(conn, [wanted()], now=NOW)
        call = Happened(kind="call", nodes=(BOB, ANNA), event_id=5, at=later(60), staff_id=ME, seconds=90)

        did = await service.heed(conn, [call, call], now=later(61))
        again = await service.heed(conn, [call], now=later(62))

        kept = await store.get(conn, made.task_id)
        assert [t.task_id for t in did] == [made.task_id]
        assert again == []
        assert kept is not None
        assert (kept.state, kept.done_event_id, kept.done_why) == ("done", 5, "通话后自动完成")


@pytest.mark.parametrize(
    "happened",
    [
        Happened(kind="call", nodes=(ANNA,), event_id=5, at=later(60), seconds=5),
        Happened(kind="call", nodes=(BOB,), event_id=5, at=later(60), seconds=90),
        Happened(kind="call", nodes=(ANNA,), event_id=5, at=later(-60), seconds=90),
        Happened(kind="out", nodes=(ANNA,), event_id=5, at=later(60)),
    ],
    ids=["rang out", "another family", "before it stood there", "something else"],
)
async def test_what_does_not_do_it_leaves_it(database: Database, happened: Happened) -> None:
    async with database.begin(1) as conn:
        await service.put(conn, [wanted()], now=NOW)

        assert await service.heed(conn, [happened], now=later(61)) == []
        assert await agree(conn, Whose(staff_id=ME)) == 1


async def test_a_put_off_task_is_back_when_its_time_comes(database: Database) -> None:
    async with database.begin(1) as conn:
        (made,) = await service.put(conn, [wanted()], now=NOW)

        with pytest.raises(BadInput):
            await service.postpone(conn, made.task_id, later(7200), " ", now=NOW)
        with pytest.raises(BadInput):
            await service.postpone(conn, made.task_id, later(-1), "在开会", now=NOW)
        await service.postpone(conn, made.task_id, later(7200), "在开会", now=NOW)

        assert await agree(conn, Whose(staff_id=ME)) == 0
        assert await agree(conn, Whose(staff_id=ME), later(7200)) == 1


async def test_put_off_three_times_only_the_leader_may_once_more(database: Database) -> None:
    async with database.begin(1) as conn:
        (made,) = await service.put(conn, [wanted()], now=NOW)
        for n in range(1, 4):
            await service.postpone(conn, made.task_id, later(n * 60), f"第 {n} 次", now=NOW)

        assert [t.task_id for t in await store.put_off(conn, Whose(staff_id=ME))] == [made.task_id]
        with pytest.raises(Conflict, match="3 次"):
            await service.postpone(conn, made.task_id, later(600), "再等等", now=NOW)
        await service.postpone(conn, made.task_id, later(600), "主管同意", leader=True, now=NOW)
        kept = await store.get(conn, made.task_id)
        assert kept is not None
        assert (kept.postponed, kept.postponed_why) == (4, "主管同意")


async def test_what_is_done_or_unknown_is_said_so(database: Database) -> None:
    async with database.begin(1) as conn:
        (made,) = await service.put(conn, [wanted()], now=NOW)
        await service.finish(conn, made.task_id, by=9, now=NOW)

        with pytest.raises(Conflict):
            await service.finish(conn, made.task_id, by=ME, now=NOW)
        with pytest.raises(NotFound):
            await service.finish(conn, 1, by=ME, now=NOW)
        kept = await store.get(conn, made.task_id)
        assert kept is not None
        assert kept.done_why == rules.BY_LEAD


async def test_runs_that_stop_take_their_tasks_along_and_time_takes_the_rest(database: Database) -> None:
    async with database.begin(1) as conn:
        await service.put(conn, [wanted("a", run_id=1), wanted("b", expires_at=later(10))], now=NOW)

        cancelled = await service.cancel(conn, [1], "目标达成", now=NOW)
        early = await service.expire(conn, now=NOW)
        expired = await service.expire(conn, now=later(10))

        assert [t.key for t in cancelled] == ["a"]
        assert early == []
        assert [t.key for t in expired] == ["b"]
        assert await agree(conn, Whose(staff_id=ME)) == 0


async def test_boards_of_others_and_of_other_tenants_are_theirs(database: Database) -> None:
    async with database.begin(1) as conn:
        me, peer, other = [await hired(conn, login, team) for login, team in PEOPLE]
        team = await staff_store.team_id(conn, "A")
        made = [wanted("a", staff_id=me), wanted("b", staff_id=peer), wanted("d", staff_id=other)]
        await service.put(conn, [*made, wanted("c", staff_id=None, team_id=team)], now=NOW)
        assert await agree(conn, Whose(staff_id=me)) == 1
        assert await agree(conn, Whose(team_id=team)) == 3
        assert await store.counts_by_rep(conn, team, now=NOW) == {me: (1, 0), peer: (1, 0), None: (1, 0)}
        assert await store.get(conn, 1) is None
    async with database.begin(2) as conn:
        assert await agree(conn, Whose(team_id=team)) == 0
        assert await agree(conn, Whose()) == 0


async def test_two_at_once_do_a_task_once(database: Database) -> None:
    async with database.begin(1) as conn:
        (made,) = await service.put(conn, [wanted()], now=NOW)

    async def finish() -> bool:
        try:
            async with database.begin(1) as conn:
                await service.finish(conn, made.task_id, by=ME, now=NOW)
        except Conflict:
            return False
        return True

    assert sorted(await asyncio.gather(*(finish() for _ in range(4)))) == [False, False, False, True]


@given(st.lists(st.tuples(st.integers(-5000, 90_000), st.integers(0, 3)), max_size=8))
def test_the_board_is_ordered_by_urgency_then_by_what_is_at_stake(dues: list[tuple[int, int]]) -> None:
    tasks = [
        service._task(wanted(str(n), due_at=later(due), value=value), NOW)  # noqa: SLF001
        for n, (due, value) in enumerate(dues)
    ]

    ordered = service.ordered(tasks, NOW)

    places = [("late", "now", "today", "later").index(rules.slot(t.due_at, NOW)) for t in ordered]
    assert places == sorted(places)
    for one, other in pairwise(ordered):
        if rules.slot(one.due_at, NOW) == rules.slot(other.due_at, NOW):
            assert one.value >= other.value


def test_slots_follow_the_day_of_shanghai() -> None:
    morning = NOW.replace(hour=2)

    assert rules.slot(morning, morning) == "late"
    assert rules.slot(morning + timedelta(minutes=59), morning) == "now"
    assert rules.slot(morning + timedelta(hours=13), morning) == "today"
    assert rules.slot(morning + timedelta(hours=15), morning) == "later"


TABLE = "这是暑期班的课表，周六上午和周日下午各一节"


@pytest.mark.parametrize(
    ("kind", "ready", "said", "does"),
    [
        ("material", TABLE, TABLE, True),
        ("material", TABLE, "您好！这是暑期班的课表，周六上午、周日下午都有", True),
        ("material", TABLE, "周六上午和周日下午各一节", True),  # the second piece of it
        ("material", TABLE, "好的", False),
        ("material", TABLE, "我在前台等您", False),
        ("material", TABLE, None, True),  # a picture of it
        ("material", "", "课表发您了", True),
        ("quote", "", "年课给您 8.5 折", True),
        ("quote", "", "一共 5,780", True),
        ("quote", "", "好的，周六 10 点见", False),
    ],
)
def test_a_quick_answer_is_not_what_was_to_be_sent(
    kind: rules.Kind, ready: str, said: str | None, does: bool
) -> None:
    one = wanted(kind=kind, action={"text": ready} if ready else {})
    task = service._task(one, NOW)  # noqa: SLF001
    out = Happened(kind="out", nodes=(ANNA,), event_id=5, at=later(60), words=said)

    assert rules.does(task, out) is does
