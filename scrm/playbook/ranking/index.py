"""The index: scripts prepared for ranking, and the ranking of one moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from scrm.desk.stages import STAGES
from scrm.playbook.ranking import order
from scrm.playbook.ranking.hearing import CANDIDATES, Triggers, Wording, largest
from scrm.playbook.ranking.intents import Intent, Rules, answers
from scrm.playbook.ranking.order import Heard, Reason
from scrm.playbook.ranking.speech import asks, quote
from scrm.playbook.ranking.values import Moment, Suggestion
from scrm.playbook.scripts import Script

#: Only the latest utterances count, each half as much as the one after it.
MEMORY = 4
FADE = 0.5
#: A guess that earned less is not offered.
FLOOR = 2.0
#: Likeness (0..1) to a known utterance from which we say so; below it is a guess, and called one.
SURE = 0.25
#: So many guesses at most; the fallback scripts follow them.
GUESSES = 3
#: An intent that was heard; each word more that had to be there makes it surer.
_INTENT, _MORE = 6.0, 2.5
#: So many of the best are looked at in the light of the moment.
SHIFTED = 24
#: The first script an intent names answers it best.
_LATER = 0.85


@dataclass(slots=True)
class _Case:
    """What speaks for one script in one utterance: points so far, and what gave them."""

    points: float = 0.0
    #: A trigger word was said, an intent understood, or something close to a known utterance.
    sure: bool = False
    #: Of each kind the strongest: its points, the words it turns on, and whether it is more than a guess.
    signals: dict[str, tuple[float, str, bool]] = field(default_factory=dict)

    def add(self, kind: str, points: float, core: str, *, sure: bool = True) -> None:
        self.points += points
        self.sure = self.sure or sure
        if kind not in self.signals or points > self.signals[kind][0]:
            self.signals[kind] = points, core, sure


#: What a signal says, by its kind and whether it is more than a guess.
_TEXTS = {
    ("intent", True): "意思是“{}”",
    ("trigger", True): "命中“{}”",
    ("wording", True): "和“{}”说法相近",
    ("wording", False): "可能和“{}”有关",
}
#: How much an utterance counts, how to quote it, and what it speaks for.
_Told = tuple[float, str, dict[int, _Case]]


class Index:
    """Scripts prepared for ranking: build once per state of the library, rank as often as needed."""

    def __init__(
        self,
        scripts: Sequence[Script],
        *,
        intents: Sequence[Intent] = (),
        trades: Mapping[str, str] | None = None,
    ) -> None:
        """`trades`: script id -> trade, for an index that holds several."""
        self._scripts = tuple(sorted(scripts, key=lambda script: script.id))
        self._trades = trades or {}
        self._triggers = Triggers(self._scripts)
        self._wording = Wording(self._scripts)
        self._intents = tuple(intents)
        self._rules = Rules(self._intents)
        self._answers = answers(self._intents, self._scripts)
        self._spare = tuple(script for script in self._scripts if script.fallback)
        # A message is ranked when it comes and again with the next ones: it is listened to once.
        self._hear = lru_cache(maxsize=1024)(self._listen)

    @classmethod
    def of(cls, packs: Mapping[str, Sequence[Script]], intents: Sequence[Intent] = ()) -> Index:
        """An index over the packs of these trades."""
        trades = {script.id: trade for trade, scripts in packs.items() for script in scripts}
        every = [script for scripts in packs.values() for script in scripts]
        return cls(every, intents=intents, trades=trades)

    def rank(self, moment: Moment, limit: int = 5) -> tuple[Suggestion, ...]:
        """At most `limit` scripts for this moment, best first.

        When nothing was surely understood, a few guesses come, then the fallback scripts, those of the stage
        first. Without an utterance: the next step of the stage, and what quotes an open promise.
        """
        usable = _Usable(moment, self._trades)
        if not moment.utterances:
            return self._opening(moment, usable, limit)
        heard, sure = self._heard(self._told(moment), moment, usable)
        chosen = order.best(heard, limit if sure else min(limit, GUESSES))
        self._add_night(chosen, moment, usable, limit)
        if not sure:
            chosen += self._fallback(moment, usable, {s.script_id for s in chosen}, limit - len(chosen))
        return tuple(chosen)

    def surely(self, moment: Moment, limit: int = 1) -> tuple[Suggestion, ...]:
        """Only what was understood beyond a guess; nothing to fall back on."""
        told = self._told(moment)
        heard, sure = self._heard(told, moment, _Usable(moment, self._trades))
        return tuple(order.best(heard, limit)) if sure else ()

    # -- hearing -------------------------------------------------------------------------------------------
    def _told(self, moment: Moment) -> list[_Told]:
        return [
            (FADE**age, f"客户{'之前' if age else '刚'}说“{quote(utterance)}”，", self._hear(utterance))
            for age, utterance in enumerate(moment.utterances[:MEMORY])
            if asks(utterance)
        ]

    def _heard(self, told: Sequence[_Told], moment: Moment, usable: _Usable) -> tuple[list[Heard], bool]:
        """What was asked for in everything said, in the light of the moment; and whether any of it surely."""
        points: dict[int, float] = {}
        sure: set[int] = set()
        for weight, _, cases in told:
            for number, case in cases.items():
                points[number] = points.get(number, 0.0) + weight * case.points
                if case.sure:
                    sure.add(number)
        fits = {n: p for n, p in points.items() if (n in sure or p >= FLOOR) and usable(self._scripts[n])}
        heard = [
            order.shifted(Heard(fits[n], self._scripts[n], _reasons(told, n)), moment)
            for n in sorted(largest(fits, SHIFTED))
        ]
        return heard, not sure.isdisjoint(fits)

    def _listen(self, utterance: str) -> dict[int, _Case]:
        """What speaks for each script number in one utterance, whoever said it and whenever."""
        cases: dict[int, _Case] = defaultdict(_Case)
        for intent, words in self._rules.heard(utterance):
            points = _INTENT + _MORE * (words - 1)
            for place, number in enumerate(self._answers[intent]):
                gain = points * (_LATER if place else 1.0)
                cases[number].add("intent", gain, self._intents[intent].title)
        for number, word, points in self._triggers.hits(utterance):
            cases[number].add("trigger", points, word)
        cases = _strongest(cases, 2 * CANDIDATES)
        for number, line, likeness, points in self._wording.hits(utterance, _strongest(cases, CANDIDATES)):
            core = line or self._scripts[number].title
            cases[number].add("wording", points, core, sure=likeness >= SURE)
        return cases

    # -- without words -------------------------------------------------------------------------------------
    def _opening(self, moment: Moment, usable: _Usable, limit: int) -> tuple[Suggestion, ...]:
        """What quotes a promise, then the step that comes next, then other openers."""
        chosen: dict[str, Suggestion] = {}
        for script in self._scripts if moment.promises else ():
            factor, why = order.promised(script, moment)
            if why and usable(script) and script.stage in ("quotation", "objection", "closing"):
                chosen[script.id] = order.suggestion(script, factor, why)
        steps = [s for s in self._steps(moment.stage) if usable(s) and s.id not in chosen]
        for script in steps:
            why = f"客户在“{STAGES[script.stage]}”阶段，下一步可以这样说"
            chosen[script.id] = order.suggestion(script, 1.0, why)
        found = list(chosen.values())[:limit]
        return (*found, *self._fallback(moment, usable, set(chosen), limit - len(found)))

    def _steps(self, stage: str | None) -> Iterator[Script]:
        for intent, numbers in zip(self._intents, self._answers, strict=True):
            if stage is not None and stage in intent.opening:
                yield from (self._scripts[number] for number in numbers)

    def _add_night(self, chosen: list[Suggestion], moment: Moment, usable: _Usable, limit: int) -> None:
        """Out of hours one that says when we answer comes besides, if the service may send it by itself."""
        for intent, numbers in zip(self._intents, self._answers, strict=True):
            if intent.hours is None or moment.hour is None or not _within(moment.hour, intent.hours):
                continue
            taken = {suggestion.script_id for suggestion in chosen}
            for script in (self._scripts[number] for number in numbers):
                if script.delivery == "auto" and usable(script) and script.id not in taken:
                    del chosen[limit - 1 :]
                    why = f"现在是 {moment.hour} 点，{intent.title}"
                    chosen.append(order.suggestion(script, 1.0, why))
                    return

    def _fallback(
        self, moment: Moment, usable: _Usable, taken: Collection[str], limit: int
    ) -> list[Suggestion]:
        """What to say when nothing was understood, or nothing was said."""
        at = {name: place for place, name in enumerate(STAGES)}
        ranked = sorted(
            (script for script in self._spare if usable(script) and script.id not in taken),
            key=lambda script: (script.stage != moment.stage, at[script.stage], script.id),
        )
        if not moment.utterances:
            why = "客户还没说话", "打开话题"
        elif asks(moment.utterances[0]):
            why = f"没认出“{quote(moment.utterances[0])}”想问什么", "问清楚"
        else:
            why = f"客户刚说“{quote(moment.utterances[0])}”，没有提问题", "接着聊"
        return [
            order.suggestion(script, 0.0, f"{why[0]}，可以用“{STAGES[script.stage]}”的话术{why[1]}")
            for script in ranked[: max(limit, 0)]
        ]


class _Usable:
    """Whether a script may be offered at all in this moment."""

    def __init__(self, moment: Moment, trades: Mapping[str, str]) -> None:
        self._sent = {name.partition("@")[0] for name in moment.recently_sent}
        self._channel = moment.channel
        self._wanted = frozenset(moment.trades)
        self._trades = trades

    def __call__(self, script: Script) -> bool:
        return (
            script.id not in self._sent
            and (not script.channels or self._channel in script.channels)
            and (not self._wanted or self._trades.get(script.id, "") in self._wanted)
        )


def _strongest(cases: dict[int, _Case], limit: int) -> dict[int, _Case]:
    """The same when they are few; the best `limit` of many."""
    if len(cases) <= limit:
        return cases
    best = largest({number: case.points for number, case in cases.items()}, limit)
    return defaultdict(_Case, {number: cases[number] for number in sorted(best)})


def _reasons(told: Sequence[_Told], number: int) -> tuple[Reason, ...]:
    """Of each kind the strongest, with the words it follows from."""
    found: dict[str, tuple[float, str, str, bool]] = {}
    for weight, said, cases in told:
        case = cases.get(number)
        for kind, (points, core, sure) in case.signals.items() if case else ():
            if kind not in found or weight * points > found[kind][0]:
                found[kind] = weight * points, said, core, sure
    return tuple(
        Reason(weight, said, _TEXTS[kind, sure].format(core), core, not sure)
        for kind, (weight, said, core, sure) in found.items()
    )


def _within(hour: int, hours: tuple[int, int]) -> bool:
    since, until = hours
    return since <= hour < until if since <= until else hour >= since or hour < until
