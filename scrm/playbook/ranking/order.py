"""What shifts the order of what was heard (stage, role, promises, past effect), and picking the best."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scrm.desk.stages import STAGES
from scrm.playbook.ranking.values import Moment, Suggestion
from scrm.playbook.scripts import Script
from scrm.playbook.templates import admit

#: A guess far behind the best is not offered.
NEAR_BEST = 0.25
_STAGE_FITS, _STAGE_NEAR = 1.5, 1.05
_ROLE_FITS, _ROLE_MISSES = 1.15, 0.7
_PROMISED, _NOT_PROMISED = 1.5, 0.6
#: Each further script of a stage counts less; one with the title of another much less.
_SAME_STAGE, _SAME_TITLE = 0.95, 0.3

#: Where a sale goes from each stage, and where it comes back to.
_NEAR: Mapping[str, frozenset[str]] = {
    "first-contact": frozenset({"needs"}),
    "needs": frozenset({"first-contact", "trial"}),
    "trial": frozenset({"needs", "quotation"}),
    "quotation": frozenset({"objection", "closing"}),
    "objection": frozenset({"quotation", "closing"}),
    "closing": frozenset({"quotation", "objection"}),
    "renewal": frozenset({"referral"}),
    "referral": frozenset({"renewal"}),
    "recall": frozenset({"first-contact"}),
}
_ROLES = {"registrant": "登记人", "buyer": "购买人", "user": "使用人"}
#: Variables of a template -> the kinds of promises that fill them.
_KINDS: Mapping[str, frozenset[str]] = {
    "promise.discount": frozenset({"discount"}),
    "promise.price_fen": frozenset({"price"}),
    "promise.gift": frozenset({"gift"}),
    "promise.until": frozenset({"until"}),
}
_PROMISES = {"discount": "折扣", "price": "价格", "off": "立减", "gift": "赠品", "until": "期限"}


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that speaks for a script."""

    weight: float
    #: Whose words it follows from, “客户刚说“…”，”; "" when it follows from none.
    said: str
    text: str
    #: The words it turns on: said once is enough.
    core: str = "-"
    is_guess: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """A script, how much speaks for it, and why."""

    points: float
    script: Script
    reasons: tuple[Reason, ...]


def shifted(heard: Heard, moment: Moment) -> Heard:
    """The same in this moment: further up or down, with the reasons for up."""
    points, reasons = heard.points, list(heard.reasons)
    for factor, why in _factors(heard.script, moment):
        points *= factor
        if why:
            reasons.append(Reason(heard.points * (factor - 1), "", why))
    reasons.sort(key=lambda reason: -reason.weight)
    return Heard(points, heard.script, tuple(reasons))


def _factors(script: Script, moment: Moment) -> list[tuple[float, str]]:
    effect = moment.prior.effect(script.id, moment.stage, moment.role) if moment.prior else None
    return [
        _stage(script, moment.stage),
        _role(script, moment.role),
        promised(script, moment),
        *([(effect.factor, effect.sentence)] if effect else []),
    ]


def _stage(script: Script, stage: str | None) -> tuple[float, str]:
    if stage is None:
        return 1.0, ""
    if stage == script.stage:
        return _STAGE_FITS, f"正是“{STAGES[stage]}”阶段的话术"
    return (_STAGE_NEAR if script.stage in _NEAR.get(stage, ()) else 1.0), ""


def _role(script: Script, role: str | None) -> tuple[float, str]:
    """A script for another member falls behind, however well it was asked for."""
    if role is None or script.role == "any":
        return 1.0, ""
    return (_ROLE_FITS, f"专门对{_ROLES[role]}说的") if role == script.role else (_ROLE_MISSES, "")


def promised(script: Script, moment: Moment) -> tuple[float, str]:
    """One that quotes what this household was promised is preferred; without a promise it says nothing."""
    wanted = [_KINDS[name] for name in admit(script.text).names if name in _KINDS]
    if not wanted:
        return 1.0, ""
    alive = frozenset(moment.promises).intersection(frozenset().union(*wanted))
    if not alive:
        return _NOT_PROMISED, ""
    what = "、".join(label for kind, label in _PROMISES.items() if kind in alive)
    return _PROMISED, f"答应过这家的{what}还有效，这条按答应的说"


def best(heard: Sequence[Heard], limit: int) -> list[Suggestion]:
    """Best first; what resembles one chosen before counts less, and those far behind are left out."""
    top = max((each.points for each in heard), default=0.0)
    left = [each for each in heard if each.points >= NEAR_BEST * top]
    seen: dict[str, int] = defaultdict(int)
    titles: set[str] = set()
    chosen: list[Suggestion] = []
    while left and len(chosen) < limit:
        pick = max(left, key=lambda each: each.points * _fresh(each.script, seen, titles))
        left.remove(pick)
        seen[pick.script.stage] += 1
        titles.add(pick.script.title)
        sure = any(reason.said and not reason.is_guess for reason in pick.reasons)
        chosen.append(suggestion(pick.script, pick.points, _sentence(pick.reasons), sure=sure))
    return chosen


def _sentence(reasons: Sequence[Reason]) -> str:
    """The strongest two that say different things; what the customer said is quoted once."""
    first, *more = reasons
    text = first.said + first.text
    for second in more:
        if second.said != first.said:
            return f"{text}；{second.said}{second.text}"
        if second.core not in text and not second.is_guess:
            return f"{text}，{second.text}"
    return text


def _fresh(script: Script, seen: Mapping[str, int], titles: set[str]) -> float:
    return _SAME_STAGE ** seen.get(script.stage, 0) * (_SAME_TITLE if script.title in titles else 1.0)


def suggestion(script: Script, score: float, reason: str, *, sure: bool = False) -> Suggestion:
    points = round(score, 3)
    return Suggestion(script_id=script.id, version=script.version, score=points, reason=reason, sure=sure)
