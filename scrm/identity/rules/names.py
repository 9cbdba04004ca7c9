"""Names of people in China, as far as they tell two people apart. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_SINGLE = frozenset(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江"
    "尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤温康施文牛樊葛邢安齐易乔伍庞颜倪庄聂章鲁岳翟殷詹申欧耿关兰焦俞左柳甘祝包宁尚符舒阮柯纪梅童"
    "凌毕单季裴霍涂成苗谷盛曲翁冉骆蓝路游辛靳管柴蒙鲍华喻祁蒲房滕屈饶解牟艾尤阳时穆农司卓古吉缪简车项连芦麦褚娄窦戚岑景党宫费卜冷晏席卫米柏宗瞿桂全佟应臧"
    "闵苟邬边卞姬师和仇栾隋商刁沙荣巫寇桑郎甄丛仲虞敖巩明佘池查麻苑迟邝官封谈匡鞠惠荆乐冀郁胥南班储原栗燕楚鄢劳谌奚皮粟冼蔺楼盘满闻位厉伊仝区郜海阚花权强帅屠豆朴盖练廉禹井祖漆巴丰支卿国狄阎丘傅常漕萧赖平计索宣晋相初门云容敬来扈晁芮都普阙浦戈伏鹿薄邸雍辜羊阿乌母裘亓修邰赫杭况那宿鲜印逯隆茹诺战慕危玉银亢嵇公哈湛宾戎勾茅利於呼居揭干但尉冶斯元束檀衣信展阴昝智幸奉植衡富尧闭由"
)
_DOUBLE = frozenset(
    {
        "欧阳",
        "司马",
        "上官",
        "诸葛",
        "东方",
        "皇甫",
        "尉迟",
        "公孙",
        "慕容",
        "令狐",
        "司徒",
        "夏侯",
        "端木",
        "南宫",
    }
)
_TITLES = (
    "先生",
    "女士",
    "小姐",
    "太太",
    "老师",
    "经理",
    "总",
    "阿姨",
    "叔叔",
    "大哥",
    "大姐",
    "姐",
    "哥",
    "同学",
)
_MEN, _WOMEN = (
    frozenset({"先生", "叔叔", "大哥", "哥"}),
    frozenset({"女士", "小姐", "太太", "阿姨", "大姐", "姐"}),
)
_HANZI = re.compile(r"[\u4e00-\u9fff]{2,4}")
_KIN = re.compile(r".*(妈|爸|麻麻|粑粑|奶|爷|姥|外婆|外公|家长|老公|老婆|父|母)")
#: Words that are no names, among those an identifier was shown with: who of ours saw it, the account that
#: was opened with it, the broker who reported it to whom (`%broker|rep`).
REP, ACCOUNT, BROKER = "@", "#", "%"
_NOISE = re.compile(r"[\s·•.,，。()（）\[\]【】\-_|/]+")


@lru_cache(maxsize=65_536)
def normal(name: str) -> str:
    """Without spaces and punctuation, small letters; "" says nothing."""
    return _NOISE.sub("", name).lower()[:32]


@lru_cache(maxsize=65_536)
def parts(name: str) -> tuple[str, str, str]:
    """(surname, given name, m | f | "") of a normalised name; a nickname has nothing of it."""
    if _KIN.fullmatch(name):
        return ("", "", "")
    bare, sex = name, ""
    for title in _TITLES:
        if name.endswith(title) and len(name) > len(title):
            bare = name[: -len(title)]
            sex = "m" if title in _MEN else "f" if title in _WOMEN else ""
            break
    if bare is not name and bare in _DOUBLE | _SINGLE:
        return (bare, "", sex)
    if bare is name and len(name) == 2 and name[0] in "小老阿" and name[1] in _SINGLE:
        return (name[1], "", "")
    if not _HANZI.fullmatch(bare):
        return ("", "", "")
    size = 2 if bare[:2] in _DOUBLE and len(bare) > 2 else 1
    surname = bare[:size]
    if surname not in _DOUBLE | _SINGLE or len(bare) - size > 2:
        # 阳光灿烂 and 平安是福 begin with surnames, and nobody is called so.
        return ("", "", "")
    return (surname, bare[size:], sex)


def differ(a: str, b: str) -> bool:
    """Whether two normalised names cannot be one person's; nicknames never say so."""
    if a == b:
        return False
    (surname_a, given_a, sex_a), (surname_b, given_b, sex_b) = parts(a), parts(b)
    if not surname_a or not surname_b:
        return False
    if a == given_b or b == given_a:
        # Somebody called by the given name alone: 文英 is 曹文英, and nobody of the Wens.
        return False
    if surname_a != surname_b:
        return True
    if given_a and given_b:
        return given_a != given_b
    return bool(sex_a and sex_b and sex_a != sex_b)


def strangers(a: str, b: str) -> bool:
    """Whether two whole names have nothing in common: no slip of the pen makes one of the other."""
    (surname_a, given_a, _), (surname_b, given_b, _) = parts(a), parts(b)
    return bool(surname_a != surname_b and given_a and given_b and surname_a and surname_b) and not (
        set(given_a) & set(given_b)
    )


def all_differ(mine: Iterable[str], theirs: Iterable[str]) -> bool:
    """Whether both sides have names and no two of them can be one person's."""
    left = [n for n in mine if parts(n)[0]]
    right = [n for n in theirs if parts(n)[0]]
    return bool(left and right) and all(differ(a, b) for a in left for b in right)


def distinct(names: Iterable[str]) -> int:
    """At least so many people stand behind these names."""
    known: list[str] = []
    # Full names first: 王先生 may be any of the Wangs.
    for name in sorted({n for n in names if parts(n)[0]}, key=lambda n: (not parts(n)[1], n)):
        if all(differ(name, other) for other in known):
            known.append(name)
    return len(known)


def seen_by(names: Iterable[str]) -> int:
    """How many of ours saw it."""
    return sum(n[:1] == REP for n in names)


def passed_round(names: Iterable[str], most: int) -> bool:
    """Whether more of ours saw it than see one person, or one broker used it for several."""
    said = list(names)
    if seen_by(said) > most:
        return True
    brokers = [n.split("|")[0] for n in said if n[:1] == BROKER]
    return len(brokers) > len(set(brokers))


def accounts(names: Iterable[str]) -> set[str]:
    """The accounts that were opened with it."""
    return {n for n in names if n[:1] == ACCOUNT}
