"""PROMISES.md point by point: what is read out of a message, and what is left alone."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from scrm.playbook.promises.extract import extract
from scrm.playbook.promises.values import Promise

#: A Saturday.
AT = datetime(2026, 11, 21, 10, tzinfo=ZoneInfo("Asia/Shanghai"))


def read(text: str, at: datetime = AT) -> list[str]:
    """Each promise in short: `discount 0.85`, `off 50000/500000`, `gift 书包`, `until 2026-11-22`."""
    return [short(one) for one in extract(text, by="staff", at=at)]


def short(one: Promise) -> str:
    reach = f"/{one.min_fen}" if one.min_fen is not None else ""
    value = one.value if one.value is not None else one.fen
    said = value if value is not None else one.text or one.date
    return f"{one.kind.value} {said}{reach}"


def test_what_the_customer_says_is_no_promise_of_ours() -> None:
    assert extract("给我打八折，再送两节课", by="customer", at=AT) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("全款98折，按揭99折", ["discount 0.98", "discount 0.99"]),
        ("两科联报打九折，三科联报八五折", ["discount 0.9", "discount 0.85"]),
        ("50台以上八五折，100台以上八折", ["discount 0.85", "discount 0.8"]),
    ],
)
def test_a_condition_cancels_nothing_and_every_tier_counts(text: str, expected: list[str]) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "您是想要8折吗？",
        "现在有没有八折活动啊",
        "我们从来不打折的，八折没有",
        "打不了八折，真的",
        "我帮您申请一下看看能不能打八折",
        "八折的事我得问问领导",
        "大概能打个八五折左右吧",
        "8到9折之间，看您报多少课时",
        "隔壁机构给的7折我们比不了",
        "去年双十一是七折",
        "要是上周来就能八折了，可惜",
        "如果总部批了就八折",
        "您说的优惠两万，我这边真没有",
        "顾问：您好\n客户：给我打八折行不行",
    ],
)
def test_questions_denials_hedges_ranges_other_firms_and_the_past_are_empty(text: str) -> None:
    assert read(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("给您8折行吗", ["discount 0.8"]),
        ("八五折是我能给到的最低了，您看可以吗", ["discount 0.85"]),
        ("李老师之前答应您的8.5折我认", ["discount 0.85"]),
        ("我跟校长申请下来了，给您九折", ["discount 0.9"]),
        ("隔壁8折，我们家7折", ["discount 0.7"]),
    ],
)
def test_an_offer_asked_about_honoured_or_approved_is_one(text: str, expected: list[str]) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("不是8折是9折", ["discount 0.9"]),
        ("8折不行，9折可以", ["discount 0.9"]),
        ("优惠8000，不对，优惠6000", ["off 600000"]),
        ("不是5980，说错了，是5780", ["price 578000"]),
        ("九五折再叠九折", ["discount 0.95", "discount 0.9"]),
    ],
)
def test_a_correction_leaves_what_holds_at_the_end(text: str, expected: list[str]) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("给您打8.5折", 0.85),
        ("那就给您打个八五者吧", 0.85),
        ("按85%结给您", 0.85),
        ("再让您三个点，不能再低了", 0.97),
        ("15% off for you", 0.85),
        ("给您减免15%", 0.85),
        ("百分之八十五收", 0.85),
        ("春季班对折", 0.5),
        ("第二科半价", 0.5),
        ("给您张八折券", 0.8),
        ("８．８折", 0.88),
        ("8 折给您", 0.8),
    ],
)
def test_a_discount_is_the_share_still_paid(text: str, value: float) -> None:
    assert read(text) == [f"discount {value}"]


@pytest.mark.parametrize(
    ("text", "yuan"),
    [
        ("到手价２９８０", 2980),
        ("落地十五万六", 156_000),
        ("裸车价12万8", 128_000),
        ("算您5k8，不能再少了", 5800),
        ("1.2w全年，含教材", 12_000),
        ("给您报价叁仟捌佰元整", 3800),
        ("三人团每人3980，您凑两个朋友就行", 3980),
        ("四九八零，一分不能少", 4980),
        ("原价6980，现在给您5780", 5780),
    ],
)
def test_a_price_is_the_total_of_the_thing_offered(text: str, yuan: int) -> None:
    assert read(text) == [f"price {yuan * 100}"]


@pytest.mark.parametrize(
    "text",
    [
        "原价6980的课",
        "每月998，先上着看",
        "单价2万3一平",
        "首付30万就能上车",
        "月供大概六千五",
        "保额50万",
        "大概五千多吧",
        "您这旧车能收4万5",
        "发票开29800",
        "押金5000合同到期退",
        "教材费另收200",
    ],
)
def test_other_money_is_no_price(text: str) -> None:
    assert read(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("立剪300哦", ["off 30000"]),
        ("给您发了张100元的优惠卷", ["off 10000"]),
        ("定金100抵500", ["off 50000"]),
        ("定金后面抵学费的", []),
        ("满5000减500", ["off 50000/500000"]),
        ("满三千立减两百，满五千立减四百", ["off 20000/300000", "off 40000/500000"]),
        ("这张券满2000可用，抵200", ["off 20000/200000"]),
        ("我给您抹掉零头80块", ["off 8000"]),
    ],
)
def test_an_amount_off_knows_the_bill_it_needs(text: str, expected: list[str]) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("送您两节体验课", ["gift 两节体验课"]),
        ("赠送一套绘本、一个学习机", ["gift 一套绘本", "gift 一个学习机"]),
        ("送全车贴膜加脚垫", ["gift 全车贴膜", "gift 脚垫"]),
        ("这套教材白送给您", ["gift 这套教材"]),
        ("送您500元京东卡", ["gift 500元京东卡"]),
        ("不送脚垫，送贴膜", ["gift 贴膜"]),
        ("学费里含教材", []),
        ("教材给您送到家", []),
        ("送孩子来上课的时候带上身份证", []),
        ("支持12期免息", []),
        ("可以送两节课吗？我问一下领导", []),
    ],
)
def test_a_gift_is_one_entry_a_thing(text: str, expected: list[str]) -> None:
    assert read(text) == expected


def test_a_coupon_is_its_effect_and_no_gift() -> None:
    assert read("送您一张200元优惠券") == ["off 20000"]
    assert read("送一张8折券") == ["discount 0.8"]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("活动周日截止", date(2026, 11, 22)),
        ("优惠到11月30号", date(2026, 11, 30)),
        ("名额给您留到周五", date(2026, 11, 27)),
        ("这个价只到今晚12点", date(2026, 11, 21)),
        ("明天恢复原价", date(2026, 11, 21)),
        ("今天才有这个价", date(2026, 11, 21)),
        ("下周三之前定下来，价格给您留着", date(2026, 11, 25)),
        ("这周报名都有效", date(2026, 11, 22)),
        ("活动月底结束", date(2026, 11, 30)),
        ("年底前报名有效", date(2026, 12, 31)),
        ("双十二之前都是这个价", date(2026, 12, 12)),
        ("元旦前报名还是老价格", date(2027, 1, 1)),
        ("三天内报名有效", date(2026, 11, 24)),
        ("48小时内付款给您保留名额", date(2026, 11, 23)),
        ("一周内报名有效", date(2026, 11, 28)),
        ("5号之前报名有效", date(2026, 12, 5)),
    ],
)
def test_a_deadline_stands_alone(text: str, day: date) -> None:
    assert read(text) == [f"until {day}"]


@pytest.mark.parametrize(
    "text",
    [
        "12月5号开课",
        "我周三前给您回复",
        "课时有效期一年",
        "活动从12月1号开始",
        "交付周期20天",
        "周五之前老师会反馈",
    ],
)
def test_other_days_are_no_deadline(text: str) -> None:
    assert read(text) == []


def test_a_condition_of_today_is_the_deadline_too() -> None:
    assert read("今天订车优惠八千") == ["until 2026-11-21", "off 800000"]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("保证提分20分以上", 1),
        ("签约保过，不过全额退费", 2),
        ("年回报8%，开发商兜底", 1),
        ("这种情况肯定能赔", 1),
        ("买贵退差价", 1),
        ("7天内不满意全额退款", 1),
        ("我保证没骗您", 0),
        ("我保证今天把资料发您", 0),
        ("我们不承诺包过，谁也保证不了", 0),
        ("保证金不退", 0),
        ("退费按剩余课时算", 0),
        ("质保五年十万公里", 0),
    ],
)
def test_results_and_refunds_are_guarantees(text: str, count: int) -> None:
    found = read(text)
    assert [one.split()[0] for one in found] == ["guarantee"] * count


def test_the_day_is_counted_where_the_customer_lives() -> None:
    late = datetime(2026, 11, 20, 17, tzinfo=ZoneInfo("UTC"))
    assert read("今晚12点截止，立减300", late) == ["until 2026-11-21", "off 30000"]


def test_the_span_is_of_the_text_as_it_came() -> None:
    text = "妈妈您好 ，给您 ８ 折🎁再送 两节体验课"
    spans = {one.kind.value: text[slice(*one.span)] for one in extract(text, by="staff", at=AT)}
    assert spans == {"discount": "８ 折", "gift": "两节体验课"}


def test_a_condition_is_kept_in_the_words_used() -> None:
    (one,) = extract("两科一起报名，给您九折", by="staff", at=AT)
    assert one.condition == "两科一起报名"


def test_what_is_said_twice_is_one_promise() -> None:
    assert read("给您8折，对，就是8折") == ["discount 0.8"]


def test_a_transcript_without_stops_is_read_like_a_message() -> None:
    text = (
        "喂您好是子轩妈妈吧我们寒假班现在有个活动就是两门一起报的话打八五折然后单科的话是九折"
        "另外我再送您孩子四节口语课这个活动到月底就结束了"
    )
    assert read(text) == ["discount 0.85", "discount 0.9", "gift 四节口语课", "until 2026-11-30"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # What was asked for and has been given; what is only tried for.
        ("我这边给您申请的七五折已经批了", ["discount 0.75"]),
        ("我尽量给您争取到九折", []),
        ("8折的事情我还在走流程", []),
        ("我这边先按九折报上去，能不能批下来不好说", []),
        # Whose it is, and what it costs who comes late.
        ("八折是给老师家属的，您这边我只能做到九折", ["discount 0.9"]),
        ("现在还有98折，再等就99折了", ["discount 0.98"]),
        ("跟别家比我们便宜500呢", []),
        # Speech: fillers, and customers who misheard.
        ("怎么说呢两门一起报的话打八五折", ["discount 0.85"]),
        ("没有没有，我刚才说的是九五折，您听错了", ["discount 0.95"]),
        # Shares without 折, and amounts that are not one.
        ("全款97，贷款98", ["discount 0.97", "discount 0.98"]),
        ("优惠三百五百的都好说", []),
        ("新用户首单7折，最高减50", ["discount 0.7"]),
        # What money is of.
        ("优惠明细：学费4980+教材200=5180", ["price 518000"]),
        ("旧车抵八万，再补六万就行", []),
        ("年缴5400，保50万", ["price 540000"]),
        ("每套2350，100套起", ["price 235000"]),
        ("3.8k一年", ["price 380000"]),
    ],
)
def test_ways_of_speaking_that_turn_an_offer_are_told_apart(text: str, expected: list[str]) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("一个疗程瘦10斤，瘦不下来退钱", ["guarantee 一个疗程瘦10斤", "guarantee 瘦不下来退钱"]),
        ("百分百拿证，拿不到退全款", ["guarantee 百分百拿证", "guarantee 拿不到退全款"]),
        ("我可以跟您保证，半年内阅读量翻一倍", ["guarantee 半年内阅读量翻一倍"]),
        ("包就业，起薪不低于8000", ["guarantee 包就业", "guarantee 起薪不低于8000"]),
        ("您别信那些保过的", []),
        ("免一个月房租", ["gift 一个月房租"]),
        ("脚垫、挡泥板都免费给您配齐", ["gift 脚垫", "gift 挡泥板都免费给您配齐"]),
        ("买房送车位的活动是去年的", []),
        ("收到有破损我们免费补发", []),
    ],
)
def test_guarantees_and_gifts_in_more_than_one_way_of_saying_them(text: str, expected: list[str]) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("下周五晚上就涨价了", "2026-11-27"),
        ("过了这个周末就没有赠课了", "2026-11-22"),
        ("下个月就没有这个政策了", "2026-11-30"),
        ("这批券的有效期是2026.12.05", "2026-12-05"),
        ("这个价格零点一过自动恢复原价", "2026-11-21"),
        ("优惠圣诞前一天结束", "2026-12-24"),
        ("优惠还有最后两天", "2026-11-22"),
        ("25号前提车直降1.2万", "2026-11-25"),
    ],
)
def test_a_last_day_is_read_however_it_is_named(text: str, until: str) -> None:
    assert [one for one in read(text) if one.startswith("until")] == [f"until {until}"]


@pytest.mark.parametrize(
    "text",
    ["发货时间是付款后三天内", "买贵退差价，7天内", "订单24小时内可以免费取消", "预售价899，双十二付尾款"],
)
def test_how_long_something_may_be_asked_for_is_no_last_day_of_an_offer(text: str) -> None:
    assert not [one for one in read(text) if one.startswith("until")]
