"""Text: a scan against 5,000 words, ranking and rendering, and how often the right script comes first."""

from __future__ import annotations

import os
import platform
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter_ns

from ahocorasick_rs import AhoCorasick

from scrm.playbook.ranking import Index, Moment
from scrm.playbook.scripts import Script, read_library
from scrm.playbook.templates import admit, render, sample
from scrm.settings import shipped
from scrm.shapes import load, read_yaml

WORDS = 5000
_ROUNDS = 2000
#: Only in a checkout; without it the hit rates are left out.
_CASES = Path(__file__).resolve().parents[2] / "tests" / "playbook" / "utterances.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Something a parent typed, and the scripts that answer it."""

    said: str
    expect: tuple[str, ...]


def run(library: Path | None = None, cases: Path | None = None) -> dict[str, float | int | str]:
    """Measure, print one figure a line, and return the same by name."""
    figures = measure(library, cases)
    for name, value in figures.items():
        print(f"{name:<24} {value}")
    return figures


def measure(library: Path | None = None, cases: Path | None = None) -> dict[str, float | int | str]:
    """Figures by name; times are medians in microseconds. The bound of the scan is looking word by word."""
    scripts = read_library(library or shipped("scripts_library"), () if library else ("education",))
    index = Index(scripts)
    groups = read_cases(cases or _CASES)
    figures: dict[str, float | int | str] = {
        "python": platform.python_version(),
        "cores": os.cpu_count() or 1,
        "ahocorasick_rs": version("ahocorasick_rs"),
        "rjieba": version("rjieba"),
        "scripts": len(scripts),
        **_scan(scripts),
        **_playbook(scripts, index, [case.said for group in groups.values() for case in group]),
    }
    for name, group in groups.items():
        first, third = hits(index, group)
        figures |= {f"{name}_utterances": len(group), f"{name}_hit_at_1": first, f"{name}_hit_at_3": third}
    return figures | {"ratio": round(float(figures["scan_naive_us"]) / float(figures["scan_us"]), 1)}


def read_cases(path: Path) -> dict[str, tuple[Case, ...]]:
    """Labelled utterances by group; nothing when the file is not there."""
    return load(dict[str, tuple[Case, ...]], read_yaml(path), where=path.name) if path.exists() else {}


def hits(index: Index, cases: Sequence[Case]) -> tuple[float, float]:
    """Shares of cases whose right script is ranked first, and among the first three."""
    places = [_place(index, case) for case in cases]
    first, third = (sum(place < n for place in places) / len(places) for n in (1, 3))
    return round(first, 3), round(third, 3)


def _place(index: Index, case: Case) -> int:
    ranked = index.rank(Moment(utterances=[case.said], channel="wecom_kf"))
    ids = [suggestion.script_id for suggestion in ranked]
    return min((ids.index(right) for right in case.expect if right in ids), default=len(ids) + 3)


def _scan(scripts: Sequence[Script]) -> dict[str, float | int | str]:
    """One message against `WORDS` words by the automaton, and word by word as the bound."""
    rng = random.Random(WORDS)
    letters = sorted(
        {letter for script in scripts for letter in script.text if "\u4e00" <= letter <= "\u9fff"}
    )
    words = sorted({"".join(rng.choices(letters, k=rng.randint(2, 4))) for _ in range(2 * WORDS)})[:WORDS]
    text = "".join(rng.choices(letters, k=30)) + "".join(rng.sample(words, 4))
    automaton = AhoCorasick(words)
    fast = _median_us(lambda: automaton.find_matches_as_indexes(text, overlapping=True))
    slow = _median_us(lambda: [word for word in words if word in text], rounds=200)
    return {"scan_words": len(words), "scan_us": fast, "scan_naive_us": slow, "scan_gain": round(slow / fast)}


def _playbook(scripts: Sequence[Script], index: Index, said: Sequence[str]) -> dict[str, float | int | str]:
    utterances = [*said, "太贵了，能便宜点吗", "孩子坚持不下来怎么办", "在吗"]
    turns = iter(range(10**9))

    def rank() -> None:
        at = next(turns)
        talk = [utterances[(at + back) % len(utterances)] for back in range(3)]
        index.rank(
            Moment(
                utterances=talk,
                stage="objection",
                role="buyer",
                channel="wecom_kf",
                recently_sent=("edu.hello",),
            )
        )

    longest = max((script.text for script in scripts), key=len)
    template, facts = admit(longest), sample()
    return {
        "index_us": _median_us(lambda: Index(scripts), rounds=10),
        "rank_3_messages_us": _median_us(rank),
        "admit_us": _median_us(lambda: admit.__wrapped__(longest), rounds=200),
        "render_us": _median_us(lambda: render(template, facts)),
    }


def _median_us(work: Callable[[], object], *, rounds: int = _ROUNDS) -> float:
    times = []
    for _ in range(rounds):
        start = perf_counter_ns()
        work()
        times.append(perf_counter_ns() - start)
    return round(statistics.median(times) / 1000, 2)
