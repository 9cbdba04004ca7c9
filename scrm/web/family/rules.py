"""What a person is called within their family, how long a decision can be undone, strengths. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

#: A decision can be undone from the screen for so long; afterwards in the household's evidence.
UNDO = timedelta(days=30)
_STRONG, _MEDIUM = 80, 50
STRENGTHS: Mapping[str, str] = {"strong": "强", "medium": "中", "weak": "弱", "against": "反对"}
#: What became of a piece of evidence, and the colour of the word.
STANDINGS: Mapping[str, tuple[str, str]] = {
    "accepted": ("采用", "ok"),
    "implied": ("印证", "ok"),
    "held": ("有冲突，未采用", "warn"),
    "overruled": ("被人工否定", "warn"),
    "generic": ("多人共用，只作参考", ""),
    "capped": ("人数超限，未采用", "warn"),
    "retracted": ("已撤回", ""),
}
#: A parent by what their name says of them.
_PARENTS: Mapping[str, str] = {"f": "妈妈", "m": "爸爸", "": "家长"}
WORDS: Mapping[str, str] = {
    "grandparent": "祖辈",
    "helper": "帮手",
    "sibling": "兄弟姐妹",
    "spouse": "配偶",
}
#: Which part is told where there is room for one.
_FIRST = ("buyer", "payer", "user", "signatory", "registrant", "decision_maker", "referrer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """`a` is this to `b`, both persons."""

    a: int
    b: int
    type: str


def word(person_id: int, ties: Iterable[Tie], sex: str) -> str:
    """妈妈, 祖辈 ...; "" where the name says most: a child, or somebody nobody spoke of."""
    mine = {t.type for t in ties if t.a == person_id}
    spouses = {t.type for t in ties if t.b == person_id and t.type == "spouse"}
    theirs = {t.type for t in ties if t.b == person_id}
    if mine & {"parent", "guardian"} or "child" in theirs:
        return _PARENTS[sex]
    if "grandchild" in theirs:
        return WORDS["grandparent"]
    for one in ("grandparent", "helper", "sibling"):
        if one in mine:
            return WORDS[one]
    return WORDS["spouse"] if "spouse" in mine | spouses else ""


def foremost(roles: Sequence[str]) -> str:
    """Of several parts the one that says most; "" of none."""
    return min(roles, key=_FIRST.index, default="")


def strength(points: int, *, human: bool) -> str:
    """In the words of the sheet."""
    if human or points >= _STRONG:
        return "strong"
    return "medium" if points >= _MEDIUM else "weak"


def can_undo(decided_at: datetime, now: datetime) -> bool:
    return now - decided_at <= UNDO


def hidden(name: str) -> str:
    """A name as somebody reads it who may not see the customer."""
    return f"{name[:1]}**" if name else ""
