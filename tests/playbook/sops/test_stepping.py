"""Runs at work: begun once, every step once, spoken in office hours only, ended by anybody of the family."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from scrm.db import Database
from scrm.desk.calendar.rules import ZONE
from scrm.ledger.consent import store as consents
from scrm.ledger.consent.store import Said
from scrm.pipeline.drafts import Drafts
from scrm.pipeline.sops import acting, following
from scrm.pipeline.sops.notices import Notice
from scrm.playbook.sops import service
from scrm.playbook.sops.service import Whom
from scrm.playbook.sops.store import runs
from scrm.schema import node
from tests.ground import NOW, later, node_of
from tests.playbook.sops.clockwork import Clockwork, household, plan

DAY = timedelta(days=1)
HELLO = '[{id: hello, message: {text: "您好", delivery: auto}}]'


def shanghai(day: int, clock: str) -> datetime:
    hour, minute = map(int, clock.split(":"))
    return datetime(2026, 3, day, hour, minute, tzinfo=ZONE)


async def begun(db: Database, steps: str, **head: Any) -> Clockwork:
    """Anna has just become our customer; the plan is in force."""
    work = Clockwork(db)
    await work.live(plan(steps, **head))
    await work.meet("anna")
    await work.happen("anna")
    return work


async def test_a_run_begins_once_per_trigger_and_says_its_message_once(database: Database) -> None:
    work = await begun(database, HELLO)
    await work.until(later(60))
    await work.happen("anna")
    await work.until(later(120))

    (one,) = await work.runs()
    assert (one.state, one.why) == ("done", "全部步骤已走完。")
    assert [key for key, _ in await work.pushes()] == [f"sop:{one.run_id}:0:0"]
    assert [(s.n, s.step, s.kind, s.state) for s in await work.steps()] == [(0, "hello", "message", "done")]


async def test_nothing_is_said_at_night_and_the_message_is_not_late_for_that(database: Database) -> None:
    work = await begun(
        database,
        """
        - {id: wait, wait: {hours: 13}}
        - {id: hello, message: {text: 您好, delivery: auto}}
        """,
        late_hours=1,
    )
    await work.until(later(60 * 3600))

    ((_, at),) = await work.pushes()
    assert shanghai(3, "09:00") <= at < shanghai(3, "09:30")
    assert (await work.runs())[0].state == "done"


async def test_a_message_of_friday_evening_goes_out_on_monday(database: Database) -> None:
    work = Clockwork(database, now=shanghai(6, "17:30"))
    await work.live(plan('[{id: w, wait: {hours: 2}}, {id: hi, message: {text: "您好", delivery: auto}}]'))
    await work.meet("anna")
    await work.happen("anna")
    await work.until(shanghai(9, "12:00"))

    ((_, at),) = await work.pushes()
    assert shanghai(9, "09:00") <= at < shanghai(9, "09:30")


async def test_any_member_of_the_family_meets_the_goal(database: Database) -> None:
    steps = '[{id: w, wait: {days: 1}}, {id: hi, message: {text: "您好", delivery: auto}}]'
    work = await begun(database, steps, goal=[{"event": "event.order.paid"}])
    await work.meet("ben")
    await household(database, "anna", "ben")
    await work.until(later(3600))
    await work.happen("ben", "paid", kind="event.order.paid", words="订单已付款")
    await work.until(later(3 * 86400))

    (one,) = await work.runs()
    assert (one.state, one.why) == ("met", "目标达成：订单已付款。")
    assert await work.pushes() == []


async def test_an_old_event_that_comes_late_does_not_end_what_began_after_it(database: Database) -> None:
    steps = "[{id: w, wait: {days: 1}}]"
    work = await begun(database, steps, goal=[{"event": "event.order.paid"}])
    await work.until(later(60))
    await work.happen("anna", "old", kind="event.order.paid", at=later(-86400))
    await work.until(later(120))

    assert (await work.runs())[0].state == "running"


async def test_a_goal_that_was_heard_of_before_the_beginning_ends_it_all_the_same(database: Database) -> None:
    work = Clockwork(database)
    await work.live(plan(HELLO, goal=[{"event": "event.lesson"}]))
    await work.meet("anna")
    await work.event("anna", "event.lesson.attended", later(2))
    work.now = later(10)
    await work.happen("anna", at=later(1))
    await work.until(later(60))

    assert [(r.state, r.why) for r in await work.runs()] == [("met", "目标达成：event.lesson.attended。")]
    assert await work.pushes() == []


async def test_a_reply_ends_a_wait_for_it_at_once(database: Database) -> None:
    work = await begun(
        database,
        """
        - {id: answer, wait: {days: 2, until_reply: true}}
        - {id: both, branch: {when: {replied: true}, then: good, otherwise: bad}}
        - {id: good, end: 回复了}
        - {id: bad, end: 没回复}
        """,
    )
    await work.until(later(3600))
    await work.answer("anna")
    await work.until(later(3700))

    (one,) = await work.runs()
    assert (one.state, one.why) == ("done", "回复了")
    assert one.ended_at is not None
    assert one.ended_at < later(3700)


async def test_without_a_reply_the_wait_ends_by_itself(database: Database) -> None:
    work = await begun(
        database,
        """
        - {id: answer, wait: {days: 2, until_reply: true}}
        - {id: both, branch: {when: {replied: true}, then: good, otherwise: bad}}
        - {id: good, end: 回复了}
        - {id: bad, end: 没回复}
        """,
    )
    await work.until(later(3 * 86400))

    assert [(r.state, r.why) for r in await work.runs()] == [("done", "没回复")]


async def test_a_message_to_be_confirmed_is_a_task_with_its_words(database: Database) -> None:
    work = await begun(database, '[{id: hello, message: {text: "您好，{{ child.name }}"}}]')
    await work.until(later(60))

    (task,) = await work.tasks()
    assert (task.kind, task.source, task.state) == ("material", "sop", "open")
    assert task.action["text"] == "您好，【孩子称呼】"
    assert task.action["missing"] == ["child.name"]
    assert task.why == "流程“跟进”：缺少孩子称呼，请补上再发。"
    assert await work.pushes() == []
    (step,) = await work.steps()
    assert (step.state, step.task_id) == ("waiting", task.task_id)


async def test_what_cannot_be_filled_in_is_never_sent_by_itself(database: Database) -> None:
    work = await begun(database, '[{id: hello, message: {text: "您好，{{ child.name }}", delivery: auto}}]')
    await work.until(later(60))

    assert await work.pushes() == []
    assert [t.kind for t in await work.tasks()] == ["material"]


async def test_what_a_rep_would_be_warned_of_is_not_sent_by_itself(database: Database) -> None:
    work = Clockwork(database)
    work.means = replace(work.means, drafts=Drafts())
    await work.live(plan('[{id: hello, message: {text: "报名就保证提分三十分", delivery: auto}}]'))
    await work.meet("anna")
    await work.happen("anna")
    await work.until(later(60))

    (task,) = await work.tasks()
    assert task.why.startswith("流程“跟进”：发送前检查：")
    assert await work.pushes() == []


async def test_a_colleague_starts_a_run_and_stops_it(database: Database) -> None:
    work = Clockwork(database)
    one = plan("[{id: call, task: {kind: call, title: 打电话, wait: true}}]")
    await work.live(one)
    node = await work.meet("anna")
    async with database.begin(1) as conn:
        made = await service.start(conn, one, Whom(nodes=[node], node_id=node), key="by hand", now=NOW)
        again = await service.start(conn, one, Whom(nodes=[node], node_id=node), key="again", now=NOW)
    await work.until(later(60))
    async with database.begin(1) as conn:
        cancelled = await service.stop(conn, made.begun[0].run_id, "", now=later(60))

    assert again.begun == []
    assert [t.title for t in cancelled] == ["打电话"]
    assert [(r.state, r.why) for r in await work.runs()] == [("stopped", "同事手工停下。")]


async def test_a_customer_who_unsubscribed_is_left_alone_and_the_run_goes_on(database: Database) -> None:
    work = Clockwork(database)
    await work.live(plan(HELLO))
    node = await work.meet("anna")
    async with database.begin(1) as conn:
        no = Said(key="no", node_id=node, purpose="all", state="withdrawn", source="customer", at=NOW)
        await consents.add(conn, no, now=NOW)
    await work.happen("anna")
    await work.until(later(60))

    (step,) = await work.steps()
    assert step.state == "skipped"
    assert "退订" in step.why
    assert await work.pushes() == []
    assert await work.tasks() == []


async def test_a_task_is_waited_for_and_its_doing_lets_the_run_go_on(database: Database) -> None:
    work = await begun(
        database,
        """
        - {id: call, task: {kind: call, title: 打电话, due_hours: 4, wait: true}}
        - {id: over, end: 打过了}
        """,
    )
    await work.until(later(8 * 3600))
    (task,) = await work.tasks()
    assert (await work.runs())[0].state == "running"

    await work.finish(task.task_id)
    await work.until(later(8 * 3600 + 60))

    assert [(r.state, r.why) for r in await work.runs()] == [("done", "打过了")]
    assert [(s.step, s.state, s.task_id) for s in await work.steps()] == [("call", "done", task.task_id)]


async def test_a_task_nobody_does_holds_nobody_up_for_ever(database: Database) -> None:
    work = await begun(
        database,
        "[{id: call, task: {kind: call, title: 打电话, due_hours: 4, wait: true}}, {id: over, end: 算了}]",
    )
    await work.until(later(4 * 86400))

    assert [(r.state, r.why) for r in await work.runs()] == [("done", "算了")]
    assert [(s.step, s.state) for s in await work.steps()] == [("call", "skipped")]


async def test_the_end_of_a_run_takes_its_tasks_off_the_board(database: Database) -> None:
    work = await begun(
        database,
        "[{id: call, task: {kind: call, title: 打电话, wait: true}}]",
        stop=[{"tag": "暂不联系"}],
    )
    await work.until(later(60))
    await work.happen("anna", "t", kind="event.tag", tags=("暂不联系",))
    await work.until(later(120))

    assert [(t.state, t.done_why) for t in await work.tasks()] == [
        ("cancelled", "停止：有了标签“暂不联系”。")
    ]


async def test_of_one_group_a_household_is_on_one_and_the_more_important_goes_first(
    database: Database,
) -> None:
    work = Clockwork(database)
    slow = "[{id: w, wait: {days: 9}}]"
    starts = {"low": [{"event": "event.a"}], "high": [{"event": "event.b"}]}
    await work.live(
        plan(slow, code="edu.low", title="普通", group="g", priority=1, starts=starts["low"]),
        plan(slow, code="edu.test", title="重要", group="g", priority=5, starts=starts["high"]),
    )
    await work.meet("anna")
    await work.happen("anna", "a", kind="event.a")
    await work.until(later(60))
    await work.happen("anna", "b", kind="event.b")
    await work.until(later(120))
    await work.happen("anna", "a2", kind="event.a")
    await work.until(later(180))

    states = {(r.code, r.state, r.why) for r in await all_runs(work)}
    assert states == {
        ("edu.low", "stopped", "同组的“重要”优先，这个流程停下。"),
        ("edu.test", "running", ""),
    }


async def all_runs(work: Clockwork) -> list[Any]:
    return [r for code in ("edu.low", "edu.test") for r in await runs_of(work, code)]


async def runs_of(work: Clockwork, code: str) -> list[Any]:
    async with work.db.read(1) as conn:
        return await runs.page(conn, code, limit=50)


async def test_after_a_merge_the_later_of_two_runs_stops(database: Database) -> None:
    work = Clockwork(database)
    await work.live(plan('[{id: w, wait: {days: 1}}, {id: hi, message: {text: "您好", delivery: auto}}]'))
    for who in ("anna", "ben"):
        await work.meet(who)
        await work.happen(who, who)
        await work.until(work.now + timedelta(minutes=5))
    await household(database, "anna", "ben")
    await work.until(later(2 * 86400))

    first, second = await work.runs()
    assert (first.state, second.state) == ("done", "stopped")
    assert second.why == "这一家已经在走“跟进”，后开始的停下。"
    assert len(await work.pushes()) == 1


async def test_the_same_family_does_not_go_through_it_again_too_soon(database: Database) -> None:
    work = await begun(database, HELLO, again_after_days=30)
    await work.until(later(60))
    await work.happen("anna", "again")
    await work.until(later(120))

    assert len(await work.runs()) == 1


async def test_history_starts_nothing(database: Database) -> None:
    work = Clockwork(database)
    await work.live(plan(HELLO))
    await work.meet("anna")
    await work.happen("anna", at=later(-4 * 86400))
    await work.until(later(60))

    assert await work.runs() == []


LATE = '[{id: w, wait: {hours: 1}}, {id: hi, message: {text: "您好", delivery: auto}}]'


async def test_after_a_standstill_messages_are_spread(database: Database) -> None:
    work = Clockwork(database)
    await work.live(plan(LATE, late_hours=5))
    for n in range(12):
        await work.meet(f"c{n}")
        await work.happen(f"c{n}", f"k{n}")
    await work.until(later(60))
    work.now = later(5 * 3600)  # nobody was there for four hours
    await work.until(later(6 * 3600))
    times = [at for _, at in await work.pushes()]

    assert len(times) == 12
    assert max(times) - min(times) > timedelta(minutes=10)
    assert max(times) <= later(5 * 3600 + 1801)


async def test_what_is_too_late_is_left_out_with_a_reason(database: Database) -> None:
    work = await begun(database, LATE, late_hours=3)
    await work.until(later(60))
    work.now = later(5 * 3600)
    await work.until(later(6 * 3600))

    assert await work.pushes() == []
    assert [(s.step, s.state, s.why) for s in await work.steps()][1:] == [
        ("hi", "skipped", "晚了 3 小时以上，这条不再发。")
    ]


async def test_workers_that_meet_begin_one_run_and_take_each_step_once(database: Database) -> None:
    work = Clockwork(database)
    steps = (
        "[{id: a, tag: {add: [x]}}, {id: hi, message: {text: 好, delivery: auto}}, {id: w, wait: {days: 1}}]"
    )
    await work.live(plan(steps))
    node = await work.meet("anna")

    async def follow(key: str) -> None:
        one = Notice(key=key, node_id=node, at=NOW, kind="event.contact.added")
        async with database.begin(1) as conn:
            await following.follow(conn, work.means, one, now=NOW)

    await asyncio.gather(*(follow(key) for key in "abcd"))
    (run,) = await work.runs()

    async def take() -> None:
        async with database.begin(1) as conn:
            await acting.take(conn, work.means, run.run_id, now=NOW)

    await asyncio.gather(*(take() for _ in range(5)))
    assert [s.step for s in await work.steps()] == ["a", "hi"]
    assert len(await work.pushes()) == 1


@pytest.mark.parametrize("jump", [-3600, 7200])
async def test_a_clock_that_jumps_repeats_nothing(database: Database, jump: int) -> None:
    work = await begun(
        database,
        """
        - {id: one, message: {text: 一, delivery: auto}}
        - {id: w, wait: {minutes: 90}}
        - {id: two, message: {text: 二, delivery: auto}}
        """,
    )
    await work.until(later(60))
    work.now += timedelta(seconds=jump)
    await work.until(later(600 + max(0, jump)))
    work.now -= timedelta(seconds=jump)
    await work.until(later(2 * 86400))

    (one,) = await work.runs()
    assert sorted(key for key, _ in await work.pushes()) == [f"sop:{one.run_id}:{n}:0" for n in (0, 2)]
    assert [s.step for s in await work.steps()] == ["one", "w", "two"]


async def test_an_address_that_is_gone_stops_the_run(database: Database) -> None:
    work = await begun(database, '[{id: w, wait: {days: 1}}, {id: hi, message: {text: "您好"}}]')
    await work.until(later(60))
    async with database.begin(1) as conn:
        gone = await node_of(conn, "anna")
        await conn.run(sa.delete(node).where(node.c.tenant_id == 1, node.c.node_id == gone))
    await work.until(later(3 * 86400))

    assert [(r.state, r.why) for r in await work.runs()] == [("stopped", "客户资料已删除，流程停下。")]
