"""The benchmark of identity as tables for a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from scrm.bench.identity.cases import ORACLE, OURS, Outcome
from scrm.bench.identity.metrics import ROLES, Clusters, Score

#: What is asked: of the oracle, and precision by itself (less of it on three times the dirt).
BARS: Mapping[str, float] = {
    "person_f1": 0.99,
    "household_f1": 0.985,
    "registrant": 0.95,
    "payer": 0.98,
    "user": 0.99,
}
PRECISION, PRECISION_X3 = 0.99, 0.975


def methods(outcomes: Sequence[Outcome]) -> Iterable[str]:
    """Every method, each dirt: means over the seeds."""
    one = f"{'P':>8}{'R':>7}{'F1':>7}"
    for dirt in sorted({o.case.dirt for o in outcomes}):
        mine = [o for o in outcomes if o.case.dirt == dirt]
        events = round(fmean(o.events for o in mine))
        yield f"\ndirt x{dirt:g}, {len(mine)} seeds, {events} events each"
        yield f"{'':<24}{'persons':<42} | {'households':<22} | roles"
        yield f"{'method':<24}{one}{'B3':>7}{'hit':>7}{'big':>6} |{one} | {' / '.join(ROLES)}"
        for name in mine[0].methods:
            yield f"{name:<24}" + _row([o.methods[name] for o in mine])


def _row(scores: Sequence[Score]) -> str:
    p, h = [s.persons for s in scores], [s.households for s in scores]
    held = " / ".join(f"{fmean(s.roles.get(r, 0.0) for s in scores):.0%}" for r in ROLES)
    b3, hit, biggest = fmean(c.b3_f1 for c in p), fmean(c.hit for c in p), max(c.biggest for c in p)
    return f"{_pairs(p)}{b3:>7.3f}{hit:>7.1%}{biggest:>6} |{_pairs(h)} | {held}"


def _pairs(found: Sequence[Clusters]) -> str:
    means = (fmean(getattr(c, name) for c in found) for name in ("precision", "recall", "f1"))
    return "{:>8.4f}{:>7.3f}{:>7.3f}".format(*means)


def seeds(outcomes: Sequence[Outcome]) -> Iterable[str]:
    """Ours, seed by seed, against the oracle; `!` marks what misses its bar."""
    yield f"\n{OURS} by seed; F1 and roles as shares of the {ORACLE}'s ({_bars()})"
    yield (
        f"{'seed':>5} {'dirt':>5} {'shape':<15}{'events':>7}{'P':>9}{'F1':>9}{'house':>9}"
        + "".join(f"{role:>12}" for role in ROLES)
        + f"{'hit':>7}{'big':>5}{'order':>7}{'undo':>7}{'why':>6}"
    )
    yield from map(_seed, outcomes)


def _seed(o: Outcome) -> str:
    ours, case = o.methods[OURS].persons, o.case
    least = PRECISION if case.dirt <= 1 else PRECISION_X3
    shares = "".join(f"{_relative(o, role):>12}" for role in ROLES)
    order, undo = f"{o.same_orders}/{case.shuffles}", f"{o.undone}/{case.links}"
    return (
        f"{case.seed:>5} {f'x{case.dirt:g}':>5} {o.shape:<15}{o.events:>7}{_marked(ours.precision, least):>9}"
        f"{_relative(o, 'person_f1'):>9}{_relative(o, 'household_f1'):>9}{shares}"
        f"{ours.hit:>7.1%}{ours.biggest:>5}{order:>7}{undo:>7}{o.explained:>6.0%}"
    )


def _bars() -> str:
    return ", ".join(f"{name} {bar}" for name, bar in BARS.items())


def _relative(outcome: Outcome, name: str) -> str:
    # Roles nobody could find anywhere are nobody's fault.
    return _marked(outcome.relative.get(name, 1.0), BARS.get(name, 0.0))


def _marked(value: float, least: float) -> str:
    return f"{'!' if value < least else ''}{value:.4f}"


def faults(outcomes: Sequence[Outcome]) -> Iterable[str]:
    """What the wrong events were, most first."""
    for name, title in (("wrong", "events with a wrong person"), ("strange", "of another household")):
        total: dict[str, int] = {}
        for o in outcomes:
            for what, count in o.errors[name].items():
                total[what] = total.get(what, 0) + count
        ranked = sorted(total.items(), key=lambda item: (-item[1], item[0]))[:10]
        yield f"\n{title} (type/dirt): " + ", ".join(f"{what} {count}" for what, count in ranked)


def one(name: str, score: Score) -> Iterable[str]:
    """A single score, of a stream from outside."""
    yield f"{name:<24}" + _row([score])
