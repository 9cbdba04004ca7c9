"""What pages about rulings are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from scrm.web.views import Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRow:
    """One claim on the time line of its claimant."""

    at: datetime
    kind: str
    tone: Tone = ""
    #: wins | used (it prolonged another, or was not needed) | refused
    outcome: Literal["wins", "used", "refused"] = "used"
    why: str = ""
    told_at: datetime | None = None
    masked: bool = False
    #: What looks wrong about it.
    signals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A claimant with everything they did, oldest first."""

    #: Names them in the form.
    key: str
    name: str
    rows: tuple[ClaimRow, ...] = ()
    #: Left out in the middle.
    more: int = 0
    #: In percent: of the ruling in force, of the one that waits.
    share: str = ""
    wanted: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """What one earns now, and would. Fen; None = not for the reader's eyes."""

    name: str
    before: int | None
    after: int | None
    paid: int | None = None

    @property
    def change(self) -> int:
        return (self.after or 0) - (self.before or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An appeal, with its clock."""

    who: str
    text: str
    at: datetime
    due_at: datetime
    overdue: bool
    #: Whole hours that are left, or of an overdue one have passed.
    hours: int
    state: str = "open"
    answer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RulingRow:
    """A ruling in the list of those of a deal."""

    at: datetime
    state: str
    trigger: str
    sentence: str
    winners: str
    by: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DealView:
    id: str
    number: str
    line: str
    at: datetime
    customer: str
    #: Fen.
    amount: int | None
    policy: str
    policy_version: int
    #: The newest ruling: a decision is about this one.
    ruling: str
    pending: bool
    sides: tuple[Side, ...]
    #: The rule that decides, then what else played a part.
    reasons: tuple[str, ...]
    before: str
    after: str
    money: tuple[Money, ...]
    #: Somebody asked "what if".
    looked: bool = False
    asked: Asked | None = None
    paid: bool = False
    rulings: tuple[RulingRow, ...] = ()
    #: May decide, may appeal; what stands in the way.
    decides: bool = False
    appeals: bool = False
    stopped: str = ""
    fault: str = ""
    said: Mapping[str, str] = field(default_factory=dict)

    @property
    def frozen(self) -> bool:
        return self.asked is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A deal in a list."""

    href: str
    number: str
    line: str
    at: datetime
    title: str
    winners: str
    #: appeal | changed (paid, and somebody else would win) | approval | settled
    sort: str
    due_at: datetime | None = None
    #: Whole hours that are left, or of an overdue one have passed.
    hours: int = 0
    overdue: bool = False
    #: Of an appeal: who raised it, and the commission it freezes in fen.
    asker: str = ""
    frozen: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRow:
    at: datetime
    who: str
    kind: str
    signals: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListView:
    tab: str
    rows: tuple[Row, ...] = ()
    signals: tuple[SignalRow, ...] = ()
    #: Appeals past their time, of those the reader may decide.
    late: int = 0
    before: str = ""
    done: bool = False
