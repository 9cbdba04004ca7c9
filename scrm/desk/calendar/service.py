"""The calendar as it holds: the shipped public holidays, and over them what an admin wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Protocol

from scrm import shapes
from scrm.db import Conn
from scrm.desk.calendar import rules, store
from scrm.desk.calendar.rules import Calendar, Day, DayKind
from scrm.errors import BadInput
from scrm.settings import shipped

_LONGEST = 62
#: How far ahead a push may be put off.
AHEAD = timedelta(days=60)


class Hours(Protocol):
    """The hours of the settings; `scrm.desk.manners.Manners` has them."""

    @property
    def business_hours(self) -> str: ...

    @property
    def quiet_hours(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    kind: DayKind
    name: str
    to: date | None = None
    since: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A day and where it comes from."""

    day: Day
    #: False = shipped.
    ours: bool


@lru_cache(maxsize=1)
def public_days() -> dict[date, Day]:
    """The public holidays that ship with scrm. Raises `BadInput` for a file that cannot be read."""
    path = shipped("config") / "holidays.toml"
    found: dict[date, Day] = {}
    for one in shapes.read_toml(path)["days"]:
        stretch = shapes.load(
            _Stretch, {("since" if k == "from" else k): v for k, v in one.items()}, where=str(path)
        )
        for day in stretch_of(stretch.since, stretch.to or stretch.since):
            found[day] = Day(day=day, kind=stretch.kind, name=stretch.name)
    return found


def stretch_of(first: date, last: date) -> list[date]:
    """Every date of it. Raises `BadInput` when it is no stretch, or a very long one."""
    length = (last - first).days + 1
    if not 1 <= length <= _LONGEST:
        raise BadInput(f"日期范围要在 1 到 {_LONGEST} 天之间。")
    return [first + timedelta(days=n) for n in range(length)]


async def calendar(conn: Conn, hours: Hours, *, now: datetime) -> Calendar:
    """What holds around `now`, as far ahead as anything may be put off."""
    first, last = rules.day_of(now) - timedelta(days=1), rules.day_of(now + AHEAD)
    ours = {d.day: d for d in await store.days(conn, first, last)}
    return Calendar(
        week=rules.week(hours.business_hours),
        quiet=rules.quiet(hours.quiet_hours),
        days=public_days() | ours,
    )


async def listed(conn: Conn, first: date, last: date) -> Sequence[Listed]:
    """Every day between that is not what its weekday says, in order."""
    shown = {d: Listed(day=one, ours=False) for d, one in public_days().items() if first <= d <= last}
    shown |= {one.day: Listed(day=one, ours=True) for one in await store.days(conn, first, last)}
    return [shown[d] for d in sorted(shown)]


async def put(conn: Conn, first: date, last: date, kind: DayKind | None, name: str, *, now: datetime) -> None:
    """Make these dates workdays or holidays; None = as shipped again."""
    dates = stretch_of(first, last)
    if len(name) > 40:
        raise BadInput("名称最多 40 个字。")
    if kind is None:
        await store.drop(conn, first, last)
    else:
        await store.put(conn, [Day(day=d, kind=kind, name=name) for d in dates], now=now)
