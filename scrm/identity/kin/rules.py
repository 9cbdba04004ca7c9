"""Which parts hold at a time, who decides in a family and why. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, get_args

RoleName = Literal["registrant", "decision_maker", "buyer", "payer", "user", "referrer", "signatory"]
ContextType = Literal["lead", "opportunity", "order", "contract", "course", "household"]
ROLES: tuple[RoleName, ...] = get_args(RoleName)
CONTEXTS: tuple[ContextType, ...] = get_args(ContextType)
#: How systems call it when somebody registers.
REGISTERS = ("注册", "signed up", "sign up", "signup", "register")
#: What people ask about who decide.
PRICE = (
    "价格",
    "多少钱",
    "价钱",
    "学费",
    "费用",
    "优惠",
    "折扣",
    "便宜",
    "贵",
    "分期",
    "合同",
    "付款",
    "退费",
)
#: Only one of a household, and of all who qualify the first.
_FIRST_ONLY = frozenset({"registrant"})
#: From this score on somebody is called a decision maker; a share of the talk alone does not reach it.
DECIDES = 0.6
_PAYS, _ASKS_PRICE, _TALKS = 1.0, 0.5, 0.4
#: So many questions about money count in full.
_MANY_QUESTIONS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How near words and a forwarded card must be, and how long somebody has to be added afterwards."""

    near: timedelta = timedelta(minutes=10)
    confirms: timedelta = timedelta(days=14)
    #: Below this a statement about a person unknown is only kept.
    floor: int = 40


WAYS = Ways()


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """One row: this node had this part in this context."""

    role_id: int
    context_type: str
    context_id: str
    role: str
    node_id: int
    valid_from: datetime
    valid_to: datetime | None = None
    confidence: int = 100
    event_id: int | None = None
    origin: str = "auto"
    actor_id: int | None = None
    why: str = ""
    taken_back_at: datetime | None = None
    #: Orders what happened at the same time.
    key: str = ""

    @property
    def context(self) -> tuple[str, str, str]:
        return (self.context_type, self.context_id, self.role)

    @property
    def human(self) -> bool:
        return self.origin != "auto"

    def holds(self, at: datetime) -> bool:
        until = min((t for t in (self.valid_to, self.taken_back_at) if t), default=None)
        return self.valid_from <= at and (until is None or at < until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """What one node has said lately: messages, and how many of them were about money."""

    node_id: int
    messages: int
    prices: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deciding:
    """How much speaks for somebody deciding, 0..1, and what."""

    score: float
    reasons: tuple[str, ...] = field(default=())


def holding(rows: Iterable[Assigned], at: datetime) -> list[Assigned]:
    """The parts of one household at a time: a human's word beats events, the later word the earlier."""
    held = [r for r in rows if r.holds(at)]
    spoken: dict[tuple[str, str, str], Assigned] = {}
    for r in sorted((r for r in held if r.human), key=lambda r: (r.valid_from, r.role_id)):
        spoken[r.context] = r
    told = [r for r in held if not r.human and r.context not in spoken]
    first = {r.context: r for r in sorted(told, key=_age, reverse=True) if r.role in _FIRST_ONLY}
    kept = [r for r in told if r.role not in _FIRST_ONLY or first[r.context] is r]
    return sorted([*kept, *spoken.values()], key=lambda r: (ROLES.index(r.role), *_age(r)))


def _age(row: Assigned) -> tuple[datetime, str, int]:
    return (row.valid_from, row.key, row.role_id)


def deciders(
    persons: Mapping[int, int], voices: Sequence[Voice], payers: Collection[int]
) -> dict[int, Deciding]:
    """By person: who pays decides; else who talks and asks about money does."""
    talk: dict[int, int] = defaultdict(int)
    money: dict[int, int] = defaultdict(int)
    for voice in voices:
        if (person := persons.get(voice.node_id)) is not None:
            talk[person] += voice.messages
            money[person] += voice.prices
    pays = {persons[n] for n in payers if n in persons}
    total = sum(talk.values())
    return {p: _deciding(talk[p], total, money[p], p in pays) for p in sorted({*talk, *pays})}


def _deciding(said: int, total: int, asked: int, pays: bool) -> Deciding:
    reasons, score = [], 0.0
    if pays:
        score += _PAYS
        reasons.append("付款")
    if asked:
        score += _ASKS_PRICE * min(asked, _MANY_QUESTIONS) / _MANY_QUESTIONS
        reasons.append(f"问过 {asked} 次价格")
    if said and total:
        score += _TALKS * said / total
        reasons.append(f"说了 {round(100 * said / total)}% 的话")
    return Deciding(score=round(min(score, 1.0), 3), reasons=tuple(reasons))
