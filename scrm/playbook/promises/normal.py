"""One form of every text: half-width, lower case, simplified, emoji as pauses, each place still known."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MAPS = str.maketrans(
    {
        "，": ",",
        "！": "!",
        "？": "?",
        "；": ";",
        "：": ":",
        "（": "(",
        "）": ")",
        "【": "[",
        "】": "]",
        "￥": "¥",
        "～": "~",
        "－": "-",
        "—": "-",
        "–": "-",
        "―": "-",
        "•": "\n",
        "·": ",",
        "●": "\n",
        "\u3000": " ",
        "\t": " ",
        "\xa0": " ",
        "\r": "\n",
        "…": ",",
        "你": "您",
        "妳": "您",
        "贈": "赠",
        "優": "优",
        "減": "减",
        "滿": "满",
        "價": "价",
        "節": "节",
        "課": "课",
        "萬": "万",
        "個": "个",
        "點": "点",
        "現": "现",
        "給": "给",
        "費": "费",
        "劵": "券",
        "卷": "券",
        "剪": "减",
        "増": "赠",
    }
)
#: A pause in speech or a blank in writing between a number and what is counted is no pause.
_UNITS = "折元块万千百月号日节课张套年天个次台份%名点周小¥k"
_LEADS = "减送打惠让满抵宜价到给要算返赠第约后"
_BLANK = re.compile(" +")


class _Table(dict[int, str | int]):
    """Characters to characters, one to one; emoji and half-width forms are worked out when first met."""

    def __missing__(self, code: int) -> str | int:
        if 0xFF01 <= code <= 0xFF5E:
            # By the half-width twin, which may have a form of its own (upper case).
            found: str | int = chr(code - 0xFEE0).lower()
        elif code >= 0x1F000 or 0x2600 <= code <= 0x27BF or code in (0xFE0F, 0x20E3, 0x200D, 0x2B50, 0x2705):
            found = ","
        elif 0x41 <= code <= 0x5A:
            found = code + 32
        else:
            found = code
        if len(self) < 20_000:
            self[code] = found
        return found


_TABLE = _Table(_MAPS)


@dataclass(frozen=True, slots=True)
class Normal:
    text: str
    #: Place in the original of each character, and the end; None = the same places.
    places: tuple[int, ...] | None

    def place(self, at: int) -> int:
        return at if self.places is None else self.places[at]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """From ours to the original's."""
        return self.place(start), self.place(end - 1) + 1


def normal(text: str) -> Normal:
    """`text` in the one form."""
    plain = text.translate(_TABLE)
    if " " not in plain:
        return Normal(plain, None)
    spelled = plain.count(" ") * 5 > len(plain) * 2
    kept: list[str] = []
    places: list[int] = []
    for at, one in enumerate(plain):
        if one == " " and (spelled or _joins(plain, at)):
            continue
        kept.append(one)
        places.append(at)
    return Normal("".join(kept), (*places, len(plain)))


def _joins(plain: str, at: int) -> bool:
    """Whether the blank there is only for the eye: 8 折, 立减 300, 11 月 30 日."""
    before, after = plain[at - 1 : at], plain[at + 1 : at + 2]
    if not before or not after or " " in (before, after):
        return before == " "
    counted = before.isdigit() or before in "一二两三四五六七八九十百千万零"
    given = before in "送赠" and after not in ",.!?"
    return (
        given or (counted and after in _UNITS) or (after.isdigit() and (before in _LEADS or before in "月年"))
    )
