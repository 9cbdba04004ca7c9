"""What is different between two texts, by words: the shortest way from one to the other (Myers). Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import rjieba

Op = Literal["same", "del", "add"]
#: So many changes are looked for; beyond that the middle is said to be another text.
_MOST = 600
#: `{{ ... }}` and `{% ... %}` are one word each.
_TAGS = re.compile(r"(\{\{.*?\}\}|\{%.*?%\})", re.DOTALL)
#: Of a tag only what stands in quotes may be said.
_QUOTED = re.compile("'([^']*)'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    text: str
    op: Op


def words(text: str) -> list[str]:
    """The text in pieces; put together they are the text."""
    found: list[str] = []
    for part in _TAGS.split(text):
        if part.startswith(("{{", "{%")):
            found.append(part)
        elif part:
            found += rjieba.cut(part)
    return found


def stretches(text: str) -> list[str]:
    """What a template can say whoever it is said to: between its tags, and in quotes inside of them."""
    return [
        said
        for part in _TAGS.split(text)
        for said in (_QUOTED.findall(part) if part.startswith(("{{", "{%")) else [part])
        if said.strip()
    ]


def diff(before: str, after: str) -> tuple[Piece, ...]:
    """Neighbours that are alike are one piece; what went stands before what came."""
    a, b = words(before), words(after)
    head = 0
    while head < min(len(a), len(b)) and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < min(len(a), len(b)) - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    middle = _middle(a[head : len(a) - tail], b[head : len(b) - tail])
    ops: list[tuple[Op, str]] = [("same", w) for w in a[:head]]
    ops += middle
    ops += [("same", w) for w in a[len(a) - tail :]]
    return _joined(ops)


def _middle(a: Sequence[str], b: Sequence[str]) -> list[tuple[Op, str]]:
    trail = _trail(a, b)
    if trail is None:
        return [*(("del", w) for w in a), *(("add", w) for w in b)]
    return _walked(trail, a, b)


def _trail(a: Sequence[str], b: Sequence[str]) -> list[dict[int, int]] | None:
    """How far each diagonal reached after 0, 1, 2 ... changes; None when there are too many."""
    reach = {1: 0}
    trail: list[dict[int, int]] = []
    for changes in range(min(len(a) + len(b), _MOST) + 1):
        trail.append(dict(reach))
        for k in range(-changes, changes + 1, 2):
            down = k == -changes or (k != changes and reach[k - 1] < reach[k + 1])
            x = reach[k + 1] if down else reach[k - 1] + 1
            while x < len(a) and x - k < len(b) and a[x] == b[x - k]:
                x += 1
            reach[k] = x
            if x >= len(a) and x - k >= len(b):
                return trail
    return None


def _walked(trail: Sequence[dict[int, int]], a: Sequence[str], b: Sequence[str]) -> list[tuple[Op, str]]:
    """The way back from the end to the beginning, the right way round."""
    found: list[tuple[Op, str]] = []
    x, y = len(a), len(b)
    for changes in range(len(trail) - 1, -1, -1):
        reach, k = trail[changes], x - y
        down = k == -changes or (k != changes and reach[k - 1] < reach[k + 1])
        before = k + 1 if down else k - 1
        was_x = reach[before]
        was_y = was_x - before
        while x > max(was_x, 0) and y > max(was_y, 0) and a[x - 1] == b[y - 1]:
            x, y = x - 1, y - 1
            found.append(("same", a[x]))
        if changes:
            found.append(("add", b[y - 1]) if down else ("del", a[x - 1]))
            x, y = was_x, was_y
    return found[::-1]


def _joined(ops: Sequence[tuple[Op, str]]) -> tuple[Piece, ...]:
    """Runs of changes with what went first, and neighbours of one kind as one piece."""
    found: list[Piece] = []
    gone: list[str] = []
    come: list[str] = []

    def flush() -> None:
        if gone:
            found.append(Piece(text="".join(gone), op="del"))
        if come:
            found.append(Piece(text="".join(come), op="add"))
        gone.clear()
        come.clear()

    for op, word in ops:
        if op == "del":
            gone.append(word)
        elif op == "add":
            come.append(word)
        elif found and found[-1].op == "same" and not gone and not come:
            found[-1] = Piece(text=found[-1].text + word, op="same")
        else:
            flush()
            found.append(Piece(text=word, op="same"))
    flush()
    return tuple(found)
