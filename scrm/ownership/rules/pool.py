"""The public pool: when a customer falls in, with a warning first, and who may take whom. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from scrm.ownership.rules.policy import Level, LevelKind, Pooling

#: Nobody followed up | the customer said no | the rep left | the rep gave them up.
Rule = Literal["idle", "declined", "gone", "given"]
#: What a rep may say when giving a customer up.
BY_HAND: tuple[Rule, ...] = ("given", "declined")
#: Why somebody is in the pool, or soon will be.
WHY: Mapping[str, str] = {
    "idle": "{level}客户 {days} 天没有跟进（规则是 {limit} 天），所以进入公海。",
    "gone": "{from}已离职，所以客户进入公海。",
    "given": "{from}主动放弃了这位客户，所以进入公海。",
    "declined": "{from}说客户明确拒绝了，所以进入公海；{rest} 天后才能领取，先不打扰。",
    "warned": "{level}客户已 {days} 天没有跟进（规则是 {limit} 天），到期还不跟进就会进入公海。",
}
#: Why somebody may not be taken, or looked at.
REFUSED: Mapping[str, str] = {
    "cooling": "这位客户刚从你名下进入公海，{days} 天内不能由你领回。",
    "resting": "客户明确拒绝过，{days} 天内先不打扰，之后才能领取。",
    "full": "你名下已有 {held} 位客户（上限 {limit}），先跟进或放弃一些再领取。",
    "today": "今天已领取 {held} 位（每天最多 {limit} 位），明天再来。",
    "looked": "今天已查看 {held} 位公海客户（每天最多 {limit} 位），明天再来。",
}
SENTENCES = (*WHY.values(), *REFUSED.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A customer in somebody's hands, as far as the rules look at them."""

    #: The rep is no longer with us.
    gone: bool
    level: LevelKind
    #: The rep last did something for them, or was given them.
    followed_at: datetime
    #: Taken from the pool then and not followed up since.
    picked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """They fall at `falls_at` unless somebody follows up."""

    rule: Rule
    falls_at: datetime
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why not, with its numbers."""

    why: str
    facts: Mapping[str, str]

    def sentence(self, say: Callable[[str], str] = str) -> str:
        return say(REFUSED[self.why]).format(**self.facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taker:
    """A rep who wants a customer: how many are theirs, how many they took today."""

    staff_id: int
    held: int
    taken: int


def level_of(*, bought: bool, visited: bool, talked: bool) -> LevelKind:
    return "bought" if bought else "visited" if visited else "talked" if talked else "new"


def fate(one: Held, policy: Pooling, *, now: datetime) -> Fate | None:
    """None: they stay for as long as nothing changes."""
    level = _level(policy, one.level)
    if one.gone:
        return Fate(rule="gone", falls_at=now)
    if level is None or not (limit := _limit(level, one)):
        return None
    days = (now - one.followed_at) // timedelta(days=1)
    facts = {"level": level.title, "days": str(max(days, 0)), "limit": f"{limit:g}"}
    return Fate(rule="idle", falls_at=one.followed_at + timedelta(days=limit), facts=facts)


def _level(policy: Pooling, kind: LevelKind) -> Level | None:
    return next((one for one in policy.levels if one.level == kind), None)


def _limit(level: Level, one: Held) -> float:
    if one.picked_at is not None and level.picked_days:
        return min(level.picked_days, level.idle_days or level.picked_days)
    return level.idle_days


#: What to do with a customer now: warn the rep, let them fall, take the warning back, or nothing.
Step = Literal["warn", "fall", "keep", ""]


def step(found: Fate | None, warned_until: datetime | None, policy: Pooling, *, now: datetime) -> Step:
    """`warned_until`: when a warning that was given runs out; None = there was none."""
    if policy.enabled and found is not None and found.rule == "gone":
        return "fall"
    near = policy.enabled and found is not None and found.falls_at - timedelta(days=policy.warn_days) <= now
    if warned_until is None:
        return "warn" if near else ""
    if not near:
        return "keep"
    return "fall" if warned_until <= now else ""


def warned_until(found: Fate, policy: Pooling, *, now: datetime) -> datetime:
    """There is always the whole time of a warning left to do something."""
    return max(found.falls_at, now + timedelta(days=policy.warn_days))


def may_take(
    taker: Taker, *, from_id: int | None, rule: str, fell_at: datetime, policy: Pooling, now: datetime
) -> Refusal | None:
    """None: they may."""
    if from_id == taker.staff_id and now < fell_at + timedelta(days=policy.cool_days):
        return Refusal(why="cooling", facts={"days": f"{policy.cool_days:g}"})
    if rule == "declined" and now < fell_at + timedelta(days=policy.rest_days):
        return Refusal(why="resting", facts={"days": f"{policy.rest_days:g}"})
    if taker.held >= policy.capacity:
        return Refusal(why="full", facts={"held": str(taker.held), "limit": str(policy.capacity)})
    if taker.taken >= policy.takes_a_day:
        return Refusal(why="today", facts={"held": str(taker.taken), "limit": str(policy.takes_a_day)})
    return None


def may_look(looked: int, policy: Pooling) -> Refusal | None:
    if looked >= policy.views_a_day:
        return Refusal(why="looked", facts={"held": str(looked), "limit": str(policy.views_a_day)})
    return None


def sentence(
    rule: str, facts: Mapping[str, str], name: str, say: Callable[[str], str] = str, *, warned: bool = False
) -> str:
    """Why, in the reader's language; `name` is who had them."""
    known = {**facts, "from": name}
    if "level" in known:
        known["level"] = say(known["level"])
    return say(WHY["warned" if warned else rule]).format(**known)
