"""A text cut into sentences and clauses, with the words, days and figures that stand in each."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import date

from scrm.playbook.promises.dates import Day, days
from scrm.playbook.promises.figures import Figure, figures
from scrm.playbook.promises.words import Word, words

_ENDS = re.compile(r"[。!?;\n]+|\.(?!\d)")
_PAUSES = re.compile(
    r"(?:,(?!\d{3}(?!\d))|(?<!\d),|(?<=\d{4}),)|[()\[\]\"“”‘’|]+| +(?=[^\x00-\x7f]|"
    r"$)|(?<=[^\x00-\x7f]) +|(?<=[0-9%]) +(?=[0-9])|-{2,}|~(?!\d)|(?<!\d)-(?!\d)"
)
#: A stretch names so many days; a denser one is made to cost time.
MOST_DAYS = 24
#: Who speaks, at the head of a line of a transcript.
_SPEAKER = re.compile(r"(?:客户|家长|顾客|对方|学员|客|业主|c|customer)\w{0,3}:")
_OURS = re.compile(r"(?:顾问|老师|销售|客服|坐席|员工|经理|s|staff|agent)\w{0,3}:")


@dataclass(slots=True)
class Clause:
    """The stretch between two pauses. `asks` = it is closed by a question mark."""

    start: int
    end: int
    sentence: int
    asks: bool = False
    #: Spoken by the customer, in a transcript that says so.
    theirs: bool = False
    words: list[Word] = field(default_factory=list)

    def has(self, tag: str) -> bool:
        return any(tag in word.tags for word in self.words)


@dataclass(frozen=True, slots=True)
class Reading:
    text: str
    at: date
    clauses: list[Clause]
    days: list[Day]
    figures: list[Figure]

    def clause(self, at: int) -> int:
        """Number of the clause that holds this place."""
        low, high = 0, len(self.clauses)
        while low < high:
            middle = (low + high) // 2
            if self.clauses[middle].end <= at:
                low = middle + 1
            else:
                high = middle
        return min(low, len(self.clauses) - 1)

    def figures_in(self, start: int, end: int) -> list[Figure]:
        first = bisect_left(self.figures, start, key=lambda one: one.start)
        return [one for one in self.figures[first:] if one.end <= end] if end > start else []

    def around(self, at: int) -> tuple[Clause | None, Clause | None]:
        """The neighbours of a clause within its sentence."""
        here = self.clauses[at]
        before = self.clauses[at - 1] if at else None
        after = self.clauses[at + 1] if at + 1 < len(self.clauses) else None
        return (
            before if before and before.sentence == here.sentence else None,
            after if after and after.sentence == here.sentence else None,
        )


def read(text: str, at: date) -> Reading:
    """`text` in its one form, as what is said in it."""
    found = words(text)
    when = days(text, at)[:MOST_DAYS]
    clauses = _clauses(text, found)
    _deal(clauses, found)
    return Reading(text, at, clauses, when, figures(text, found, when))


def _clauses(text: str, found: list[Word]) -> list[Clause]:
    cuts: list[tuple[int, int, str]] = [
        (*m.span(), "?" if "?" in m[0] else ".") for m in _ENDS.finditer(text)
    ]
    cuts += [(*m.span(), ",") for m in _PAUSES.finditer(text)]
    cuts += [(word.start, word.start, ",") for word in found if "after" in word.tags and word.start]
    cuts += [(word.end, word.end, ",") for word in found if word.text in ("吗", "对吧", "是吧")]
    cuts.append((len(text), len(text), "."))
    made: list[Clause] = []
    start = sentence = 0
    theirs = False
    for low, high, mark in sorted(cuts):
        if low > start or (mark != "," and made and made[-1].sentence == sentence):
            if low > start:
                made.append(Clause(start, low, sentence))
                theirs = _speaks(text, start, theirs)
                made[-1].theirs = theirs
            made[-1].asks = mark == "?"
        sentence += mark != ","
        start = max(start, high)
    return made


def _speaks(text: str, start: int, theirs: bool) -> bool:
    if _SPEAKER.match(text, start):
        return True
    return False if _OURS.match(text, start) else theirs


def _deal(clauses: list[Clause], found: list[Word]) -> None:
    """Give each word to its clause; both are in order."""
    at = 0
    for word in found:
        while at < len(clauses) and clauses[at].end <= word.start:
            at += 1
        if at < len(clauses):
            clauses[at].words.append(word)
