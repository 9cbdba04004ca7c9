"""Cutting a sentence into words with classes, into clauses and their endings."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import rjieba

from scrm.identity.statements.lexicon import COMPOUND, GIVEN, LONGEST, NO_NAMES, SURNAMES, WORDS
from scrm.identity.statements.values import Token

#: Longer messages are no introduction but an article somebody pasted.
MOST = 200
_QUOTED = re.compile(r"[“\"「『‘《【][^”\"」』’》】]*[”\"」』’》】]?|(?m:^>.*$)")
_PHONE = re.compile(r"(?<!\d)(?:\+?86[ -]?)?1[3-9]\d(?:[ -]?\d{4}){2}(?!\d)")
_ENDS = "。！!？?，,；;、~～…\n\r"
_QUESTION = "？?"
_FULL = "。！!？?\n\r"
#: Kin that a segmenter glues to a name before it: 朵朵爸.
_GLUED = ("爸爸", "妈妈", "奶奶", "爷爷", "外婆", "外公", "姥姥", "家长", "爸", "妈")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    tokens: tuple[Token, ...]
    #: It ends with a question mark.
    asks: bool
    #: It ends its sentence.
    last: bool

    def has(self, *classes: str) -> bool:
        return any(t.cls in classes for t in self.tokens)


def clauses(text: str) -> list[Clause]:
    """The clauses of a message; quoted words are left out, as a hole no pattern reaches across."""
    plain = _plain(text[:MOST])
    plain = _QUOTED.sub(lambda found: "\x00" * len(found[0]), plain)
    made, start = [], 0
    for place, sign in enumerate((*plain, "\n")):
        if sign in _ENDS or (sign == " " and not _inside_number(plain, place)):
            tokens = tuple(_joined(_tokens(plain[start:place], start)))
            if tokens:
                made.append(Clause(tokens=tokens, asks=_asks(plain, place), last=_last(plain, place)))
            start = place + 1
    return made


def _plain(text: str) -> str:
    """Full-width signs in one form; nothing changes its place."""
    return "".join(n if len(n := unicodedata.normalize("NFKC", c)) == 1 else c for c in text)


def _inside_number(text: str, place: int) -> bool:
    return text[place - 1 : place].isdigit() and text[place + 1 : place + 2].isdigit()


def _asks(text: str, place: int) -> bool:
    """The first sign after the words, blanks aside."""
    return text[place:].lstrip(" ~～…")[:1] in tuple(_QUESTION)


def _last(text: str, place: int) -> bool:
    return text[place : place + 1] == "" or text[place] in _FULL


def _tokens(text: str, start: int) -> Iterator[Token]:
    at = 0
    for found in _PHONE.finditer(text):
        yield from _words(text[at : found.start()], start + at)
        yield Token(text=found[0], cls="PHONE", start=start + found.start())
        at = found.end()
    yield from _words(text[at:], start + at)


def _joined(tokens: Iterator[Token]) -> Iterator[Token]:
    """Two pieces that are one word with us: 就 + 行, 名字 + 叫."""
    held: Token | None = None
    for token in tokens:
        both = f"{held.text}{token.text}" if held and held.end == token.start else ""
        if held and both in WORDS:
            held = Token(text=both, cls=WORDS[both], start=held.start)
            continue
        if held:
            yield held
        held = token
    if held:
        yield held


def _words(text: str, start: int) -> Iterator[Token]:
    for word, tag in rjieba.tag(text):
        for piece, cls in _classed(word):
            if not piece.isspace():
                yield Token(text=piece, cls=cls, start=start, tag=tag)
            start += len(piece)


def _classed(word: str) -> list[tuple[str, str]]:
    """A word the grammar knows, or the pieces it is made of, or a word for names."""
    if word in WORDS or word in NO_NAMES:
        return [(word, WORDS.get(word, "W"))]
    if (pieces := _pieces(word)) is not None:
        return pieces
    for kin in _GLUED:
        if len(word) > len(kin) and word.endswith(kin):
            return [(word[: -len(kin)], "W"), (kin, WORDS[kin])]
    if len(word) > 1 and word.endswith("是"):
        return [(word[:-1], "W"), ("是", "BE")]
    if len(word) > 1 and word.startswith("叫"):
        return [("叫", "CALLED"), (word[1:], "W")]
    return [(word, "W")]


def _pieces(word: str) -> list[tuple[str, str]] | None:
    """All of it made of known words, the longest first; None where something is left over."""
    if not word:
        return []
    for size in range(min(LONGEST, len(word)), 0, -1):
        head, rest = word[:size], word[size:]
        if head in WORDS and (tail := _pieces(rest)) is not None:
            return [(head, WORDS[head]), *tail]
    return None


def name_at(tokens: Sequence[Token], place: int) -> tuple[str, int] | None:
    """A child's name from this token on and the place behind it; the longest that looks like one."""
    for size in (3, 2, 1):
        run = tokens[place : place + size]
        if len(run) == size and all(t.cls == "W" for t in run):
            name = "".join(t.text for t in run)
            if is_name(name, [t.tag for t in run]):
                return name, place + size
    return None


def is_name(name: str, tags: Sequence[str] = ()) -> bool:
    """Whether a child may be called so."""
    if name in NO_NAMES or not 1 < len(name) <= 12:
        return False
    if name.isascii():
        return name.isalpha()
    if len(name) > 4 or not all("\u4e00" <= c <= "\u9fff" for c in name):
        return False
    if not _shaped(name):
        return False
    return _made_of_names(name) or any(t.startswith("nr") for t in tags) or _unknown(name, tags)


def _shaped(name: str) -> bool:
    """Two characters; three behind a surname, or 小朵朵; four behind a long surname."""
    if len(name) == 2:
        return True
    if len(name) == 4:
        return name[:2] in COMPOUND
    return (name[0] in SURNAMES or (name[0] in "小阿大" and name[1] == name[2])) and name[1:] not in NO_NAMES


def _made_of_names(name: str) -> bool:
    twice = len(name) == 2 and name[0] == name[1]
    bare = given(name)
    return twice or (bare[0] in "小大二阿" and len(bare) == 2) or all(c in GIVEN for c in bare)


def _unknown(name: str, tags: Sequence[str]) -> bool:
    """No words of the dictionary, but single characters behind a surname."""
    return name[0] in SURNAMES and len(name) in (2, 3) and len(tags) == len(name)


def given(name: str) -> str:
    """The name without its surname: what the family calls the child."""
    if len(name) == 4 and name[:2] in COMPOUND:
        return name[2:]
    return name[1:] if len(name) == 3 and name[0] in SURNAMES else name
