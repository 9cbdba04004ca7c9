"""An SOP as a value: when it starts, for whom, what it does step by step, when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Literal

Delivery = Literal["auto", "confirm"]
TaskKind = Literal["call", "material", "coupon", "reply", "visit", "quote", "other"]
#: Who of the household is spoken to: whoever it began with, or who plays that part.
To = Literal["same", "registrant", "buyer", "user"]
StepKind = Literal["message", "task", "wait", "branch", "coupon", "tag", "stage", "end"]
#: Dates that a run can hang on; which families have one is looked up every hour.
Date = Literal["visit", "promise_until", "coupon_until", "order_paid", "opened"]


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """What must be so; every part that is written must hold, of the members of a list any one."""

    stage: tuple[str, ...] = ()
    role: tuple[str, ...] = ()
    #: All of them.
    tags: tuple[str, ...] = ()
    #: None of them.
    no_tags: tuple[str, ...] = ()
    channel: tuple[str, ...] = ()
    product: tuple[str, ...] = ()
    #: Somebody of the household wrote or called after the run last spoke to them.
    replied: bool | None = None
    #: The household has a paid order since the run began.
    bought: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One thing that starts a run."""

    stage: str = ""
    tag: str = ""
    #: How the kind of an event begins: `event.order.paid`, `event.friend`.
    event: str = ""
    #: The customer has not written for so many days.
    silent_days: int = 0
    #: So many `days` after the date; before it, if negative.
    date: Date | Literal[""] = ""
    days: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something that, done by any member of the household, meets the goal or stops the run."""

    stage: str = ""
    tag: str = ""
    event: str = ""
    reply: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`script` names one of the library; or `text`, a template of its own."""

    script: str = ""
    text: str = ""
    delivery: Delivery = "confirm"
    to: To = "same"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    kind: TaskKind
    title: str
    #: In hours of work from when the step is reached.
    due_hours: float = 8
    #: The run goes on when it is done, or when it ran out.
    wait: bool = False
    script: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """How long; with `at`, until that time of the day it ends on; with `until_reply`, at most so long."""

    minutes: int = 0
    hours: int = 0
    days: int = 0
    #: Shanghai wall time, `10:00`.
    at: str = ""
    #: Days and hours of work only.
    business: bool = False
    until_reply: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    when: When
    then: str
    otherwise: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Give:
    """A coupon of a batch: given by itself, or put before the rep as a task."""

    batch: str
    delivery: Delivery = "confirm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagging:
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Exactly one of its kinds; then `next`, or whatever stands below it."""

    id: str
    message: Message | None = None
    task: Task | None = None
    wait: Wait | None = None
    branch: Branch | None = None
    coupon: Give | None = None
    tag: Tagging | None = None
    #: The opportunity moves to this stage.
    stage: str = ""
    #: The run is over: why, in words.
    end: str = ""
    next: str = ""

    @property
    def kind(self) -> StepKind:
        return self.kinds[0]

    @property
    def kinds(self) -> list[StepKind]:
        """Those that are written; a good step has one."""
        known: Sequence[StepKind] = (
            "message",
            "task",
            "wait",
            "branch",
            "coupon",
            "tag",
            "stage",
            "end",
        )
        return [name for name in known if getattr(self, name)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One version of one SOP."""

    code: str
    version: int
    title: str
    starts: tuple[Start, ...]
    steps: tuple[Step, ...]
    #: What it is for, in a sentence.
    about: str = ""
    when: When = field(default_factory=When)
    goal: tuple[Mark, ...] = ()
    stop: tuple[Mark, ...] = ()
    #: Of SOPs of one group a household runs one at a time; the higher priority goes first.
    group: str = ""
    priority: int = 0
    #: The same household not again within so many days.
    again_after_days: int = 90
    #: A message that could not go out for so many hours is left out.
    late_hours: int = 12

    def step(self, ident: str) -> Step | None:
        return next((s for s in self.steps if s.id == ident), None)

    def after(self, step: Step) -> str:
        """The id of what follows; "" = the end."""
        if step.next:
            return step.next
        place = self.steps.index(step) + 1
        return self.steps[place].id if place < len(self.steps) else ""


def written(value: Start | Mark) -> list[str]:
    """The names of the parts that say something; `days` only says more about `date`."""
    return [each.name for each in fields(value) if each.name != "days" and getattr(value, each.name)]
