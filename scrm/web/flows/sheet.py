"""An SOP as it stands in the editor, right or wrong: read from a form, changed line by line, made a plan."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar, cast, get_args

from scrm.desk.stages import STAGES
from scrm.playbook.sops.files import MOST, Wrong
from scrm.playbook.sops.values import (
    Branch,
    Date,
    Delivery,
    Give,
    Mark,
    Message,
    Plan,
    Start,
    Step,
    StepKind,
    Tagging,
    Task,
    TaskKind,
    To,
    Wait,
    When,
    written,
)
from scrm.web.flows.fields import Fields

StartKind = Literal["stage", "tag", "event", "silent", "date"]
MarkKind = Literal["stage", "tag", "event", "reply"]
STEPS: Sequence[StepKind] = get_args(StepKind)
STARTS: Sequence[StartKind] = get_args(StartKind)
MARKS: Sequence[MarkKind] = get_args(MarkKind)
TASKS: Sequence[TaskKind] = get_args(TaskKind)
DELIVERIES: Sequence[Delivery] = get_args(Delivery)
TOS: Sequence[To] = get_args(To)
DATES: Sequence[Date] = get_args(Date)
_ROLES = ("registrant", "buyer", "payer", "user", "signatory")
#: So many starts, goals and stops at the most.
_MARKS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class StartLine:
    """One thing that starts it; the kind stays where nothing is written yet."""

    kind: StartKind
    value: Start


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkLine:
    kind: MarkKind
    value: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLine:
    kind: StepKind
    step: Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    code: str = ""
    trade: str = ""
    title: str = ""
    about: str = ""
    group: str = ""
    priority: int = 0
    again: int = 90
    late: int = 12
    when: When = field(default_factory=When)
    starts: tuple[StartLine, ...] = ()
    goal: tuple[MarkLine, ...] = ()
    stop: tuple[MarkLine, ...] = ()
    steps: tuple[StepLine, ...] = ()
    note: str = ""
    #: Which version it began with, as that stood then; 0 = none.
    version: int = 0
    digest: str = ""
    #: What could not be read.
    faults: tuple[Wrong, ...] = ()

    @property
    def plan(self) -> Plan:
        return Plan(
            code=self.code,
            version=self.version or 1,
            title=self.title,
            about=self.about,
            group=self.group,
            priority=self.priority,
            again_after_days=self.again,
            late_hours=self.late,
            when=self.when,
            starts=tuple(line.value for line in self.starts),
            goal=tuple(line.value for line in self.goal),
            stop=tuple(line.value for line in self.stop),
            steps=tuple(line.step for line in self.steps),
        )


def of(plan: Plan, *, trade: str, version: int = 0, digest: str = "", note: str = "") -> Sheet:
    """A plan in the fields of the editor."""
    return Sheet(
        code=plan.code,
        trade=trade,
        title=plan.title,
        about=plan.about,
        group=plan.group,
        priority=plan.priority,
        again=plan.again_after_days,
        late=plan.late_hours,
        when=plan.when,
        starts=tuple(StartLine(kind=_start_kind(one), value=one) for one in plan.starts),
        goal=tuple(MarkLine(kind=_mark_kind(one), value=one) for one in plan.goal),
        stop=tuple(MarkLine(kind=_mark_kind(one), value=one) for one in plan.stop),
        steps=tuple(StepLine(kind=one.kind, step=one) for one in plan.steps),
        note=note,
        version=version,
        digest=digest,
    )


def fresh(trade: str) -> Sheet:
    """Something to begin with: a week after somebody new came."""
    steps = (
        Step(id="wait-1", wait=Wait(hours=2, until_reply=True)),
        Step(id="message-1", message=Message()),
        Step(id="end-1", end="跟进走完"),
    )
    return Sheet(
        trade=trade,
        starts=(StartLine(kind="stage", value=Start(stage="first-contact")),),
        goal=(MarkLine(kind="stage", value=Mark(stage="closing")),),
        stop=(MarkLine(kind="tag", value=Mark(tag="暂不联系")),),
        steps=tuple(StepLine(kind=one.kind, step=one) for one in steps),
    )


def _start_kind(one: Start) -> StartKind:
    name = next(iter(written(one)), "tag")
    return "silent" if name == "silent_days" else cast(StartKind, name)


def _mark_kind(one: Mark) -> MarkKind:
    return cast(MarkKind, next(iter(written(one)), "tag"))


L = TypeVar("L", StartLine, MarkLine)


# -- from a form -------------------------------------------------------------------------------------------
def typed(form: Fields) -> Sheet:
    """What stands in the form; what cannot be read is a fault, nothing is raised."""
    return Sheet(
        code=form.text("code", 100),
        trade=form.text("trade", 20),
        title=form.text("title", 100),
        about=form.text("about", 300),
        group=form.text("group", 60),
        priority=form.number("priority"),
        again=form.number("again"),
        late=form.number("late"),
        when=_when(form, "when"),
        starts=tuple(_start(form, f"start-{n}") for n in form.numbered("start", _MARKS)),
        goal=tuple(_mark(form, f"goal-{n}") for n in form.numbered("goal", _MARKS)),
        stop=tuple(_mark(form, f"stop-{n}") for n in form.numbered("stop", _MARKS)),
        steps=tuple(_step(form, f"step-{n}") for n in form.numbered("step", MOST + 1)),
        note=form.text("note", 200),
        version=form.number("version"),
        digest=form.text("digest", 80),
        faults=tuple(form.faults),
    )


def _when(form: Fields, at: str) -> When:
    return When(
        stage=form.chosen(f"{at}-stage", tuple(STAGES)),
        role=form.chosen(f"{at}-role", _ROLES),
        tags=form.several(f"{at}-tags"),
        no_tags=form.several(f"{at}-no_tags"),
        channel=form.several(f"{at}-channel"),
        product=form.several(f"{at}-product"),
        replied=form.maybe(f"{at}-replied"),
        bought=form.maybe(f"{at}-bought"),
    )


def _start(form: Fields, at: str) -> StartLine:
    kind, value = form.one(f"{at}-kind", STARTS), form.text(f"{at}-value", 60)
    days = form.number(f"{at}-days") if kind in ("silent", "date") else 0
    made = {
        "stage": Start(stage=value),
        "tag": Start(tag=value),
        "event": Start(event=value),
        "silent": Start(silent_days=days),
        "date": Start(date=form.one(f"{at}-value", DATES), days=_turned(form, at, days)),
    }
    return StartLine(kind=kind, value=made[kind])


def _turned(form: Fields, at: str, days: int) -> int:
    return -abs(days) if form.text(f"{at}-side", 6) == "before" else days


def _mark(form: Fields, at: str) -> MarkLine:
    kind, value = form.one(f"{at}-kind", MARKS), form.text(f"{at}-value", 60)
    made = {
        "stage": Mark(stage=value),
        "tag": Mark(tag=value),
        "event": Mark(event=value),
        "reply": Mark(reply=True),
    }
    return MarkLine(kind=kind, value=made[kind])


def _step(form: Fields, at: str) -> StepLine:
    kind, ident = form.one(f"{at}-kind", STEPS), form.text(f"{at}-id", 60)
    form.step = ident
    made: dict[StepKind, Any] = {
        "message": lambda: Message(
            script=form.text(f"{at}-script", 100),
            text=form.text(f"{at}-text", 4000),
            delivery=form.one(f"{at}-delivery", DELIVERIES, "confirm"),
            to=form.one(f"{at}-to", TOS),
        ),
        "task": lambda: Task(
            kind=form.one(f"{at}-task", TASKS),
            title=form.text(f"{at}-title", 200),
            due_hours=form.amount(f"{at}-due"),
            wait=form.on(f"{at}-hold"),
            script=form.text(f"{at}-script", 100),
        ),
        "wait": lambda: _wait(form, at),
        "branch": lambda: Branch(
            when=_when(form, at),
            then=form.text(f"{at}-then", 60),
            otherwise=form.text(f"{at}-otherwise", 60),
        ),
        "coupon": lambda: Give(
            batch=form.text(f"{at}-batch", 60), delivery=form.one(f"{at}-delivery", DELIVERIES, "confirm")
        ),
        "tag": lambda: Tagging(add=form.several(f"{at}-add"), remove=form.several(f"{at}-remove")),
        "stage": lambda: form.text(f"{at}-stage", 30),
        "end": lambda: form.text(f"{at}-end", 200),
    }
    values: dict[str, Any] = {kind: made[kind](), "next": form.text(f"{at}-next", 60)}
    form.step = ""
    return StepLine(kind=kind, step=Step(id=ident, **values))


def _wait(form: Fields, at: str) -> Wait:
    return Wait(
        days=form.number(f"{at}-days"),
        hours=form.number(f"{at}-hours"),
        minutes=form.number(f"{at}-minutes"),
        at=form.text(f"{at}-at", 5),
        business=form.on(f"{at}-business"),
        until_reply=form.on(f"{at}-until_reply"),
    )


# -- changed line by line ----------------------------------------------------------------------------------
def changed(sheet: Sheet, what: str, form: Fields) -> tuple[Sheet, str]:
    """What a button asks for, and the id of the step to look at then; anything else changes nothing."""
    name, _, rest = what.partition(":")
    if name in ("up", "down", "drop", "below", "add"):
        return _steps(sheet, name, rest, form)
    if name == "start" and len(sheet.starts) < _MARKS:
        line = _start_of(form.one("start-new", STARTS))
        return replace(sheet, starts=(*sheet.starts, line)), ""
    if name == "goal" and len(sheet.goal) < _MARKS:
        return replace(sheet, goal=(*sheet.goal, _mark_of(form.one("goal-new", MARKS)))), ""
    if name == "stop" and len(sheet.stop) < _MARKS:
        return replace(sheet, stop=(*sheet.stop, _mark_of(form.one("stop-new", MARKS)))), ""
    return _less(sheet, name, int(rest) if rest.isdecimal() and len(rest) < 4 else -1), ""


def _less(sheet: Sheet, name: str, at: int) -> Sheet:
    if name == "unstart":
        return replace(sheet, starts=_without(sheet.starts, at))
    if name == "ungoal":
        return replace(sheet, goal=_without(sheet.goal, at))
    return replace(sheet, stop=_without(sheet.stop, at)) if name == "unstop" else sheet


def _without(lines: Sequence[L], at: int) -> tuple[L, ...]:
    return tuple(line for n, line in enumerate(lines) if n != at)


def _start_of(kind: StartKind) -> StartLine:
    made: Mapping[StartKind, Start] = {
        "stage": Start(stage="first-contact"),
        "tag": Start(),
        "event": Start(event="event.contact.added"),
        "silent": Start(silent_days=7),
        "date": Start(date="visit", days=-1),
    }
    return StartLine(kind=kind, value=made[kind])


def _mark_of(kind: MarkKind) -> MarkLine:
    made: Mapping[MarkKind, Mark] = {
        "stage": Mark(stage="closing"),
        "tag": Mark(),
        "event": Mark(event="event.order.paid"),
        "reply": Mark(reply=True),
    }
    return MarkLine(kind=kind, value=made[kind])


def _steps(sheet: Sheet, name: str, rest: str, form: Fields) -> tuple[Sheet, str]:
    steps = list(sheet.steps)
    if name == "add":
        last = len(steps) - 1 if steps and steps[-1].kind == "end" and rest != "end" else len(steps)
        return _inserted(sheet, last, rest)
    at = int(rest) if rest.isdecimal() and len(rest) < 4 else -1
    if not 0 <= at < len(steps):
        return sheet, ""
    if name == "below":
        return _inserted(sheet, at + 1, form.one(f"step-{at}-below", STEPS))
    if name == "drop":
        del steps[at]
        left = steps[min(at, len(steps) - 1)].step.id if steps else ""
        return replace(sheet, steps=tuple(steps)), left
    other = at + (1 if name == "down" else -1)
    if 0 <= other < len(steps):
        steps[at], steps[other] = steps[other], steps[at]
    return replace(sheet, steps=tuple(steps)), sheet.steps[at].step.id


def _inserted(sheet: Sheet, at: int, kind: str) -> tuple[Sheet, str]:
    if kind not in STEPS or len(sheet.steps) >= MOST:
        return sheet, ""
    ids = {line.step.id for line in sheet.steps}
    line = _step_of(
        cast(StepKind, kind), _unused(kind, ids), sheet.steps[at].step.id if sheet.steps[at:] else ""
    )
    return replace(sheet, steps=(*sheet.steps[:at], line, *sheet.steps[at:])), line.step.id


def _unused(kind: str, ids: Collection[str]) -> str:
    return next(name for n in range(1, MOST + 2) if (name := f"{kind}-{n}") not in ids)


def _step_of(kind: StepKind, ident: str, below: str) -> StepLine:
    made: Mapping[StepKind, Any] = {
        "message": Message(),
        "task": Task(kind="call", title=""),
        "wait": Wait(days=1, at="10:00"),
        "branch": Branch(when=When(replied=True), then=below, otherwise=below),
        "coupon": Give(batch=""),
        "tag": Tagging(),
        "stage": "needs",
        "end": "跟进走完",
    }
    values: dict[str, Any] = {kind: made[kind]}
    return StepLine(kind=kind, step=Step(id=ident, **values))
