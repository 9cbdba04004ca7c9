"""Intent rules: which words of a clause mean which wish, and which scripts answer it (intents.yaml)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ahocorasick_rs import AhoCorasick

from scrm.desk.stages import STAGES
from scrm.errors import BadInput
from scrm.playbook.ranking.speech import clauses, normal
from scrm.playbook.scripts import TRADES, Script
from scrm.shapes import load, read_yaml

FILE = "intents.yaml"
#: A message of so many characters says one thing, in however many clauses.
SHORT = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One wish, and how customers put it. A rule is words that must all stand in one clause, `|` for "or"."""

    id: str
    #: What the customer wants, as the rep reads it.
    title: str
    #: `*.name` = the script of that name of every trade.
    scripts: tuple[str, ...]
    when: tuple[str, ...] = ()
    #: Words in whose clause it does not hold.
    unless: tuple[str, ...] = ()
    #: Offered when a chat is opened at these stages.
    opening: tuple[str, ...] = ()
    #: Offered between these hours when a message comes: [21, 8].
    hours: tuple[int, int] | None = None
    #: What must be heard and what must not; run as tests.
    hits: tuple[str, ...] = ()
    misses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.title.strip() or not self.scripts:
            raise ValueError(f"{self.id}：title 和 scripts 不能为空")
        if not (self.when or self.opening or self.hours):
            raise ValueError(f"{self.id}：when、opening、hours 至少写一项")
        if any(not all(group.strip("|") for group in rule.split()) or not rule.strip() for rule in self.when):
            raise ValueError(f"{self.id}：when 里有空的词")
        if wrong := [stage for stage in self.opening if stage not in STAGES]:
            raise ValueError(f"{self.id}：没有阶段 {wrong[0]}")
        if self.hours and not all(0 <= hour <= 24 for hour in self.hours):
            raise ValueError(f"{self.id}：hours 写 0 到 24 点")
        if self.when and not self.hits:
            raise ValueError(f"{self.id}：hits 至少写一句")


def read_intents(folder: Path, trades: Collection[str] = ()) -> tuple[Intent, ...]:
    """The rules common to all trades, then those of these trades (or of all), each true to its examples.

    Raises `BadInput` naming the file and the rule at fault.
    """
    places = [folder / FILE, *(folder / trade / FILE for trade in TRADES if not trades or trade in trades)]
    found: dict[str, Intent] = {}
    for path in places:
        if not path.exists():
            continue
        where = path.relative_to(folder).as_posix()
        for intent in load(tuple[Intent, ...], read_yaml(path), where=where):
            if intent.id in found:
                raise BadInput(f"{where}: {intent.id}: 这个 id 已经用过，请换一个")
            _prove(intent, where=where)
            found[intent.id] = intent
    return tuple(found.values())


def _prove(intent: Intent, *, where: str) -> None:
    rules = Rules([intent])
    for line in intent.hits:
        if intent.when and not rules.heard(line):
            raise BadInput(f"{where}: {intent.id}: 听不出“{line}”，请改 when 或 hits")
    for line in intent.misses:
        if rules.heard(line):
            raise BadInput(f"{where}: {intent.id}: 把“{line}”也听成了“{intent.title}”，请改 when 或 unless")


@dataclass(frozen=True, slots=True)
class _Rule:
    """Groups of words (by number), one of each of which must stand in the clause."""

    intent: int
    groups: tuple[frozenset[int], ...]


class Rules:
    """All intents in one automaton of words."""

    def __init__(self, intents: Sequence[Intent]) -> None:
        self._words: dict[str, int] = {}
        self._unless = [frozenset(self._number(word) for word in intent.unless) for intent in intents]
        # A rule is looked at when a word of its first group was said.
        self._starts: dict[int, list[_Rule]] = defaultdict(list)
        for number, intent in enumerate(intents):
            for line in intent.when:
                groups = tuple(frozenset(map(self._number, group.split("|"))) for group in line.split())
                for word in groups[0]:
                    self._starts[word].append(_Rule(number, groups))
        self._automaton = AhoCorasick(tuple(self._words))

    def heard(self, utterance: str) -> list[tuple[int, int]]:
        """(number of the intent, words that had to be there) for each wish heard, each once, surest first.

        What stands in one clause is sure; what only two clauses of a short message say together, less.
        """
        parts = clauses(normal(utterance))
        best: dict[int, int] = {}
        for clause in parts:
            self._match(clause, 0, best)
        if len(parts) > 1 and sum(map(len, parts)) <= SHORT:
            self._match("，".join(parts), 1, best)
        return sorted(best.items(), key=lambda each: (-each[1], each[0]))

    def _match(self, text: str, less: int, best: dict[int, int]) -> None:
        said = {word for word, _, _ in self._automaton.find_matches_as_indexes(text, True)}
        for word in said & self._starts.keys():
            for rule in self._starts[word]:
                if said & self._unless[rule.intent] or not all(said & group for group in rule.groups):
                    continue
                best[rule.intent] = max(best.get(rule.intent, 0), len(rule.groups) - less)

    def _number(self, word: str) -> int:
        return self._words.setdefault(normal(word), len(self._words))


def answers(intents: Sequence[Intent], scripts: Sequence[Script]) -> tuple[tuple[int, ...], ...]:
    """For each intent the numbers of the scripts that answer it, in the order it names them."""
    names: Mapping[str, list[int]] = defaultdict(list)
    for number, script in enumerate(scripts):
        names[script.id].append(number)
        names["*." + script.id.partition(".")[2]].append(number)
    return tuple(
        tuple(dict.fromkeys(n for name in intent.scripts for n in names.get(name, ()))) for intent in intents
    )
