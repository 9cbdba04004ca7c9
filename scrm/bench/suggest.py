"""Suggest: how often the right script is first or among three; what a message costs among 10,000 scripts."""

from __future__ import annotations

import asyncio
import gc
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter, process_time_ns
from typing import Any, Literal

import rjieba

from scrm.bench.ground import Figures
from scrm.desk.stages import Stage
from scrm.errors import BadInput
from scrm.playbook.checks.sounds import SOUNDS
from scrm.playbook.library.search import Finder
from scrm.playbook.ranking import Index, Moment, read_intents, tokens
from scrm.playbook.scripts import Role, Script, read_packs
from scrm.settings import shipped
from scrm.shapes import from_json

SCRIPTS = 10_000
#: Milliseconds of one core a message may take among so many.
BOUND_MS = 2.0
#: Milliseconds from a key struck to what was found among so many.
FIND_BOUND_MS = 50.0
MESSAGES = 600
#: How many messages of a talk are looked at.
_TALK = 4
#: So many words of a varied script are other words.
_OTHER = 0.3
_CASES = Path(__file__).parent / "data" / "suggest.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Something a customer typed in a situation, and the scripts that answer it."""

    text: str
    accept: tuple[str, ...]
    stage: Stage | None = None
    role: Role | None = None
    trade: str = ""
    #: What they typed before it, newest first.
    before: tuple[str, ...] = ()
    #: Held out: written before anything was tuned, and never looked into.
    half: Literal["dev", "held_out"] = "dev"


@dataclass(slots=True)
class Score:
    cases: int = 0
    first: int = 0
    third: int = 0

    def told(self) -> dict[str, float]:
        return {
            "cases": self.cases,
            "hit_at_1": round(self.first / self.cases, 3),
            "hit_at_3": round(self.third / self.cases, 3),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    case: Case
    got: tuple[str, ...]


def read_cases(path: Path) -> tuple[Case, ...]:
    """One JSON object a line. Raises `BadInput` naming the line at fault."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise BadInput(f"{path}: 读不了这个文件（{error.strerror}），请检查。") from None
    found = [
        from_json(Case, line, where=f"{path.name} 第 {n} 行")
        for n, line in enumerate(lines, 1)
        if line.strip()
    ]
    if not found:
        raise BadInput(f"{path}: 里面没有一条标注，请检查。")
    return tuple(found)


def judge(
    cases: Sequence[Case], library: Path | None = None
) -> tuple[dict[str, dict[str, float]], list[Miss]]:
    """Scores by half, and within it by trade and by stage; and the cases missed among three."""
    floor = _Floor(library or shipped("scripts_library"))
    scores: dict[str, Score] = defaultdict(Score)
    missed = []
    for case in cases:
        got = floor.offered(case)
        first, third = (not set(got[:n]).isdisjoint(case.accept) for n in (1, 3))
        half = case.half
        for name in (half, f"{half}.{floor.trade(case)}", f"{half}.stage.{case.stage or 'none'}"):
            scores[name].cases += 1
            scores[name].first += first
            scores[name].third += third
        if not third:
            missed.append(Miss(case=case, got=got[:3]))
    return {name: scores[name].told() for name in sorted(scores)}, missed


class _Floor:
    """An index for each trade, as a tenant of that trade has it."""

    def __init__(self, library: Path) -> None:
        self._library = library
        self._packs = read_packs(library)
        self._trades = {script.id: trade for trade, pack in self._packs.items() for script in pack}
        self._known: dict[str, Index] = {}

    def trade(self, case: Case) -> str:
        """The trade a case names, or the one its answers are of; `all` when nobody can say."""
        named = case.trade or next((t for name in case.accept if (t := self._trades.get(name))), "")
        return named if named in self._packs else "all"

    def offered(self, case: Case) -> tuple[str, ...]:
        """Ids, best first."""
        trade = self.trade(case)
        if trade not in self._known:
            mine = self._packs if trade == "all" else {trade: self._packs[trade]}
            self._known[trade] = Index.of(mine, read_intents(self._library, tuple(mine)))
        moment = Moment(
            utterances=(case.text, *case.before), stage=case.stage, role=case.role, channel="wecom_kf"
        )
        return tuple(suggestion.script_id for suggestion in self._known[trade].rank(moment))


def cost(said: Sequence[str], library: Path | None = None, scripts: int = 0, messages: int = 0) -> Figures:
    """CPU of one message among so many scripts: the three before it heard already, and all four new."""
    folder = library or shipped("scripts_library")
    many = grown([s for pack in read_packs(folder).values() for s in pack], scripts or SCRIPTS)
    intents = read_intents(folder)
    began = perf_counter()
    index = Index(many, intents=intents)
    built = perf_counter() - began
    # Nothing measured may be paid for what was built before it.
    gc.collect()
    new, all_new = (_times(index, said, messages or MESSAGES, fresh) for fresh in (1, _TALK))
    return {
        "scripts": len(many),
        "index_s": round(built, 2),
        "message_ms": _at(new, 0.5),
        "message_p99_ms": _at(new, 0.99),
        "talk_new_ms": _at(all_new, 0.5),
        **_sought(many),
    }


def _sought(many: Sequence[Script]) -> Figures:
    """Milliseconds of CPU from a key struck in the search box to the scripts found, over what people type."""
    finder = Finder(many)
    asked = [typed for one in many[:: max(1, len(many) // 50)] for typed in _typed(one)]
    times = []
    for words in asked:
        began = process_time_ns()
        finder.find(words)
        times.append((process_time_ns() - began) / 1e6)
    times.sort()
    return {"find_ms": _at(times, 0.5), "find_p99_ms": _at(times, 0.99), "find_bound_ms": FIND_BOUND_MS}


def _typed(one: Script) -> tuple[str, ...]:
    """A title, how it sounds in full and by initials, a code, words of the text, and nothing there is."""
    sounds = [SOUNDS[c] for c in one.title if c in SOUNDS]
    spoken, initials = "".join(sounds[:3]), "".join(s[0] for s in sounds)
    return one.title, one.title[:1], spoken, initials, one.id, one.text[:6], "没有这种话术"


def grown(scripts: Sequence[Script], size: int) -> list[Script]:
    """The scripts, and copies of them in which some words are others, up to `size`."""
    rng = random.Random(size)
    lines = [line for script in scripts for line in (*script.says, script.text)]
    words = sorted({word for line in lines for word in rjieba.cut(line) if len(word) > 1})

    def vary(text: str) -> str:
        cut = rjieba.cut(text)
        return "".join(rng.choice(words) if len(w) > 1 and rng.random() < _OTHER else w for w in cut)

    many = list(scripts[:size])
    for number in range(size - len(many)):
        script = scripts[number % len(scripts)]
        many.append(
            replace(
                script,
                id=f"{script.id}-v{number}",
                title=vary(script.title),
                triggers=tuple(map(vary, script.triggers)),
                says=tuple(map(vary, script.says)),
            )
        )
    return many


def _times(index: Index, said: Sequence[str], messages: int, fresh: int) -> list[float]:
    """Milliseconds of each message of one long talk, `fresh` of the four looked at not heard yet."""
    tokens.cache_clear()
    times = []
    for at in range(messages):
        # Never the same words twice: what was heard once is remembered.
        talk = [f"{said[(at - back) % len(said)]}{at * fresh - back}" for back in range(_TALK)]
        moment = Moment(utterances=talk, stage="objection", role="buyer", channel="wecom_kf")
        began = process_time_ns()
        index.rank(moment)
        times.append((process_time_ns() - began) / 1e6)
    # The first finds nothing heard.
    return sorted(times[1:] or times)


def _at(times: Sequence[float], share: float) -> float:
    return round(times[min(int(len(times) * share), len(times) - 1)], 3)


def measure(file: Path | None = None, *, scripts: int = 0) -> tuple[dict[str, Any], list[Miss]]:
    """Everything at once: scores by half, trade and stage, the cost of a message, and what was missed."""
    cases = read_cases(file or _CASES)
    scores, missed = judge(cases)
    return {"scores": scores, "cost": cost([case.text for case in cases], scripts=scripts)}, missed


async def run(*, database: str = "", scripts: int = 0) -> Figures:  # noqa: ARG001 - it needs none
    """The figures in one list: both halves, and the cost against its bound."""
    found, _ = await asyncio.to_thread(measure, scripts=scripts)
    figures: Figures = {}
    for half in ("dev", "held_out"):
        figures |= {f"{half}_{name}": value for name, value in found["scores"][half].items()}
    figures |= found["cost"]
    return figures | {
        "bound_ms": BOUND_MS,
        "ratio": round(BOUND_MS / float(figures["message_ms"]), 2),
        "bar": 1.0,
    }
