"""What became of scripts, for the page: rates with their intervals, by script or by stage and role. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from scrm.playbook.effect.rules import Flag, Share, flag, share
from scrm.playbook.effect.store import Day

WEEKS = 12
_DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One script, or one script at one stage with one role."""

    script_id: str
    stage: str = ""
    role: str = ""
    shown: int = 0
    used: int = 0
    edited: int = 0
    ignored: int = 0
    unfit: int = 0
    #: Of those edited, 0 to 1000.
    distance: int = 0
    #: Of those shown; the others of those sent.
    taken: Share
    replied: Share
    moved: Share
    dealt: Share
    #: How often it was sent in each of the last weeks, the oldest first.
    weeks: tuple[int, ...]
    flag: Flag = ""


def lines(days: Sequence[Day], *, now: datetime, parts: bool = False) -> list[Line]:
    """Those sent most often first; with `parts` one line for each stage and role of a script."""

    def key(day: Day) -> tuple[str, str, str]:
        return (day.script_id, day.stage, day.role) if parts else (day.script_id, "", "")

    found: dict[tuple[str, str, str], list[Day]] = defaultdict(list)
    for day in days:
        found[key(day)].append(day)
    base = _base(days)
    made = [_line(one, theirs, base(theirs), now) for one, theirs in found.items()]
    return sorted(made, key=lambda line: (-line.used - line.edited, -line.shown, line.script_id, line.stage))


def _base(days: Iterable[Day]) -> Callable[[Sequence[Day]], Share]:
    """How often customers reply to what others say at the same stages."""
    sent: dict[str, int] = defaultdict(int)
    replied: dict[str, int] = defaultdict(int)
    for day in days:
        sent[day.stage] += day.used + day.edited
        replied[day.stage] += day.replied

    def of(theirs: Sequence[Day]) -> Share:
        stages = {d.stage for d in theirs if d.used + d.edited}
        others = sum(sent[s] for s in stages) - sum(d.used + d.edited for d in theirs)
        hits = sum(replied[s] for s in stages) - sum(d.replied for d in theirs)
        return share(hits, others)

    return of


def _line(key: tuple[str, str, str], days: Sequence[Day], base: Share, now: datetime) -> Line:
    shown, used, edited = _sum(days, "shown"), _sum(days, "used"), _sum(days, "edited")
    sent, replied = used + edited, share(_sum(days, "replied"), used + edited)
    last = max((d.day for d in days if d.used + d.edited), default=None)
    last_at = datetime.fromtimestamp((last + 1) * _DAY_S, UTC) if last is not None else None
    return Line(
        script_id=key[0],
        stage=key[1],
        role=key[2],
        shown=shown,
        used=used,
        edited=edited,
        ignored=_sum(days, "ignored"),
        unfit=_sum(days, "unfit"),
        distance=round(_sum(days, "distance") / edited) if edited else 0,
        taken=share(min(sent, shown), shown),
        replied=replied,
        moved=share(_sum(days, "moved"), sent),
        dealt=share(_sum(days, "dealt"), sent),
        weeks=_weeks(days, now),
        flag=flag(replied, base, last_at, shown, now=now),
    )


def _sum(days: Iterable[Day], name: str) -> int:
    return sum(int(getattr(d, name)) for d in days)


def _weeks(days: Iterable[Day], now: datetime) -> tuple[int, ...]:
    today = int(now.timestamp()) // _DAY_S
    counts = [0] * WEEKS
    for d in days:
        ago = (today - d.day) // 7
        if 0 <= ago < WEEKS:
            counts[WEEKS - 1 - ago] += d.used + d.edited
    return tuple(counts)


def since(now: datetime) -> datetime:
    """What the page counts from."""
    return now - timedelta(weeks=WEEKS)
