"""Finding a script while somebody types: by words, code, and how a title is spoken. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from scrm.desk.stages import STAGES
from scrm.playbook.checks.sounds import SOUNDS
from scrm.playbook.library.diff import stretches
from scrm.playbook.scripts import Script

#: Longer searches are cut: nobody types them.
MAX_CHARS = 60
_LETTERS = re.compile(r"[a-z0-9]+")
#: What stands before each syllable of a spoken title, so that a search begins where a syllable does.
_EDGE = "\n"


@dataclass(frozen=True, slots=True)
class _Entry:
    script: Script
    title: str
    code: str
    #: The title spoken, from each syllable on: \nbiaoda\nda
    spoken: str
    #: The first letters of its syllables.
    initials: str
    #: Triggers, and what customers say.
    said: str
    text: str


class Finder:
    """Scripts prepared for searching: build once, ask as often as keys are struck."""

    def __init__(self, scripts: Iterable[Script]) -> None:
        self._entries = [_entry(script) for script in sorted(scripts, key=lambda s: s.id)]

    def find(self, words: str) -> list[Script]:
        """Those that answer to every word, the best first, by code where they are equal."""
        needles = plain(words[:MAX_CHARS]).split()
        if not needles:
            return []
        found: list[tuple[int, int, Script]] = []
        for place, entry in enumerate(self._entries):
            points = 0
            for needle in needles:
                if not (one := _points(entry, needle)):
                    break
                points += one
            else:
                found.append((-points, place, entry.script))
        return [script for _, _, script in sorted(found, key=lambda f: f[:2])]


def _points(entry: _Entry, needle: str) -> int:
    """How well one word is answered; 0 = not at all."""
    if needle in entry.title:
        return 100 if entry.title.startswith(needle) else 80
    if needle == entry.code or entry.code.partition(".")[2].startswith(needle):
        return 70
    if needle in entry.said:
        return 50
    if needle.isascii():
        if needle in entry.initials:
            return 65 if entry.initials.startswith(needle) else 60
        if _EDGE + needle in entry.spoken:
            return 65 if entry.spoken.startswith(_EDGE + needle) else 60
        if needle in entry.code:
            return 30
    return 20 if needle in entry.text else 0


def _entry(script: Script) -> _Entry:
    title = plain(script.title)
    syllables = _spoken(title)
    return _Entry(
        script=script,
        title=f"{title} {STAGES[script.stage]}",
        code=script.id,
        spoken="".join(_EDGE + "".join(syllables[n:]) for n in range(len(syllables))),
        initials="".join(one[0] for one in syllables),
        said=plain("\n".join((*script.triggers, *script.says))),
        text=plain(" ".join(stretches(script.text))),
    )


def plain(text: str) -> str:
    """One form of spelling: half-width, lower case."""
    return unicodedata.normalize("NFKC", text).lower()


def _spoken(text: str) -> list[str]:
    """The syllables of a text; letters and figures stay together, what nobody can say is left out."""
    found: list[str] = []
    at = 0
    while at < len(text):
        if run := _LETTERS.match(text, at):
            found.append(run[0])
            at = run.end()
        else:
            if text[at] in SOUNDS:
                found.append(SOUNDS[text[at]])
            at += 1
    return found
