"""A little language for patterns over word classes, and what matches them.

`I ADV* BE own:KID|HE|NAME DE? kin:FATHER` - alternatives by `|`, `?` at most once, `*` any number, `name:` is
kept. `NAME` takes the words of a child's name, `END` stands for the end of the clause.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scrm.identity.statements.values import Token
from scrm.identity.statements.words import name_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    classes: frozenset[str]
    keep: str = ""
    optional: bool = False
    repeats: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was kept, and the place behind the match."""

    kept: Mapping[str, Token] = field(default_factory=dict)
    end: int = 0


#: Classes by a name of their own, to keep patterns short.
_GROUPS: Mapping[str, str] = {
    "ELDER": "FATHER|MOTHER|GRAND|AUNT|SIBLING|GUARDIAN|HELPER",
    "MINE": "FATHER|MOTHER|GRAND|AUNT|SIBLING|HELPER|SPOUSE|JUNIOR|GRANDKID|NEPHEW",
    "YOUNG": "JUNIOR|GRANDKID|NEPHEW",
    "ON": "END|PARTICLE|WANT|INQUIRE",
    "DONE": "END|PARTICLE",
    "STOP": "END|PARTICLE|SOFT",
}


def compiled(pattern: str) -> tuple[Item, ...]:
    return tuple(map(_item, pattern.split()))


def _item(text: str) -> Item:
    keep, _, rest = text.rpartition(":")
    mark = rest[-1] if rest[-1] in "?*" else ""
    names = rest.rstrip("?*").split("|")
    classes = frozenset(c for name in names for c in _GROUPS.get(name, name).split("|"))
    return Item(classes=classes, keep=keep, optional=mark != "", repeats=mark == "*")


def match(items: Sequence[Item], tokens: Sequence[Token], place: int = 0) -> Found | None:
    """The first way through, longest first."""
    if not items:
        return Found(end=place)
    item, rest = items[0], items[1:]
    taken = _take(item, tokens, place)
    if taken is not None:
        token, after = taken
        ahead = items if item.repeats and after > place else rest
        found = match(ahead, tokens, after)
        if found is not None:
            return (
                Found(kept={item.keep: token, **found.kept}, end=found.end) if item.keep and token else found
            )
    return match(rest, tokens, place) if item.optional else None


def _take(item: Item, tokens: Sequence[Token], place: int) -> tuple[Token | None, int] | None:
    if place >= len(tokens):
        return (None, place) if "END" in item.classes else None
    if tokens[place].cls in item.classes:
        return tokens[place], place + 1
    if "NAME" in item.classes and (named := name_at(tokens, place)):
        name, after = named
        return Token(text=name, cls="NAME", start=tokens[place].start), after
    return None
