"""What an utterance has in common with each script: trigger words, words of its text, the nearest wording.

Bounded work whatever the size of the library: rare words first, then only the best candidates.
"""

from __future__ import annotations

import heapq
import math
from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from ahocorasick_rs import AhoCorasick

from scrm.playbook.ranking.speech import normal, terse, tokens
from scrm.playbook.scripts import Script

#: So many (word, script) pairs are added up before the rest is left to the best candidates.
BUDGET = 800
#: So many of the words that are left count for the best candidates; the commonest tell nothing apart.
COMMON = 6
#: Scripts whose every wording is compared: so many by their words, so many by what else speaks for them.
CANDIDATES = 14

_TRIGGER, _WORDS, _NEAREST = 0.6, 0.8, 7.0
_K1, _B = 1.2, 0.5
#: A class of words says more than one of its words.
_CONCEPT = 2.5
#: How often a word counts by where it stands; the text is long and says little about when to use it.
_SAYS, _TITLE, _TEXT = 2.0, 2.0, 0.25


class Triggers:
    """All trigger words of all scripts in one automaton."""

    def __init__(self, scripts: Sequence[Script]) -> None:
        owners: dict[str, list[int]] = defaultdict(list)
        for number, script in enumerate(scripts):
            for word in dict.fromkeys(map(normal, script.triggers)):
                owners[word].append(number)
        self._words = tuple(owners)
        self._owners = tuple(array("I", numbers) for numbers in owners.values())
        # A long word that few scripts share says more than a short common one.
        self._points = tuple(
            _TRIGGER * math.sqrt(len(word)) * math.log(1 + len(scripts) / len(numbers))
            for word, numbers in owners.items()
        )
        self._automaton = AhoCorasick(self._words)

    def hits(self, utterance: str) -> Iterator[tuple[int, str, float]]:
        """(script number, word, points) for each trigger word said; a second word of a script counts half."""
        said = normal(utterance)
        found = {
            index
            for text in {said, terse(said)}
            for index, _, _ in self._automaton.find_matches_as_indexes(text, True)
        }
        known: set[int] = set()
        left = BUDGET
        for index in sorted(found, key=lambda index: (-self._points[index], index)):
            owners, word, points = self._owners[index], self._words[index], self._points[index]
            for number in owners:
                yield number, word, points * (0.5 if number in known else 1.0)
            known.update(owners)
            left -= len(owners)
            if left < 0:
                return


class Wording:
    """BM25 over what each script says and answers, and the single nearest known utterance."""

    def __init__(self, scripts: Sequence[Script]) -> None:
        self._ids: dict[str, int] = {}
        read = [self._read(script) for script in scripts]
        spread = Counter(word for count, _ in read for word in count)
        self._rarity = [
            (_CONCEPT if name[0] == "#" else 1.0) * math.log(1 + len(scripts) / spread[word])
            for name, word in self._ids.items()
        ]
        self._unknown = math.log(1 + len(scripts))
        self._holders, self._gains = self._postings([count for count, _ in read])
        #: Of each script: its wordings, with the words in them and how much these weigh.
        self._lines = tuple(
            tuple((line, words, math.fsum(map(self._rarity.__getitem__, words))) for line, words in says)
            for _, says in read
        )

    def hits(
        self, utterance: str, besides: Collection[int], candidates: int = CANDIDATES
    ) -> Iterator[tuple[int, str, float, float]]:
        """(script number, nearest known utterance or "", its likeness, points) of the best candidates, and
        of `besides`: those for which something else speaks already.
        """
        words = tokens(utterance)
        known = [self._ids[word] for word in words if word in self._ids]
        # A word nobody knows weighs as much as the rarest one. Sorted: sums must not depend on the order.
        size = math.fsum(self._rarity[word] for word in known) + self._unknown * (len(words) - len(known))
        points = self._points(known, besides, candidates)
        asked = frozenset(known)
        for number, gain in points.items():
            likeness, line = self._nearest(number, asked, size)
            yield number, line, likeness, gain + _NEAREST * likeness**2

    def _points(self, known: Sequence[int], besides: Collection[int], candidates: int) -> dict[int, float]:
        """BM25 of the best candidates: rare words make them, common words only add to them."""
        order = sorted(known, key=lambda word: (len(self._holders[word]), word))
        sums: dict[int, float] = {}
        left, cut = BUDGET, len(order)
        for place, word in enumerate(order):
            left -= len(self._holders[word])
            if left < 0 and sums:
                cut = place
                break
            for number, gain in zip(self._holders[word], self._gains[word], strict=True):
                sums[number] = sums.get(number, 0.0) + gain
        chosen = largest(sums, candidates) | {number: sums.get(number, 0.0) for number in besides}
        for word in order[cut : cut + COMMON]:
            holders, gains = self._holders[word], self._gains[word]
            for number in chosen:
                at = bisect_left(holders, number)
                if at < len(holders) and holders[at] == number:
                    chosen[number] += gains[at]
        return {number: gain for number, gain in chosen.items() if gain}

    def _nearest(self, number: int, asked: frozenset[int], size: float) -> tuple[float, str]:
        best = (0.0, "")
        for line, words, weight in self._lines[number]:
            if common := asked.intersection(words):
                shared = math.fsum([self._rarity[word] for word in common])
                best = max(best, (2 * shared / (size + weight), line))
        return best

    def _read(self, script: Script) -> tuple[dict[int, float], list[tuple[str, tuple[int, ...]]]]:
        """How often each word occurs in a script, weighted by where; and the words of its wordings."""
        says = [(line, self._numbers(line)) for line in script.says]
        count: dict[int, float] = defaultdict(float)
        parts = [(self._numbers(script.title), _TITLE), (self._numbers(script.text), _TEXT)]
        for words, weight in (*parts, *((words, _SAYS) for _, words in says)):
            for word in words:
                count[word] += weight
        return count, says

    def _numbers(self, text: str) -> tuple[int, ...]:
        # Sorted: the order words are met in numbers them, and must be the same in every process.
        return tuple(self._ids.setdefault(word, len(self._ids)) for word in sorted(tokens(text)))

    def _postings(
        self, counts: Sequence[Mapping[int, float]]
    ) -> tuple[tuple[array[int], ...], tuple[array[float], ...]]:
        """For each word the scripts that hold it, ascending, and what it adds to the BM25 of each."""
        lengths = [sum(count.values()) for count in counts]
        usual = sum(lengths) / len(lengths) if lengths else 1.0
        holders = tuple(array("I") for _ in self._rarity)
        gains = tuple(array("d") for _ in self._rarity)
        for number, count in enumerate(counts):
            damping = _K1 * (1 - _B + _B * lengths[number] / usual)
            for word, times in count.items():
                holders[word].append(number)
                gains[word].append(_WORDS * self._rarity[word] * times * (_K1 + 1) / (times + damping))
        return holders, gains


def largest(points: Mapping[int, float], limit: int) -> dict[int, float]:
    """The entries with the most points; of equals the lower number first."""
    if len(points) <= limit:
        return dict(points)
    bar = heapq.nlargest(limit, points.values())[-1]
    above = {number: gain for number, gain in points.items() if gain > bar}
    level = sorted(number for number, gain in points.items() if gain == bar)
    return above | dict.fromkeys(level[: limit - len(above)], bar)
