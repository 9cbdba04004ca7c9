"""What is given at no extra charge, one entry a thing: 送两节体验课和一套教材."""

from __future__ import annotations

import re
from collections.abc import Iterator

from scrm.playbook.promises.offer import Offer
from scrm.playbook.promises.reading import Clause, Reading
from scrm.playbook.promises.values import Kind
from scrm.playbook.promises.words import Word

_N = r"[\d一两二三四五六七八九十半百]"
_LEAD = re.compile(
    r"(?:[给到上的]|(?:一[个份套张])?价值(?:约|为)?[\d.,一二两三四五六七八九十百千万wk]{1,8}(?:元|块钱?)?的?|大家|您|咱|家里|孩子|"
    r"小孩|宝贝|宝宝|娃|学员|新生|老板|贵司|哥|姐|妈妈|家长|们|家(?![具电])|这边|"
    r"一下|出去|的是|就是|是|:|,|价值[^,的]{1,10}的|额外|还|再(?![带教读听训辅学])|另外|"
    r"都|我们|all you |your? ?)+"
)
_STOP = re.compile(
    r"给您(?!的)|的那[家个些种]|到时|[现]在(?:报|订|定|下|来|就)|今天|"
    r"明天|行[吗不]|好[吗不]|可以[吗不]|怎么样|您看|的话|来店|到店|没问题|"
    r"都可以|作为|当作|写[进到在]|有效期|可以|限\d|当见面|表示|够意思|您(?:先|觉|来|就|要|说|放|"
    r"过|放心|这边|到|今)|不要钱|不收|如果|只要|价值(?![^,的]{1,10}的)|"
    r"但是|所以|截止|活动|保证|我(?:们|这|给|就|已|都|帮|会)|咱(?!孩)|一共|原价|"
    r"总共|算下来|相当于|优惠(?!\S{0,2}券)|立减(?!券)|便宜|用来|(?<=\S\S)这个|(?<=\S\S)是|就当|"
    r"开学发|直接|到手|每天|随车|啊然后|这个您|今晚|限前|仅限|先到|送完|"
    r"的哈|呗|上课就|报名|下单|您拿|不用|够不够|香不香|ok|, "
)
_TAIL = re.compile(r"[吧哦哈啊呀呢了的啦嘛~!哟喔噢呗么吗呐咯喽就也还再 ]+$")
_SPLIT = re.compile(
    r"[、+&/;]|和(?!平|谐|田)|与|以及|还有|外加|再加上|再加|加上|加(?![油湿热速密盟长班拿到在]\S?)|"
    r"跟|及(?!时)| and "
)
#: These make another thing of it: delivering, taking somebody, asking.
_NOT = re.compile(
    r"(?:到|来|去|上门|回|过来|过去|货|他|她|什么|啥|多少|几(?!节|次)|"
    r"谁|哪|咨询|了解|热线|电话|注册|不了|不起|重学|再学|复训|重修|完|"
    r"孩子(?:来|去|上|到|过来)|给别人|人|得|走|达|教(?![具材程辅])|的是人情|"
    r"补[发寄做]|重[发做拍]|再[带教读听训辅]|换新|礼了|温暖|祝福|您(?:来|去|回|到|过来|过去|上))"
)
_COUPON = re.compile(
    r"[优代满立抵现折消]\S{0,2}[惠金减扣用现费][^、和,]{0,2}券|折(?:扣)?券|"
    r"元券|块的?券|(?:\d|百|千|十)的?券"
)
_HEADS = re.compile(
    r"(?:都|是|也|全部?|可以|我|给您|免费|就|直接|那|还|就是|统统|另外|"
    r"能|均|一律|这边|您|完全|我们|额外|再|给|是|咱|要|先|自己出钱|自己|帮您|为您|"
    r"出钱|掏钱|自掏腰包|即可?|个人|私人)+$"
)
_BREAK = re.compile(
    r"给您|您|把|的话|就是|我们|我|咱|另外|而且|还有|然后|以及|折|元|"
    r"块|现在|今天|报名|价值\S{1,8}?的|含|如果|都是|外加|和|自己出钱"
)
_NEXT = re.compile(
    rf"(?:还有|外加|再加上?|加上|另加|以及|和|还给您|一个是|还有个)\S|"
    rf"{_N}+(?:节|个|套|次|张|份|本|台|年|瓶|盒|把|件|条|只|袋|箱|课时|"
    rf"副|支)\S"
)
_ADDED = re.compile(
    rf"(?:多(?:给您)?(?:开|配|延)|再加|给您加|多加|另加|额外加|多给您?|给您多(?:加|上|给)?|补您|给您补|给孩子补|"
    rf"补给您|延长)(?:您|孩子|咱们?)?(?P<what>{_N}{{1,3}}(?:个(?:子)?账号|节|课时|次|"
    rf"天|个月|周|年|个(?![点人月百子账])|套|份|张|台|箱|件|把|条|盒)[^,。、!?\s]{{0,6}})"
)
_WAIVED = re.compile(
    rf"免(?:您|掉|了|收|除|去)?(?P<what>(?:(?:首|{_N}+)(?:个月|年|期)的?)?(?:[^,。、!?\s免费息责\d]{{1,5}}费|"
    rf"[^,。、!?\s免费息责]{{0,5}}(?:月租|房租|租金)))(?!用?[的得])"
)
_FREE = re.compile(
    rf"(?P<what>[^,。、!?\s给您]{{1,5}}费(?:用)?(?:前?{_N}+(?:年|个月|"
    rf"期))?)(?:全|都|直接|给您|我们|全部|统统)*免(?![费息责收单了掉])"
)
_AWARD = re.compile(
    rf"(?:得到?|获得|拿到|享受?|有)(?P<what>{_N}{{1,3}}(?:节|课时|次|张|套|个月|天)[^,。、!?\s]{{0,6}}?)的?(?:奖励|赠送|返赠)"
)
#: 第三件 0 元; 运费我们出.
_NOTHING_PAID = re.compile(rf"(?P<what>第{_N}(?:件|份|台|位|人|个|节|次|年|杯))(?:0|零)元")
_OURS = re.compile(
    r"(?P<what>[^,。、!?\s]{1,4}费)(?:都|全)?(?:我们?|咱们|店里|公司|我司|我方)(?:这边)?(?:来|给您)?(?:出|承担|包|付|负责)(?!一半|部分|\d|[一二两三四五六七八九十百千万])"
)
#: 周三的公开课不收费.
_UNPAID = re.compile(
    r"(?P<what>[^,。、!?\s]{0,8}(?:课|卡|班|讲座|测评|评估|升级|安装|礼盒|资料|教材))(?:我们|您|是|都|完全|这次|也|就)*"
    r"不(?:收费|要钱|收钱|收您钱|用钱|用花钱|另外收|额外收)"
)
_CARD_LEAD = re.compile(r"(?:返|给|补|领|奖|发|拿|有|加|叠|奖励|抽)")
_NOTHING = re.compile(
    r"免息|无息|贴息|已经|停了|取消|立减|优惠|[\d一二三四五六七八九]折|^(?:名额|位置|座位|席位|机会|资格|优惠|价格|房源|这个价|折扣|学费|今天)$"
)
#: With what must stand somewhere in the text for them.
_WAYS = (
    (_ADDED, "加补延多"),
    (_WAIVED, "免"),
    (_FREE, "免"),
    (_UNPAID, ("不收", "不要", "不用", "不另", "不额")),
    (_AWARD, ("奖励", "赠送", "返赠")),
    (_NOTHING_PAID, ("0元", "零元")),
    (_OURS, "费"),
)
_NO_THING = frozenset("一 个 点 礼 您 东西 一个 券 优惠券 代金券 现金券".split())
#: A bare verb after 免费 says what is done with the thing before it: 充电桩免费安装.
_DONE = re.compile(
    "(?:给您|帮您|为您)?(?:安装|升级|更换|检测|保养|停放|试听|试用|停|接送|体验|领取?|"
    "使用|送|开通|办理?|配送|调试|培训|实施|上门|借用|用|学|上|换|洗|做|"
    "拿|装|寄|邮寄|代办|配齐|配|发)(?:过去|过来|给您|到家|上)?[的了吧哦啊呢~]*$"
)
_VERBS = re.compile("签约|报名|下单|付款|购买|说|可以|能|会|想|要|是|有|没|不|看|(?<!下)来|去")
#: The thing always comes before these.
_LAST = frozenset("全免 免单 免了 免掉 留给您 归您 给您配上 给您装上 给您带上 给您安排上 给您备好".split())
_LONGEST = 30


def gifts(reading: Reading) -> list[Offer]:
    """Candidates in order, none inside another."""
    found: list[Offer] = []
    ways = [way for way, marks in _WAYS if any(mark in reading.text for mark in marks)]
    for at, clause in enumerate(reading.clauses):
        found += _said(reading, at, clause)
        found += _patterns(reading, clause, found, ways)
    found.sort(key=lambda one: one.start)
    kept: list[Offer] = []
    for one in found:
        if not kept or one.start >= kept[-1].end:
            kept.append(one)
    return kept


def _said(reading: Reading, at: int, clause: Clause) -> Iterator[Offer]:
    gives = [
        word for word in clause.words if "give" in word.tags and not _attribute(reading.text, clause, word)
    ]
    for n, word in enumerate(gives):
        stop = gives[n + 1].start if n + 1 < len(gives) else clause.end
        made = _done(reading, clause, word, stop) or list(_after(reading, word, stop))
        if made:
            yield from made
            if stop == clause.end:
                yield from _continued(reading, at)
        elif n == 0 or gives[n - 1].end < word.start:
            yield from _before(reading, clause, word)


def _attribute(text: str, clause: Clause, word: Word) -> bool:
    """再送您一次免费的测评: the second word of giving only describes."""
    if word.text != "免费" or not text.startswith("的", word.end):
        return False
    return any("give" in one.tags and 0 < word.start - one.end <= 6 for one in clause.words)


def _done(reading: Reading, clause: Clause, word: Word, stop: int) -> list[Offer]:
    """充电桩免费安装: the thing with what is done to it."""
    text = reading.text
    if not word.text.startswith("免费") or not _DONE.fullmatch(text, word.end, stop):
        return []
    named = list(_before(reading, clause, word, done=True))
    return [
        *named[:-1],
        *(
            Offer(Kind.GIFT, one.start, stop, text=_TAIL.sub("", text[one.start : stop]))
            for one in named[-1:]
        ),
    ]


def _after(reading: Reading, word: Word, stop: int) -> Iterator[Offer]:
    """The things named after the verb."""
    text = reading.text
    start = word.end
    if word.text in _LAST:
        return
    if word.text[-1] in "一两三" and word.text.startswith("搭"):
        start -= 1
    if lead := _LEAD.match(text, start, stop):
        start = lead.end()
    end = _stop(text, start, stop)
    if _NOT.match(text, start, end):
        return
    yield from _items(text, start, end)


def _stop(text: str, start: int, stop: int) -> int:
    stop = min(stop, start + 3 * _LONGEST)
    found = _STOP.search(text, start, stop)
    return found.start() if found else stop


def _items(text: str, start: int, end: int) -> Iterator[Offer]:
    while start < end:
        split = _SPLIT.search(text, start + 1, end)
        stop = split.start() if split else end
        if one := _item(text, start, stop):
            yield one
        start = split.end() if split else end


def _item(text: str, start: int, end: int) -> Offer | None:
    if lead := _LEAD.match(text, start, end):
        start = lead.end()
    if tail := _TAIL.search(text, start, end):
        end = tail.start()
    what = text[start:end]
    if (
        len(what) < 2
        or len(what) > _LONGEST
        or not any(one.isalnum() for one in what)
        or _COUPON.search(what)
    ):
        return None
    if _NOTHING.search(what) or what in _NO_THING:
        return None
    return Offer(Kind.GIFT, start, end, text=what)


def _continued(reading: Reading, at: int) -> Iterator[Offer]:
    """送书包, 一个水杯, 还有文具: the list goes on after the pause."""
    while (following := reading.around(at)[1]) is not None and not following.asks:
        at += 1
        if following.end - following.start > 12 or not _NEXT.match(
            reading.text, following.start, following.end
        ):
            return
        if any(
            word.tags - {"mask", "after", "tag", "deal", "thing", "money-not"} for word in following.words
        ):
            return
        start = following.start
        if lead := re.compile("还有个?|外加|再加上?|加上|另加|以及|和").match(reading.text, start):
            start = lead.end()
        yield from _items(reading.text, start, following.end)


def _before(reading: Reading, clause: Clause, word: Word, *, done: bool = False) -> Iterator[Offer]:
    """这套教材白送给您: the thing comes first."""
    text = reading.text
    rest = text[word.end : clause.end]
    if rest.startswith(("取消", "退", "调换", "改签")):
        return
    if not done and len(_LEAD.sub("", _TAIL.sub("", rest))) > 2 and word.text not in _LAST:
        return
    start = clause.start
    for mark in _BREAK.finditer(text, start, word.start):
        if word.start - mark.end() > 1 and _HEADS.sub("", text[mark.end() : word.start]):
            start = mark.end()
    end = word.start
    if heads := _HEADS.search(text, start, end):
        end = heads.start()
    if _VERBS.search(text, start, end):
        return
    if 2 <= end - start <= 20:
        yield from _items(text, start, end)
    elif end <= start + 1 and (previous := reading.around(reading.clause(word.start))[0]) is not None:
        # 油卡 1000、脚垫一套，都给您配上.
        stop = _stop(text, previous.start, previous.end)
        if (
            stop - previous.start <= 20
            and not _VERBS.search(text, previous.start, stop)
            and not any(w.tags & {"ask", "neg", "off", "list"} for w in previous.words)
        ):
            yield from _items(text, previous.start, stop)


def _worth(reading: Reading, clause: Clause, word: Word) -> bool:
    """三千油卡, 油卡两千块: the card with its worth."""
    if any(one.start == word.end and one.kind == "money" for one in reading.figures_in(word.end, clause.end)):
        return True
    return any(
        word.start - one.end <= 1
        for one in reading.figures_in(clause.start, word.start)
        if one.kind == "money"
    )


def _patterns(
    reading: Reading, clause: Clause, found: list[Offer], ways: list[re.Pattern[str]]
) -> Iterator[Offer]:
    """Given without a verb of giving: 再给您加两节, 免一年物业费, 返 500 油卡."""
    text = reading.text
    for pattern in ways:
        for match in pattern.finditer(text, clause.start, clause.end):
            yield Offer(Kind.GIFT, *match.span("what"), text=_TAIL.sub("", match["what"]))
    for word in clause.words:
        if "thing" not in word.tags or any(one.start <= word.start < one.end for one in found):
            continue
        if (
            _CARD_LEAD.search(text, clause.start, word.start)
            or "给您" in text[word.end : clause.end]
            or _worth(reading, clause, word)
        ):
            money = [one for one in reading.figures_in(clause.start, word.start) if word.start - one.end <= 3]
            after = [one for one in reading.figures_in(word.end, clause.end) if one.start - word.end <= 1]
            start = money[-1].start if money else word.start
            end = after[0].end if after and not money else word.end
            yield Offer(Kind.GIFT, start, end, text=text[start:end])
