"""Words to find things by: every two neighbouring characters of what was said, and what a reader asks for.

Pairs miss nothing a dictionary does not know; the dictionary only splits the question. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import rjieba

#: What is looked at of one event, and of one question.
TEXT_MOST, ASKED_MOST = 20_000, 100
_TERMS_MOST = 24
#: Chinese runs, and words of letters and digits.
_HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_RUN = re.compile(rf"[{_HAN}]+|[^\W_{_HAN}]+")
_QUOTED = re.compile(r'[“”"]([^“”"]+)[“”"]')
#: Alone they say nothing.
_FILLING = frozenset("的了吗呢吧啊呀哦嘛是在和也就都很有我你他她它们这那把被给")


def terms(text: str) -> list[str]:
    """What an event is found by: pairs and single characters of Chinese, whole words of everything else."""
    return list(dict.fromkeys(_terms(text[:TEXT_MOST])))


def _terms(text: str) -> Iterator[str]:
    for run in _RUN.findall(text.lower()):
        if _is_chinese(run):
            yield from _pairs(run)
            yield from run
        else:
            yield run[:40]


def asked(question: str) -> list[str]:
    """The terms something must have to answer a question; words in quotes must stand together."""
    question = question[:ASKED_MOST]
    exact = [run for said in _QUOTED.findall(question) for run in _RUN.findall(said.lower())]
    found: list[str] = []
    for word in [*_words(_QUOTED.sub(" ", question)), *exact]:
        found += (_pairs(word) or [word]) if _is_chinese(word) else [word[:40]]
    return list(dict.fromkeys(found))[:_TERMS_MOST]


def _words(question: str) -> list[str]:
    """Words by the dictionary; single characters side by side make one, and filling is left out."""
    found: list[str] = []
    for run in _RUN.findall(question.lower()):
        if not _is_chinese(run):
            found.append(run)
            continue
        lone = ""
        for piece in [*rjieba.cut(run), "  "]:
            if len(piece) == 1:
                lone += piece
                continue
            if lone:
                found.append(lone)
            lone = ""
            if piece.strip():
                found.append(piece)
    telling = [w for w in found if not _FILLING.issuperset(w)]
    return telling or found


def _pairs(run: str) -> list[str]:
    return [run[n : n + 2] for n in range(len(run) - 1)]


def _is_chinese(run: str) -> bool:
    return "\u3400" <= run[0] <= "\u9fff" or "\uf900" <= run[0] <= "\ufaff"


def marked(text: str, question: str) -> list[tuple[str, bool]]:
    """The text in stretches, and whether each is what was asked for; nothing is added or lost."""
    needles = sorted({*_words(question), *_RUN.findall(question.lower())}, key=len, reverse=True)
    if not needles:
        return [(text, False)]
    hit = re.compile("|".join(map(re.escape, needles)), re.IGNORECASE)
    parts, at = [], 0
    for found in hit.finditer(text):
        parts += [(text[at : found.start()], False), (found.group(), True)]
        at = found.end()
    parts.append((text[at:], False))
    return [(part, told) for part, told in parts if part]


def telling(text: str, said: str, question: str) -> str:
    """An event's own words; where they do not answer, what was said in its recording or its file's name."""
    own = any(told for _, told in marked(text, question))
    return text if own or not said.strip() else said.strip()


def around(parts: Sequence[tuple[str, bool]], *, width: int = 60) -> list[tuple[str, bool]]:
    """The first hit with what stands around it."""
    text = "".join(part for part, _ in parts)
    before = 0
    for part, told in parts:
        if told:
            break
        before += len(part)
    else:
        before = 0
    start, end = max(0, before - width // 2), max(before + width, width * 2)
    shown, at = [], 0
    for part, told in parts:
        cut = part[max(0, start - at) : max(0, end - at)]
        at += len(part)
        if cut:
            shown.append((cut, told))
    head = [("…", False)] if start else []
    return [*head, *shown, *([("…", False)] if end < len(text) else [])]
