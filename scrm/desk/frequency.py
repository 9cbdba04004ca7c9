"""How often a person and a household have been reached, against how often they may be. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from scrm.desk.calendar.rules import ZONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """0 = no limit."""

    per_day: int = 0
    per_month: int = 0
    household_per_day: int = 0
    household_per_month: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """One push that went out or is going to."""

    node_id: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many more are allowed; None = no limit. `why` names the limit that is used up, "" = none is."""

    left: int | None = None
    #: person_day | person_month | household_day | household_month
    why: str = ""
    limit: int = 0
    #: When there is room again.
    again_at: datetime | None = None


def room(limits: Limits, reached: Sequence[Reached], *, own: Collection[int], at: datetime) -> Room:
    """What is left at a time; `own` are the person's nodes, `reached` is the whole household's."""
    day, month = day_start(at), month_start(at)
    mine = [r for r in reached if r.node_id in own]
    gauges = (
        ("person_day", limits.per_day, mine, day, next_day(at)),
        ("person_month", limits.per_month, mine, month, next_month(at)),
        ("household_day", limits.household_per_day, reached, day, next_day(at)),
        ("household_month", limits.household_per_month, reached, month, next_month(at)),
    )
    left: int | None = None
    full: list[Room] = []
    for name, limit, who, since, until in gauges:
        if not limit:
            continue
        rest = limit - sum(since <= r.at < until for r in who)
        left = max(0, rest if left is None else min(left, rest))
        if rest <= 0:
            full.append(Room(left=0, why=name, limit=limit, again_at=until))
    # The one that lasts longest is the reason.
    return max(full, key=lambda f: f.again_at or at) if full else Room(left=left)


def day_start(at: datetime) -> datetime:
    return datetime.combine(at.astimezone(ZONE).date(), time(), ZONE).astimezone(UTC)


def month_start(at: datetime) -> datetime:
    first = at.astimezone(ZONE).date().replace(day=1)
    return datetime.combine(first, time(), ZONE).astimezone(UTC)


def next_day(at: datetime) -> datetime:
    return day_start(day_start(at) + timedelta(hours=36))


def next_month(at: datetime) -> datetime:
    return month_start(month_start(at) + timedelta(days=32))
