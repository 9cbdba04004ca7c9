"""Percentages: 85% of the price is paid, or 15% comes off it."""

from __future__ import annotations

import re

from scrm.playbook.promises.figures import Figure

_SHARE_OFF = re.compile(
    r"(?:优惠|减免|让利?|减|便宜|下浮|降价?|返点?|返利?|返还|再|打掉|"
    r"折让|off|省|抹|少|discount of|save)\S{0,3}$"
)
_SHARE_AFTER = re.compile(r" ?(?:的)?(?:off|优惠|折扣|的?减免|让利|discount|返点|的?返利|下浮)")
_SHARE_PAID = re.compile(r"(?:按照?|打|以|收|付|只要|只收|原价的?|价格的?|总价的?|做到)\S{0,2}$")
_PAID_AFTER = re.compile(r"(?:的价格?|结算?|收|算|付|执行|给您|的价|计|成交|签)")


def paid(text: str, figure: Figure) -> float | None:
    """The share still paid by what stands beside the percentage; None = it is of something else."""
    before, after = text[max(0, figure.start - 8) : figure.start], text[figure.end : figure.end + 6]
    if re.search(
        "首付|通过率|利率|满意|涨|提成|佣金|收益|回报|年化|贷|占|提高|准确|率|定金|预付|付$", before[-6:]
    ):
        return None
    if not 0 < figure.value < 1 or before.endswith(("降到", "升到", "涨到", "提到", "达到", "从")):
        return None
    if _SHARE_OFF.search(before) or _SHARE_AFTER.match(after):
        return round(1 - figure.value, 4)
    if figure.value >= 0.3 and (
        _SHARE_PAID.search(before) and (_PAID_AFTER.match(after) or before.endswith("打"))
    ):
        return round(figure.value, 4)
    return round(figure.value, 4) if figure.value >= 0.3 and _PAID_AFTER.match(after) else None
