"""Where a sale stands: the stages every trade shares, what each trade calls them, and their order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Stage = Literal[
    "first-contact", "needs", "trial", "quotation", "objection", "closing", "renewal", "referral", "recall"
]

STAGES: Mapping[str, str] = {
    "first-contact": "初次接触",
    "needs": "了解需求",
    "trial": "试听体验",
    "quotation": "报价方案",
    "objection": "顾虑解答",
    "closing": "报名成交",
    "renewal": "续费",
    "referral": "转介绍",
    "recall": "唤回",
}
#: What a trade calls a stage, where it says it otherwise than `STAGES`.
STAGE_NAMES: Mapping[str, Mapping[str, str]] = {
    "housing": {"trial": "到访带看", "quotation": "算价方案", "closing": "认购签约", "renewal": "复购置换"},
    "auto": {"trial": "到店试驾", "closing": "订车交付", "renewal": "保养置换"},
    "insurance": {"trial": "方案讲解", "closing": "投保", "renewal": "续保"},
    "platform": {"trial": "功能演示", "closing": "签约入驻"},
    "b2b": {"trial": "演示试用", "closing": "商务签约"},
}
#: The five parts of the bar on a customer's card, in order.
FUNNEL: tuple[Stage, ...] = ("first-contact", "needs", "trial", "quotation", "closing")
#: Objections come up wherever a quotation stands; what comes after a deal begins anew.
_PART: Mapping[str, int] = {"objection": 3, "renewal": 0, "referral": 0, "recall": 0}


def name(stage: str, trade: str = "") -> str:
    """What people of this trade call it."""
    if stage not in STAGES:
        return stage
    return STAGE_NAMES.get(trade, {}).get(stage, STAGES[stage])


def part(stage: str) -> int:
    """Its place in the bar, from 0."""
    for place, one in enumerate(FUNNEL):
        if one == stage:
            return place
    return _PART.get(stage, 0)
