"""What became of suggestions so far, as a bounded factor on their order and a sentence why. Pure.

Counts fade with a half-life of 30 days. Each rate has a Beta prior around the usual one of the tenant, as
strong as `STRENGTH` successes: a script nobody used is neither good nor bad, a rare outcome needs more tries
to count. The factor reorders what was heard and brings in nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

HALF_LIFE_DAYS = 30.0
#: Weight of what is usual here, in successes: with one use in five offers, as if offered twenty times before.
STRENGTH = 4.0
#: A stage and role is told apart once a script was offered so often there.
ENOUGH = 20.0
LEAST, MOST = 0.7, 1.4
#: How much being taken, being answered and moving on each count; together 1.
TAKEN, ANSWERED, MOVED = 0.4, 0.4, 0.2
#: An edited suggestion was worth this much of one sent as it was.
EDITED = 0.7
#: Fewer uses than this are not told as a reason.
TELLING = 3
#: What is usual before anybody used anything: rates of being taken, answered and moving on.
_FIRST = (0.2, 0.5, 0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What happened to one script, or one script at one stage with one role, as it weighed at `at`."""

    at: datetime
    shown: float = 0.0
    #: Sent as it was; `edited`: sent otherwise.
    used: float = 0.0
    edited: float = 0.0
    ignored: float = 0.0
    #: Of those sent: the customer replied in time, the sale moved on.
    replied: float = 0.0
    moved: float = 0.0

    def faded(self, now: datetime) -> Counts:
        """The same as it weighs `now`. A clock that went back fades nothing."""
        days = max((now - self.at).total_seconds() / 86400, 0.0)
        return self._times(0.5 ** (days / HALF_LIFE_DAYS), max(now, self.at))

    def plus(self, other: Counts) -> Counts:
        """Both, as they weigh at the later of their times."""
        now = max(self.at, other.at)
        a, b = self.faded(now), other.faded(now)
        return Counts(
            at=now,
            shown=a.shown + b.shown,
            used=a.used + b.used,
            edited=a.edited + b.edited,
            ignored=a.ignored + b.ignored,
            replied=a.replied + b.replied,
            moved=a.moved + b.moved,
        )

    def _times(self, share: float, at: datetime) -> Counts:
        return replace(
            self,
            at=at,
            shown=self.shown * share,
            used=self.used * share,
            edited=self.edited * share,
            ignored=self.ignored * share,
            replied=self.replied * share,
            moved=self.moved * share,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lately:
    """Plain counts of the last days, for the sentence: these are not faded."""

    used: int
    replied: int
    days: int = 30
    #: Within how many hours a reply counts.
    hours: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    factor: float
    #: Why it went up, for the rep; "" when there is nothing worth telling.
    sentence: str


class Prior:
    """One tenant's past, ready to be asked for each script."""

    def __init__(
        self,
        cells: Iterable[tuple[str, str, str, Counts]],
        *,
        now: datetime,
        lately: Mapping[str, Lately] | None = None,
    ) -> None:
        """`cells`: (script id, stage, role, counts)."""
        nothing = Counts(at=now)
        self._cells: dict[tuple[str, str, str], Counts] = {}
        self._scripts: dict[str, Counts] = {}
        total = nothing
        for script, stage, role, counts in cells:
            weighed = counts.faded(now)
            cell = (script, stage, role)
            self._cells[cell] = self._cells.get(cell, nothing).plus(weighed)
            self._scripts[script] = self._scripts.get(script, nothing).plus(weighed)
            total = total.plus(weighed)
        self._usual = _rates(total, _FIRST)
        self._lately = lately or {}
        self._known: dict[tuple[str, str, str], Effect] = {}

    def effect(self, script: str, stage: str | None, role: str | None) -> Effect:
        """How much further up or down this script belongs at this stage, for this role."""
        cell = (script, stage or "", role or "")
        if cell not in self._known:
            self._known[cell] = self._effect(cell)
        return self._known[cell]

    def _effect(self, cell: tuple[str, str, str]) -> Effect:
        counts = self._scripts.get(cell[0])
        if counts is None:
            return Effect(factor=1.0, sentence="")
        rates = _rates(counts, self._usual)
        here = self._cells.get(cell)
        if here is not None and here.shown >= ENOUGH and here != counts:
            rates = _rates(here, rates)
        factor = 1.0
        for rate, usual, weight in zip(rates, self._usual, (TAKEN, ANSWERED, MOVED), strict=True):
            factor *= (rate / usual) ** weight
        factor = min(max(factor, LEAST), MOST)
        return Effect(factor=factor, sentence=self._sentence(cell[0]) if factor > 1 else "")

    def _sentence(self, script: str) -> str:
        lately = self._lately.get(script)
        if lately is None or lately.used < TELLING:
            return ""
        return (
            f"近 {lately.days} 天您团队用了 {lately.used} 次，"
            f"{lately.replied} 次客户 {lately.hours} 小时内回复"
        )


def _rates(counts: Counts, usual: tuple[float, float, float]) -> tuple[float, float, float]:
    """Mean of a Beta around what is usual: how often taken; and, of those sent, answered and moved on."""
    sent = counts.used + counts.edited
    taken = counts.used + EDITED * counts.edited
    # Counts come from several places: a reply may be known before its use is.
    return (
        _mean(taken, max(counts.shown, sent), usual[0]),
        _mean(min(counts.replied, sent), sent, usual[1]),
        _mean(min(counts.moved, sent), sent, usual[2]),
    )


def _mean(successes: float, tries: float, usual: float) -> float:
    """Mean of the Beta that `STRENGTH` successes at the usual rate, and these, make."""
    return (successes + STRENGTH) / (tries + STRENGTH / usual)
