"""What a run of an SOP does next: one move at a time, each with its reason. Pure: `now` is an argument."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Literal

from scrm.desk import stages
from scrm.desk.calendar import rules as calendars
from scrm.desk.calendar.rules import ZONE, Calendar
from scrm.playbook.sops.values import Mark, Plan, Step, StepKind, Wait, When

#: More steps than that in one run: it goes round in a circle.
MOST_STEPS = 200
#: What is later than this was held up by us; a backlog is spread over half an hour.
_HELD_UP, _SPREAD = timedelta(minutes=15), timedelta(minutes=30)
#: What quiet hours, closed offices and frequency hold back for longer is out of date.
_KEPT = timedelta(days=4)
#: Whoever waits for a colleague looks again so often, besides being woken.
_LOOKS = timedelta(hours=6)

State = Literal["done", "skipped", "waiting", "failed"]
End = Literal["done", "met", "stopped", "failed"]

CIRCLE = "步骤超过 {most} 步还没有结束，像是绕圈，已停下。"
LATE = "晚了 {hours} 小时以上，这条不再发。"
KEPT = "{days} 天内都没有能发的时间，这条不再发。"
BY_HAND = "由顾问确认后发出。"
EXPIRED = "待办过期，没有人做。"
CANCELLED = "待办已取消。"
TO_THE_END = "全部步骤已走完。"
GONE = "计划的新版本里没有这一步，已停下。"
MET = {
    "stage": "目标达成：进入“{stage}”阶段。",
    "tag": "目标达成：有了标签“{tag}”。",
    "event": "目标达成：{event}。",
    "reply": "目标达成：家里有人回复了。",
}
STOPPED = {
    "stage": "停止：进入“{stage}”阶段。",
    "tag": "停止：有了标签“{tag}”。",
    "event": "停止：{event}。",
    "reply": "停止：家里有人回复了，由顾问接着聊。",
}
BRANCHED = "条件{not_}成立：{why}"
WAITED = "等到了 {at}。"
ANSWERED = "家里有人回复了，不再等。"
NO_ANSWER = "等到 {at}，没有回复。"
SENTENCES = (
    *(CIRCLE, LATE, KEPT, BY_HAND, EXPIRED, CANCELLED, TO_THE_END, GONE, BRANCHED),
    *(WAITED, ANSWERED, NO_ANSWER, *MET.values(), *STOPPED.values()),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Where a run stands."""

    ident: int
    step: str
    taken: int
    started_at: datetime
    #: When what began it happened, by the clock of whoever told us; None = when it began.
    began_at: datetime | None = None
    #: When this step should have been taken: what is late is counted from there.
    since: datetime
    #: When it last spoke to the household.
    spoke_at: datetime | None = None
    #: Of a backlog: not before then.
    spread_to: datetime | None = None
    #: The customer was left in peace until then, which is nobody's delay.
    held_to: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is true of the household now."""

    stage: str = ""
    role: str = ""
    tags: frozenset[str] = frozenset()
    channel: str = ""
    product: str = ""
    #: When any of them last wrote or called, and when an order of theirs was last paid.
    last_in_at: datetime | None = None
    bought_at: datetime | None = None
    #: A message may go out from then on; None = now. `mute` says why it may not at all.
    speaks_at: datetime | None = None
    mute: str = ""
    #: Why we cannot say it by ourselves: then a colleague is asked to.
    by_hand: str = ""
    #: Why the run must not go on at all.
    stop: str = ""
    #: The task this step made: open | done | expired | cancelled; "" = none yet.
    task: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """The step is taken: write it down, do what it says (unless skipped), stand at `to` ("" = at the end)."""

    step: Step
    kind: StepKind
    state: State
    to: str
    why: str = ""
    #: When it would have been taken had nothing held us up; None = now. The next step counts from there.
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Nothing to do before then."""

    until: datetime
    #: What the run must remember meanwhile.
    spread_to: datetime | None = None
    held_to: datetime | None = None
    #: The step has made its task and waits for it.
    begun: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    state: End
    why: str


Action = Move | Pause | Over
_Test = Callable[[Run | None, Facts], bool]


def step(plan: Plan, run: Run, facts: Facts, calendar: Calendar, *, now: datetime) -> Action:
    """The next thing this run does. Asked again after a crash it says the same."""
    if finished := _finished(plan, run, facts):
        return finished
    found = plan.step(run.step)
    if found is None:
        return Over(state="stopped", why=GONE)
    match found.kind:
        case "end":
            return Over(state="done", why=found.end)
        case "wait":
            return _wait(plan, found, run, facts, calendar, now=now)
        case "branch":
            return _branch(found, run, facts)
        case "message":
            return _speak(plan, found, run, facts, now=now)
        case "task":
            return _task(plan, found, facts, calendar, now=now)
        case other:
            return Move(step=found, kind=other, state="done", to=plan.after(found))


def _finished(plan: Plan, run: Run, facts: Facts) -> Over | None:
    """Why it does not go on, whatever step it has come to."""
    if facts.stop:
        return Over(state="stopped", why=facts.stop)
    if already := stands(plan, run, facts):
        return already
    if run.taken >= MOST_STEPS:
        return Over(state="failed", why=CIRCLE.format(most=MOST_STEPS))
    return None if run.step else Over(state="done", why=TO_THE_END)


def _wait(plan: Plan, found: Step, run: Run, facts: Facts, calendar: Calendar, *, now: datetime) -> Action:
    assert found.wait is not None
    until = ends(found.wait, run.since, calendar)
    to = plan.after(found)
    if found.wait.until_reply and _replied(run, facts):
        return Move(step=found, kind="wait", state="done", to=to, why=ANSWERED)
    if now < until:
        return Pause(until=until)
    why = (NO_ANSWER if found.wait.until_reply else WAITED).format(at=_clock(until))
    return Move(step=found, kind="wait", state="done", to=to, why=why, at=until)


def _branch(found: Step, run: Run, facts: Facts) -> Action:
    assert found.branch is not None
    missing = lacking(found.branch.when, run, facts)
    to = found.branch.otherwise if missing else found.branch.then
    why = BRANCHED.format(not_="不" if missing else "", why=missing or said(found.branch.when))
    return Move(step=found, kind="branch", state="done", to=to, why=why)


def _speak(plan: Plan, found: Step, run: Run, facts: Facts, *, now: datetime) -> Action:
    assert found.message is not None
    to = plan.after(found)

    def left_out(why: str) -> Move:
        return Move(step=found, kind="message", state="skipped", to=to, why=why)

    late = now - max(run.since, run.held_to or run.since)
    if facts.mute:
        return left_out(facts.mute)
    if late > timedelta(hours=plan.late_hours):
        return left_out(LATE.format(hours=plan.late_hours))
    if found.message.delivery == "confirm" or facts.by_hand:
        return Move(step=found, kind="message", state="waiting", to=to, why=facts.by_hand or BY_HAND)
    if run.spread_to is None and late > _HELD_UP:
        # After a standstill everybody's messages are due at once.
        at = now + _place(run)
        return Pause(until=at, spread_to=at)
    opens = max((at for at in (facts.speaks_at, run.spread_to) if at is not None), default=now)
    if opens <= now:
        return Move(step=found, kind="message", state="done", to=to)
    if opens - run.since > _KEPT:
        return left_out(KEPT.format(days=_KEPT.days))
    # And so are those of everybody who was left in peace over the weekend.
    at = opens if run.held_to else opens + _place(run)
    return Pause(until=at, held_to=at)


def _place(run: Run) -> timedelta:
    """Where in the half hour this run has its place; a rehearsal has no backlog."""
    drawn = hashlib.sha256(run.ident.to_bytes(8, "big")).digest()[:4]
    return _SPREAD * (int.from_bytes(drawn, "big") / 2**32) if run.ident else timedelta()


def _task(plan: Plan, found: Step, facts: Facts, calendar: Calendar, *, now: datetime) -> Action:
    assert found.task is not None
    to = plan.after(found)
    if not found.task.wait or facts.task == "done":
        return Move(step=found, kind="task", state="done", to=to)
    if facts.task in ("expired", "cancelled"):
        why = EXPIRED if facts.task == "expired" else CANCELLED
        return Move(step=found, kind="task", state="skipped", to=to, why=why)
    due = at_work(calendar, now, timedelta(hours=found.task.due_hours))
    return Pause(until=min(due, now + _LOOKS), begun=not facts.task)


# -- time --------------------------------------------------------------------------------------------------
def ends(wait: Wait, since: datetime, calendar: Calendar) -> datetime:
    """When a wait that began at `since` is over."""
    span = timedelta(minutes=wait.minutes, hours=wait.hours)
    if wait.business:
        until = at_work(calendar, _days_of_work(calendar, since, wait.days), span)
    else:
        until = since + timedelta(days=wait.days) + span
    return until if not wait.at else _on_the_clock(until, wait, since, calendar)


def _on_the_clock(until: datetime, wait: Wait, since: datetime, calendar: Calendar) -> datetime:
    day = until.astimezone(ZONE).date()
    at = datetime.combine(day, time.fromisoformat(wait.at), ZONE)
    if at <= since:
        at += timedelta(days=1)
    while wait.business and not list(calendars.spans_of(calendar, at.date())) and calendar.week:
        at += timedelta(days=1)
        if at - since > timedelta(days=wait.days + 60):
            break  # a calendar without any day of work
    return at.astimezone(UTC)


def _days_of_work(calendar: Calendar, since: datetime, days: int) -> datetime:
    """The same time of the day, so many days of work later."""
    at, left = since, days
    for _ in range(days * 4 + 60):
        if left <= 0 or not calendar.week:
            break
        at += timedelta(days=1)
        left -= bool(list(calendars.spans_of(calendar, at.astimezone(ZONE).date())))
    return at if calendar.week else since + timedelta(days=days)


def at_work(calendar: Calendar, since: datetime, span: timedelta) -> datetime:
    """When so much time of work has passed; without hours of work, time is time."""
    at = since
    while span > timedelta() and calendar.week:
        opens = calendars.opens_at(calendar, at)
        if opens is None:
            break
        local = opens.astimezone(ZONE)
        minutes = local.hour * 60 + local.minute
        span_now = next(s for s in calendars.spans_of(calendar, local.date()) if s.end > minutes)
        closes = datetime.combine(local.date(), time(), ZONE) + timedelta(minutes=span_now.end)
        if closes - opens >= span:
            return (opens + span).astimezone(UTC)
        span -= closes - opens
        at = closes.astimezone(UTC)
    return at + span


# -- conditions --------------------------------------------------------------------------------------------
def lacking(when: When, run: Run | None, facts: Facts) -> str:
    """Which part does not hold, in words; "" = all do."""
    return next((words for words, holds in _parts(when) if not holds(run, facts)), "")


def said(when: When) -> str:
    """A condition in words."""
    return "，".join(words for words, _ in _parts(when)) or "总是"


def _parts(when: When) -> list[tuple[str, _Test]]:
    """Each part that is written, in words and as a test."""
    parts: list[tuple[bool, str, _Test]] = [
        (
            bool(when.stage),
            f"阶段是{_any(tuple(map(stages.name, when.stage)))}",
            lambda _, f: f.stage in when.stage,
        ),
        (bool(when.role), f"角色是{_any(when.role)}", lambda _, f: f.role in when.role),
        (bool(when.tags), f"有标签{_any(when.tags)}", lambda _, f: f.tags.issuperset(when.tags)),
        (bool(when.no_tags), f"没有标签{_any(when.no_tags)}", lambda _, f: f.tags.isdisjoint(when.no_tags)),
        (bool(when.channel), f"渠道是{_any(when.channel)}", lambda _, f: f.channel in when.channel),
        (bool(when.product), f"商品是{_any(when.product)}", lambda _, f: f.product in when.product),
        (when.replied is not None, "已回复" if when.replied else "没有回复", _is(when.replied, _replied)),
        (when.bought is not None, "已付款" if when.bought else "没有付款", _is(when.bought, _bought)),
    ]
    return [(words, holds) for written, words, holds in parts if written]


def _is(wanted: bool | None, holds: Callable[[Run, Facts], bool]) -> _Test:
    return lambda run, facts: wanted == (run is not None and holds(run, facts))


def _any(names: tuple[str, ...]) -> str:
    return "或".join(f"“{name}”" for name in names)


def _replied(run: Run, facts: Facts) -> bool:
    since = run.spoke_at or run.began_at or run.started_at
    return facts.last_in_at is not None and facts.last_in_at > since


def _bought(run: Run, facts: Facts) -> bool:
    return facts.bought_at is not None and facts.bought_at > (run.began_at or run.started_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One thing that happened to a household: what may start a run, meet its goal or stop it."""

    at: datetime
    stage: str = ""
    tags: frozenset[str] = field(default_factory=frozenset)
    kind: str = ""
    #: The customer wrote or called.
    spoke: bool = False
    #: A silence or a date concerns this SOP alone; and since when nobody had spoken.
    code: str = ""
    silent_since: datetime | None = None
    #: What happened, in words.
    words: str = ""


def over(plan: Plan, happened: Happened) -> Over | None:
    """Whether this ends a run, and how: the goal goes before a stop."""
    for marks, state, sentences in ((plan.goal, "met", MET), (plan.stop, "stopped", STOPPED)):
        for mark in marks:
            if name := _hit(mark, happened):
                words = {
                    "stage": stages.name(mark.stage),
                    "tag": mark.tag,
                    "event": happened.words or mark.event,
                }
                return Over(state="met" if state == "met" else "stopped", why=sentences[name].format(**words))
    return None


def _hit(mark: Mark, happened: Happened) -> str:
    if mark.stage and mark.stage == happened.stage:
        return "stage"
    if mark.tag and mark.tag in happened.tags:
        return "tag"
    if mark.event and happened.kind.startswith(mark.event):
        return "event"
    return "reply" if mark.reply and happened.spoke else ""


def starts(plan: Plan, happened: Happened, facts: Facts) -> bool:
    """Whether this starts a run, for a household of which `facts` are true."""
    if happened.code:
        hit = happened.code == plan.code and not _spoke_since(happened, facts)
    else:
        hit = any(
            (one.stage and one.stage == happened.stage)
            or (one.tag and one.tag in happened.tags)
            or (one.event and happened.kind.startswith(one.event))
            for one in plan.starts
        )
    return hit and not lacking(plan.when, None, facts) and stands(plan, None, facts) is None


def _spoke_since(happened: Happened, facts: Facts) -> bool:
    """It was one conversation that was silent; somebody else of the household was not."""
    since = happened.silent_since
    return since is not None and facts.last_in_at is not None and facts.last_in_at > since


def stands(plan: Plan, run: Run | None, facts: Facts) -> Over | None:
    """The goal or a stop that is true already, whoever's doing it was: after families were put together."""
    for marks, state, sentences in ((plan.goal, "met", MET), (plan.stop, "stopped", STOPPED)):
        for mark in marks:
            bought = "event.order.paid".startswith(mark.event) if mark.event else False
            if mark.stage and mark.stage == facts.stage:
                why = sentences["stage"].format(stage=stages.name(mark.stage))
            elif mark.tag and mark.tag in facts.tags:
                why = sentences["tag"].format(tag=mark.tag)
            elif bought and run is not None and _bought(run, facts):
                why = sentences["event"].format(event=mark.event)
            else:
                continue
            return Over(state="met" if state == "met" else "stopped", why=why)
    return None


def _clock(at: datetime) -> str:
    return f"{at.astimezone(ZONE):%m-%d %H:%M}"
