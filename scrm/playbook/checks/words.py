"""Forbidden words in a draft, however they are disguised, and not in innocent text. Pure.

One automaton knows every word in every form; a draft is read by it plain, without decoration, unmasked and
aloud. Each form has its own risk: what only appears when punctuation is dropped, or only by sound, must begin
and end where words of the sentence do.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Literal

import rjieba
from ahocorasick_rs import AhoCorasick

from scrm.playbook.checks.layers import (
    CLAUSE,
    LETTERS,
    Layer,
    Plain,
    aloud,
    bare,
    canonical,
    plain,
    sounded,
    unmasked,
)
from scrm.playbook.checks.patterns import Patterns
from scrm.playbook.checks.values import Hit, Rule

#: What denies a word, and how far before it in its clause: 不承诺保本. Not: 不用担心保本, 没问题保本.
_DENIES = re.compile(
    "(?:不$|没$|未$|别$|(?:从|绝|决|概|并)不|(?<!不得)不(?:承诺|保证|得(?!不)|可(?!错过)|许|允许|敢|是(?!只)|做|收|给|卖|搞|办|存在|支持"
    "|提供|需要|必(?!担心)|应|该|想|说|写|算|等于|属于|代表|推荐|建议|宣传|涉及|参与|接受|评价|像|请|拿|替|碰|垫)|不能(?!错过)"
    "|不会(?!亏|错|后悔|让)|不要(?!犹豫|怕|担心|紧|错过|等)|不用(?!担心|怕|愁|想|考虑)|没有(?!问题|风险|亏|比)|没人|没法"
    "|无法|无权|请勿|切勿|勿|禁止|严禁|拒绝|谢绝|杜绝|避免|并非|切忌|谨防|严查|严打|打击|抵制|反对|警惕|当心|千万别|都别|别(?:信|听|把|给|在|说|用|往))"
    "[^，。！？；：,!?;:…\n]{0,8}$"
)
_BACK = 12
#: The same said afterwards: 首付贷一律不做.
_DENIED_AFTER = re.compile(
    "[^，。！？；：,!?;:…\n]{0,10}(?:都不[做收给行办碰许能可要合敢行]|都别|一律不|是不(?:允许|可以|行|能|合规)|是违法|属于违法|违法的|是违规|属于违规|违规的|是骗人|这种话|这话我|不敢说|我不说)"
)

_Form = Literal["word", "unless", "sound"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Use:
    """A form of a word in the automaton: whose it is and what it is for."""

    rule: int
    form: _Form
    #: As the rule writes it, and as it is looked for.
    word: str
    plain: str


@dataclass(slots=True, kw_only=True)
class _Draft:
    """One text under examination."""

    plain: Plain
    #: Where words of the sentence begin and end; asked only when needed.
    edges: list[int] = field(default_factory=list)
    #: Rule -> (first, last, word) in the plain text.
    found: dict[int, list[tuple[int, int, str]]] = field(default_factory=lambda: defaultdict(list))
    #: Rule -> stretches in which its words are harmless.
    harmless: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))

    def on_edges(self, first: int, last: int) -> bool:
        """Whether the stretch begins and ends where words do."""
        return self.word_at(first)[0] == first and self.word_at(last)[1] == last + 1

    def word_at(self, place: int) -> tuple[int, int]:
        """Start and end of the word around a character."""
        if not self.edges:
            self.edges = [0, *(end for _, _, end in rjieba.tokenize(self.plain.text, hmm=False))]
        after = bisect_right(self.edges, place)
        return self.edges[after - 1], self.edges[after]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A form of a word, seen at [start, end) of a layer, which is [first, last] of the plain text."""

    draft: _Draft
    layer: Layer
    start: int
    end: int
    first: int
    last: int

    def one_clause(self) -> bool:
        return CLAUSE.isdisjoint(self.draft.plain.text[self.first : self.last + 1])


class Scanner:
    """Rules made ready once; `scan` as often as somebody types."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(rules)
        uses: dict[str, list[_Use]] = defaultdict(list)
        for number, rule in enumerate(self._rules):
            for text, use in _forms(number, rule):
                uses[text].append(use)
        self._uses = tuple(uses.values())
        self._automaton = AhoCorasick(list(uses))
        owned = [(number, each) for number, rule in enumerate(self._rules) for each in rule.patterns]
        self._owners = tuple(number for number, _ in owned)
        self._patterns = Patterns([pattern for _, pattern in owned])

    def scan(self, text: str) -> tuple[Hit, ...]:
        """Every offence in `text`, in order; of overlapping ones of a rule the longest."""
        draft = _Draft(plain=plain(text))
        self._search(draft)
        self._match(draft)
        hits = [hit for number in draft.found for hit in self._judged(draft, number, text)]
        return tuple(sorted(hits, key=lambda hit: (hit.start, -hit.end, hit.rule_id)))

    def _search(self, draft: _Draft) -> None:
        whole = draft.plain.text
        every = list(range(len(whole)))
        self._read(draft, Layer(text=whole, first=every, last=every), _as_written)
        stripped = bare(whole)
        if len(stripped.text) < len(whole):
            self._read(draft, stripped, _decorated)
        names = unmasked(stripped)
        if names.changed:
            self._read(draft, names, _masked)
        self._read(draft, sounded(names), _by_ear)

    def _read(self, draft: _Draft, layer: Layer, fits: Callable[[_Seen, _Use, bool], bool]) -> None:
        for which, start, end in self._automaton.find_matches_as_indexes(layer.text, overlapping=True):
            first, last = layer.first[start], layer.last[end - 1]
            if not draft.plain.standing(first, last):
                continue
            seen = _Seen(draft=draft, layer=layer, start=start, end=end, first=first, last=last)
            for use in self._uses[which]:
                if use.form == "unless":
                    draft.harmless[use.rule].append((first, last))
                elif fits(seen, use, self._rules[use.rule].disguised):
                    draft.found[use.rule].append((first, last, use.word))

    def _match(self, draft: _Draft) -> None:
        """Patterns, on the text with its white space; those of disguised rules without it too."""
        spaced = draft.plain.spaced()
        for which, start, end in self._patterns.found(spaced.text):
            stretch = [place for place in spaced.first[start:end] if place >= 0]
            if stretch:
                draft.found[self._owners[which]].append((stretch[0], stretch[-1], ""))
        if len(spaced.text) == len(draft.plain.text):
            return
        for which, start, end in self._patterns.found(draft.plain.text):
            if self._rules[self._owners[which]].disguised:
                draft.found[self._owners[which]].append((start, end - 1, ""))

    def _judged(self, draft: _Draft, number: int, text: str) -> Iterator[Hit]:
        rule = self._rules[number]
        harmless = _Cover(draft.harmless.get(number, ()))
        reached = -1
        for first, last, word in sorted(draft.found[number], key=lambda each: (each[0], -each[1], each[2])):
            if last <= reached or harmless.covers(first, last):
                continue
            if rule.deniable and _denied(draft.plain.text, first, last):
                continue
            reached = last
            start, end = draft.plain.at[first], draft.plain.at[last] + 1
            yield Hit(
                rule_id=rule.id,
                level=rule.level,
                start=start,
                end=end,
                matched=text[start:end],
                rewrite=rule.rewrite.get(word),
            )


class _Cover:
    """Stretches, asked whether one of them contains another."""

    def __init__(self, stretches: Sequence[tuple[int, int]]) -> None:
        ordered = sorted(stretches)
        self._starts = [start for start, _ in ordered]
        self._reach = list(accumulate((end for _, end in ordered), max))

    def covers(self, first: int, last: int) -> bool:
        at = bisect_right(self._starts, first)
        return at > 0 and self._reach[at - 1] >= last


def _forms(number: int, rule: Rule) -> Iterator[tuple[str, _Use]]:
    """What of a rule goes into the automaton."""
    for word in dict.fromkeys(rule.words):
        text = canonical(word)
        yield text, _Use(rule=number, form="word", word=word, plain=text)
        sound = aloud(text) if rule.disguised and len(text) > 1 else ""
        if sound:
            yield sound, _Use(rule=number, form="sound", word=word, plain=text)
    for phrase in dict.fromkeys(rule.unless):
        text = canonical(phrase)
        yield text, _Use(rule=number, form="unless", word=phrase, plain=text)


def _as_written(seen: _Seen, use: _Use, disguised: bool) -> bool:
    return use.form == "word" and (disguised or seen.draft.plain.touching(seen.first, seen.last))


def _decorated(seen: _Seen, use: _Use, disguised: bool) -> bool:
    """保.本, 保😊证😊提分. A comma may part two clauses, so it counts only when it parts every character."""
    size = seen.end - seen.start
    if use.form != "word" or not disguised or size < 2 or seen.last - seen.first < size:
        return False
    places = seen.layer.first[seen.start : seen.end]
    everywhere = size > 2 and all(later - earlier > 1 for earlier, later in pairwise(places))
    return everywhere or (seen.one_clause() and seen.draft.on_edges(seen.first, seen.last))


def _masked(seen: _Seen, use: _Use, disguised: bool) -> bool:
    """最女子的, 加我vx: only with something that was disguised in it."""
    if use.form != "word" or not disguised or seen.end - seen.start < 2:
        return False
    return not seen.layer.changed.isdisjoint(range(seen.start, seen.end)) and seen.one_clause()


def _by_ear(seen: _Seen, use: _Use, disguised: bool) -> bool:
    """保正提分, bao本: most of a word as it is written, the rest as it sounds.

    Letters that spell a syllable are no accident; another character may be, so of those at most half, none in
    a word of two. The whole must stand between words, and another character in no long one: 保证金不退 is not
    保证进步.
    """
    if use.form != "sound" or not disguised or not seen.one_clause():
        return False
    pairs = list(zip(seen.layer.read[seen.start : seen.end], use.plain, strict=True))
    letters = sum(read == LETTERS for read, _ in pairs)
    others = sum(read not in (LETTERS, wanted) for read, wanted in pairs)
    if not letters and not others:
        return False
    size = len(pairs)
    if size == 2:
        return not others
    if others > (1 if size == 3 else size // 2):
        return False
    if not others:
        return True
    strange = [at for at, (read, wanted) in enumerate(pairs, seen.start) if read not in (LETTERS, wanted)]
    words = [seen.draft.word_at(seen.layer.first[at]) for at in strange]
    return seen.draft.on_edges(seen.first, seen.last) and all(end - start < 3 for start, end in words)


def _denied(text: str, first: int, last: int) -> bool:
    if 0 < first < last and text[first] in "不没" and text[first - 1] == text[first + 1]:
        return True  # 会不会, 有没有: a question
    before = _DENIES.search(text[max(0, first - _BACK) : first])
    return before is not None or _DENIED_AFTER.match(text, last + 1) is not None
