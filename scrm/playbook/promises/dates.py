"""Days as people name them, seen from the day they were named: 周五, 下周三, 月底, 30 号, 双十二, 三天内."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta

from scrm.playbook.promises.numerals import numbers

_N = r"(?:\d{1,3}|[一二两三四五六七八九十]{1,3})"
_WEEK = "(?:周|星期|礼拜)"
_FEASTS = {
    **dict.fromkeys(("双十一", "双11"), (11, 11)),
    **dict.fromkeys(("双十二", "双12"), (12, 12)),
    "元旦": (1, 1),
    **dict.fromkeys(("情人节",), (2, 14)),
    **dict.fromkeys(("三八节", "妇女节", "女神节"), (3, 8)),
    **dict.fromkeys(("五一", "劳动节"), (5, 1)),
    **dict.fromkeys(("六一", "儿童节"), (6, 1)),
    "618": (6, 18),
    "教师节": (9, 10),
    **dict.fromkeys(("国庆节", "国庆"), (10, 1)),
    **dict.fromkeys(("平安夜",), (12, 24)),
    **dict.fromkeys(("圣诞节", "圣诞"), (12, 25)),
}
#: Feasts of the moon, by year.
_MOON = {
    **dict.fromkeys(
        ("春节", "过年", "大年初一"),
        ((2026, 2, 17), (2027, 2, 6), (2028, 1, 26), (2029, 2, 13), (2030, 2, 3)),
    ),
    "除夕": ((2026, 2, 16), (2027, 2, 5), (2028, 1, 25), (2029, 2, 12), (2030, 2, 2)),
    "元宵节": ((2026, 3, 3), (2027, 2, 20), (2028, 2, 9), (2029, 2, 27), (2030, 2, 17)),
    **dict.fromkeys(
        ("端午节", "端午"), ((2026, 6, 19), (2027, 6, 9), (2028, 5, 28), (2029, 6, 16), (2030, 6, 5))
    ),
    **dict.fromkeys(
        ("中秋节", "中秋"), ((2026, 9, 25), (2027, 9, 15), (2028, 10, 3), (2029, 9, 22), (2030, 9, 12))
    ),
}
_DAYS = {"一": 0, "二": 1, "三": 2, "四": 3, "五": 4, "六": 5, "日": 6, "天": 6, "末": 6}
_DAYS |= {str(n): n - 1 for n in range(1, 8)}
_ENGLISH = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NEAR = {"今": 0, "明": 1, "后": 2, "大后": 3}
_SPANS = {"天": 1, "日": 1, "周": 7, "星期": 7, "礼拜": 7}


@dataclass(frozen=True, slots=True)
class Day:
    """A day named at a place of the text. `shape` says how: day, week, month, year, feast, near, within."""

    start: int
    end: int
    date: date
    shape: str


_RE = re.compile(
    rf"(?P<whole>(?P<hy>20\d\d)[-./](?P<hm>\d{{1,2}})[-./](?P<hd>\d{{1,2}}))|(?P<full>(?:(?P<y>20\d\d|\d\d|二[零〇]二[五六七八九])年)?(?P<m>{_N})月份?(?:(?P<d>{_N})[日号]?|"
    rf"(?P<me>底|末|最后一天)))"
    rf"|(?P<pair>今明(?:两天|后)?|(?P<span>(?<![\d./])(?:1[0-2]|0?[1-9])[./]\d{{1,2}}[-~至到](?P<pm>1[0-2]|0?[1-9])[./]"
    rf"(?P<pd>3[01]|[12]\d|0?[1-9])(?![\d./%折万wk元块号分])))"
    rf"|(?P<slash>(?<![\d./-])(?P<sm>1[0-2]|0?[1-9])[./](?P<sd>3[01]|[12]\d|0?[1-9])(?![\d./%折万wk元块号]))"
    rf"|(?P<next>(?P<nw>下下|下|这|本|上)个?(?:{_WEEK}(?P<nd>[一二三四五六日天末]|[1-7](?!\d))?))"
    rf"|(?P<week>{_WEEK}(?P<wd>[一二三四五六日天末](?![年个])|[1-7](?![\d年个]))内?)"
    rf"|(?P<lastday>(?:这个?|本|当|下个?|上个?)月(?:月?[底末]|(?P<md>{_N})[日号])?|"
    rf"月底|月末|明年年?[底末]|年底|年末|(?:本|这个?)季度[末底]?|季度[末底]|本季)"
    rf"|(?P<near>(?:今|明|大后|后)(?:天|日|晚|儿|夜)(?:晚上)?)"
    rf"|(?P<dom>(?<![\d.A-Za-z月第])(?P<dd>{_N})(?:日(?![本常均语式元用子记期程历内报游照托夜])|"
    rf"号)(?![楼线院房店桌色车库仓门厅馆]))"
    rf"|(?P<feast>(?P<fd>{'|'.join((*_FEASTS, *_MOON))})(?P<eve>前一天|前夕|前夜)?)"
    rf"|(?P<within>(?P<wn>{_N}|半)个?(?P<wu>天|日|小时|钟头|分钟|周|星期|礼拜|"
    rf"月)(?:时间)?(?:以内|之内|内|有效(?!期)|期限))"
    rf"|(?P<kept>(?:有效期|保留|留|最后|还剩|只剩|倒计时|限时|还有|仅剩|"
    rf"锁|锁定|锁价|活动延长|截止还有)(?:您|给您)?(?:最后)?(?:只有)?"
    rf"(?P<kn>{_N}|半)个?(?P<ku>天|日|小时|钟头|周|星期|礼拜|月)(?![上课前月]))"
    rf"|(?P<hour>(?:凌晨|早上|上午|中午|下午|晚上|晚)?{_N}点(?:半|整|钟)?(?=之?前|以前|截止|结束)|(?<=[到至])(?:下午|晚上|晚){_N}点|"
    rf"(?:今晚)?(?:零点|午夜|(?:晚上|夜里)12点)(?=一?过|以?后|之后|就?恢复|之?前|截止|结束|下架|涨))"
    rf"|(?P<english>(?:(?P<en>next|this) )?(?P<ed>{'|'.join(_ENGLISH)}|weekend|week|month)"
    rf"|today|tonight|tomorrow|end of (?:the |this )?month|month[- ]end)"
)


def days(text: str, at: date) -> list[Day]:
    """Every day named in the text, in order; what names no real day is left out."""
    found: list[Day] = []
    for match in _RE.finditer(text):
        kind = match.lastgroup if match.lastgroup in _READERS else _kind(match)
        if kind == "within" and found and match.start() == found[-1].end:
            # 周末两天有效: the day has been named.
            found[-1] = replace(found[-1], end=match.end(), shape="within")
            continue
        if kind == "hour" and found and match.start() - found[-1].end <= 1:
            continue
        if kind and (day := _READERS[kind](match, at)):
            found.append(Day(match.start(), match.end(), day[0], day[1]))
    return found


_Read = tuple[date, str] | None


def _kind(match: re.Match[str]) -> str:
    return next((kind for kind in _READERS if match[kind] is not None), "")


def _int(text: str) -> int:
    if text == "半":
        return 15
    read = numbers(text)
    return int(read[0].value) if read else 0


def _date(year: int, month: int, day: int) -> date | None:
    if not 1 <= month <= 12 or not 1 <= day <= calendar.monthrange(year, month)[1]:
        return None
    return date(year, month, day)


def _coming(at: date, month: int, day: int) -> date | None:
    """The next such day of a year, today included; one just gone by is meant as gone."""
    this = _date(at.year, month, day)
    if this is not None and (at - this).days > 180:
        return _date(at.year + 1, month, day)
    return this


def _month_end(year: int, month: int) -> date:
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return date(year, month, calendar.monthrange(year, month)[1])


def _full(match: re.Match[str], at: date) -> _Read:
    month, said = _int(match["m"]), match["y"]
    if not 1 <= month <= 12:
        return None
    if match["me"]:
        end = _month_end(at.year, month)
        return (end if end >= at else _month_end(at.year + 1, month)), "day"
    day = _int(match["d"])
    if said:
        year = _int(said) if said.isdigit() else 2020 + "五六七八九".index(said[-1]) + 5
        found = _date(year if year > 100 else 2000 + year, month, day)
    else:
        found = _coming(at, month, day)
    return (found, "day") if found else None


def _whole(match: re.Match[str], at: date) -> _Read:  # noqa: ARG001 - the year is said
    found = _date(int(match["hy"]), int(match["hm"]), int(match["hd"]))
    return (found, "day") if found else None


def _slash(match: re.Match[str], at: date) -> _Read:
    found = _coming(at, int(match["sm"]), int(match["sd"]))
    return (found, "slash") if found else None


def _next(match: re.Match[str], at: date) -> _Read:
    weeks = {"下下": 2, "下": 1, "上": -1}.get(match["nw"], 0)
    monday = at - timedelta(days=at.weekday()) + timedelta(weeks=weeks)
    day = match["nd"]
    if weeks < 0:
        return None
    return monday + timedelta(days=_DAYS[day] if day else 6), ("day" if day and day != "末" else "week")


def _week(match: re.Match[str], at: date) -> _Read:
    day = match["wd"]
    ahead = (_DAYS[day] - at.weekday()) % 7
    return at + timedelta(days=ahead), ("week" if day == "末" else "day")


def _lastday(match: re.Match[str], at: date) -> _Read:
    said = match[0]
    if said.startswith("上"):
        return None
    if "季" in said:
        return _month_end(at.year, (at.month - 1) // 3 * 3 + 3), "month"
    if "年" in said:
        return date(at.year + said.startswith("明"), 12, 31), "month"
    month = at.month + (1 if said.startswith("下") else 0)
    if match["md"]:
        first = _month_end(at.year, month)
        found = _date(first.year, first.month, _int(match["md"]))
        return (found, "day") if found else None
    return _month_end(at.year, month), ("next" if said in ("下个月", "下月") else "month")


def _pair(match: re.Match[str], at: date) -> _Read:
    """今明两天, 11.20-11.30: the later of the two."""
    if match["span"] is None:
        return at + timedelta(days=1), "within"
    found = _coming(at, int(match["pm"]), int(match["pd"]))
    return (found, "within") if found else None


def _near(match: re.Match[str], at: date) -> _Read:
    said = match[0]
    ahead = next(n for word, n in reversed(_NEAR.items()) if said.startswith(word))
    return at + timedelta(days=ahead), "near"


def _dom(match: re.Match[str], at: date) -> _Read:
    day = _int(match["dd"])
    if not 1 <= day <= 31:
        return None
    for ahead in range(3):
        month = _month_end(at.year, at.month + ahead)
        found = _date(month.year, month.month, day)
        if found and found >= at:
            return found, "day"
    return None


def _feast(match: re.Match[str], at: date) -> _Read:
    name = match["fd"]
    if name in _FEASTS:
        found = _coming(at, *_FEASTS[name])
    else:
        found = next((day for y, m, d in _MOON[name] if (day := date(y, m, d)) >= at), None)
    return (found - timedelta(days=int(match["eve"] is not None)), "feast") if found else None


def _after(at: date, amount: str, unit: str) -> _Read:
    n = _int(amount)
    if unit == "分钟":
        return at, "within"
    if unit in ("小时", "钟头"):
        return at + timedelta(days=n // 24), "within"
    if unit == "月":
        if amount == "半":
            return at + timedelta(days=15), "within"
        end = _month_end(at.year, at.month + n)
        return end.replace(day=min(at.day, end.day)), "within"
    if amount == "半":
        return None
    return at + timedelta(days=n * _SPANS[unit]), "within"


def _kept(match: re.Match[str], at: date) -> _Read:
    """Of the last two days today is one."""
    read = _after(at, match["kn"], match["ku"])
    counted = "最后" in match[0]
    if counted and match["ku"] == "月":
        return None
    last = read and counted and match["ku"] in ("天", "日") and read[0] > at
    return (read[0] - timedelta(days=1), "within") if read and last else read


def _english(match: re.Match[str], at: date) -> _Read:
    said, day = match[0], match["ed"]
    if said in ("today", "tonight", "tomorrow"):
        return at + timedelta(days=int(said == "tomorrow")), "near"
    if "month" in said:
        return _month_end(at.year, at.month + int(match["en"] == "next")), "month"
    sunday = at + timedelta(days=6 - at.weekday() + (7 if match["en"] == "next" else 0))
    if day in ("week", "weekend"):
        return (sunday, "week") if match["en"] else None
    if match["en"] == "next":
        return sunday - timedelta(days=6 - _ENGLISH.index(day)), "day"
    return at + timedelta(days=(_ENGLISH.index(day) - at.weekday()) % 7), "day"


_READERS: dict[str, Callable[[re.Match[str], date], _Read]] = {
    "whole": _whole,
    "full": _full,
    "slash": _slash,
    "next": _next,
    "week": _week,
    "lastday": _lastday,
    "pair": _pair,
    "near": _near,
    "dom": _dom,
    "feast": _feast,
    "within": lambda match, at: _after(at, match["wn"], match["wu"]),
    "kept": _kept,
    "hour": lambda _match, at: (at, "hour"),
    "english": _english,
}
