"""Which price holds, what a price list may say, how the catalog's forms are read. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

from scrm.errors import BadInput

STANDARD = "标准"
_CODE = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
_MOST_FEN = 10**13
_NAME = 200
#: Times that can be told in every time zone.
FIRST_YEAR, LAST_YEAR = 1970, 9000


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Something that is sold, as the newest word on it says. `code` is the order system's own id."""

    product_id: int
    code: str
    version: int
    at: datetime
    name: str
    business_line: str
    unit: str
    on_sale: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """`amount` in fen, from `starts_at` until before `ends_at` (None = until further notice)."""

    price_id: int
    code: str
    version: int
    at: datetime
    product_code: str
    price_list: str
    amount: int
    starts_at: datetime
    ends_at: datetime | None


def holds(price: Price, now: datetime) -> bool:
    return price.starts_at <= now and (price.ends_at is None or now < price.ends_at)


def current(prices: Iterable[Price], now: datetime) -> list[Price]:
    """What each price list asks now: of overlapping prices the one that began last."""
    found: dict[str, Price] = {}
    for one in sorted(prices, key=lambda p: (p.starts_at, p.price_id)):
        if holds(one, now):
            found[one.price_list] = one
    return sorted(found.values(), key=lambda p: (p.price_list != STANDARD, p.price_list))


def code(text: str) -> str:
    """Raises `BadInput`."""
    if not _CODE.fullmatch(text.strip()):
        raise BadInput("编号只能用字母、数字、点、下划线和连字符，64 位以内。")
    return text.strip()


def name(text: str) -> str:
    """Raises `BadInput`."""
    if not text.strip() or len(text.strip()) > _NAME:
        raise BadInput("请填写商品名称，200 个字以内。")
    return text.strip()


def fen(text: str) -> int:
    """Yuan as people write them, in fen: `3,980`, `¥3980.5`. Raises `BadInput`."""
    try:
        amount = Decimal(text.strip().lstrip("¥￥").replace(",", "").replace("，", "")) * 100
    except InvalidOperation:
        raise BadInput("价格看不懂，请按元填写，例如 3980 或 3980.50。") from None
    if not amount.is_finite() or amount != amount.to_integral_value() or not 0 <= amount <= _MOST_FEN:
        raise BadInput("价格要在 0 以上，最多两位小数。")
    return int(amount)


def validity(starts_at: datetime, ends_at: datetime | None) -> None:
    """Raises `BadInput`."""
    if ends_at is not None and ends_at <= starts_at:
        raise BadInput("价格的失效时间要在生效时间之后。")
