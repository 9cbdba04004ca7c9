"""Why two persons are proposed, as sentences a sales manager reads. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from scrm.identity.match.records import Record
from scrm.identity.match.scoring import Scored

Strength = Literal["strong", "medium", "weak", "against"]
_STRONG, _MEDIUM, _WEAK = 700, 300, 30

#: By comparison and outcome; what is missing here says nothing worth a line.
TEXTS: Mapping[tuple[str, str], str] = {
    ("name", "same"): "姓名相同：{name}",
    ("name", "nickname"): "昵称相同：{name}",
    ("name", "alluded"): "一方的昵称像另一方的名字：{name}",
    ("name", "titled"): "都姓{surname}，称呼也对得上",
    ("name", "other"): "名字对不上",
    ("phone", "near"): "手机号只差一处，可能写错：尾号 {tails}",
    ("phone", "masked"): "隐藏中间位的手机号一致：{mask}",
    ("phone", "other"): "手机号不同",
    ("context", "family"): "已知是一家人",
    ("context", "device"): "只有这两位用过同一台设备",
    ("context", "devices"): "用过同一台设备",
    ("context", "address"): "收货地址相同",
    ("context", "child"): "都提到孩子“{child}”",
    ("context", "rep"): "由同一位同事跟进",
    ("context", "other"): "设备、地址、跟进人都不同",
    ("gender", "same"): "称呼的性别一致",
    ("gender", "other"): "称呼的性别相反",
    ("part", "other"): "一位是学员，一位是成人",
    ("child", "same"): "都提到孩子“{child}”",
    ("child", "other"): "提到的孩子不同",
    ("home", "device"): "只有这两位用过同一台设备",
    ("home", "devices"): "用过同一台设备",
    ("home", "address"): "收货地址相同",
    ("home", "other"): "设备和地址都不同",
    ("rep", "same"): "由同一位同事跟进",
    ("rep", "other"): "由不同的同事跟进",
    ("surname", "same"): "都姓{surname}",
    ("surname", "other"): "姓氏不同",
}
ONLINE: Mapping[str, str] = {
    "child": "都提到孩子“{child}”",
    "mask": "隐藏中间位的手机号一致：{mask}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One line of the waterfall: `text` is translated, then filled with `values`."""

    text: str
    values: Mapping[str, str] = field(default_factory=dict)
    #: Which comparison, and its outcome.
    field: str = ""
    level: str = ""
    #: Hundredths of a bit; below 0 = speaks against.
    weight: int = 0

    @property
    def sentence(self) -> str:
        return self.text.format_map(self.values) if self.values else self.text

    @property
    def strength(self) -> Strength:
        if self.weight < 0:
            return "against"
        return "strong" if self.weight >= _STRONG else "medium" if self.weight >= _MEDIUM else "weak"


def reasons(scored: Scored, a: Record, b: Record) -> list[Reason]:
    """Heaviest first; what hardly weighs is left out."""
    values = _values(a, b)
    found = []
    for part in sorted(scored.parts, key=lambda p: -p.bits):
        text, weight = TEXTS.get((part.field, part.level)), round(100 * part.bits)
        if text and abs(weight) >= _WEAK:
            used = {k: v for k, v in values.items() if f"{{{k}}}" in text}
            found.append(Reason(text=text, values=used, field=part.field, level=part.level, weight=weight))
    return found


def _values(a: Record, b: Record) -> dict[str, str]:
    def both(of_a: Sequence[str], of_b: Sequence[str]) -> str:
        return next((v for v in of_a if v in of_b), "")

    tails = f"{a.phones[0][-4:]}、{b.phones[0][-4:]}" if a.phones and b.phones else ""
    return {
        "name": both(a.names, b.names) or both(a.nicknames, b.nicknames) or _either(a, b),
        "surname": a.surname or b.surname,
        "tails": tails,
        "mask": both(a.masks, b.masks),
        "child": both(a.children, b.children),
    }


def _either(a: Record, b: Record) -> str:
    return "、".join([*(a.names or a.nicknames)[:1], *(b.names or b.nicknames)[:1]])
