"""SOP rules: business time, lateness, goals; and files that cannot work are refused in words."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrm.desk.calendar import rules as dates
from scrm.desk.calendar.rules import Calendar, Day
from scrm.errors import BadInput
from scrm.playbook.scripts import read_library
from scrm.playbook.sops import files, forecast, rules
from scrm.playbook.sops.rules import Facts, Happened, Move, Over, Pause, Run
from scrm.playbook.sops.values import Plan, Step, Wait
from scrm.settings import shipped
from scrm.shapes import yaml_of
from tests.playbook.sops.clockwork import plan

CALENDAR = Calendar(
    week=dates.week("1-5 09:00-12:00, 1-5 13:30-18:00"),
    quiet=dates.quiet("21:00-08:30"),
    days={date(2026, 3, 5): Day(day=date(2026, 3, 5), kind="holiday", name="厂庆")},
)
LIBRARY = shipped("scripts_library")


def at(text: str) -> datetime:
    """A wall time in Shanghai, March 2026: `2 10:00`. The second is a Monday, the fifth a holiday."""
    day, clock = text.split()
    hour, minute = map(int, clock.split(":"))
    return datetime(2026, 3, int(day), hour, minute, tzinfo=dates.ZONE).astimezone(UTC)


@pytest.mark.parametrize(
    ("since", "wait", "until"),
    [
        ("2 10:00", Wait(minutes=90), "2 11:30"),
        ("2 10:00", Wait(days=1, hours=2), "3 12:00"),
        ("2 15:00", Wait(days=1, at="10:00"), "3 10:00"),
        ("2 15:00", Wait(at="10:00"), "3 10:00"),  # today it is over
        ("2 09:00", Wait(at="10:00"), "2 10:00"),
        ("2 11:00", Wait(hours=2, business=True), "2 14:30"),  # lunch does not count
        ("2 17:00", Wait(hours=2, business=True), "3 10:00"),
        ("6 17:00", Wait(hours=2, business=True), "9 10:00"),  # nor the weekend
        ("4 10:00", Wait(days=1, business=True), "6 10:00"),  # nor a holiday
        ("7 10:00", Wait(days=1, business=True), "9 10:00"),
        ("6 10:00", Wait(days=1, at="15:30"), "7 15:30"),
        ("6 10:00", Wait(days=1, at="15:30", business=True), "9 15:30"),
    ],
)
def test_a_wait_ends_when_people_would_say_it_does(since: str, wait: Wait, until: str) -> None:
    assert rules.ends(wait, at(since), CALENDAR) == at(until)


@given(
    since=st.integers(0, 366 * 86400).map(lambda s: at("1 00:00") + timedelta(seconds=s)),
    minutes=st.integers(0, 1440),
    hours=st.integers(0, 100),
    days=st.integers(0, 40),
    clock=st.sampled_from(["", "00:00", "10:00", "23:59"]),
    business=st.booleans(),
    worked=st.booleans(),
)
def test_no_wait_ends_before_it_began_or_never(
    since: datetime, minutes: int, hours: int, days: int, clock: str, business: bool, worked: bool
) -> None:
    wait = Wait(minutes=minutes, hours=hours, days=days, at=clock, business=business)
    until = rules.ends(wait, since, CALENDAR if worked else Calendar())

    assert until >= since or (clock and until > since - timedelta(days=1))
    assert until - since < timedelta(days=days * 4 + 80)
    if business and worked and clock:
        assert list(dates.spans_of(CALENDAR, until.astimezone(dates.ZONE).date()))


SPEAKS = '[{id: hi, message: {text: "您好", delivery: auto}}]'


def one(plan_: Plan, facts: Facts, now: datetime, **more: Any) -> rules.Action:
    usual: dict[str, Any] = {"ident": 7, "step": "hi", "taken": 0, "started_at": at("2 10:00"), "since": now}
    return rules.step(plan_, Run(**usual | more), facts, CALENDAR, now=now)


def test_what_waits_for_the_morning_is_not_late_in_the_morning() -> None:
    opens = at("9 09:00")
    held = one(plan(SPEAKS, late_hours=1), Facts(speaks_at=opens), at("6 19:00"))

    assert isinstance(held, Pause)
    assert opens <= held.until < opens + timedelta(minutes=30)
    said = one(plan(SPEAKS, late_hours=1), Facts(), held.until, since=at("6 19:00"), held_to=held.held_to)
    assert isinstance(said, Move)
    assert said.state == "done"


def test_what_may_not_be_said_for_days_is_left_out() -> None:
    left = one(plan(SPEAKS), Facts(speaks_at=at("9 09:00")), at("2 19:00"))

    assert isinstance(left, Move)
    assert (left.state, left.why) == ("skipped", "4 天内都没有能发的时间，这条不再发。")


def test_a_clock_set_back_makes_nothing_late() -> None:
    assert isinstance(one(plan(SPEAKS), Facts(), at("2 10:00"), since=at("2 12:00")), Move)


def test_a_goal_that_is_true_already_ends_it_before_anything_is_said() -> None:
    goal = plan(SPEAKS, goal=[{"stage": "trial"}], stop=[{"tag": "同行"}])

    assert one(goal, Facts(stage="trial"), at("2 10:00")) == Over(
        state="met", why="目标达成：进入“试听体验”阶段。"
    )
    assert one(goal, Facts(tags=frozenset({"同行"})), at("2 10:00")) == Over(
        state="stopped", why="停止：有了标签“同行”。"
    )
    assert not rules.starts(
        goal, Happened(at=at("2 10:00"), kind="event.contact.added"), Facts(stage="trial")
    )


def test_a_silence_that_somebody_else_of_the_family_broke_starts_nothing() -> None:
    quiet = plan(SPEAKS, starts=[{"silent_days": 7}])
    told = Happened(at=at("9 10:00"), code="edu.test", silent_since=at("2 10:00"))

    assert rules.starts(quiet, told, Facts(last_in_at=at("2 10:00")))
    assert not rules.starts(quiet, told, Facts(last_in_at=at("8 10:00")))
    assert not rules.starts(plan(SPEAKS, code="edu.other"), told, Facts())


# -- forecast ----------------------------------------------------------------------------------------------
def test_a_forecast_takes_the_same_steps_and_ends_with_what_happened() -> None:
    way = plan(
        """
        - {id: hi, message: {text: 您好, delivery: auto}}
        - {id: answer, wait: {days: 2, until_reply: true}}
        - {id: both, branch: {when: {replied: true}, then: call, otherwise: last}}
        - {id: call, task: {kind: call, title: 打电话, due_hours: 4, wait: true}}
        - {id: last, message: {text: 再见}}
        """,
        goal=[{"event": "event.order.paid"}],
    )
    speaks = lambda facts, _step, _at, _sent: facts  # noqa: E731
    silent = forecast.forecast(way, Facts(), CALENDAR, speaks, start=at("2 10:00"))
    heard = forecast.forecast(
        way,
        Facts(),
        CALENDAR,
        speaks,
        start=at("2 10:00"),
        happened=[
            Happened(at=at("2 11:00"), spoke=True, kind="message.text"),
            Happened(at=at("2 14:00"), kind="event.order.paid", words="订单已付款"),
        ],
    )

    assert [(p.step, p.at) for p in silent.planned] == [("hi", at("2 10:00")), ("last", at("4 10:00"))]
    assert (silent.state, silent.ended_at) == ("done", at("4 10:00"))
    assert [p.step for p in heard.planned] == ["hi"]
    assert (heard.state, heard.why, heard.ended_at) == ("met", "目标达成：订单已付款。", at("2 14:00"))


# -- files -------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def scripts() -> frozenset[str]:
    return frozenset(s.id for s in read_library(LIBRARY))


def test_the_plans_that_the_handbook_shows_work_and_read_back_the_same(scripts: frozenset[str]) -> None:
    shown = re.findall(r"```yaml sop\n(.*?)```", (LIBRARY / "README.md").read_text(encoding="utf-8"), re.S)
    plans = [p for text in shown for p in files.parse(yaml_of(text, where="README"), where="README")]

    assert [p.code for p in plans] == ["edu.new-7-days", "house.visit-reminder"]
    for each in plans:
        assert list(files.problems(each, scripts)) == []
        assert files.parse([files.plain(each)], where="again") == (each,)


def test_every_plan_that_ships_works(scripts: frozenset[str]) -> None:
    for trade, plans in files.read_packs(LIBRARY, scripts).items():
        for each in plans:
            assert files.parse([files.plain(each)], where=trade) == (each,)


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ("[{id: a, message: {text: 好}}, {id: a, end: 好}]", "步骤 a: 这个 id 用了两次"),
        ("[{id: a, message: {script: edu.no}}]", "步骤 a: 话术库里没有“edu.no”"),
        (
            "[{id: a, message: {text: 好, script: edu.price}}]",
            "步骤 a: 选一条话术（script）或者自己写（text）",
        ),
        ('[{id: a, message: {text: "{{ 1 + 1 }}"}}]', "步骤 a: "),
        ("[{id: a, stage: paid}]", "步骤 a: 没有“paid”这个阶段"),
        ("[{id: a, wait: {}}]", "步骤 a: 没有写等多久"),
        ('[{id: a, wait: {at: "25:00"}}]', "步骤 a: 时间“25:00”要写成 10:00 的样子"),
        ("[{id: a, end: 好, stage: trial}]", "步骤 a: 每一步只做一件事"),
        ("[{id: a, end: 好}, {id: b, end: 好}]", "步骤 b: 没有哪一步会走到这里"),
        ("[{id: a, tag: {add: [x]}, next: a}]", "步骤 a: 在没有等待的步骤里绕圈"),
        ("[{id: a, tag: {add: [x]}, next: z}]", "步骤 a: 没有“z”这一步"),
        ("[{id: a, tag: {}}]", "步骤 a: 标签要写加什么"),
    ],
)
def test_what_cannot_work_is_said_with_its_step(steps: str, why: str) -> None:
    raw = {"code": "edu.x", "version": 1, "title": "x", "starts": [{"tag": "a"}]}
    (made,) = files.parse([raw | {"steps": yaml_of(steps, where="s")}], where="s")
    found = [str(wrong) for wrong in files.problems(made, {"edu.price"})]

    assert any(sentence.startswith(why) for sentence in found), found
    with pytest.raises(BadInput, match=r"edu\.x"):
        files.prove(made, {"edu.price"}, where="x.yaml")


def test_a_circle_with_a_wait_in_it_is_fine() -> None:
    assert plan("[{id: a, wait: {days: 1}}, {id: b, tag: {add: [x]}, next: a}]").steps[1] == Step(
        id="b", tag=files.parse([_tagging()], where="t")[0].steps[0].tag, next="a"
    )


def _tagging() -> dict[str, Any]:
    steps = [{"id": "b", "tag": {"add": ["x"]}}]
    return {"code": "edu.x", "version": 1, "title": "x", "starts": [{"tag": "a"}], "steps": steps}


def test_what_may_not_be_meant_is_warned_of() -> None:
    odd = plan(
        """
        - {id: w, wait: {days: 1, at: "22:00"}}
        - {id: r, wait: {days: 1, until_reply: true}}
        - {id: c, coupon: {batch: GIFT}}
        """,
        stop=[{"reply": True}],
    )
    assert [str(s).split(":")[0] for s in files.warnings(odd, dates.quiet("21:00-08:30"))] == [
        "步骤 w",
        "步骤 r",
        "步骤 c",
        "没有写目标，走完之前客户已经成交也会继续",
    ]
