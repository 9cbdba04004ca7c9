"""Whether we are at work at a time, whether customers are left in peace, and until when. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from scrm.errors import BadInput

#: Customers and working days are those of Shanghai, wherever the server stands.
ZONE = ZoneInfo("Asia/Shanghai")
DayKind = Literal["workday", "holiday"]
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00"
_SPAN = re.compile(rf"([1-7])(?:-([1-7]))? ({_CLOCK})-({_CLOCK})")
_QUIET = re.compile(rf"({_CLOCK})-({_CLOCK})")
#: The longest holiday has nine days; beyond this nobody said when we are back.
_AHEAD = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of a weekday (1 = Monday), in minutes since midnight; a lunch break is a gap between two."""

    weekday: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A date that is not what its weekday says."""

    day: date
    kind: DayKind
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Weekly hours, dates that differ, and the quiet hours as minutes since midnight; None = never quiet."""

    week: Sequence[Span] = ()
    quiet: tuple[int, int] | None = None
    days: Mapping[date, Day] = field(default_factory=dict)


def week(text: str) -> tuple[Span, ...]:
    """`1-5 09:00-12:00, 1-5 13:30-18:00` as spans. Raises `BadInput`."""
    spans = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        found = _SPAN.fullmatch(part)
        begin, end = (_minutes(found[3]), _minutes(found[4])) if found else (0, 0)
        if found is None or begin >= end:
            raise BadInput(f"上班时间写法有误：{part!r}；例：1-5 09:00-12:00, 1-5 13:30-18:00。")
        first, last = int(found[1]), int(found[2] or found[1])
        spans += [Span(weekday=d, begin=begin, end=end) for d in range(first, last + 1)]
    return tuple(sorted(spans, key=lambda s: (s.weekday, s.begin)))


def quiet(text: str) -> tuple[int, int] | None:
    """`21:00-08:30` in minutes; "" = never. Raises `BadInput`."""
    if not text:
        return None
    found = _QUIET.fullmatch(text.strip())
    if found is None or found[1] == found[2]:
        raise BadInput(f"免打扰时段写法有误：{text!r}；例：21:00-08:30。")
    return _minutes(found[1]), _minutes(found[2])


def _minutes(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    return int(hours) * 60 + int(minutes)


def quiet_until(calendar: Calendar, now: datetime) -> datetime | None:
    """When the quiet hours `now` falls into are over; None outside of them."""
    if calendar.quiet is None:
        return None
    begin, end = calendar.quiet
    local = now.astimezone(ZONE)
    for ahead in (-1, 0):
        day = local.date() + timedelta(days=ahead)
        over = day if begin < end else day + timedelta(days=1)
        if _at(day, begin) <= local < _at(over, end):
            return _at(over, end).astimezone(UTC)
    return None


def is_open(calendar: Calendar, now: datetime) -> bool:
    """Somebody is at work. No hours at all: always."""
    return opens_at(calendar, now) == now


def opens_at(calendar: Calendar, now: datetime) -> datetime | None:
    """The first moment from now on when somebody is at work; None when no such day is known."""
    if not calendar.week:
        return now
    local = now.astimezone(ZONE)
    for ahead in range(_AHEAD):
        day = local.date() + timedelta(days=ahead)
        for span in spans_of(calendar, day):
            if _at(day, span.end) > local:
                return max(_at(day, span.begin), local).astimezone(UTC)
    return None


def spans_of(calendar: Calendar, day: date) -> Iterator[Span]:
    """The working hours of a date: a weekend that is worked has those of the week's first working day."""
    known = calendar.days.get(day)
    if known is not None and known.kind == "holiday":
        return
    weekday = day.isoweekday()
    has = {s.weekday for s in calendar.week}
    if weekday not in has:
        if known is None or not has:
            return
        weekday = min(has)
    yield from (s for s in calendar.week if s.weekday == weekday)


def _at(day: date, minutes: int) -> datetime:
    return datetime.combine(day, time(), ZONE) + timedelta(minutes=minutes)


def day_of(at: datetime) -> date:
    return at.astimezone(ZONE).date()


def number(day: date) -> int:
    """YYYYMMDD."""
    return day.year * 10_000 + day.month * 100 + day.day


def date_of(number: int) -> date:
    return date(number // 10_000, number // 100 % 100, number % 100)
