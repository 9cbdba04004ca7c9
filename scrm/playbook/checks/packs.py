"""Rule packs as files: one of every trade and one for all, each rule proved by its own examples on load."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from scrm.errors import BadInput
from scrm.playbook.checks.layers import canonical
from scrm.playbook.checks.patterns import check
from scrm.playbook.checks.values import Rule
from scrm.playbook.checks.words import Scanner
from scrm.shapes import load, read_yaml

#: Inside the script library; the pack of every trade, whatever it sells.
FOLDER = "compliance"
COMMON = "common"


def read_rules(library: Path, trades: Collection[str] | None = None) -> tuple[Rule, ...]:
    """The common rules and those of the trades (all when None), by file and as written there.

    Raises `BadInput` naming the file and the rule at fault.
    """
    found: dict[str, Rule] = {}
    for path in sorted((library / FOLDER).glob("*.yaml")):
        if trades is not None and path.stem not in (COMMON, *trades):
            continue
        where = f"{FOLDER}/{path.name}"
        for rule in load(tuple[Rule, ...], read_yaml(path), where=where):
            if rule.id in found:
                raise BadInput(f"{where}: {rule.id}: 这个 id 已经用过，请换一个")
            prove(rule, where=where)
            found[rule.id] = rule
    return tuple(found.values())


def prove(rule: Rule, *, where: str) -> None:
    """Raises `BadInput` when a pattern is refused, a phrase is useless, or an example is not as it says."""
    for sentence in _faults(rule):
        raise BadInput(f"{where}: {rule.id}: {sentence}")


def _faults(rule: Rule) -> Iterator[str]:
    yield from _doubled(rule.words)
    words = [canonical(word) for word in rule.words]
    for phrase in rule.unless:
        if not rule.patterns and not any(word in canonical(phrase) for word in words):
            yield f"unless 里的“{phrase}”不含任何一个词，没有用，请删掉"
    try:
        for pattern in rule.patterns:
            check(pattern)
    except BadInput as error:
        yield error.sentence
        return
    scanner = Scanner((rule,))
    for text in rule.examples.hits:
        if not scanner.scan(text):
            yield f"例句“{text}”应当命中，实际没有，请补上词或改例句"
    for text in rule.examples.misses:
        for hit in scanner.scan(text):
            yield f"例句“{text}”不应当命中，实际命中“{hit.matched}”，请写进 unless 或改例句"


def _doubled(words: Iterable[str]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for word in words:
        plain = canonical(word)
        if not plain:
            yield f"words 里的“{word}”没有可以找的字，请删掉"
        elif plain in seen:
            yield f"words 里的“{word}”和“{seen[plain]}”是同一个词，请删掉一个"
        seen[plain] = word
