"""One stream measured whole: baselines, oracle and our engine, with what must hold whatever the stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

from scrm.bench.identity import chances, trials
from scrm.bench.identity.baselines import BASELINES
from scrm.bench.identity.errors import errors
from scrm.bench.identity.generate import HOUSEHOLDS, generate
from scrm.bench.identity.metrics import Score, score
from scrm.bench.identity.oracle import split
from scrm.bench.identity.ours import decide, held
from scrm.bench.identity.values import Stream
from scrm.identity import policies
from scrm.identity.rules.placing import Place
from scrm.identity.rules.policy import Policy
from scrm.settings import shipped

OURS, ORACLE = "scrm", "oracle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What to generate."""

    seed: int = 1
    dirt: float = 1.0
    households: int = HOUSEHOLDS
    shape: str = ""
    #: Orders in which the stream arrives again.
    shuffles: int = 1
    #: Wrong links by hand that are taken back.
    links: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came out; every method by its name."""

    case: Case
    shape: str
    events: int
    persons: int
    households: int
    methods: Mapping[str, Score]
    seconds: Mapping[str, float]
    #: Ours against the best that identifiers allow: F1 of persons and households, and each role.
    relative: Mapping[str, float]
    same_orders: int
    undone: int
    explained: float
    errors: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def policy() -> Policy:
    return policies.shipped(shipped("config"))


def measure(case: Case) -> Outcome:
    """Everything of one stream. Pure but for the clock, so that several may run side by side."""
    shape = chances.shape(case.seed, case.shape)
    stream = generate(case.seed, households=case.households, dirt=case.dirt, shape=shape)
    return measured(case, shape.name, stream)


def measured(case: Case, shape: str, stream: Stream) -> Outcome:
    rules, methods, seconds = policy(), dict[str, Score](), dict[str, float]()
    for name, method in BASELINES.items():
        began = perf_counter()
        assigned = method(stream.events)
        seconds[name] = perf_counter() - began
        places = {key: Place(person=p, household=h) for key, (p, h) in assigned.items()}
        methods[name] = score(stream.truth, assigned, held(stream.events, places))
    began = perf_counter()
    ours = decide(rules, stream.events)
    seconds[OURS] = perf_counter() - began
    methods[OURS] = score(stream.truth, ours.assigned, ours.slots)
    whole = [_ideal(rules, stream, "person"), _ideal(rules, stream, "household")]
    methods |= {f"{ORACLE} by person": whole[0], f"{ORACLE} by household": whole[1]}
    found = errors(stream, ours.assigned)
    return Outcome(
        case=case,
        shape=shape,
        events=len(stream.events),
        persons=len({t.person for t in stream.truth.values()}),
        households=len({t.household for t in stream.truth.values()}),
        methods=methods,
        seconds=seconds,
        relative=relative(methods[OURS], whole),
        same_orders=trials.same_in_any_order(rules, stream.events, shuffles=case.shuffles),
        undone=trials.undone(rules, stream.events, links=case.links),
        explained=trials.explained(ours.engine),
        errors={"wrong": found.wrong, "strange": found.strange, "causes": found.causes},
    )


def _ideal(rules: Policy, stream: Stream, whole: Any) -> Score:
    best = decide(rules, split(stream, whole))
    return score(stream.truth, best.assigned, best.slots)


def relative(ours: Score, ideals: list[Score]) -> dict[str, float]:
    """Against the better of both oracles, figure by figure."""
    found = {
        "person_f1": ours.persons.f1 / max(o.persons.f1 for o in ideals),
        "household_f1": ours.households.f1 / max(o.households.f1 for o in ideals),
    }
    for role, share in ours.roles.items():
        best = max(o.roles.get(role, 0.0) for o in ideals)
        found[role] = share / best if best else 1.0
    return found
