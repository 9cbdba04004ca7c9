"""What a promise is: one price, discount, amount off, gift, deadline or guarantee our side gave."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Literal

By = Literal["staff", "customer"]


class Kind(StrEnum):
    DISCOUNT = "discount"
    PRICE = "price"
    OFF = "off"
    GIFT = "gift"
    UNTIL = "until"
    GUARANTEE = "guarantee"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One thing promised, and where in the text it says so."""

    kind: Kind
    #: First and last place in the text as it came, the last one excluded.
    span: tuple[int, int]
    #: Discount: the share still paid, 0.85 for 8.5 折.
    value: float | None = None
    #: Price or amount off.
    fen: int | None = None
    #: Off: the amount the bill must reach (满 5000 减 500).
    min_fen: int | None = None
    #: Gift or guarantee in the words used.
    text: str = ""
    #: Until: the last day.
    date: date | None = None
    #: What the customer must do for it, in the words used; "" = nothing was said.
    condition: str = ""
