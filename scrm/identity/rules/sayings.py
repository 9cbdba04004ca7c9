"""What humans say of a pair more than once: each saying is evidence of its own. Pure."""

from __future__ import annotations

#: Sayings of one class about one pair that are kept apart: so far back each is undone alone.
WORDS = 4
_HUMAN = "human."


def words(rule: str) -> tuple[str, ...]:
    """Every name evidence of this rule has: human.link, human.link.2, ..."""
    return (rule, *(f"{rule}.{n}" for n in range(2, WORDS + 1))) if rule.startswith(_HUMAN) else (rule,)


def rule_of(word: str) -> str:
    """What it is a saying of, as the rule's name."""
    return ".".join(word.split(".")[:2]) if word.startswith(_HUMAN) else word
