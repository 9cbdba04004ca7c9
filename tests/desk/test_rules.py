"""Who gets a conversation: the rep who knows the customer, else the least loaded; nobody twice; explained."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrm.desk import rules
from scrm.desk.rules import Candidate, Decision
from scrm.errors import BadInput
from tests.ground import NOW, later

ANN, BOB, CAT = 1, 2, 3


def rep(staff_id: int, **more: Any) -> Candidate:
    usual: dict[str, Any] = {"load": 0, "capacity": 8, "seen_at": later(-5)}
    return Candidate(staff_id=staff_id, **(usual | more))


def decided(people: list[Candidate], **more: Any) -> Decision:
    usual: dict[str, Any] = {"last_rep": None, "holder": None, "now": NOW}
    return rules.assign(people, **(usual | more))


@pytest.mark.parametrize(
    ("people", "asked", "to", "rule"),
    [
        ([rep(ANN, load=3), rep(BOB, load=1)], {}, BOB, "load"),
        ([rep(ANN, assigned_at=later(-9)), rep(BOB, assigned_at=later(-99))], {}, BOB, "tie"),
        ([rep(ANN, assigned_at=later(-9)), rep(BOB)], {}, BOB, "tie"),  # never had one
        ([rep(ANN, load=7), rep(BOB)], {"last_rep": ANN}, ANN, "return"),  # busier, but knows them
        ([rep(ANN, load=8), rep(BOB)], {"last_rep": ANN}, BOB, "instead"),  # full
        ([rep(ANN, away_at=later(-1)), rep(BOB)], {"last_rep": ANN}, BOB, "instead"),
        ([rep(ANN, seen_at=later(-31)), rep(BOB)], {"last_rep": ANN}, BOB, "instead"),  # page closed
        ([rep(BOB)], {"holder": ANN}, BOB, "instead"),  # opened again, its rep has gone home
        ([rep(ANN), rep(BOB)], {"holder": ANN}, ANN, "return"),
        ([rep(ANN, load=8)], {}, None, ""),  # waits unassigned, nothing happened
        ([], {"holder": ANN}, None, "queue"),  # nobody can: it leaves her
        ([rep(ANN)], {"tried": {ANN}}, None, ""),  # she put it back herself
    ],
)
def test_who_gets_it(people: list[Candidate], asked: dict[str, Any], to: int | None, rule: str) -> None:
    decision = decided(people, **asked)

    assert (decision.rep_id, decision.rule) == (to, rule)


candidates = st.lists(
    st.builds(
        Candidate,
        staff_id=st.integers(1, 9),
        load=st.integers(0, 4),
        capacity=st.integers(0, 4),
        seen_at=st.integers(-60, 0).map(later),
        away_at=st.none() | st.just(NOW),
        assigned_at=st.none() | st.integers(-99, 0).map(later),
    ),
    max_size=9,
    unique_by=lambda c: c.staff_id,
)
ids = st.integers(1, 9)


@given(candidates, st.none() | ids, st.none() | ids, st.sets(ids))
def test_whoever_gets_it_is_here_has_room_and_has_not_had_it(
    people: list[Candidate], last_rep: int | None, holder: int | None, tried: set[int]
) -> None:
    decision = rules.assign(people, last_rep=last_rep, holder=holder, tried=tried, now=NOW)

    able = [c for c in people if rules.takes_more(c, NOW) and c.staff_id not in tried]
    if decision.rep_id is None:
        assert able == []
    else:
        (chosen,) = [c for c in able if c.staff_id == decision.rep_id]
        assert decision.rule == "return" or chosen.load == min(c.load for c in able)
        assert decision.facts == {"load": chosen.load, "capacity": chosen.capacity}


@given(candidates, ids)
def test_passing_on_ends_and_nobody_has_it_twice(people: list[Candidate], first: int) -> None:
    had, holder = [first], first
    while True:
        decision = rules.pass_on(people, holder=holder, tried=set(had), waited_s=120, now=NOW)
        if not decision.rule:
            break
        assert decision.rep_id is not None
        holder = decision.rep_id
        had.append(holder)

    assert decision.rep_id == holder
    assert len(set(had)) == len(had) <= len(people) + 1


@given(candidates)
def test_the_order_in_which_people_are_listed_decides_nothing(people: list[Candidate]) -> None:
    assert decided(people) == decided(people[::-1])


@pytest.mark.parametrize("rule", rules.WHY)
def test_every_rule_has_a_sentence_that_its_facts_fill(rule: rules.Rule) -> None:
    said = rules.WHY[rule].format(
        **{"to": "李敏", "from": "王强", "by": "周浩", "team": "二组"}, load=3, capacity=8, wait=120
    )

    assert "{" not in said
    assert said.endswith("。")


def test_at_the_edge_of_thirty_seconds_somebody_is_gone() -> None:
    assert rules.is_online(later(-29.9), None, NOW)
    assert not rules.is_online(later(-30), None, NOW)
    assert not rules.is_online(None, None, NOW)
    assert not rules.takes_more(replace(rep(ANN), capacity=0), NOW)


@pytest.mark.parametrize(
    ("pause", "custom", "at"),
    [
        ("30m", "", NOW + timedelta(minutes=30)),
        ("2h", "", NOW + timedelta(hours=2)),
        ("tomorrow", "", datetime(2026, 3, 3, 1, 0, tzinfo=UTC)),  # nine in Shanghai
        ("custom", "2026-03-02T15:45", datetime(2026, 3, 2, 7, 45, tzinfo=UTC)),
        ("custom", "2026-03-02T15:45+00:00", datetime(2026, 3, 2, 15, 45, tzinfo=UTC)),
    ],
)
def test_until_when_it_is_put_off(pause: str, custom: str, at: datetime) -> None:
    assert rules.until(pause, custom, NOW) == at


def test_late_in_the_evening_tomorrow_is_the_next_day_of_shanghai() -> None:
    night = datetime(2026, 3, 2, 16, 30, tzinfo=UTC)  # half past midnight of the 3rd

    assert rules.until("tomorrow", "", night) == datetime(2026, 3, 4, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pause", "custom"),
    [
        ("", ""),
        ("for ever", ""),
        ("custom", ""),
        ("custom", "soon"),
        ("custom", "2026-03-02T09:30"),  # now
        ("custom", "2026-02-02T09:30"),
        ("custom", "2027-03-02T09:30"),
        ("custom", "0001-01-01T00:00"),
    ],
)
def test_a_time_that_makes_no_sense_is_refused(pause: str, custom: str) -> None:
    with pytest.raises(BadInput):
        rules.until(pause, custom, NOW)
