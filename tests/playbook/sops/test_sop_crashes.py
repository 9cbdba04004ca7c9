"""However often a worker dies, wherever the clock jumps, whoever asks twice: no step twice, none lost,
none at night. A hundred thousand runs in memory, some hundreds in the database, and a worker that is wrong.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache

import pytest

from scrm.db import Database
from scrm.desk.calendar import rules as dates
from scrm.desk.calendar.rules import Calendar
from scrm.playbook.sops import rules
from scrm.playbook.sops.rules import Facts, Move, Over, Pause, Run
from scrm.playbook.sops.values import Plan
from tests.ground import NOW, later
from tests.playbook.sops.clockwork import Clockwork, plan

RUNS = 100_000
CALENDAR = Calendar(week=dates.week("1-5 09:00-12:00, 1-5 13:30-18:00"), quiet=dates.quiet("21:00-08:30"))
PLANS = [
    plan(
        """
        - {id: hi, message: {text: 您好, delivery: auto}}
        - {id: night, wait: {hours: 11}}
        - {id: again, message: {text: 在吗, delivery: auto}}
        - {id: mark, tag: {add: [x]}}
        """
    ),
    plan(
        """
        - {id: answer, wait: {hours: 5, until_reply: true}}
        - {id: both, branch: {when: {replied: true}, then: over, otherwise: ask}}
        - {id: ask, message: {text: 在吗, delivery: auto}}
        - {id: over, end: 完}
        """,
        late_hours=2,
    ),
    plan(
        """
        - {id: task, task: {kind: call, title: 打电话, due_hours: 2}}
        - {id: day, wait: {days: 1, at: "19:30"}}
        - {id: late, message: {text: 晚上好, delivery: auto}}
        """
    ),
]


class Died(Exception):
    pass


@dataclass(slots=True)
class World:
    """What one run has left in the tables, and a clock. `torn`: writes count at once, not with the commit."""

    plan: Plan
    rng: random.Random
    torn: bool = False
    now: datetime = NOW
    run: Run | None = None
    over: str = ""
    steps: list[tuple[int, str]] = field(default_factory=list)
    effects: list[tuple[int, str, datetime]] = field(default_factory=list)
    due: datetime | None = None
    heard: datetime | None = None

    def commit(self, *writes: Callable[[], None]) -> None:
        """All of it or nothing; who dies between two of them dies with all."""
        dies = self.rng.randrange(len(writes) + 1) if self.rng.random() < 0.15 else None
        for n, write in enumerate(writes):
            if self.torn:
                if dies == n:
                    raise Died
                write()
        if dies is not None:
            raise Died
        if not self.torn:
            for write in writes:
                write()

    def begin(self) -> None:
        """The trigger, told as often as a platform likes."""
        if self.run is None:
            self.commit(self._born, lambda: setattr(self, "due", self.now))

    def _born(self) -> None:
        ident = self.rng.getrandbits(60)
        self.run = Run(ident=ident, step=self.plan.steps[0].id, taken=0, started_at=self.now, since=self.now)

    def facts(self) -> Facts:
        return Facts(last_in_at=self.heard, speaks_at=opens(self.now))

    def turn(self) -> None:
        """One worker's turn: hold, decide, do, write down."""
        held = self.run
        if held is None or self.over:
            self.due = None
            return
        action = rules.step(self.plan, held, self.facts(), CALENDAR, now=self.now)
        if isinstance(action, Over):
            self.commit(lambda: setattr(self, "over", action.state))
        elif isinstance(action, Pause):
            waits = replace(
                held,
                spread_to=action.spread_to or held.spread_to,
                held_to=action.held_to or held.held_to,
            )
            self.commit(lambda: setattr(self, "run", waits), lambda: setattr(self, "due", action.until))
        else:
            self._take(held, action)

    def _take(self, held: Run, move: Move) -> None:
        stands = replace(
            held,
            step=move.to,
            taken=held.taken + 1,
            since=move.at or self.now,
            spoke_at=self.now if move.kind == "message" else held.spoke_at,
            spread_to=None,
            held_to=None,
        )
        at, n = self.now, held.taken
        self.commit(
            lambda: self.effects.append((n, move.step.id, at)) if move.state == "done" else None,
            lambda: self.steps.append((n, move.step.id)),
            lambda: setattr(self, "run", stands),
            lambda: setattr(self, "due", at),
        )


def opens(now: datetime) -> datetime | None:
    """As push decides: out of quiet hours, in office hours; None = now."""
    return _opens(now.replace(second=0, microsecond=0))


@cache  # nothing opens or closes within a minute
def _opens(now: datetime) -> datetime | None:
    at = now
    for _ in range(4):
        after = dates.quiet_until(CALENDAR, at) or dates.opens_at(CALENDAR, at)
        if after is None or after == at:
            break
        at = after
    return at if at > now else None


def live(world: World) -> None:
    """Until it is over, or will never be; the clock runs, jumps, and people answer meanwhile."""
    rng = world.rng
    for _ in range(300):
        if world.over:
            return
        try:
            world.begin()
            if rng.random() < 0.1:
                world.begin()
            while world.due is not None and world.due <= world.now and not world.over:
                world.turn()
                if rng.random() < 0.05 and not world.over:
                    world.turn()  # claimed twice
        except Died:
            world.now += timedelta(seconds=61)  # the lease of the dead
            continue
        if rng.random() < 0.03:
            world.now += timedelta(seconds=rng.choice((-3600, 7200)))
        if rng.random() < 0.05:
            world.heard = world.now
        if world.due is not None and world.due > world.now:
            world.now = world.due


def faults(world: World) -> Counter[str]:
    """Twice, lost, at night, or off the plan's way."""
    found: Counter[str] = Counter()
    numbers = [n for n, _ in world.steps]
    found["twice"] += len(numbers) - len(set(numbers))
    done = Counter(n for n, _, _ in world.effects)
    found["twice"] += sum(times - 1 for times in done.values())
    found["lost"] += len(set(range(max(numbers, default=-1) + 1)) - set(numbers))
    found["lost"] += sum(n not in numbers for n in done)
    for _, ident, at in world.effects:
        step = world.plan.step(ident)
        if step is not None and step.message and opens(at) is not None:
            found["at night"] += 1
    if world.over != "done":
        found["lost"] += 1
    ids = [ident for _, ident in sorted(world.steps)]
    if ids not in ways(world.plan):
        found["off the way"] += 1
    return +found


def ways(plan_: Plan) -> list[list[str]]:
    """Every way through a plan without circles."""

    def from_(ident: str) -> list[list[str]]:
        step = plan_.step(ident)
        if step is None or step.end:
            return [[]]
        after = [step.branch.then, step.branch.otherwise] if step.branch else [plan_.after(step)]
        return [[ident, *rest] for one in after for rest in (from_(one) if one else [[]])]

    return from_(plan_.steps[0].id)


def test_a_hundred_thousand_runs_take_every_step_once_and_none_at_night() -> None:
    rng, found = random.Random(20260302), Counter[str]()
    deaths = 0
    for n in range(RUNS):
        world = World(PLANS[n % len(PLANS)], rng, now=NOW + timedelta(minutes=rng.randrange(7 * 24 * 60)))
        live(world)
        found += faults(world)
        deaths += world.run is not None
    assert found == Counter()
    assert deaths == RUNS


def test_a_worker_that_does_not_write_it_all_at_once_is_caught() -> None:
    rng, found = random.Random(20260302), Counter[str]()
    for n in range(500):
        world = World(PLANS[n % len(PLANS)], rng, torn=True)
        live(world)
        found += faults(world)
    assert found["twice"]


def test_rules_that_forget_the_night_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "facts", lambda world: Facts(last_in_at=world.heard))
    rng, found = random.Random(20260302), Counter[str]()
    for n in range(200):
        world = World(PLANS[n % len(PLANS)], rng)
        live(world)
        found += faults(world)
    assert found["at night"]


# -- the real one ------------------------------------------------------------------------------------------
STEPS = """
- {id: hi, message: {text: 您好, delivery: auto}}
- {id: mark, tag: {add: [x]}}
- {id: night, wait: {hours: 10}}
- {id: call, task: {kind: call, title: 打电话, due_hours: 2}}
- {id: again, message: {text: 再见, delivery: auto}}
"""


async def crashing(database: Database, families: int, rng: random.Random) -> Clockwork:
    """Every transaction may be the last of its process, before any of its statements or its commit."""
    work = Clockwork(database)
    await work.live(plan(STEPS))
    for n in range(families):
        await work.meet(f"c{n}")
        for _ in range(2):  # told twice
            await work.happen(f"c{n}", f"k{n}")
    work.mortal, work.dies = True, lambda: rng.randrange(70) if rng.random() < 0.4 else None
    await work.until(later(4 * 86400))
    return work


async def test_the_database_keeps_every_step_of_runs_whose_worker_dies_all_the_time(
    database: Database,
) -> None:
    families = 80 if not database.many else 12
    work = await crashing(database, families, random.Random(7))
    runs = await work.runs()
    pushes = Counter(key for key, _ in await work.pushes())
    tasks = Counter(t.key for t in await work.tasks())

    assert work.deaths > families
    assert Counter(r.state for r in runs) == {"done": families}
    assert pushes == Counter(f"sop:{r.run_id}:{n}:0" for r in runs for n in (0, 4))
    assert tasks == Counter(f"sop:{r.run_id}:3:call" for r in runs)
    assert all(opens(at) is None for _, at in await work.pushes())
    for row in runs[:10]:
        assert row.taken == 5
