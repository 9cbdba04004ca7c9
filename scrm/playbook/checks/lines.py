"""Sentences with values in them, translated only when somebody reads them; money as people say it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scrm.desk.calendar.rules import ZONE
from scrm.playbook.promises.conflicts import WHOLE, Offer, to_pay
from scrm.playbook.situation import Kept

Say = Callable[..., str]

ZHE = "{zhe} 折"
YUAN = "{yuan}"
OFF = "立减 {yuan}"
OFF_FROM = "满 {least} 减 {yuan}"
#: What the customer reads; never translated.
QUOTE = "您好，{product}按之前答应您家的 {promised} 办理{until}。"
QUOTE_UNTIL = "，{until}前有效"
PHRASES = (ZHE, OFF, OFF_FROM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`why` is a message id, `values` fill its braces; a value may be a line itself."""

    why: str
    values: Mapping[str, str | int | Line] = field(default_factory=dict)

    def said(self, say: Say) -> str:
        return say(self.why, **{k: v.said(say) if isinstance(v, Line) else v for k, v in self.values.items()})

    @property
    def sentence(self) -> str:
        return self.said(_plain)


def _plain(text: str, **values: object) -> str:
    return text.format(**values) if values else text


def money(one: Offer | Kept) -> Line:
    """What is offered, in words."""
    if one.kind == "discount" and one.share is not None:
        return Line(why=ZHE, values={"zhe": zhe(one.share), "off": f"{100 - one.share / 100:g}"})
    if one.kind == "price":
        return Line(why=YUAN, values={"yuan": yuan(one.fen or 0)})
    if one.kind == "off" and one.min_fen:
        return Line(why=OFF_FROM, values={"least": yuan(one.min_fen), "yuan": yuan(one.fen or 0)})
    if one.kind == "off":
        return Line(why=OFF, values={"yuan": yuan(one.fen or 0)})
    return Line(why="{words}", values={"words": one.text})


def zhe(share: int) -> str:
    """8500 ten-thousandths are 8.5."""
    return f"{share / (WHOLE // 10):g}"


def yuan(fen: int) -> str:
    """¥5,780 or ¥5,780.50."""
    return f"¥{fen // 100:,}" if fen % 100 == 0 else f"¥{fen / 100:,.2f}"


def last_day(until: datetime) -> str:
    """The day a promise holds through, of the moment it ends."""
    return f"{(until - timedelta(seconds=1)).astimezone(ZONE):%m-%d}"


def moment(at: datetime) -> str:
    return f"{at.astimezone(ZONE):%m-%d %H:%M}"


def quote(kept: Kept, list_fen: int | None) -> str:
    """The promise in a sentence for the customer."""
    said = money(kept).sentence
    if kept.kind != "price" and list_fen:
        said = f"{said}（{yuan(to_pay(kept, list_fen))}）"
    until = QUOTE_UNTIL.format(until=_day(kept.until_at)) if kept.until_at else ""
    return QUOTE.format(product=kept.product, promised=said, until=until)


def _day(until: datetime) -> str:
    month, day = last_day(until).split("-")
    return f"{int(month)}月{int(day)}日"
