"""Where a customer stands, as values: whatever suggestions, checks and SOPs must know of the household."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    name: str
    #: registrant | buyer | payer | user ... ; "" = not known
    role: str = ""
    node_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    name: str
    grade: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """The opportunity at stake; amounts in fen."""

    opportunity_id: int
    kind: str
    stage: str
    product_code: str = ""
    product: str = ""
    #: The official price of today.
    list_fen: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A promise that stands. `share` in ten-thousandths of the price, amounts in fen."""

    promise_id: int
    kind: str
    share: int | None = None
    fen: int | None = None
    min_fen: int | None = None
    text: str = ""
    product_code: str = ""
    product: str = ""
    made_at: datetime
    until_at: datetime | None = None
    #: Who said it to whom and where, in words; "" = must not be shown to this reader.
    by: str = ""
    to: str = ""
    channel: str = ""
    node_id: int = 0
    event_id: int | None = None
    #: Of a coupon: what the customer shows.
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voucher:
    """A coupon in the household's hands, not yet used."""

    coupon_id: int
    name: str
    fen: int | None = None
    share: int | None = None
    until_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rep:
    staff_id: int
    name: str
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """One conversation with everything around it; what is not known is empty."""

    tenant_id: int
    conversation_id: int
    account_id: int
    node_id: int
    channel: str
    company: str = ""
    trade: str = ""
    person_id: int | None = None
    household_id: int | None = None
    #: Of every member.
    nodes: tuple[int, ...] = ()
    speaker: Member | None = None
    members: tuple[Member, ...] = ()
    child: Child | None = None
    sale: Sale | None = None
    promises: tuple[Kept, ...] = ()
    coupons: tuple[Voucher, ...] = ()
    tags: frozenset[str] = field(default_factory=frozenset)
    rep: Rep | None = None
    last_in_at: datetime | None = None
    last_out_at: datetime | None = None

    @property
    def stage(self) -> str:
        return self.sale.stage if self.sale else ""

    @property
    def role(self) -> str:
        return self.speaker.role if self.speaker else ""
