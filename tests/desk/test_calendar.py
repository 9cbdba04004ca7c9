"""When we work and when customers are left in peace: worked weekends, lunch, nights, long holidays."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from scrm import settings
from scrm.db import Database
from scrm.desk import manners
from scrm.desk.calendar import rules, service
from scrm.desk.calendar.rules import Calendar, Day
from scrm.desk.calendar.service import public_days
from scrm.desk.manners import Manners
from scrm.errors import BadInput

WEEK = rules.week("1-5 09:00-12:00, 1-5 13:30-18:00")
QUIET = rules.quiet("21:00-08:30")
CALENDAR = Calendar(week=WEEK, quiet=QUIET, days=public_days())


def at(text: str) -> datetime:
    """A wall time in Shanghai."""
    return datetime.fromisoformat(text).replace(tzinfo=rules.ZONE).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-03-02 10:00", "2026-03-02 10:00"),  # a Monday morning
        ("2026-03-02 12:00", "2026-03-02 13:30"),  # lunch
        ("2026-03-02 13:30", "2026-03-02 13:30"),
        ("2026-03-02 18:00", "2026-03-03 09:00"),  # the end is not at work any more
        ("2026-03-06 20:00", "2026-03-09 09:00"),  # over a weekend
        ("2026-02-14 10:00", "2026-02-14 10:00"),  # a Saturday that is worked
        ("2026-02-14 19:00", "2026-02-24 09:00"),  # nine days of spring festival
        ("2026-10-01 10:00", "2026-10-08 09:00"),  # national day, then a Thursday
        ("2026-10-09 19:00", "2026-10-10 09:00"),  # the Saturday after it is worked
    ],
)
def test_somebody_is_at_work(now: str, opens: str) -> None:
    found = rules.opens_at(CALENDAR, at(now))

    assert found == at(opens)
    assert rules.is_open(CALENDAR, at(now)) == (now == opens)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-03-02 20:59", None),
        ("2026-03-02 21:00", "2026-03-03 08:30"),
        ("2026-03-02 23:59", "2026-03-03 08:30"),
        ("2026-03-03 00:00", "2026-03-03 08:30"),  # past midnight it is yesterday's night
        ("2026-03-03 08:29", "2026-03-03 08:30"),
        ("2026-03-03 08:30", None),
    ],
)
def test_quiet_hours_reach_over_midnight(now: str, until: str | None) -> None:
    assert rules.quiet_until(CALENDAR, at(now)) == (at(until) if until else None)


def test_quiet_hours_by_day_end_on_the_same_day() -> None:
    siesta = Calendar(quiet=rules.quiet("12:00-14:00"))

    assert rules.quiet_until(siesta, at("2026-03-02 13:00")) == at("2026-03-02 14:00")
    assert rules.quiet_until(siesta, at("2026-03-02 14:00")) is None


def test_nothing_configured_is_always_open_and_never_quiet() -> None:
    plain = Calendar()

    assert rules.is_open(plain, at("2026-02-17 03:00"))
    assert rules.quiet_until(plain, at("2026-02-17 03:00")) is None
    assert rules.quiet("") is None


def test_a_company_that_never_works_opens_at_no_time() -> None:
    closed = {d: Day(day=d, kind="holiday") for d in service.stretch_of(date(2026, 3, 1), date(2026, 4, 30))}

    assert rules.opens_at(Calendar(week=WEEK, days=closed), at("2026-03-02 10:00")) is None


@pytest.mark.parametrize("text", ["9:00-12:00", "1-5 12:00-09:00", "8 09:00-10:00", "1-5 09:00-25:00", "x"])
def test_hours_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(BadInput, match="上班时间"):
        rules.week(text)


@pytest.mark.parametrize("text", ["21:00", "21:00-21:00", "9-10", "21:00-08:30-09:00"])
def test_quiet_hours_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(BadInput, match="免打扰"):
        rules.quiet(text)


def test_the_shipped_days_are_those_of_the_notice() -> None:
    days = public_days()
    of_2026 = [d for d in days.values() if d.day.year == 2026]

    assert sum(d.kind == "holiday" for d in of_2026) == 3 + 9 + 3 + 5 + 3 + 3 + 7
    assert sorted(d.day for d in of_2026 if d.kind == "workday") == [
        date(2026, 1, 4),
        date(2026, 2, 14),
        date(2026, 2, 28),
        date(2026, 5, 9),
        date(2026, 9, 20),
        date(2026, 10, 10),
    ]
    assert all(d.day.isoweekday() >= 6 for d in days.values() if d.kind == "workday")
    assert date(2027, 2, 6) in days


def test_the_settings_defaults_are_the_manners_of_whoever_configures_nothing() -> None:
    assert manners.of(settings.load(env={})) == Manners()


async def test_what_an_admin_writes_overrules_what_is_shipped_until_taken_back(database: Database) -> None:
    day, now = date(2026, 3, 4), at("2026-03-02 10:00")
    async with database.begin(1) as conn:
        await service.put(conn, day, day, "holiday", "校庆", now=now)
        await service.put(conn, date(2026, 4, 5), date(2026, 4, 6), "workday", "", now=now)
        held = await service.calendar(conn, Manners(), now=now)
        listed = await service.listed(conn, date(2026, 3, 1), date(2026, 4, 30))

        assert rules.opens_at(held, at("2026-03-04 10:00")) == at("2026-03-05 09:00")
        assert rules.is_open(held, at("2026-04-06 10:00"))
        assert [(one.day.day, one.day.kind, one.ours) for one in listed] == [
            (date(2026, 3, 4), "holiday", True),
            (date(2026, 4, 4), "holiday", False),
            (date(2026, 4, 5), "workday", True),
            (date(2026, 4, 6), "workday", True),
        ]

        await service.put(conn, day, day, None, "", now=now)
        after = await service.calendar(conn, Manners(), now=now)
    assert rules.is_open(after, at("2026-03-04 10:00"))


@pytest.mark.parametrize("last", [date(2026, 3, 1), date(2026, 6, 1)])
async def test_a_stretch_that_is_none_or_very_long_is_refused(database: Database, last: date) -> None:
    async with database.begin(1) as conn:
        with pytest.raises(BadInput, match="日期范围"):
            await service.put(conn, date(2026, 3, 2), last, "holiday", "", now=at("2026-03-02 10:00"))
