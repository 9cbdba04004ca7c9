"""Who gets a conversation and why, who counts as here, until when one is put off. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from scrm.errors import BadInput

#: A page that has been silent for longer is not open any more.
ONLINE = timedelta(seconds=30)
_NEVER = datetime.min.replace(tzinfo=UTC)
_ZONE = ZoneInfo("Asia/Shanghai")
_LONGEST = timedelta(days=90)

#: Automatic: return load tie instead next queue. By hand: take hand team release.
#: The public pool: pool (fell in) pick (taken).
Rule = Literal[
    "return", "load", "tie", "instead", "next", "queue", "take", "hand", "team", "release", "pool", "pick"
]
#: By these a rep was given the conversation without anybody choosing them.
AUTOMATIC: tuple[Rule, ...] = ("return", "load", "tie", "instead", "next")
#: By these it left a rep who is not asked again while the customer waits.
REFUSED: tuple[Rule, ...] = ("next", "release")

#: Why, for reps and managers; message ids of the catalogues.
WHY: Mapping[Rule, str] = {
    "return": "{to}上次接待过这位客户，现在在线、手上 {load} 个会话（上限 {capacity}），所以自动分配。",
    "load": "{to}在线，手上会话最少：{load} 个（上限 {capacity}），所以自动分配。",
    "tie": "{to}在线，手上 {load} 个会话（上限 {capacity}），和别的同事一样少，"
    "但最久没有分到新会话，所以自动分配。",
    "instead": "上次接待的同事现在不在线、已离开或已满，在线的同事里{to}手上会话最少："
    "{load} 个（上限 {capacity}），所以自动分配。",
    "next": "{from}在 {wait} 秒内没有回复，客户还在等，所以改由在线、手上会话最少的{to}接待："
    "{load} 个（上限 {capacity}）。",
    "queue": "上次接待的{from}现在不能接，也没有别的同事在线且有空，先放在小组队列里，有人能接就自动分配。",
    "take": "{by}自己接手了会话。",
    "hand": "{by}把会话转给了{to}。",
    "team": "{by}把会话转给了小组“{team}”。",
    "release": "{by}把会话放回了队列。",
    "pool": "{from}的客户按公海规则进入了公海。",
    "pick": "{by}从公海领取了客户。",
}
SENTENCES = tuple(WHY.values())

Pause = Literal["30m", "2h", "tomorrow", "custom"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A rep of the team, as the decision sees them."""

    staff_id: int
    #: Open conversations they have now, this one not counted.
    load: int
    capacity: int
    seen_at: datetime
    away_at: datetime | None = None
    assigned_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Who has it from now on; None = the team's queue. `rule` is "" when nothing changes."""

    rep_id: int | None
    rule: Rule | Literal[""] = ""
    facts: Mapping[str, int] = field(default_factory=dict)


def is_online(seen_at: datetime | None, away_at: datetime | None, now: datetime) -> bool:
    return seen_at is not None and away_at is None and seen_at > now - ONLINE


def takes_more(one: Candidate, now: datetime) -> bool:
    return is_online(one.seen_at, one.away_at, now) and one.load < one.capacity


def assign(
    candidates: Sequence[Candidate],
    *,
    last_rep: int | None,
    holder: int | None,
    tried: Collection[int] = (),
    now: datetime,
) -> Decision:
    """For a conversation nobody looks after: the rep who knows the customer, else the least loaded.

    `holder` had it before it was closed; `tried` had their chance since the customer began to wait.
    """
    free = [c for c in candidates if takes_more(c, now) and c.staff_id not in tried]
    known = next((c for c in free if c.staff_id == (last_rep or holder)), None)
    if known is not None:
        return _given(known, "return")
    if not free:
        return Decision(rep_id=None, rule="queue" if holder is not None else "")
    best = min(free, key=_turn)
    alike = any(c.load == best.load for c in free if c is not best)
    return _given(best, "instead" if last_rep or holder else "tie" if alike else "load")


def pass_on(
    candidates: Sequence[Candidate], *, holder: int, tried: Collection[int], waited_s: int, now: datetime
) -> Decision:
    """For one whose rep was given it and is silent. Nobody has it twice: when all had it, it stays."""
    had = {holder, *tried}
    free = [c for c in candidates if takes_more(c, now) and c.staff_id not in had]
    if not free:
        return Decision(rep_id=holder)
    given = _given(min(free, key=_turn), "next")
    return Decision(rep_id=given.rep_id, rule="next", facts={**given.facts, "wait": waited_s})


def _turn(one: Candidate) -> tuple[int, datetime, int]:
    """The least loaded first, then who has waited longest for a new one."""
    return one.load, one.assigned_at or _NEVER, one.staff_id


def _given(one: Candidate, rule: Rule) -> Decision:
    return Decision(rep_id=one.staff_id, rule=rule, facts={"load": one.load, "capacity": one.capacity})


def until(pause: str, custom: str, now: datetime) -> datetime:
    """When one that is put off comes back; `custom` is a Shanghai wall time. Raises `BadInput`."""
    if pause in ("30m", "2h"):
        return now + (timedelta(minutes=30) if pause == "30m" else timedelta(hours=2))
    if pause == "tomorrow":
        morning = now.astimezone(_ZONE).date() + timedelta(days=1)
        return datetime.combine(morning, time(9), _ZONE).astimezone(UTC)
    if pause != "custom":
        raise BadInput("请选择稍后处理的时间。")
    try:
        at = datetime.fromisoformat(custom)
        at = at.replace(tzinfo=at.tzinfo or _ZONE).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInput("时间看不懂，请重新选择。") from None
    if not now < at <= now + _LONGEST:
        raise BadInput("时间要在现在之后、90 天以内。")
    return at
