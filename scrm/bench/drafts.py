"""Check: what a draft of 200 characters costs before it is sent, with 5,000 words in the rules."""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import process_time_ns

from scrm.bench.ground import Figures
from scrm.playbook.checks.packs import read_rules
from scrm.playbook.checks.rules import Book, Ground, judge
from scrm.playbook.checks.sounds import SOUNDS
from scrm.playbook.checks.values import Examples, Rule
from scrm.playbook.checks.words import Scanner
from scrm.playbook.scripts import read_packs
from scrm.playbook.situation import Kept
from scrm.settings import shipped

WORDS = 5000
CHARS = 200
#: Milliseconds of one core the whole verdict may take.
BOUND_MS = 5.0
_ROUNDS = 500
_PROMISE = Kept(promise_id=1, kind="discount", share=8500, made_at=datetime(2026, 11, 21, 4, tzinfo=UTC))


async def run(*, database: str = "") -> Figures:  # noqa: ARG001 - it has nothing to do with one
    """Drafts that are worse than what was promised, the dearest there are, against the bound."""
    figures = await asyncio.to_thread(measure)
    ratio = round(BOUND_MS / float(figures["draft_check_worse_ms"]), 2)
    return {**figures, "bound_ms": BOUND_MS, "ratio": ratio, "bar": 1.0}


def measure(library: Path | None = None) -> dict[str, float | int]:
    """Figures by name, times in milliseconds: our own texts, and drafts of nothing but forbidden words."""
    folder = library or shipped("scripts_library")
    rules = (
        *(shipped_rules := read_rules(folder)),
        _more(WORDS - sum(len(rule.words) for rule in shipped_rules)),
    )
    scanner = Scanner(rules)
    words = [word for rule in rules for word in rule.words]
    said = "".join(
        example.expect
        for pack in read_packs(folder).values()
        for script in pack
        for example in script.examples
    )
    clean = [said[at : at + CHARS] for at in range(0, len(said) - CHARS, CHARS)]
    rng = random.Random(CHARS)
    worse = [f"{text[: CHARS - 12]}，年课可以 9 折" for text in clean[:100]]
    dirty = [" ".join(rng.choices(words, k=CHARS // 4))[:CHARS] for _ in range(100)]
    book = Book(rules={rule.id: rule for rule in rules}, scanner=scanner, version="bench")
    ground = Ground(book=book, live=(_PROMISE,), list_fen=680_000)
    return {
        "draft_chars": CHARS,
        "draft_words": len(words),
        **_times("draft_scan", scanner.scan, clean),
        **_times("draft_scan_dirty", scanner.scan, dirty),
        # The whole verdict: words, what is promised, against what was promised, and how to say it instead.
        **_times("draft_check", lambda text: judge(text, ground, now=_PROMISE.made_at), clean),
        **_times("draft_check_worse", lambda text: judge(text, ground, now=_PROMISE.made_at), worse),
    }


def _more(count: int) -> Rule:
    """Words nobody says, so that there are as many as a tenant may have."""
    rng = random.Random(count)
    letters = sorted(SOUNDS)
    words: dict[str, None] = {}
    while len(words) < count:
        words["".join(rng.choices(letters, k=rng.randint(2, 5)))] = None
    examples = Examples(hits=("x",), misses=("x",))
    return Rule(
        id="bench.more",
        level="block",
        title="x",
        why="x",
        words=(*words,),
        patterns=("x+y",),
        examples=examples,
    )


def _times(name: str, work: Callable[[str], object], texts: Sequence[str]) -> dict[str, float | int]:
    for text in texts:
        work(text)
    # Nothing measured may be paid for what was built before it.
    gc.collect()
    spent = []
    for turn in range(_ROUNDS):
        start = process_time_ns()
        work(texts[turn % len(texts)])
        spent.append((process_time_ns() - start) / 1e6)
    return {
        f"{name}_ms": round(statistics.median(spent), 3),
        f"{name}_p99_ms": round(statistics.quantiles(spent, n=100)[98], 3),
    }
