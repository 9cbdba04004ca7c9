"""How often is too often: a person and their household, a day and a month, in Shanghai."""

from __future__ import annotations

import pytest

from scrm.desk.frequency import Limits, Reached, Room, next_month, room
from tests.desk.test_calendar import at

NOW = at("2026-03-10 10:00")
LIMITS = Limits(per_day=1, per_month=3, household_per_day=2, household_per_month=4)
ME, WIFE = 1, 2


def sent(*times: str, to: int = ME) -> list[Reached]:
    return [Reached(node_id=to, at=at(f"2026-{t}")) for t in times]


@pytest.mark.parametrize(
    ("reached", "why", "left"),
    [
        ([], "", 1),
        (sent("03-10 00:00"), "person_day", 0),  # the first minute of today
        (sent("03-09 23:59"), "", 1),  # the last one of yesterday
        (sent("03-02 10:00", "03-05 10:00", "03-08 10:00"), "person_month", 0),
        (sent("02-28 23:59", "03-05 10:00", "03-08 10:00"), "", 1),  # February does not count
        (sent("03-10 08:40", "03-10 08:50", to=WIFE), "household_day", 0),
        (sent("03-10 08:40", to=WIFE), "", 1),
        (sent("03-01 09:00", "03-02 09:00", "03-03 09:00", "03-04 09:00", to=WIFE), "household_month", 0),
    ],
)
def test_limits(reached: list[Reached], why: str, left: int) -> None:
    found = room(LIMITS, reached, own={ME}, at=NOW)

    assert (found.why, found.left) == (why, left)


def test_the_limit_that_lasts_longest_is_the_one_that_is_named() -> None:
    found = room(LIMITS, sent("03-10 09:00", "03-08 09:00", "03-07 09:00"), own={ME}, at=NOW)

    assert (found.why, found.limit, found.again_at) == ("person_month", 3, at("2026-04-01 00:00"))


def test_planned_for_later_counts_on_its_own_day() -> None:
    planned = sent("03-11 09:00")

    assert room(LIMITS, planned, own={ME}, at=NOW).left == 1
    assert room(LIMITS, planned, own={ME}, at=at("2026-03-11 08:40")).why == "person_day"


def test_no_limit_is_no_limit() -> None:
    assert room(Limits(), sent("03-10 09:00") * 99, own={ME}, at=NOW) == Room()


def test_december_ends_in_january() -> None:
    assert next_month(at("2026-12-31 23:59")) == at("2027-01-01 00:00")
