"""`scrm bench identity` with its options: a whole run over seeds and dirts, or a stream from outside."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any

from scrm.bench.ground import Figures
from scrm.bench.identity import cases, chances, report, settled, speed
from scrm.bench.identity.cases import Case, Outcome
from scrm.bench.identity.files import read_events, read_truth, write_decided, write_stream
from scrm.bench.identity.generate import HOUSEHOLDS, generate
from scrm.bench.identity.metrics import score
from scrm.bench.identity.ours import decide
from scrm.bench.identity.values import Stream
from scrm.errors import BadInput

Say = Callable[[str], None]
_QUICK_HOUSEHOLDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a run covers."""

    seeds: tuple[int, ...] = tuple(range(1, 11))
    dirts: tuple[float, ...] = (0.0, 1.0, 3.0)
    households: int = HOUSEHOLDS
    shape: str = ""
    #: Streams measured side by side; 0 = as many as there are cores.
    jobs: int = 0
    #: Events of each attack.
    attack: int = 100_000
    #: An empty PostgreSQL database that is measured besides SQLite; "" = none.
    database: str = ""

    def quick(self) -> Options:
        """Enough to see that everything works, in some seconds."""
        few = min(self.households, _QUICK_HOUSEHOLDS)
        return replace(self, seeds=self.seeds[:2], dirts=(1.0,), households=few, attack=5_000)

    @property
    def cases(self) -> tuple[Case, ...]:
        """The first stream comes again in ten orders, the others in one."""
        every = [
            Case(seed=seed, dirt=dirt, households=self.households, shape=self.shape)
            for dirt in self.dirts
            for seed in self.seeds
        ]
        return (replace(every[0], shuffles=10), *every[1:]) if every else ()


def numbers(text: str) -> tuple[int, ...]:
    """`1-10`, `3` or `1,4,7-9`."""
    found: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            found += range(int(first), int(last or first) + 1)
    except ValueError:
        raise BadInput(f"“{text}”不是种子：写成 1-10 或 1,4,7。") from None
    if not found or len(found) > 1_000:
        raise BadInput("种子应有 1 到 1000 个。")
    return tuple(found)


def factors(text: str) -> tuple[float, ...]:
    """`0,1,3`."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise BadInput(f"“{text}”不是脏数据倍数：写成 0,1,3。") from None
    if any(not 0 <= one <= 10 for one in found):
        raise BadInput("脏数据倍数应在 0 到 10 之间。")
    return found


async def run(options: Options, *, say: Say) -> dict[str, Any]:
    """All streams with their baselines and oracles, then how fast it is, alone on the machine."""
    outcomes = await asyncio.to_thread(_outcomes, options)
    for line in (*report.methods(outcomes), *report.seeds(outcomes), *report.faults(outcomes)):
        say(line)
    speeds = await _speeds(options)
    say("\nspeed, one core, no other stream beside it")
    for name, value in speeds.items():
        say(f"  {name:<34} {value}")
    return {"cases": [o.plain() for o in outcomes], "speed": speeds, "bars": dict(report.BARS)}


def _outcomes(options: Options) -> list[Outcome]:
    todo = options.cases
    jobs = min(options.jobs or os.cpu_count() or 1, len(todo))
    with _progress(len(todo)) as tick:
        if jobs == 1:
            return [tick(cases.measure(case)) for case in todo]
        found: dict[Case, Outcome] = {}
        # Fresh processes: a copy of one with an event loop and threads could hang.
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            for done in as_completed([pool.submit(cases.measure, case) for case in todo]):
                outcome = tick(done.result())
                found[outcome.case] = outcome
    return [found[case] for case in todo]


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Outcome], Outcome]]:
    """A bar on the error stream: the tables alone go to the output."""
    done = 0
    live = sys.stderr.isatty()

    def show(what: str) -> None:
        filled = 30 * done // max(1, total)
        line = f"[{'#' * filled}{'.' * (30 - filled)}] {done}/{total} {what}"
        print(f"\r{line:<70}" if live else line, end="" if live else "\n", file=sys.stderr, flush=True)

    def tick(outcome: Outcome) -> Outcome:
        nonlocal done
        done += 1
        show(f"seed {outcome.case.seed} dirt x{outcome.case.dirt:g}")
        return outcome

    show("")
    try:
        yield tick
    finally:
        if live:
            print(file=sys.stderr)


async def _speeds(options: Options) -> speed.Speeds:
    """In memory, then through the product on each engine."""
    stream = await asyncio.to_thread(_first, options)
    found = await asyncio.to_thread(_in_memory, options, stream)
    for database in dict.fromkeys(("", options.database)):
        found |= await settled.measure(cases.policy(), stream.events, database=database)
    return found


def _first(options: Options) -> Stream:
    seed = options.seeds[0]
    shape = chances.shape(seed, options.shape)
    return generate(seed, households=options.households, shape=shape)


def _in_memory(options: Options, stream: Stream) -> speed.Speeds:
    policy = cases.policy()
    found = speed.in_memory(policy, stream.events)
    for attack in speed.ATTACKS:
        found |= speed.attacked(policy, stream.events, attack, count=options.attack)
    return found


async def decided(events: Path, *, truth: Path | None, assign: Path | None, say: Say) -> dict[str, Any]:
    """A stream from outside through our engine; with its truth also a score."""
    return await asyncio.to_thread(_decided, events, truth, assign, say)


def _decided(path: Path, truth: Path | None, assign: Path | None, say: Say) -> dict[str, Any]:
    # The truth is read only after everything is decided.
    events = read_events(path)
    one = decide(cases.policy(), events)
    persons = {p.person for p in one.places.values()}
    homes = {p.household for p in one.places.values()}
    found: dict[str, Any] = {"events": len(one.places), "persons": len(persons), "households": len(homes)}
    for name, value in found.items():
        say(f"  {name:<28} {value}")
    if assign is not None:
        write_decided(assign, one.assigned, one.slots)
    if truth is not None:
        scored = score(read_truth(truth), one.assigned, one.slots)
        found["score"] = asdict(scored)
        _all(say, report.one(cases.OURS, scored))
    return found


def _all(say: Say, lines: Iterable[str]) -> None:
    for line in lines:
        say(line)


def write(folder: Path, options: Options) -> Sequence[Path]:
    """The streams of the first seed, one pair of files a dirt, for other engines."""
    folder.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    for case in options.cases:
        shape = chances.shape(case.seed, case.shape)
        stream = generate(case.seed, households=case.households, dirt=case.dirt, shape=shape)
        pair = [folder / f"{kind}-{case.seed}-x{case.dirt:g}.jsonl" for kind in ("events", "truth")]
        write_stream(stream, *pair)
        made += pair
    return made


async def brief(*, database: str) -> Figures:
    """The same in little, as one of all benches: means over its seeds, and the ratio to a union-find."""
    options = replace(Options(jobs=1).quick(), database=database)
    outcomes = await asyncio.to_thread(_outcomes, options)
    speeds = await _speeds(options)
    ours = [o.methods[cases.OURS].persons for o in outcomes]
    return {
        "events": sum(o.events for o in outcomes),
        "person_precision": round(fmean(c.precision for c in ours), 4),
        **{f"{name}_of_oracle": round(fmean(o.relative[name] for o in outcomes), 4) for name in report.BARS},
        **speeds,
        "ratio": speeds["engine_ratio"],
    }
