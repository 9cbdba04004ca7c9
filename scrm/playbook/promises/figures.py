"""What each number of a text counts: a discount, money, a share, or something that is no offer."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scrm.playbook.promises.dates import Day
from scrm.playbook.promises.numerals import Number, numbers
from scrm.playbook.promises.words import Word

_TIMES = re.compile(
    r"折(?![叠页腾磨线射旧合扇])(半)?|[者哲浙](?![也都们])|(?<=打.{1})[着这则]|"
    r"(?<=打.{2})[着这则]"
)
_VAGUE_AFTER = re.compile(
    r"(?:折|元|块钱|块|%)?(?:多|来[块元]|几|左右|上下|出头|起(?!来)|"
    r"以上|以下|以内|之内|不到|往上|开外|之间|大几|余元|余)"
)
_VAGUE_BEFORE = re.compile(
    r"(?:近|约|将近|接近|不到|不超过|好几|上下|小|几|超|超过|高达|少说|"
    r"至少|起码|大概|大约|最少)$"
)
_MONEY = re.compile(r" ?(?:元整|元钱|元|块大洋|块钱|块|圆|人民币|rmb|cny|yuan|刀)")
_SHARE = re.compile(r"%|个百分点|个点(?!钟)|percent| percent")
_COUNT = re.compile(
    r"(?:个(?!点)|节|课时|课|张|套|年|天|次|台|名|人|位|期|季|月|周|"
    r"分|岁|平|米|公里|千米|km|斤|层|楼|号|栋|室|厅|题|页|本(?!金)|份|"
    r"件|只(?!要|需)|条|支|瓶|盒|箱|辆|户"
    r"|家|科|级|点(?!五)|时|秒|小时|h|倍|成|种|项|词|度|升|座|场|轮|"
    r"遍|亩|股|寸|匹|颗|粒|袋|桶|棵|日|学时|课次|v|kg|mb|gb|组|席|坐席|"
    r"账号|用户|人份|万公里|抽|期|比|x|×|\*|\+\d)"
)
_SMALL = re.compile(
    r"(?:包(?!含|教|邮|税|过|年|月|办)|对(?!外)|把(?!您)|双|款|代|门|班|步|道|段|排|片|"
    r"字|杯|碗|颗|群|首|声|句|字|样|块表)"
)
_RANGE = re.compile(r"(?:折|元|块|万|%)?(?:到|至|-|~)")
_ORDINAL = re.compile(r"(?:第|年级|no|群|尾号|工号|单号|电话|微信|\d[-/:])$")


@dataclass(frozen=True, slots=True)
class Figure:
    """`kind`: discount, share (a percentage), money or count. `sure` = it says that it is money."""

    kind: str
    start: int
    end: int
    value: float
    vague: bool = False
    sure: bool = False


def figures(text: str, found: Sequence[Word], when: Sequence[Day]) -> list[Figure]:
    """Every number that means something, in order; those inside other words and days are left out."""
    taken = sorted(
        [(word.start, word.end) for word in found if "mask" in word.tags and len(word.text) > 1]
        + [(day.start, day.end) for day in when if day.shape != "slash"]
    )
    starts = [start for start, _ in taken]
    made: list[Figure] = [*_spelled_out(text)]
    covered = {one.start for one in made}
    for number in numbers(_bare(text, found)):
        at = bisect_right(starts, number.start) - 1
        inside = at >= 0 and taken[at][1] > number.start and taken[at][1] >= number.end
        if not inside and number.start not in covered and (one := _figure(text, number)):
            made.append(one)
    made.sort(key=lambda one: one.start)
    return _ranged(text, _shortened(text, made))


_HAN_NUMERAL = re.compile("[零一二两三四五六七八九十百千万半]")


def _bare(text: str, found: Sequence[Word]) -> str:
    """The text without words that hold a numeral and count nothing: 一口价, 统一."""
    for word in found:
        if word.tags & {"mask", "price", "end", "vow", "sure-word"} and _HAN_NUMERAL.search(word.text):
            if word.text in ("一年", "首年", "全年", "一共"):
                continue
            text = text[: word.start] + "\0" * (word.end - word.start) + text[word.end :]
    return text


_WHOLE = re.compile(
    r"减半|半价(?!优惠券)|(?<!直)对折(?![一起叠])|half[ -]price|百分之(?=[零一二三四五六七八九十\d])|"
    r"五五折"
)


_CARS = re.compile("指导价|裸车|落地|车价|包牌")
#: 全款 97: only shares are told by the way of paying, when there is nothing more.
_BY_WAY = re.compile(
    "(?:全款|按揭|商贷|贷款|公积金|一次性付款|一次性|分期)(?:是|就是|打|给|给您|给到|做到)?$"
)
_RESET = re.compile("(?:改成|改为|降到|做到|调到|变成|调成|换成)$")
_WAYS = re.compile("(?:款|贷|揭|付|购|费|期|套|科|性)$")


def _shortened(text: str, made: list[Figure]) -> list[Figure]:
    """全款九七，商贷九八折: the last says what all are."""
    for at in range(len(made) - 2, -1, -1):
        one, other = made[at], made[at + 1]
        plain = one.kind == "money" and not one.sure and 60 <= one.value <= 99
        if (
            plain
            and other.kind == "discount"
            and other.start - one.end <= 8
            and _WAYS.search(text, max(0, one.start - 2), one.start)
        ):
            made[at] = replace(one, kind="discount", value=round(one.value / 100, 4))
    _by_way(text, made)
    if _CARS.search(text):
        # 裸车 17.48: cars are priced in 万 without saying so.
        for at, one in enumerate(made):
            if one.kind == "money" and not one.sure and one.value < 1000 and one.value % 1:
                made[at] = replace(one, value=one.value * 10_000, sure=True)
    return made


def _by_way(text: str, made: list[Figure]) -> None:
    """全款 97，贷款 98; and 9 折，合同里改成 8.5: what stands before a number makes it a share."""
    for at, one in enumerate(made):
        bare = one.kind == "money" and not one.sure and 80 <= one.value <= 99
        if bare and _BY_WAY.search(text, max(0, one.start - 8), one.start):
            made[at] = replace(one, kind="discount", value=round(one.value / 100, 4))
    for at, one in enumerate(made[1:], 1):
        low, high = made[at - 1], one.value if one.value >= 10 else one.value * 10
        if one.kind != "money" or one.sure or low.kind != "discount" or not 60 <= high <= 99:
            continue
        if one.start - low.end <= 12 and _RESET.search(text, low.end, one.start):
            made[at] = replace(one, kind="discount", value=round(high / 100, 4))


def _spelled_out(text: str) -> list[Figure]:
    """半价, 对折, and 百分之八十五."""
    found = []
    for match in _WHOLE.finditer(text):
        if match[0] != "百分之":
            value = 0.55 if match[0] == "五五折" else 0.5
            found.append(Figure("discount", *match.span(), value))
            continue
        rest = numbers(text[match.end() : match.end() + 8])
        if rest and rest[0].start == 0 and rest[0].value <= 100:
            end = match.end() + rest[0].end
            # The second stands where the number does, so that it is not read again.
            found.append(Figure("share", match.start(), end, rest[0].value / 100))
            found.append(Figure("count", match.end(), end, 0.0))
    return found


def _figure(text: str, number: Number) -> Figure | None:
    start, end = number.start, number.end
    if _ORDINAL.search(text, max(0, start - 3), start):
        return None
    vague = number.vague or bool(_VAGUE_BEFORE.search(text, max(0, start - 3), start))
    if times := _TIMES.match(text, end):
        return _discount(text, number, times, vague)
    if share := _SHARE.match(text, end):
        return Figure("share", start, share.end(), number.value / 100, vague or _loose(text, end))
    return _amount(text, number, vague)


def _loose(text: str, end: int) -> bool:
    return bool(_VAGUE_AFTER.match(text, end))


def _discount(text: str, number: Number, times: re.Match[str], vague: bool) -> Figure | None:
    """八五折, 8.5 折, 85 折, 八折半; and 者 for 折 as speech recognition hears it."""
    value = number.value
    if "折" not in times[0] and value < 6 and text[number.start - 1 : number.start] != "打":
        return None
    share = value / 10 if value < 10 else value / 100
    if times[1]:
        share += 0.05
    if not 0 < share < 1 or number.scaled:
        return None
    # 七八折 is about that; 八九折 too, but 九五折 is exact.
    return Figure("discount", number.start, times.end(), round(share, 4), vague or _loose(text, number.end))


def _amount(text: str, number: Number, vague: bool) -> Figure | None:
    start, end = number.start, number.end
    signed = text[start - 1 : start] in ("¥", "$") or text[max(0, start - 3) : start] in ("rmb", "cny")
    vague = vague or _loose(text, end)
    more = re.compile("[多来几余]").match(text, end)
    if unit := _MONEY.match(text, more.end() if more else end):
        value, stop = number.value, unit.end()
        if unit[0] == "块" and (
            tail := re.compile(r"[\d一二三四五六七八九](?![\d折%个节张万千百十])").match(text, stop)
        ):
            value, stop = value + numbers(tail[0])[0].value / 10, tail.end()
        return Figure("money", start, stop, value, vague or _loose(text, stop), sure=True)
    if not signed and (_COUNT.match(text, end) or (number.value < 1000 and _SMALL.match(text, end))):
        return Figure("count", start, end + 1, number.value, vague)
    plain = number.digits.isdigit() and len(number.digits) >= 2
    decimal = "." in number.digits
    if not (signed or number.scaled or plain or decimal):
        return Figure("count", start, end, number.value, vague)
    return Figure("money", start, end, number.value, vague, sure=signed or number.scaled)


def _ranged(text: str, made: list[Figure]) -> list[Figure]:
    """8 到 9 折, 5000-6000: neither end was promised."""
    for at in range(len(made) - 1):
        one, other = made[at], made[at + 1]
        gap = text[one.end : other.start]
        if len(gap) <= 2 and _RANGE.fullmatch(gap) and not _turned(text, one):
            kind = one.kind if one.kind != "count" else other.kind
            if other.kind in (kind, one.kind) or one.kind == "money":
                made[at], made[at + 1] = replace(one, vague=True), replace(other, vague=True)
    return made


def _turned(text: str, one: Figure) -> bool:
    """从 8 折降到 7 折 is no range."""
    return text[max(0, one.start - 1) : one.start] in ("从", "由")
