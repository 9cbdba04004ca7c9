"""When an account may answer by itself, and why. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from scrm.errors import BadConfig

#: first: nobody has answered this customer yet; night: we are not at work; faq: surely understood.
Kind = Literal["first", "night", "faq"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NAMES: Mapping[Kind, str] = {"first": "首次回复", "night": "下班时段回复", "faq": "常见问题"}
WHYS: Mapping[Kind, str] = {
    "first": "客户第一次来问，还没有同事回复过。",
    "night": "客户在下班时间来问，没有同事在。",
    "faq": "听懂了客户问的是什么，这条话术排在第一。",
}
SENTENCES = (*NAMES.values(), *WHYS.values())


def ways(text: str) -> dict[str, frozenset[Kind]]:
    """`web:first,night shop:faq` by account. Raises `BadConfig`."""
    found: dict[str, frozenset[Kind]] = {}
    for part in text.split():
        slug, _, kinds = part.partition(":")
        wanted = {k for k in kinds.split(",") if k}
        if not slug or not wanted or not wanted <= set(KINDS):
            raise BadConfig(f"auto_answers 里的“{part}”看不懂，请写成 账号:first,night,faq")
        found[slug] = frozenset(k for k in KINDS if k in wanted)
    return found


def allowed(usual: frozenset[Kind], decided: Mapping[Kind, bool]) -> frozenset[Kind]:
    """`usual`: by the setting, wherever nobody decided otherwise here."""
    return frozenset(kind for kind in KINDS if decided.get(kind, kind in usual))
