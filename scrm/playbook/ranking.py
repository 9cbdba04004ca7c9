"""Which scripts answer what the customer just said, best first, each with its reason in a sentence.

Pure and deterministic: trigger words (one automaton), BM25 over segmented text and the nearest known wording.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import rjieba
from ahocorasick_rs import AhoCorasick

from scrm.playbook.scripts import STAGES, Script

#: Only the latest utterances count, each half as much as the one after it.
MEMORY = 4
FADE = 0.5
#: A guess that earned less is not offered.
FLOOR = 2.0
#: Nor is one far behind the best.
NEAR_BEST = 0.25
#: Likeness (0..1) to a known utterance from which we say so; below it is a guess, and called one.
SURE = 0.25
#: So many guesses at most; the fallback scripts follow them.
GUESSES = 3
QUOTE_CHARS = 20
#: Longer utterances are cut: a pasted article must not slow the page.
MAX_CHARS = 500

_TRIGGER, _WORDS, _NEAREST = 1.0, 0.5, 6.0
_K1, _B = 1.2, 0.5
#: How often a word counts by where it stands; the text is long and says little about when to use it.
_SAYS, _TITLE, _TEXT = 2.0, 2.0, 0.25
_STAGE_FITS, _ROLE_MISSES, _SAME_STAGE = 1.2, 0.5, 0.85
_STOP = frozenset(
    "我们 你们 咱们 这个 那个 一个 一下 可以 但是 如果 的话 现在 觉得"
    " 我 你 您 咱 他 她 它 们 的 了 吗 呢 吧 啊 呀 哦 嗯 哈 是 在 有 没 就 都 也 还 和 跟 这 那"
    " 个 点 要 会 能 很 太 说 给 把 对 到 里 得 着 过 又 可 想 家 但 不 一 先 么 什 怎 为 以 上"
    " 下 来 去 时 候".split()
)

#: Said alone they ask for nothing; nor does a message that is only a picture or a sticker.
_ACKS = frozenset(
    "好 好的 好滴 好吧 行 行吧 可以 嗯 嗯嗯 哦 哦哦 收到 知道了"
    " 明白 明白了 谢谢 谢谢您 谢谢你 多谢 辛苦了 ok 哈哈 哈哈哈".split()
)
_PLACEHOLDER = re.compile(r"\[[^\[\]]{1,8}\]")

#: Spoken variants, so that a script need not list each.
_SAME = {
    "啥": "什么",
    "咋": "怎么",
    "娃": "孩子",
    "闺女": "孩子",
    "女儿": "孩子",
    "儿子": "孩子",
    "1对1": "一对一",
}
_SPOKEN = re.compile("|".join(_SAME))
#: Left out when looking for trigger words a second time: 请个假 is 请假, 考虑下 is 考虑.
_FILLERS = re.compile("[个了下着过啊呀吧呢嘛吗]|一[点下]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    script_id: str
    version: int
    score: float
    #: Why, for the rep, in Chinese.
    reason: str


@dataclass(slots=True)
class _Case:
    """What speaks for one script: points so far, and the strongest reason."""

    points: float = 0.0
    strongest: float = 0.0
    reason: str = ""
    #: A trigger word was said, or something close to a known utterance.
    sure: bool = False

    def add(self, points: float, reason: str, *, sure: bool) -> None:
        self.points += points
        self.sure = self.sure or sure
        if points > self.strongest:
            self.strongest, self.reason = points, reason


def normal(text: str) -> str:
    """Full-width and half-width, upper and lower case, common spoken variants become one form."""
    plain = unicodedata.normalize("NFKC", text[:MAX_CHARS]).lower()
    return _SPOKEN.sub(lambda found: _SAME[found[0]], plain)


def tokens(text: str) -> set[str]:
    """What is worth matching: words, Chinese characters and pairs of them, without stop words.

    Characters and pairs find again what segmentation cuts differently in speech (坐不住, 坐不了).
    """
    plain = normal(text)
    words = {word for word in rjieba.cut_for_search(plain) if any(map(str.isalnum, word))}
    single = {one for one in plain if _is_han(one)}
    pairs = {one + two for one, two in pairwise(plain) if _is_han(one) and _is_han(two)}
    return (words | single | pairs) - _STOP


def _asks(utterance: str) -> bool:
    text = _PLACEHOLDER.sub("", normal(utterance))
    bare = "".join(filter(str.isalnum, text))
    return bare not in _ACKS if bare else "?" in text


def _is_han(character: str) -> bool:
    return "\u4e00" <= character <= "\u9fff"


class Index:
    """Scripts prepared for ranking: build once per state of the library, rank as often as needed."""

    def __init__(self, scripts: Sequence[Script]) -> None:
        self._scripts = tuple(sorted(scripts, key=lambda script: script.id))
        self._triggers = _Triggers(self._scripts)
        self._wording = _Wording(self._scripts)

    def rank(
        self,
        utterances: Sequence[str],
        *,
        stage: str | None,
        role: str | None,
        channel: str,
        recently_sent: Collection[str],
        limit: int = 5,
    ) -> tuple[Suggestion, ...]:
        """At most `limit` scripts for what the customer said (`utterances`, newest first), best first.

        `recently_sent` holds script ids, with or without `@version`: those are not offered again. When
        nothing was surely understood, a few guesses come, then the fallback scripts, those of `stage` first.
        """
        sent = {name.partition("@")[0] for name in recently_sent}
        usable = {
            number: script
            for number, script in enumerate(self._scripts)
            if script.id not in sent and (not script.channels or channel in script.channels)
        }
        cases = {number: case for number, case in self._hear(utterances).items() if number in usable}
        heard = [
            (case.points * _fit(usable[number], stage, role), usable[number], case.reason)
            for number, case in sorted(cases.items())
            if case.sure or case.points >= FLOOR
        ]
        if any(case.sure for case in cases.values()):
            return _diverse(heard, limit)
        guesses = _diverse(heard, min(limit, GUESSES))
        taken = {guess.script_id for guess in guesses}
        spare = [script for script in usable.values() if script.fallback and script.id not in taken]
        return (*guesses, *_fallback(spare, utterances, stage, limit - len(guesses)))

    def _hear(self, utterances: Sequence[str]) -> dict[int, _Case]:
        """What speaks for each script number in everything said."""
        cases: dict[int, _Case] = defaultdict(_Case)
        for age, utterance in enumerate(utterances[:MEMORY]):
            if not _asks(utterance):
                continue
            weight = FADE**age
            said = f"客户{'之前' if age else '刚'}说“{_quote(utterance)}”"
            for number, word, points in self._triggers.hits(utterance):
                cases[number].add(weight * points, f"{said}，命中“{word}”", sure=True)
            for number, line, likeness, points in self._wording.hits(utterance):
                sure = likeness >= SURE
                about = (
                    f"和“{line}”说法相近" if sure else f"可能和“{line or self._scripts[number].title}”有关"
                )
                cases[number].add(weight * points, f"{said}，{about}", sure=sure)
        return cases


class _Triggers:
    """All trigger words of all scripts in one automaton."""

    def __init__(self, scripts: Sequence[Script]) -> None:
        owners: dict[str, list[int]] = defaultdict(list)
        for number, script in enumerate(scripts):
            for word in dict.fromkeys(map(normal, script.triggers)):
                owners[word].append(number)
        self._words = tuple(owners)
        self._owners = tuple(owners.values())
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
            for text in {said, _FILLERS.sub("", said)}
            for index, _, _ in self._automaton.find_matches_as_indexes(text, True)
        }
        known: set[int] = set()
        for index in sorted(found, key=lambda index: (-self._points[index], index)):
            for number in self._owners[index]:
                yield number, self._words[index], self._points[index] * (0.5 if number in known else 1.0)
                known.add(number)


class _Wording:
    """BM25 over what each script says and answers, and the single nearest known utterance."""

    def __init__(self, scripts: Sequence[Script]) -> None:
        self._lines = tuple((number, line) for number, script in enumerate(scripts) for line in script.says)
        counts = [_count(script) for script in scripts]
        spread: dict[str, int] = defaultdict(int)
        for count in counts:
            for word in count:
                spread[word] += 1
        self._rarity = {word: math.log(1 + len(scripts) / seen) for word, seen in spread.items()}
        self._unknown = math.log(1 + len(scripts))
        self._postings = self._weigh(counts)
        words = [sorted(tokens(line)) for _, line in self._lines]
        self._sizes = tuple(map(self._size, words))
        self._holders: dict[str, list[int]] = defaultdict(list)
        for at, line_words in enumerate(words):
            for word in line_words:
                self._holders[word].append(at)

    def hits(self, utterance: str) -> Iterator[tuple[int, str, float, float]]:
        """(script number, nearest known utterance or "", its likeness, points) where words are shared."""
        words = sorted(tokens(utterance))
        points: dict[int, float] = defaultdict(float)
        shared: dict[int, float] = defaultdict(float)
        for word in words:
            for number, gain in self._postings.get(word, ()):
                points[number] += gain
            for at in self._holders.get(word, ()):
                shared[at] += self._rarity[word]
        size = self._size(words)
        nearest: dict[int, tuple[float, str]] = {}
        for at, common in shared.items():
            number, line = self._lines[at]
            likeness = 2 * common / (size + self._sizes[at])
            nearest[number] = max(nearest.get(number, (0.0, "")), (likeness, line))
        for number, gain in points.items():
            likeness, line = nearest.get(number, (0.0, ""))
            yield number, line, likeness, gain + _NEAREST * likeness**2

    def _size(self, words: Collection[str]) -> float:
        return sum(self._rarity.get(word, self._unknown) for word in words)

    def _weigh(self, counts: Sequence[Mapping[str, float]]) -> dict[str, list[tuple[int, float]]]:
        """Word -> (script number, its BM25 gain)."""
        lengths = [sum(count.values()) for count in counts]
        usual = sum(lengths) / len(lengths) if lengths else 1.0
        postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for number, count in enumerate(counts):
            damping = _K1 * (1 - _B + _B * lengths[number] / usual)
            for word, times in count.items():
                gain = _WORDS * self._rarity[word] * times * (_K1 + 1) / (times + damping)
                postings[word].append((number, gain))
        return postings


def _count(script: Script) -> dict[str, float]:
    """How often each word occurs in a script, weighted by where."""
    count: dict[str, float] = defaultdict(float)
    for text, weight in (
        (script.title, _TITLE),
        (script.text, _TEXT),
        *((line, _SAYS) for line in script.says),
    ):
        for word in tokens(text):
            count[word] += weight
    return count


def _fit(script: Script, stage: str | None, role: str | None) -> float:
    """Stage and role shift the order; they never bring in a script that nobody asked for."""
    fit = _STAGE_FITS if stage == script.stage else 1.0
    return fit if script.role == "any" or role is None or role == script.role else fit * _ROLE_MISSES


def _diverse(heard: list[tuple[float, Script, str]], limit: int) -> tuple[Suggestion, ...]:
    """Best first; each further script of a stage counts less, and those far behind are left out."""
    best = max((score for score, _, _ in heard), default=0.0)
    left = [each for each in heard if each[0] >= NEAR_BEST * best]
    stages: dict[str, int] = defaultdict(int)
    chosen: list[Suggestion] = []
    while left and len(chosen) < limit:
        pick = max(left, key=lambda each: each[0] * _SAME_STAGE ** stages[each[1].stage])
        left.remove(pick)
        score, script, reason = pick
        stages[script.stage] += 1
        chosen.append(_suggestion(script, score, reason))
    return tuple(chosen)


def _fallback(
    scripts: list[Script], utterances: Sequence[str], stage: str | None, limit: int
) -> tuple[Suggestion, ...]:
    """What to say when nothing was understood, or nothing was said."""
    order = {name: place for place, name in enumerate(STAGES)}
    ranked = sorted(scripts, key=lambda script: (script.stage != stage, order[script.stage], script.id))
    if not utterances:
        why = "客户还没说话", "打开话题"
    elif _asks(utterances[0]):
        why = f"没认出“{_quote(utterances[0])}”想问什么", "问清楚"
    else:
        why = f"客户刚说“{_quote(utterances[0])}”，没有提问题", "接着聊"
    return tuple(
        _suggestion(script, 0.0, f"{why[0]}，可以用“{STAGES[script.stage]}”的话术{why[1]}")
        for script in ranked[:limit]
    )


def _suggestion(script: Script, score: float, reason: str) -> Suggestion:
    return Suggestion(script_id=script.id, version=script.version, score=round(score, 3), reason=reason)


def _quote(utterance: str) -> str:
    text = " ".join(utterance.split())
    return text if len(text) <= QUOTE_CHARS else text[:QUOTE_CHARS] + "…"
