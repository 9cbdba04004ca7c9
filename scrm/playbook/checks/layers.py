"""A text as words are looked for in it: plain, undecorated, unmasked, by sound; each leads back. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from ahocorasick_rs import AhoCorasick, MatchKind

from scrm.playbook.checks.looks import FOLDS, STANDS_FOR
from scrm.playbook.checks.sounds import SOUNDS, SYLLABLES, spelled

#: Between these two characters of one word somebody ended a clause.
CLAUSE = frozenset("\n，。！？；：、,!?;:…")
#: They carry meaning: 100%, 加+v, ¥.
_KEPT = frozenset("%+￥¥$")
#: Strokes that are no words, put between others.
_HOLLOW = frozenset("囗丨丶丿乀")
#: Blank, though Unicode does not call them white space.
_BLANK = frozenset("\u2800\u3164\u115f\u1160\uffa0")
_INVISIBLE = frozenset({"Mn", "Me", "Cf", "Cc"})

#: Each syllable as one character of the private use area, so that sounds too are one text.
_SIGNS = {syllable: chr(0xE100 + at) for at, syllable in enumerate(sorted(SYLLABLES))}
_SPOKEN = {character: _SIGNS[syllable] for character, syllable in SOUNDS.items()}
#: Stands in `Layer.read` for a syllable that was spelled in Latin letters.
LETTERS = "\x00"
_MASKS = AhoCorasick(list(STANDS_FOR), matchkind=MatchKind.LeftmostLongest)
_UNMASKED = tuple(STANDS_FOR.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A derived text; character i stands for [first[i], last[i]] of the plain one."""

    text: str
    first: list[int]
    last: list[int]
    #: What this layer changed; a hit on it counts only where there is something of it.
    changed: frozenset[int] = frozenset()
    #: Where signs stand for sounds: the character that was read, `LETTERS` for a spelled syllable.
    read: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """One form of letters, no white space; `at` leads back to the original, `glued` says what touched."""

    text: str
    at: list[int]
    #: Nothing stood between this character and the one before it.
    glued: list[bool]

    def spaced(self) -> Layer:
        """With one blank where white space was, which stands for nothing (-1)."""
        out: list[str] = []
        places: list[int] = []
        for place, (character, touches) in enumerate(zip(self.text, self.glued, strict=True)):
            if place and not touches:
                out.append(" ")
                places.append(-1)
            out.append(character)
            places.append(place)
        return Layer(text="".join(out), first=places, last=places)

    def touching(self, first: int, last: int) -> bool:
        """Whether no white space is inside [first, last]."""
        return all(self.glued[first + 1 : last + 1])

    def standing(self, first: int, last: int) -> bool:
        """Whether the stretch is no part of a longer Latin word or number."""
        text = self.text
        if first and self.glued[first] and _one_kind(text[first - 1], text[first]):
            return False
        after = last + 1
        return not (after < len(text) and self.glued[after] and _one_kind(text[last], text[after]))


@lru_cache(maxsize=1 << 14)
def fold(character: str) -> str:
    """One form of a character: full-width, capital, traditional, look-alike; "" when it cannot be seen."""
    if character == "\n":
        return character
    if character.isspace() or character in _BLANK:
        return " "
    if unicodedata.category(character) in _INVISIBLE:
        return ""
    plain = unicodedata.normalize("NFKC", character).lower()
    return "".join(FOLDS.get(each, each) for each in plain if not unicodedata.combining(each))


def folded(text: str) -> str:
    """`fold` of every character; white space stays."""
    return "".join(map(fold, text))


def canonical(text: str) -> str:
    """A word as it is looked for in a plain text."""
    return folded(text).replace(" ", "")


def plain(text: str) -> Plain:
    out: list[str] = []
    at: list[int] = []
    glued: list[bool] = []
    touches = False
    for place, character in enumerate(text):
        for each in fold(character):
            if each == " ":
                touches = False
                continue
            out.append(each)
            at.append(place)
            glued.append(touches)
            touches = True
    return Plain(text="".join(out), at=at, glued=glued)


def lexical(character: str) -> bool:
    """Part of a word, not decoration."""
    return (character.isalnum() and character not in _HOLLOW) or character in _KEPT


def bare(source: str) -> Layer:
    """Without punctuation, emoji and other decoration."""
    places = [place for place, character in enumerate(source) if lexical(character)]
    return Layer(text="".join(map(source.__getitem__, places)), first=places, last=places)


def unmasked(under: Layer) -> Layer:
    """Characters put together again (女子 -> 好) and jargon by its name (vx -> 微信)."""
    found = _MASKS.find_matches_as_indexes(under.text)
    if not found:
        return Layer(text=under.text, first=under.first, last=under.last)
    out: list[str] = []
    first: list[int] = []
    last: list[int] = []
    changed: set[int] = set()
    done = 0
    for which, start, end in (*found, (-1, len(under.text), len(under.text))):
        out.append(under.text[done:start])
        first += under.first[done:start]
        last += under.last[done:start]
        if which < 0:
            break
        instead = _UNMASKED[which]
        changed.update(range(len(first), len(first) + len(instead)))
        out.append(instead)
        first += [under.first[start]] * len(instead)
        last += [under.last[end - 1]] * len(instead)
        done = end
    return Layer(text="".join(out), first=first, last=last, changed=frozenset(changed))


def sounded(under: Layer) -> Layer:
    """Each character as the sign of its syllable; letters that spell syllables too."""
    out: list[str] = []
    read: list[str] = []
    first: list[int] = []
    last: list[int] = []
    for start, end in _runs(under.text):
        word = under.text[start:end]
        ways = spelled(word) if word.isascii() and word.isalpha() and len(word) > 1 else ()
        if not ways:
            out.append("".join(_SPOKEN.get(each, each) for each in word))
            read.append(word)
            first += under.first[start:end]
            last += under.last[start:end]
            continue
        for syllable, size in ways:
            out.append(_SIGNS[syllable])
            read.append(LETTERS)
            first.append(under.first[start])
            start += size
            last.append(under.last[start - 1])
    return Layer(text="".join(out), first=first, last=last, read="".join(read))


def aloud(word: str) -> str:
    """A canonical word as signs; "" when not all of it can be read, or nothing of it has to be."""
    signs = [_SPOKEN.get(each, each if _latin(each) or each.isdecimal() else "") for each in word]
    return "".join(signs) if all(signs) and not word.isascii() else ""


def _runs(text: str) -> Iterable[tuple[int, int]]:
    """Stretches of Latin letters, and what is between them."""
    start = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or _latin(text[at]) != _latin(text[start]):
            yield start, at
            start = at


def _one_kind(one: str, other: str) -> bool:
    return (_latin(one) and _latin(other)) or (one.isdecimal() and other.isdecimal())


def _latin(character: str) -> bool:
    return "a" <= character <= "z"
