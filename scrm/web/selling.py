"""What the sidebar shows of a sale: the strip, its sheet, tags, coupons; and the page of coupon batches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of several; `href` or `key` says which."""

    name: str
    key: str = ""
    href: str = ""
    on: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SaleView:
    """The strip: the opportunity at stake, and the others as chips. No `title` = there is none yet."""

    #: The sheet.
    href: str
    title: str = ""
    #: Fen, None = nobody knows.
    amount: int | None = None
    stage: str = ""
    #: Of the five parts of the bar, how many lie behind.
    part: int = 0
    #: Won or lost, in a word; "" = open.
    over: str = ""
    won: bool = False
    #: What is due next, and how urgent that is.
    due: str = ""
    due_tone: str = ""
    others: tuple[Choice, ...] = ()
    #: Two of one kind are open: the rep is asked which one counts.
    twice: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsView:
    """Tags of the family."""

    cid: str
    names: tuple[str, ...] = ()
    #: What others are called, to choose from.
    known: tuple[str, ...] = ()
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveRow:
    at: datetime
    text: str
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetView:
    """An opportunity to be moved or described; without `id` a new one."""

    cid: str
    back: str
    key: str
    id: str = ""
    version: int = 0
    title: str = ""
    #: Won or lost, in a word.
    over: str = ""
    stages: tuple[Choice, ...] = ()
    kinds: tuple[Choice, ...] = ()
    products: tuple[Choice, ...] = ()
    product: str = ""
    #: Yuan, as people write them.
    amount: str = ""
    others: tuple[Choice, ...] = ()
    moves: tuple[MoveRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CouponRow:
    """A batch as this family sees it."""

    id: str
    name: str
    worth: str
    #: What it is for: a product, everything; and from how many fen on.
    product: str
    least: int
    #: The last day it is good, 11-23.
    until: str
    #: None = without limit.
    left: int | None
    #: Of each family, 0 = without limit.
    limit: int
    #: "" = it may be given.
    why_not: str = ""
    #: How it stands to what was promised, and whether that is good.
    match: str = ""
    match_tone: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRow:
    """A coupon in the family's hands."""

    code: str
    name: str
    worth: str
    who: str
    state: str
    tone: str
    #: The last day it is good, 11-23.
    until: str
    #: To be copied to the customer; "" = it was used or is over.
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CouponsView:
    cid: str
    #: Whom it would be given to.
    name: str
    rows: tuple[CouponRow, ...] = ()
    held: tuple[HeldRow, ...] = ()
    #: It cannot be sent from here: given, and copied by the rep.
    copies: bool = False
    topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRow:
    id: str
    code: str
    name: str
    worth: str
    product: str
    starts_at: datetime
    ends_at: datetime
    stock: int
    limit: int
    issued: int
    redeemed: int
    open: bool
    #: open, soon, over or stopped, in a word.
    state: str
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchesView:
    rows: tuple[BatchRow, ...]
    before: str = ""
    problem: str = ""
    products: tuple[Choice, ...] = ()
    #: Wall times of the form.
    today: str = ""
    month_end: str = ""
