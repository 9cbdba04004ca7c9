"""Patterns that users write, by RE2: linear in the text whatever they say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import re2  # type: ignore[import-untyped]

from scrm.errors import BadInput

MAX_CHARS = 500
#: A pattern that needs more is refused when it is read, and never searched.
_MEMORY = 1 << 20
_MEMORY_TOGETHER = 1 << 25


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    return options


def check(pattern: str) -> None:
    """Raises `BadInput` with a sentence for the author."""
    if len(pattern) > MAX_CHARS:
        raise BadInput(f"表达式有 {len(pattern)} 个字，最多 {MAX_CHARS} 个，请拆开")
    try:
        compiled = re2.compile(pattern, _options())
    except re2.error as error:
        said = error.args[0] if error.args else ""
        why = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise BadInput(f"表达式“{pattern}”写法有误（{why}），请改正") from None
    if compiled.search(""):
        raise BadInput(f"表达式“{pattern}”什么都不写也算命中，请至少要求一个字")


class Patterns:
    """Many patterns: asked together whether one matches, and only then each where.

    Together they are one alternation; `re2.Set` is not used because it says "none" when its memory runs out.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        for pattern in patterns:
            check(pattern)
        self._each = [re2.compile(pattern, _options()) for pattern in patterns]
        self._any = _alternation(patterns)

    def found(self, text: str) -> Iterator[tuple[int, int, int]]:
        """(which pattern, start, end) of each match."""
        if self._any is not None and self._any.search(text) is None:
            return
        for which, pattern in enumerate(self._each):
            for match in pattern.finditer(text):
                if match.end() > match.start():
                    yield which, match.start(), match.end()


def _alternation(patterns: Sequence[str]) -> Any:
    """All of them as one; None when there is too little to gain or they do not fit together."""
    options = _options()
    options.max_mem = _MEMORY_TOGETHER
    try:
        return (
            re2.compile("|".join(f"(?:{each})" for each in patterns), options) if len(patterns) > 1 else None
        )
    except re2.error:
        return None
