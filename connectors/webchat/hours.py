"""Business hours as an admin writes them: `1-5 09:00-18:00, 6 10:00-16:00`; Monday is 1."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_SPAN = rf"[1-7](-[1-7])? {_TIME}-({_TIME}|24:00)"
SHAPE = rf"^{_SPAN}(, ?{_SPAN})*$"


def open_at(hours: str, zone: str, now: datetime) -> tuple[bool, datetime | None]:
    """Whether somebody is there, and otherwise when they are back. No hours: always."""
    if not hours:
        return True, None
    there = ZoneInfo(zone)
    local = now.astimezone(there)
    later = []
    for start, end in _spans(hours, local, there):
        if start <= local < end:
            return True, None
        if start > local:
            later.append(start)
    return False, min(later, default=None)


def _spans(hours: str, local: datetime, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """Every span from yesterday (it may reach past midnight) to a week from now."""
    for part in hours.split(","):
        days, _, times = part.strip().partition(" ")
        first, _, last = days.partition("-")
        wanted = _days(int(first), int(last or first))
        begin, _, finish = times.partition("-")
        for ahead in range(-1, 9):
            day = local.date() + timedelta(days=ahead)
            if day.isoweekday() not in wanted:
                continue
            start = datetime.combine(day, time.fromisoformat(begin), zone)
            end = datetime.combine(day, time.fromisoformat(finish.replace("24:00", "00:00")), zone)
            # At or before its start means the next day: `22:00-02:00`, `09:00-24:00`.
            yield start, end if end > start else end + timedelta(days=1)


def _days(first: int, last: int) -> set[int]:
    """`6-1` runs over the weekend."""
    return set(range(first, last + 1)) if first <= last else {*range(first, 8), *range(1, last + 1)}
