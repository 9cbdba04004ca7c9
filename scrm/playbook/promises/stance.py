"""Whether an offer stands: not asked, denied, hedged, past, another's or only wished for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scrm.playbook.promises.reading import Clause, Reading
from scrm.playbook.promises.turns import (
    ASKING,
    BEYOND,
    CLOSED,
    DECIDES,
    DONE,
    EFFORTS,
    GIVEN_TO,
    GRANTED,
    LATE,
    LINKS,
    NOW,
    OVER,
    PLAIN_END,
    REACH,
    TURNS,
    TURNS_AFTER,
    WAS,
    WISHES_AFTER,
)
from scrm.playbook.promises.words import Word

Spot = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Stance:
    """Judges places of one text. `spots` are all offers in it, in order."""

    reading: Reading
    spots: Sequence[Spot]

    def stands(self, start: int, end: int, *, vow: bool = False) -> bool:
        """Whether an offer said there is one."""
        at = self.reading.clause(start)
        here = self.reading.clauses[at]
        if here.theirs:
            return False
        before = [word for word in here.words if word.end <= start]
        after = [word for word in here.words if word.start >= end]
        return not (
            self._denied(here, before, start, vow)
            or self._undone(here, at, after, end, vow)
            or self._hedged(here, at, before, after, end)
            or self._asked(here, before, start, end)
            or self._others(at, before, after, start)
            or self._past(at, before)
            or any("past" in word.tags and WAS.fullmatch(self._text(end, word.start)) for word in after)
            or self._missed(at, start, end)
            or self._wished(here, at, before)
            or LATE.search(self.reading.text, here.start, start)
            or self._for_others(here, at, end)
        )

    def holds(self, start: int, end: int) -> bool:
        """Whether a deadline said there is one; its offer has been judged already."""
        at = self.reading.clause(start)
        here = self.reading.clauses[at]
        before = [word for word in here.words if word.end <= start]
        return not (
            here.theirs
            or self._denied(here, before, start)
            or self._hedges(before)
            or self._asked(here, before, start, end)
            or self._others(at, before, (), start)
            or self._past(at, before)
            or self._missed(at, start, end)
            or self._wished(here, at, before)
        )

    def _between(self, start: int, end: int) -> bool:
        """Another offer lies between."""
        return any(low >= start and high <= end for low, high in self.spots)

    def _text(self, start: int, end: int) -> str:
        return self.reading.text[max(0, start) : end]

    # -- denial
    def _denied(self, here: Clause, before: Sequence[Word], start: int, vow: bool = False) -> bool:
        for word in reversed(before):
            if vow and (
                (len(word.text) == 1 and word.text != "别") or ("undo" in word.tags and "不" in word.text[1:])
            ):
                # 不到 90 分全额退费: the case it is promised for.
                continue
            if "neg" not in word.tags or ("undo" in word.tags and self._follows_offer(here, word)):
                continue
            gap = self._text(word.end, start)
            other = next((s for s in reversed(self.spots) if s[0] >= word.end and s[1] <= start), None)
            if other is None:
                reach = 4 if "undo" in word.tags and "不" in word.text[1:] else REACH
                return len(gap) <= reach and not TURNS.search(gap)
            rest = self._text(other[1], start)
            return not (TURNS.search(rest) or TURNS_AFTER.search(rest)) and bool(
                LINKS.fullmatch(rest) or len(rest) <= 2
            )
        return False

    def _follows_offer(self, here: Clause, word: Word) -> bool:
        return any(here.start <= low and high <= word.start <= high + 6 for low, high in self.spots)

    def _later(self, low: int, word: Word) -> bool:
        """月底就没了 is a deadline, and until then it holds."""
        return any(
            low <= day.start
            and day.end <= word.start <= day.end + 8
            and (day.date > self.reading.at or "晚" in self._text(day.start, day.end + 1))
            for day in self.reading.days
        )

    def _undone(self, here: Clause, at: int, after: Sequence[Word], end: int, vow: bool) -> bool:
        for word in after:
            over = word.text in OVER
            last = word.text in PLAIN_END and here.end - word.end <= 2
            if "undo" in word.tags or over or last:
                gap = self._text(end, word.start)
                if self._later(end, word):
                    return False
                if BEYOND.search(gap) or (
                    self._between(end, word.start) and not self._linked(end, word.start)
                ):
                    return False
                return len(gap) <= REACH
        following = self.reading.around(at)[1]
        return following is not None and self._undone_next(here, following, end, vow)

    def _linked(self, start: int, end: int) -> bool:
        """8 折和 9 折都不行: only offers and links lie between."""
        return "都" in self._text(start, end)

    def _undone_next(self, here: Clause, following: Clause, end: int, vow: bool) -> bool:
        if self._between(end, here.end) and "都" not in self._text(following.start, following.end):
            return False
        for word in following.words:
            if vow and "bad" in word.tags:
                # 百分百拿证, 拿不到退全款: the case its refund is promised for.
                return False
            if "undo" in word.tags or word.text in OVER:
                gap = self._text(following.start, word.start)
                return not self._later(following.start, word) and (
                    len(gap) <= 7
                    and not BEYOND.match(gap)
                    and not any(
                        one.kind != "count" for one in self.reading.figures_in(following.start, word.start)
                    )
                )
        return False

    # -- hedges
    def _hedged(self, here: Clause, at: int, before: Sequence[Word], after: Sequence[Word], end: int) -> bool:
        if here.asks and at + 1 < len(self.reading.clauses) and self._asking(self.reading.clauses[at + 1]):
            return True
        if any(word.text in GRANTED for word in after) and not self._between(end, here.end):
            return False
        if self._hedges(before) or self._hedged_after(after, end):
            return True
        previous, following = self.reading.around(at)
        if self._conditional(previous, before):
            return True
        if here.has("sure"):
            return False
        if previous and self._asking(previous) and not self._offers(previous) and not previous.has("sure"):
            return True
        return bool(
            following
            and self._asking(following)
            and not self._offers(following)
            and not following.has("sure")
        )

    def _hedges(self, before: Sequence[Word]) -> bool:
        sure = False
        for word in reversed(before):
            if "sure" in word.tags:
                sure = True
            elif sure and (word.text not in EFFORTS or DONE.match(self.reading.text, word.end)):
                continue
            elif "hedge" in word.tags and not self._yours(word) and not self._mends(word):
                return True
        return False

    def _hedged_after(self, after: Sequence[Word], end: int) -> bool:
        for word in after:
            if "sure" in word.tags:
                return False
            if "hedge" in word.tags and not self._yours(word):
                return not self._between(end, word.start)
        return False

    def _mends(self, word: Word) -> bool:
        """说错了，应该是 4370: no doubt at all."""
        if self._text(word.start, word.end + 1) != "应该是":
            return False
        previous = self.reading.around(self.reading.clause(word.start))[0]
        return previous is not None and (
            previous.has("fix") or self.reading.clauses[self.reading.clause(word.start)].has("fix")
        )

    def _yours(self, word: Word) -> bool:
        """您考虑, 您可能: the customer's doubt, not ours."""
        return "您" in self._text(max(0, word.start - 2), word.start) and word.text not in ASKING

    def _conditional(self, previous: Clause | None, before: Sequence[Word]) -> bool:
        """如果总部批了就八折."""
        for words in (previous.words if previous else [], before):
            first = next((word for word in words if "if" in word.tags), None)
            if first and any("approve" in word.tags for word in words if word.start > first.start):
                return True
        return False

    def _asking(self, clause: Clause) -> bool:
        return any(
            word.text in ASKING
            and not self._yours(word)
            and self._text(word.end, word.end + 2) not in ("过了", "好了", "完了")
            for word in clause.words
        )

    def _offers(self, clause: Clause) -> bool:
        return any(clause.start <= low < clause.end for low, _ in self.spots)

    # -- questions
    def _asked(self, here: Clause, before: Sequence[Word], start: int, end: int) -> bool:
        tail = self._text(end, here.end)
        tagged = any("tag" in word.tags for word in here.words if word.start >= end)
        if any("ask" in word.tags and "tag" not in word.tags for word in before):
            return not tagged
        closed = bool(CLOSED.search(self._text(here.start, here.end)))
        if not (here.asks or closed):
            return False
        if tagged or "您看" in tail:
            return False
        theirs = any("request" in word.tags for word in before) or self._text(here.start, start).startswith(
            "您"
        )
        return theirs or not (
            DECIDES.search(tail) and (len(tail) > 2 or "给" in self._text(here.start, start))
        )

    # -- whose offer
    def _others(self, at: int, before: Sequence[Word], after: Sequence[Word], start: int) -> bool:
        last = next((word for word in reversed(before) if word.tags & {"other", "own", "toyou"}), None)
        if any("other" in word.tags and self._text(word.start - 1, word.start) in "的是" for word in after):
            return True
        if last is not None:
            if "other" in last.tags:
                return True
            rival = next((word for word in before if "other" in word.tags), None)
            return (
                rival is not None
                and ("toyou" in last.tags or "比" in self._text(rival.start - 2, start))
                and (last.start - rival.end <= 4 or "比" in self._text(max(0, rival.start - 3), rival.start))
            )
        here = self.reading.clauses[at]
        if any("other" in word.tags for word in here.words) and "比" in self._text(here.start, here.end):
            return True
        return self._carried(at, "other", {"own", "toyou", "now"})

    def _carried(self, at: int, tag: str, ends: Iterable[str]) -> bool:
        """The nearest clause before, in the sentence, that says one way or the other."""
        ends = set(ends)
        sentence = self.reading.clauses[at].sentence
        if self.reading.clauses[at].words and any(w.tags & ends for w in self.reading.clauses[at].words):
            return False
        for clause in reversed(self.reading.clauses[:at]):
            if clause.sentence != sentence:
                return False
            for word in reversed(clause.words):
                if tag in word.tags and not self._deadline(word):
                    # What was over and done had its own number; the next one is new.
                    done = tag == "past" and self._offers(clause)
                    return not done and not clause.has("sure")
                if word.tags & ends:
                    return False
        return False

    def _for_others(self, here: Clause, at: int, end: int) -> bool:
        """八折是给老师家属的，您这边九折."""
        following = self.reading.around(at)[1]
        if following is None:
            return False
        if not self._offers(following) and self.reading.text[following.start] != "您":
            return False
        return bool(GIVEN_TO.fullmatch(self.reading.text, end, here.end))

    # -- when
    def _past(self, at: int, before: Sequence[Word]) -> bool:
        here = self.reading.clauses[at]
        if here.has("sure") or any(near and near.has("sure") for near in self.reading.around(at)):
            return False
        for word in reversed(before):
            if "now" in word.tags and "past" not in word.tags:
                return False
            if "past" in word.tags and not self._deadline(word) and not self._whoever(word):
                return True
        return self._carried(at, "past", {"now", "own", "toyou", "strong"})

    def _whoever(self, word: Word) -> bool:
        """之前报过名的家长: who it is for, not when."""
        return bool(re.match(r"\S{0,4}过\S{0,3}的", self._text(word.end, word.end + 9)))

    def _deadline(self, word: Word) -> bool:
        """周五之前 is a deadline, 之前 alone is the past."""
        if "end" not in word.tags:
            return False
        before = self._text(max(0, word.start - 1), word.start)
        after = self._text(word.end, word.end + 1)
        return bool(before) and before not in " ,。!?\n我您咱是他她们的家" and after not in ("答", "说")

    def _missed(self, at: int, start: int, end: int) -> bool:
        """早一天来就八折了, 本来可以: no more."""
        sentence = self.reading.clauses[at].sentence
        low = high = at
        clauses = self.reading.clauses
        while low and clauses[low - 1].sentence == sentence:
            low -= 1
        while high + 1 < len(clauses) and clauses[high + 1].sentence == sentence:
            high += 1
        for clause in clauses[max(low, at - 4) : min(high, at + 3) + 1]:
            for word in clause.words:
                urged = word.start > end and self._text(word.end, word.end + 1) == "就"
                if "chance" not in word.tags or urged:
                    continue
                if word.start < start and word.text not in WISHES_AFTER:
                    return not NOW.search(self._text(word.end, start))
                if word.start >= end and (word.text in WISHES_AFTER or clause.start == clauses[at].start):
                    return True
        return False

    # -- the customer's words
    def _wished(self, here: Clause, at: int, before: Sequence[Word]) -> bool:
        asked = next((word for word in reversed(before) if "request" in word.tags), None)
        if asked is None:
            return False
        following = self.reading.around(at)[1]
        near = [word for word in here.words if word.start >= asked.end]
        if following and not (following.has("ask") or following.has("hedge")):
            near += following.words
        return not any("agree" in word.tags or "sure" in word.tags or "toyou" in word.tags for word in near)
