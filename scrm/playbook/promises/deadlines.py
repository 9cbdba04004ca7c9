"""The last day an offer holds: 周日截止, 月底前报名, 名额留到周五, 明天恢复原价."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta

from scrm.playbook.promises.dates import Day
from scrm.playbook.promises.reading import Clause, Reading
from scrm.playbook.promises.words import Word

#: What may stand between a day and the word that makes it a deadline.
_HOUR = re.compile(
    r"(?:的?(?:这一天|这天|当天|当日))?(?:凌晨|早上|上午|中午|下午|晚上|"
    r"晚|夜里|半夜|零点|午夜|夜里)?(?:前)?(?:(?:\d{1,2}|[零一二两三四五六七八九十]{1,3})(?:点|"
    r":\d\d|时)(?:整|半|钟)?)?(?:零点|晚上|下班)?\)?"
)
_AFTER = re.compile(
    r"(?:就|是|这个|活动|正式|准时|就要|优惠|价格|报名|之内|都|,?就是|"
    r"也就|可能)*(?:之前|以前|前(?![台面三后十期段]|提(?!车))|截止|截至|截单|"
    r"为止|结束|止(?!损)|到期|内(?!部)|以内|之内|过期|失效|停售|下架|"
    r"收官|当天|最后一天|最后一晚|最后期限|最后|有效|收摊|关(?:闭|单)|"
    r"锁单|不变|都行|"
    r"(?:签约|报名|下单|付款|下定|订车|定车|定|交费|缴费|投保|续费|到店|成交|签)(?:均|都|就|才)?有效)"
)
_BEFORE = re.compile(
    r"(?:到|至|截止|截至|截止日期|截止时间|有效期|最晚|最迟|仅限|只限|"
    r"限|直到|只有|就|延到|撑到|until|before|by|through|till|ends?|deadline|"
    r"有效|过了|过完|过|卡在|只认|最后|[日号]-|[日号]~)(?:在|于|是|为|:|the|on|本|这个?|"
    r"咱们?|这边|说是)* ?$"
)
_BACK = re.compile(
    r"(?:起|开始|一?早|以后|之后|过后|后|上班|再来|您再来|再|零点|0点|"
    r"这个?价?格?|这[款批期]|活动|优惠|价格?|全部|统一|全线|价|的价格?|就要?|会|"
    r"要|得|马上|可能|系统|自动|立刻|,|一过|就得|又|都)*(?:恢复|涨|就?没(?:了|"
    r"有)|没(?:有)?这个|不再|原价|取消|停止|就不|不是这个?价|变回|调价|"
    r"回到|提价|调回|上调|作废|就贵|调了|不送了|不打折|停了|就停|收回|"
    r"就恢复|(?<=后)\S{0,3}(?:下架|停售)|没这个价|回原价|按原价|没活动|没优惠|不是这|都没了)"
)
#: 过了周末就没了: the weekend itself is the last of it.
_PAST = re.compile("过(?:了|完)?(?:这个?|本)?$")
_OVER = re.compile(r"(?:之后|以后|后|过后|一过)")
#: 周五晚上涨价: on Friday it still holds.
_EVENING = re.compile(r"的?(?:傍晚|晚|下午|下班|当晚|夜里)")
#: 付款后三天内: from a day nobody knows.
_FROM = re.compile(r"后的?$")
#: 您这周来就行.
_COMES = re.compile(
    "(?:您|咱)?(?:能|可以|要是|如果|直接)?(?:再)?(?:带(?:家人|家里人|孩子|娃|爱人|老人|老公|老婆|先生|太太|朋友))?来(?=就|都?可以|的话|都|才|办|签|$|,)"
)
#: 24 小时内可免费取消.
_UNDO = re.compile(
    "(?:都|也|均)?(?:可以?|能|支持)?(?:随时|免费|无条件|无理由|无忧|全额)*(?:取消|退|调?换|撤|改签)"
)
#: What is still to be paid has a day of its own.
_REST = ("尾款", "余款", "剩余", "剩下", "房租", "月供")
_THEN = re.compile("上个?月|上一?期|去年")
#: What customers do, though it sounds like what happens to them.
_ACTS = frozenset("入住 提车 面签 过户 开户 签到 试驾 取车 到访 回款".split())
_TALK = re.compile(
    r"(?:跟|和|同|与|上午|下午|早上|中午|晚上)*(?:跟|和|刚|打电话|给您打|"
    r"联系|聊|说|发您|告诉|看到|通知|问|天气|上课|开会|见|约|找您|打扰|"
    r"想|先了解|来电)"
)
_DEAL = re.compile("优惠|活动|名额|价|券|政策|福利|席位|留")
_ONLY = re.compile("才(?:有|是|能|给|可以|享)|限定|专享|专属")
_FOR_TODAY = frozenset(("near", "week", "month", "feast"))
_STRONG = re.compile("截止|截至|结束|为止|停售|下架|最后|到期|失效|锁|收官|截单|仅限|只限")


def deadlines(reading: Reading, spots: Sequence[tuple[int, int]], at: date) -> list[Day]:
    """The days that are deadlines, in order; `spots` are the offers of the text."""
    found = (_deadline(reading, day, spots, at) for day in reading.days)
    return _merged(
        [one for one in found if one],
        lambda one: reading.text[max(0, one.start - 2) : one.start] in ("过了", "过完"),
    )


def _merged(found: list[Day], passed: Callable[[Day], bool]) -> list[Day]:
    """本周日最后两天 is one deadline: what is only counted gives way to what is named in the same breath."""
    if len(found) > 1:
        # 12 月 31 号前是老价格，过了元旦就涨: the first says it.
        found = [one for one in found if not passed(one)] or found
    named = [one for one in found if one.shape != "within"]
    return [
        one
        for one in found
        if one.shape != "within"
        or not any(abs(one.start - other.end) <= 4 or abs(other.start - one.end) <= 4 for other in named)
    ]


def _deadline(reading: Reading, day: Day, spots: Sequence[tuple[int, int]], at: date) -> Day | None:
    text = reading.text
    clause = reading.clauses[reading.clause(day.start)]
    hour = _HOUR.match(text, day.end)
    end = hour.end() if hour else day.end
    if back := _back(text, day, end, clause, at):
        return back
    if day.shape == "next" or day.date < at or _event(clause, day, text) or _window(reading, day, clause):
        return None
    after = _AFTER.match(text, end) or _AFTER.match(text, day.end)
    before = _BEFORE.search(text, clause.start, day.start)
    if after or before or day.shape == "within":
        return day if _holds(reading, day, clause, spots, bool(after), before) else None
    if day.shape == "slash":
        return None
    return day if _by_buying(reading, day, clause, spots, end, at) else None


def _back(text: str, day: Day, end: int, clause: Clause, at: date) -> Day | None:
    """明天恢复原价: today is the last day."""
    back = _BACK.match(text, end, clause.end + 8) or _BACK.match(text, day.end, clause.end + 8)
    lead = text[max(0, day.start - 3) : day.start]
    if back is None or "不到" in lead:
        return None
    if _OVER.match(back[0]) or day.shape == "hour" or _PAST.search(lead):
        return day if day.date >= at else None
    if day.shape == "day" and _EVENING.match(text, day.end):
        return day if day.date >= at else None
    if day.shape == "next":
        last = at.replace(day=1)
    elif day.shape == "week":
        last = day.date - timedelta(days=6)
        if last <= at:
            return None
    else:
        last = day.date
    if day.shape == "next":
        month = at.month % 12 + 1
        last = date(at.year + (at.month == 12), month, 1)
    if day.shape in ("month", "within"):
        return day if text[day.end - 1] in "底末内" and day.date >= at else None
    if day.date == at and end == day.end and "晚" not in text[day.start : day.end]:
        # 今天恢复了: it is over.
        return None
    last = at if day.date == at else last - timedelta(days=1)
    return replace(day, date=last) if last >= at else None


def _window(reading: Reading, day: Day, clause: Clause) -> bool:
    """付款后三天内; and 买贵退差价，7 天内: how long after something it may be asked for."""
    if day.shape != "within":
        return False
    if _FROM.search(reading.text, clause.start, day.start) or _UNDO.match(reading.text, day.end):
        return True
    previous = reading.around(reading.clause(day.start))[0]
    alone = day.start - clause.start <= 1 and clause.end - day.end <= 2
    return alone and previous is not None and previous.has("refund")


def _event(clause: Clause, day: Day, text: str) -> bool:
    """The day is of something else: classes begin, we answer, money comes back."""
    events = [word for word in clause.words if "event" in word.tags]
    for word in events:
        gap = text[day.end : word.start]
        acts = "buy" in word.tags or word.text in _ACTS
        given = any(w.tags & {"give", "off"} and w.start >= word.end for w in clause.words)
        if acts and (gap in ("前", "之前", "以前") or (given and not gap)):
            # 25 号前提车直降一万: what the customer does for it.
            continue
        if word.start >= day.end and (len(gap) <= 5 or (len(gap) <= 13 and not _DEAL.search(gap))):
            return True
    return bool(events) and not any(word.tags & {"deal", "buy", "off", "give"} for word in clause.words)


def _holds(
    reading: Reading,
    day: Day,
    clause: Clause,
    spots: Sequence[tuple[int, int]],
    after: bool,
    before: re.Match[str] | None,
) -> bool:
    """Whether the deadline is of an offer."""
    text = reading.text[clause.start : clause.end]
    if any(
        (word.tags & {"refund", "bad"} and word.start >= day.end)
        or ("vow" in word.tags and word.end <= day.start)
        for word in clause.words
    ):
        return False
    if (
        _STRONG.search(text)
        or _DEAL.search(text)
        or any(word.tags & {"deal", "buy"} for word in clause.words)
    ):
        return True
    if before and before[0].startswith(("就", "只有", "限")) and not after and day.shape != "near":
        return bool(spots)
    return any(_near(reading, clause, low) for low, _ in spots) or _neighbours(reading, clause)


def _near(reading: Reading, clause: Clause, low: int) -> bool:
    return abs(reading.clauses[reading.clause(low)].sentence - clause.sentence) <= 1


def _neighbours(reading: Reading, clause: Clause) -> bool:
    """The words of an offer stand in the same sentence."""
    return any(
        other.sentence == clause.sentence and any(word.tags & {"deal", "buy"} for word in other.words)
        for other in reading.clauses
    )


def _words_after(reading: Reading, day: Day) -> list[Word]:
    """Those after the day, past a cut that is no pause: 今天您 | 要是能定."""
    at = reading.clause(day.start)
    here, following = reading.clauses[at], reading.around(at)[1]
    more = following.words if following and following.start == here.end else []
    return [*here.words, *more]


def _by_buying(
    reading: Reading, day: Day, clause: Clause, spots: Sequence[tuple[int, int]], end: int, at: date
) -> bool:
    """今天订车优惠八千: the day is the condition."""
    text = reading.text
    if day.date == at and (
        _ONLY.match(text, end) or text[max(0, day.start - 2) : day.start] in ("只有", "仅限", "就是")
    ):
        return True
    if not any(_near(reading, clause, low) for low, _ in spots):
        return False
    reach = 2 if day.shape == "feast" else 8
    if _COMES.match(text, end):
        return True
    if any(
        "buy" in word.tags and 0 <= word.start - day.end <= reach and not text.startswith(_REST, word.end)
        for word in _words_after(reading, day)
    ):
        return True
    if day.date != at and day.shape not in ("week", "month"):
        return False
    if day.shape == "month" and _THEN.search(text):
        # 上个月 98 折，这个月 99 折: told apart, not limited.
        return False
    beside = any(clause.start <= low < clause.end for low, _ in spots)
    return day.shape in _FOR_TODAY and beside and not _TALK.match(text, end)
