"""Whether a coupon may be given to a family now, and what it is worth. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from scrm.desk.calendar.rules import ZONE
from scrm.errors import BadInput

Kind = Literal["off", "discount"]
#: In ten-thousandths.
WHOLE = 10_000
_MOST_FEN, _MOST = 10**11, 10**8

STATES = {"open": "发放中", "stopped": "已停发"}
_CODE = re.compile(r"[0-9A-Z][0-9A-Z_-]{0,31}")
#: What a coupon's code is made of: without what is easily misread.
LETTERS, LENGTH = "23456789ABCDEFGHJKMNPQRSTUVWXYZ", 10
_SHOWN = re.compile(f"(?<![0-9A-Za-z])[{LETTERS}]{{{LENGTH}}}(?![0-9A-Za-z])")

STOPPED = "这批券已停发。"
NOT_YET = "{day} 才开始发。"
OVER = "已过有效期（{day}）。"
SOLD_OUT = "库存已发完。"
FAMILY_FULL = "这一家已领 {held} 张，每家限 {limit} 张。"
NO_NAME = "请填写券的名称，50 个字以内。"
NO_VALUE = "满减券请填减多少元，折扣券请填 1 到 9.9 折。"
BAD_TIME = "失效时间要在生效时间之后。"
BAD_COUNT = "库存和每家限领要是 0 以上的整数。"
BAD_CODE = "券编号只用大写字母、数字、短横线和下划线，32 位以内。"
BAD_MIN = "使用门槛要在 0 以上，满减券的门槛不能比减的还少。"
OFF, OFF_FROM, DISCOUNT = "减 {yuan} 元", "满 {least} 元减 {yuan} 元", "{zhe} 折"
SENTENCES = (
    STOPPED,
    NOT_YET,
    OVER,
    SOLD_OUT,
    FAMILY_FULL,
    NO_NAME,
    NO_VALUE,
    BAD_TIME,
    BAD_COUNT,
    BAD_CODE,
    BAD_MIN,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Coupons of one kind. Amounts in fen, `stock` 0 = without limit."""

    batch_id: int
    code: str
    name: str
    kind: Kind
    fen: int | None
    share: int | None
    min_fen: int | None
    product_code: str
    stock: int
    per_household: int
    starts_at: datetime
    ends_at: datetime
    state: str
    by_id: int | None
    created_at: datetime


def why_not(batch: Batch, *, issued: int, held: int, now: datetime) -> str:
    """Why a family may not get one now, "" = it may; `issued` of the batch, `held` by the family."""
    if batch.state != "open":
        return STOPPED
    if now < batch.starts_at:
        return NOT_YET.format(day=day(batch.starts_at))
    if now >= batch.ends_at:
        return OVER.format(day=last_day(batch))
    if batch.stock and issued >= batch.stock:
        return SOLD_OUT
    if batch.per_household and held >= batch.per_household:
        return FAMILY_FULL.format(held=held, limit=batch.per_household)
    return ""


def day(at: datetime) -> str:
    return f"{at.astimezone(ZONE):%m-%d}"


def last_day(batch: Batch) -> str:
    """The last one on which it is good."""
    return day(batch.ends_at - timedelta(microseconds=1))


def worth(batch: Batch, *, short: bool = False) -> str:
    """What it is worth, as people say it; `short` = without from which price on."""
    if batch.kind == "discount":
        return DISCOUNT.format(zhe=f"{(batch.share or WHOLE) / 1000:g}")
    words = OFF_FROM if batch.min_fen and not short else OFF
    return words.format(yuan=f"{(batch.fen or 0) / 100:g}", least=f"{(batch.min_fen or 0) / 100:g}")


def codes_in(text: str) -> frozenset[str]:
    """What may be codes of coupons in some words."""
    return frozenset(_SHOWN.findall(text))


def demand_good(batch: Batch) -> None:
    """Raises `BadInput`."""
    if not _CODE.fullmatch(batch.code):
        raise BadInput(BAD_CODE)
    if not batch.name.strip() or len(batch.name) > 50:
        raise BadInput(NO_NAME)
    off = batch.kind == "off" and batch.fen is not None and 0 < batch.fen <= _MOST_FEN
    discount = batch.kind == "discount" and batch.share is not None and 1000 <= batch.share < WHOLE
    if not (off or discount):
        raise BadInput(NO_VALUE)
    least = batch.min_fen or 0
    if not 0 <= least <= _MOST_FEN or (least and batch.fen is not None and least < batch.fen):
        raise BadInput(BAD_MIN)
    if batch.ends_at <= batch.starts_at:
        raise BadInput(BAD_TIME)
    if not (0 <= batch.stock <= _MOST and 0 <= batch.per_household <= _MOST):
        raise BadInput(BAD_COUNT)
