"""What the figures of a text offer: discounts, prices, and amounts off with the bill they need."""

from __future__ import annotations

import re

from scrm.playbook.promises.bill import THROUGH, reached, settled
from scrm.playbook.promises.figures import Figure
from scrm.playbook.promises.offer import Offer
from scrm.playbook.promises.reading import Reading
from scrm.playbook.promises.shares import paid
from scrm.playbook.promises.values import Kind
from scrm.playbook.promises.words import Word

#: Further away from its number a word says nothing about it.
_NEAR = 14
_OFF_AFTER = re.compile(
    r"的?(?:现金|无门槛|立减|学费|购车|装修)?(?:好评|晒图|晒单|五星|分享)?(?:优惠|返现|返利|[代满立抵现折优]\S{0,3}券|"
    r"补贴|立减|减免|折扣|抵扣|助学金|奖学金|津贴|抵用|off|discount|"
    r"的?优惠)|券(?!后)|的?,?满[\d一二两三四五六七八九十百千万]{1,6}(?:元|块)?(?:就|都)?(?:可以?|能)用"
)
_COUPON = re.compile(r"的?\S{0,4}券(?!后)")
_NOT_AFTER = re.compile(
    r"(?:的|块|元)?[\u4e00-\u9fff]{0,3}(?<!学)(?<!年)(?<!课)费(?![用])|"
    r"(?:的|块|元)?(?:(?:定|订|押|保证|诚意|意向)金|认筹|的事|首付|月供|"
    r"保额|额度|贷款|发票|罚款|月租|的?预算|学生|家长|客户|报名费|教材费|"
    r"原价|的?那[个款套种]|的那|多个|红包|工资|以上的?客户)"
    r"|(?:的)?(?:首付|保障)"
)
_PER_AFTER = re.compile(
    r"(?:[/每](?:人/)?(?:个?月|平米?|㎡|m2?|节|课时|次|天|小时|h|账号|"
    r"用户|坐席|席位?|人/月|期|斤|分钟)|一(?:个月|平米?|节|课时|次|天|"
    r"小时|个账号|个用户|个坐席|个点|个人一个月)|per (?:month|lesson|"
    r"user|seat)"
    r"|(?:每月|每节|每平|每次|每天|每课时|每小时|月付|一月|每坐席|每用户|每账号)|/人/月)"
)
_PAID_PER = re.compile(
    r"(?:(?:每|一)个?(?:月|节课?|课时|平米?|天|小时|次|人次|分钟|堂课?)|"
    r"月均)(?:课|才|只要|是|就|大概|也就|单价|费)*$"
)
#: What a bare number after it is the price of.
_GOODS = re.compile(
    r"(?:班|课|版|配置|课包|套餐|系统|款|型|方案|车|房|套|年|学期|季|课时|"
    r"节|:|[一二两三四五六七八九十\d](?:盒|件|瓶|箱|袋|支|份|双|杯|组)|=|人|团|期|年起|折|[a-d]|(?:最低|最少|底价|净价)(?:是|就是|给到|也?要)?|是|您看|那就|就|这个月|现在|今天|目前|"
    r"今年)$"
)
#: 最高减 50 is a limit, not an amount; 最多 is what we say when we give it.
_UP_TO = re.compile("(?:最高|高达|最大)(?:可|能|可以|立|享|再)*[\u4e00-\u9fff]{1,3}$")
#: 满 2 科减 300: a number between is what is to be reached.
_REACHES = re.compile("[^\\d一二两三四五六七八九十]{0,3}")
_RISEN = re.compile("(?:涨价?|加价|贵)了?$")
#: 置换再加三千: what more the old one brings.
_TRADED = re.compile("置换|旧车|老车|收车|以旧换新")
_RETAIL = re.compile("元?(?:包邮|秒杀|封顶价)")
#: 再补六万就行: what the customer adds.
_ENOUGH = re.compile("(?:元|块)?就(?:行|可以|能|好|够|开走|提走|换)")
_ONLY_NOW = re.compile(
    "(?:现在|今年|目前|这次|这个月)(?:也)?(?:就|只有|是|只|才|变|降)*(?:成)?$|也给您$|我也给$"
)
_PIECES = re.compile("台|件|箱|起订|采购|批量")
#: 交强险 and the like: fees have names of their own.
_FEE = re.compile(r"(?<![学年课保总会])费(?!用)\S?$|(?:税|保险|利息)$")
_PRICED = re.compile(
    r"(?:已经|就|都|也)?是(?:\S{0,6}价|\S{0,6}最低|\S{1,6}(?:底线|极限))|的(?:报价|价格?|套餐|方案|费用)|一[台套位辆份](?!定)|全包|包(?!月|"
    r"含在)|再?打?[\d一二三四五六七八九.]{1,3}折|拿走|带走|拿下|(?:元|块)?成交"
    r"|[/每](?:人|位|年|套|台|辆|期|学期)(?![/每])"
)
_SETTLES = re.compile(
    r"(?:块|元)?(?:钱)?(?:可以(?!谈|商量|聊|申请)|行|没问题|成|拿|给您|我给|我可以|我能|"
    r"您|能(?!不能|否)|包|全|带|含|到手|就|落地|搞定|卖|签|一分|一口|"
    r"/年|每年|一年|一套|一位|一台|一辆|整)"
)
#: These speak of the whole price whatever was said of deposits and loans before them.
_WHOLE = frozenset(
    "落地 落地价 总价 全款 裸车 裸车价 一口价 包牌 到手价 到手 总共 一共 合计 全下来 做到".split()
)
_PER = frozenset(
    "一平 每平 每平米 单价 每月 每个月 每节 每节课 每课时 一节课 一节 "
    "每天 一天 首月 每单 每笔 均价 每用户 每坐席 每账号 每个账号 旧车 "
    "老车 您那个车 您的车 您这车".split()
)


def offers(reading: Reading) -> list[Offer]:
    """Candidates in order; thresholds are joined to the amounts off they belong to."""
    made: list[Offer] = []
    thresholds: list[Figure] = []
    previous = 0
    last = ""
    for figure in reading.figures:
        role = _role(reading, figure, previous)
        if figure.kind == "money" and not figure.vague:
            role, last = _from_last(reading, figure, role, last), role
            last = _leads(reading, figure) or role
        if role == "reach":
            thresholds.append(figure)
        elif role and (one := _offer(role, figure)):
            made.append(one)
        if figure.kind != "count":
            previous = figure.end
    return settled(reading, reached(reading, made, thresholds))


def _leads(reading: Reading, figure: Figure) -> str:
    """A deposit that counts for more: what follows is what it takes off."""
    clause = reading.clauses[reading.clause(figure.start)]
    through = THROUGH.match(reading.text, figure.end)
    more = reading.figures_in(figure.end, min(figure.end + 10, clause.end)) if through else []
    return "through" if more and through and more[0].start - through.end() <= 1 else ""


def _from_last(reading: Reading, figure: Figure, role: str, last: str) -> str:
    """定金 500 抵 1000; and 优惠 8000 不行，6000 可以."""
    if last == "through" and role in ("price", "price!", ""):
        return "off"
    settles = re.match(
        "元?(?:可以|行|没问题|能|还行|成|吧|就|有(?!的))", reading.text[figure.end : figure.end + 4]
    )
    clause = reading.clauses[reading.clause(figure.start)]
    cued = any(word.tags & {"price", "off"} for word in clause.words if word.end <= figure.start)
    if role == "price" and any("turn" in word.tags and figure.start - word.end <= 1 for word in clause.words):
        before = [w for w in clause.words if w.end <= figure.start]
        return "off" if before[0].text in ("优惠", "立减", "减", "补贴", "便宜") else role
    if (
        last == "off"
        and (role.startswith("price") or not role)
        and _ONLY_NOW.search(reading.text, clause.start, figure.start)
        and figure.value < 10 * _before(reading, figure)
    ):
        return "off"
    return "off" if last == "off" and role == "price" and settles and not cued else role


def _before(reading: Reading, figure: Figure) -> float:
    """The money said before it; 0 = none."""
    return next((o.value for o in reversed(reading.figures_in(0, figure.start)) if o.kind == "money"), 0.0)


def _offer(role: str, figure: Figure) -> Offer | None:
    start, end = figure.start, figure.end
    if role == "discount":
        return Offer(Kind.DISCOUNT, start, end, value=round(figure.value, 4))
    fen = round(figure.value * 100)
    if not 0 < fen < 10**13:
        return None
    if role == "off":
        return Offer(Kind.OFF, start, end, fen=fen)
    return Offer(Kind.PRICE, start, end, fen=fen, strong=role == "price!")


def _role(reading: Reading, figure: Figure, previous: int) -> str:
    """What one figure stands for; "" = no offer."""
    if figure.vague and not _threshold(reading, figure):
        return ""
    if figure.kind == "discount":
        return "discount"
    if figure.kind == "share":
        return "discount" if paid(reading.text, figure) is not None else ""
    return _money(reading, figure, previous) if figure.kind == "money" else ""


def _threshold(reading: Reading, figure: Figure) -> bool:
    return figure.kind == "money" and reading.text[max(0, figure.start - 1) : figure.start] == "满"


def _money(reading: Reading, figure: Figure, previous: int) -> str:
    text, start, end = reading.text, figure.start, figure.end
    clause = reading.clauses[reading.clause(start)]
    floor = max(clause.start, min(previous, start))
    words = [word for word in clause.words if floor <= word.start and word.end <= start + 1]
    if any("reach" in word.tags and _REACHES.fullmatch(text, word.end, start) for word in words):
        return "reach"
    if THROUGH.match(text, end) and reading.figures_in(end, min(end + 10, clause.end)):
        return ""
    if (coupon := _COUPON.match(text, end)) and coupon.end() <= clause.end:
        return "off"
    if _NOT_AFTER.match(text, end) or _PER_AFTER.match(text, end) or _PAID_PER.search(text, floor, start):
        return ""
    if text[max(floor, start - 1) : start] in ("保", "赔") or _RISEN.search(text, floor, start):
        # 年缴 5400，保 50 万: what is paid when it happens.
        return ""
    if _FEE.search(text, max(floor, start - 3), start) and not any(
        "off" in word.tags and word.text != "免" for word in words
    ):
        return ""
    role = _named(reading, figure, words)
    return role if role is not None else _cued(reading, figure, words)


def _named(reading: Reading, figure: Figure, words: list[Word]) -> str | None:
    """By the words that name other money than a price: 首付, 原价, 单价; None = there are none."""
    text, start = reading.text, figure.start
    clause = reading.clauses[reading.clause(start)]
    if words and words[-1].text in ("贷款", "按揭", "分期") and words[-1].end == start:
        return "price" if "全款" in text[max(0, clause.start - 20) : clause.end + 20] else ""
    if any(word.text == "单价" for word in words) and _PIECES.search(
        text, max(0, clause.start - 30), clause.end + 20
    ):
        return "price"
    nearby = reading.around(reading.clause(start))[0]
    if nearby and not words and any(word.text in _PER for word in nearby.words):
        return ""
    if any("money-not" in word.tags for word in words):
        return _beyond_not(words)
    return "" if any("list" in word.tags for word in words) else None


def _beyond_not(words: list[Word]) -> str:
    """契税补贴两万: the last word decides when it takes off."""
    last = next(
        (word for word in reversed(words) if word.tags & {"off", "money-not"} or word.text in _WHOLE), None
    )
    if last and any(word.text in _PER for word in words):
        return "off" if last.text == "补" and words[0].text in ("旧车", "老车") else ""
    if last and last.text in _WHOLE:
        return "price"
    return "off" if last and "off" in last.tags and "money-not" not in last.tags else ""


def _cued(reading: Reading, figure: Figure, words: list[Word]) -> str:
    """By the nearest word before it; without one, money said to be money is a price."""
    text, start, end = reading.text, figure.start, figure.end
    near = [word for word in words if start - word.end <= _NEAR]
    cue = next((word for word in reversed(near) if word.tags & {"off", "price"}), None)
    strong = any("strong" in word.tags for word in near) or bool(
        re.match("给您|卖您|拿走|带走|拿下|搞定|成交|就行|就可以", text[end : end + 3])
    )
    if cue and "off" in cue.tags and _UP_TO.search(text, max(0, cue.start - 6), cue.end):
        return ""
    if _OFF_AFTER.match(text, end):
        return "off"
    if cue and cue.text in ("补", "再补") and _ENOUGH.match(text, end):
        return ""
    if (
        cue
        and cue.text.startswith("省")
        and (text[cue.end] == "了" or text[cue.start - 2 : cue.start] == "等于")
    ):
        return ""
    if cue and "off" in cue.tags and "price" not in cue.tags:
        close = start - cue.end <= (6 if figure.sure else 4)
        return "off" if close else ("price!" if strong else "")
    here = reading.clauses[reading.clause(start)].start
    if text[max(here, start - 1) : start] == "加" and not (cue and "off" in cue.tags):
        return "off" if _TRADED.search(text, here, start) else ""
    if cue and (figure.sure or start - cue.end <= 6) and (figure.value >= 10 or figure.value % 1):
        return "price!" if strong else "price"
    if not near and _cheaper(reading, figure):
        return "off"
    after = figure.value >= 500 and _PRICED.match(text, end)
    clear = (
        _GOODS.search(text, here, start)
        or after
        or _RETAIL.match(text, end)
        or (figure.sure and _SETTLES.match(text, end))
    )
    if ((figure.sure or figure.value >= 10) and clear) or _alone(reading, figure):
        return "price!" if strong else "price"
    return ""


def _cheaper(reading: Reading, figure: Figure) -> bool:
    """便宜一点可以，200 块吧."""
    previous = reading.around(reading.clause(figure.start))[0]
    if previous is None or not previous.has("off") or previous.has("price") or not _alone(reading, figure):
        return False
    return not reading.figures_in(previous.start, previous.end)


def _alone(reading: Reading, figure: Figure) -> bool:
    """Nothing else is said: 四九八零，一分不能少."""
    clause = reading.clauses[reading.clause(figure.start)]
    return (
        figure.value >= (10 if figure.sure else 500)
        and figure.start - clause.start <= 2
        and clause.end - figure.end <= 2
    )
