"""How a run would go, or would have gone: the same rules on a clock of its own. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from scrm.desk.calendar.rules import Calendar
from scrm.playbook.sops import rules
from scrm.playbook.sops.rules import End, Facts, Happened, Over, Pause, Run, State
from scrm.playbook.sops.values import Plan, Step, StepKind

#: Nobody looks further ahead.
HORIZON = timedelta(days=400)
#: Given the time and when it would have spoken before: may it speak now.
Speaks = Callable[[Facts, Step, datetime, Sequence[datetime]], Facts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One step as it would be taken."""

    step: str
    kind: StepKind
    state: State
    at: datetime
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The whole way, and how it would end; `ended_at` None = it is not over by then."""

    planned: tuple[Planned, ...]
    ended_at: datetime | None = None
    state: End | None = None
    why: str = ""


def forecast(
    plan: Plan,
    base: Facts,
    calendar: Calendar,
    speaks: Speaks,
    *,
    start: datetime,
    end: datetime | None = None,
    happened: Sequence[Happened] = (),
) -> Course:
    """From `start` until `end`. `happened`: what the household did meanwhile, as far as anybody knows."""
    way = _Way(plan=plan, base=base, calendar=calendar, speaks=speaks, start=start)
    way.happened = sorted((h for h in happened if h.at > start), key=lambda h: h.at)
    end = end or start + HORIZON
    while way.course is None:
        if way.now > end:
            return Course(planned=tuple(way.planned))
        way.go_on()
    return way.course


class _Way:
    def __init__(
        self, *, plan: Plan, base: Facts, calendar: Calendar, speaks: Speaks, start: datetime
    ) -> None:
        self.plan, self.facts, self.calendar, self.speaks = plan, base, calendar, speaks
        self.now = start
        self.run = Run(ident=0, step=plan.steps[0].id, taken=0, started_at=start, since=start)
        self.happened: list[Happened] = []
        self.planned: list[Planned] = []
        self.sent: list[datetime] = []
        self.asked = False
        self.course: Course | None = None

    def go_on(self) -> None:
        if self._ended():
            return
        action = rules.step(self.plan, self.run, self._facts(), self.calendar, now=self.now)
        if isinstance(action, Over):
            self._over(action, self.now)
        elif isinstance(action, Pause):
            self._pause(action)
        else:
            self._note(action.step, action.state, action.why)
            self._take(action.step, action.state)
            spoke = self.now if action.kind == "message" and action.state != "skipped" else self.run.spoke_at
            self.run = replace(
                self.run,
                step=action.to,
                taken=self.run.taken + 1,
                since=action.at or self.now,
                spoke_at=spoke,
                spread_to=None,
                held_to=None,
            )

    def _ended(self) -> bool:
        for one in self.happened:
            if one.at <= self.now and (over := rules.over(self.plan, one)):
                self._over(over, one.at)
                return True
        return False

    def _over(self, over: Over, at: datetime) -> None:
        known = tuple(p for p in self.planned if p.at <= at)
        self.course = Course(planned=known, ended_at=at, state=over.state, why=over.why)

    def _facts(self) -> Facts:
        replies = [h.at for h in self.happened if h.spoke and h.at <= self.now]
        facts = replace(self.facts, last_in_at=max(replies, default=None))
        step = self.plan.step(self.run.step)
        if step and step.message:
            return self.speaks(facts, step, self.now, self.sent)
        return replace(facts, task="done") if step and step.task and self.asked else facts

    def _pause(self, pause: Pause) -> None:
        step = self.plan.step(self.run.step)
        if step and step.task:  # as if it were done in time
            self.asked = True
            self.now = rules.at_work(self.calendar, self.now, timedelta(hours=step.task.due_hours))
            return
        replies = [h.at for h in self.happened if h.spoke and h.at > self.now]
        heard = min(replies, default=pause.until) if step and step.wait and step.wait.until_reply else None
        self.now = min(pause.until, heard or pause.until)
        self.run = replace(self.run, held_to=pause.held_to or self.run.held_to, spread_to=pause.spread_to)

    def _note(self, step: Step, state: State, why: str) -> None:
        if step.kind not in ("wait", "branch"):
            self.planned.append(Planned(step=step.id, kind=step.kind, state=state, at=self.now, why=why))

    def _take(self, step: Step, state: State) -> None:
        """What the step changes of what later conditions see."""
        self.asked = False
        if step.message and state == "done":
            self.sent.append(self.now)
        if step.tag:
            tags = (self.facts.tags | set(step.tag.add)) - set(step.tag.remove)
            self.facts = replace(self.facts, tags=frozenset(tags))
        if step.stage:
            self.facts = replace(self.facts, stage=step.stage)
