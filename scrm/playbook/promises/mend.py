"""What holds at the end: 8 折，不对，9 折 leaves 9 折; 从 9.5 折降到 9 折 too."""

from __future__ import annotations

import re
from collections.abc import Sequence

from scrm.playbook.promises.offer import Offer
from scrm.playbook.promises.reading import Reading
from scrm.playbook.promises.words import Word

#: A correction concerns what was said so many characters before it, and says it again so many after.
_BACK, _AHEAD = 60, 60


def mended(reading: Reading, offers: Sequence[Offer]) -> list[Offer]:
    """The offers without those taken back, in order."""
    gone: set[int] = set()
    for clause in reading.clauses:
        for word in clause.words:
            if "fix" in word.tags and not _asked(reading, word):
                gone |= _fixed(offers, word)
            elif "turn" in word.tags:
                gone |= _turned(reading, offers, word)
    return [one for at, one in enumerate(offers) if at not in gone]


def _asked(reading: Reading, word: Word) -> bool:
    if re.search("您(?:可能|应该|是不是)?[听看记搞弄]?$", reading.text[max(0, word.start - 5) : word.start]):
        # 您听错了 takes nothing of ours back.
        return True
    return word.text == "不对" and reading.text[max(0, word.start - 1) : word.start] == "对"


def _fixed(offers: Sequence[Offer], word: Word) -> set[int]:
    before = [
        at for at, one in enumerate(offers) if word.start - _BACK <= one.start and one.end <= word.start + 1
    ]
    said = [one.kind for one in offers if word.end <= one.start <= word.end + _AHEAD]
    if not before:
        return set()
    if not said:
        return {before[-1]} if word.start - offers[before[-1]].end <= 20 else set()
    kind = said[0]
    same = [at for at in before if offers[at].kind is kind]
    return {same[-1]} if same else ({before[-1]} if word.start - offers[before[-1]].end <= 6 else set())


def _turned(reading: Reading, offers: Sequence[Offer], word: Word) -> set[int]:
    sentence = reading.clauses[reading.clause(word.start)].sentence
    near = [
        (at, one)
        for at, one in enumerate(offers)
        if reading.clauses[reading.clause(one.start)].sentence == sentence
    ]
    following = next((one for _, one in near if 0 <= one.start - word.end <= 8), None)
    if following is None:
        return set()
    earlier = [at for at, one in near if one.end <= word.start and one.kind is following.kind]
    return {earlier[-1]} if earlier else set()
