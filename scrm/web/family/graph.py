"""The picture of a family: generations from top to bottom, three in a row at the most. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from scrm.web.family.rules import Tie
from scrm.web.kinship import Box, Line, Picture

#: Fits a screen of 360 px.
WIDTH, BOX_W, BOX_H = 328, 88, 46
_ROW, _ABREAST, _PAD = 96, 3, 8
_ABOVE = frozenset({"parent", "guardian", "grandparent"})
_BELOW = frozenset({"child", "grandchild"})
_HAN = 12


def generation(person_id: int, ties: Sequence[Tie]) -> int:
    """0 grandparents, 1 adults, 2 children; who is nobody's anything is an adult."""
    as_a = {t.type for t in ties if t.a == person_id}
    as_b = {t.type for t in ties if t.b == person_id}
    if "grandparent" in as_a or "grandchild" in as_b:
        return 0
    if as_a & _BELOW or as_b & _ABOVE:
        return 2
    return 1


def placed(persons: Sequence[int], ties: Sequence[Tie]) -> dict[int, tuple[int, int]]:
    """Upper left corner of each person's box."""
    rows: dict[int, list[int]] = defaultdict(list)
    for p in persons:
        rows[generation(p, ties)].append(p)
    found: dict[int, tuple[int, int]] = {}
    y = _PAD
    for level in sorted(rows):
        for start in range(0, len(rows[level]), _ABREAST):
            some = rows[level][start : start + _ABREAST]
            space = (WIDTH - len(some) * BOX_W) // (len(some) + 1)
            for n, p in enumerate(some):
                found[p] = (space + n * (BOX_W + space), y)
            y += _ROW
    return found


def anchor(persons: Sequence[int], ties: Sequence[Tie]) -> int:
    """Whom those hang on of whom nobody said what they are: the first of whom somebody did."""
    tied = {p for t in ties for p in (t.a, t.b)}
    return next((p for p in persons if p in tied), persons[0] if persons else 0)


def picture(
    names: Mapping[int, str],
    roles: Mapping[int, str],
    ties: Sequence[tuple[Tie, str]],
    *,
    loose: str,
    told: Sequence[str],
) -> Picture:
    """`ties` with their labels; whoever has none hangs on the anchor by `loose`."""
    persons = list(names)
    places = placed(persons, [t for t, _ in ties])
    drawn = {frozenset((t.a, t.b)): (t, label) for t, label in reversed(ties)}
    lines = [_line(places[t.a], places[t.b], label) for t, label in drawn.values()]
    tied = {p for pair in drawn for p in pair}
    first = anchor(persons, [t for t, _ in ties])
    lines += [
        _line(places[first], places[p], loose, loose=True) for p in persons if p not in tied and p != first
    ]
    height = max((y for _, y in places.values()), default=_PAD) + BOX_H + _PAD
    boxes = tuple(
        Box(x=places[p][0], y=places[p][1], name=_short(names[p]), role=_short(roles[p])) for p in persons
    )
    return Picture(width=WIDTH, height=height, boxes=boxes, lines=tuple(lines), told=tuple(told))


def _line(a: tuple[int, int], b: tuple[int, int], label: str, *, loose: bool = False) -> Line:
    x1, y1 = a[0] + BOX_W // 2, a[1] + BOX_H // 2
    x2, y2 = b[0] + BOX_W // 2, b[1] + BOX_H // 2
    width = sum(_HAN if ord(c) > 255 else 7 for c in label) + 6
    return Line(
        x1=x1, y1=y1, x2=x2, y2=y2, label=label, loose=loose, x=(x1 + x2) // 2, y=(y1 + y2) // 2, width=width
    )


def _short(text: str) -> str:
    """What fits into a box: six characters as wide as they are high, twice as many Latin ones."""
    room, kept = 72, ""
    for c in text:
        room -= _HAN if ord(c) > 255 else 7
        if room < 0:
            return f"{kept[:-1]}…"
        kept += c
    return kept
