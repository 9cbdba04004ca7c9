"""Names and numbers as people have them: common surnames often, given names by sex and generation."""

from __future__ import annotations

import random

_SURNAMES = (
    "王李张刘陈杨黄赵周吴徐孙马朱胡郭何林高罗郑梁谢宋唐许韩邓冯曹彭曾萧田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢"
    "姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常汤"
)
_WEIGHTS = [1.0 / (n + 3) for n in range(len(_SURNAMES))]
_MEN = "伟强磊军勇杰涛斌波辉刚健明亮鹏飞超俊峰平东文武宁建国志华"
_WOMEN = "芳娜敏静丽艳娟霞秀玲桂英燕红梅莉兰凤洁琳云莹雪慧玉萍丹婷"
_CHILDREN = "子浩宇轩梓涵欣怡一诺雨泽沐宸语桐可馨思远佳奕晨睿博瑞萱依辰"
_STARTS = (
    "130",
    "131",
    "133",
    "135",
    "136",
    "137",
    "138",
    "139",
    "150",
    "152",
    "158",
    "159",
    "176",
    "186",
    "188",
)


class Words:
    """Draws names and numbers; the same source of chance draws the same ones."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._taken: set[str] = set()

    def surname(self) -> str:
        return self._rng.choices(_SURNAMES, _WEIGHTS)[0]

    def given(self, part: str) -> str:
        letters = {"father": _MEN, "mother": _WOMEN, "grandma": _WOMEN}.get(part, _CHILDREN)
        size = 2 if part not in ("father", "mother", "grandma") or self._rng.random() < 0.6 else 1
        return "".join(self._rng.choices(letters, k=size))

    def phone(self) -> str:
        """A number nobody else has."""
        while True:
            one = self._rng.choice(_STARTS) + f"{self._rng.randrange(10**8):08d}"
            if one not in self._taken:
                self._taken.add(one)
                return one

    def card(self, part: str) -> str:
        year = {"grandma": 1955, "child": 2014}.get(part, 1985) + self._rng.randrange(10)
        place = self._rng.choice(("110105", "310104", "440305", "330106", "510104", "420106"))
        day = f"{self._rng.randint(1, 12):02d}{self._rng.randint(1, 28):02d}"
        return f"{place}{year}{day}{self._rng.randrange(1000):03d}{self._rng.choice('0123456789X')}"

    def token(self, prefix: str, size: int = 12) -> str:
        return prefix + f"{self._rng.getrandbits(4 * size):0{size}x}"

    def typo(self, phone: str) -> str:
        """One digit wrong, or two of them swapped."""
        at = self._rng.randrange(3, 10)
        if self._rng.random() < 0.3 and phone[at] != phone[at + 1]:
            return phone[:at] + phone[at + 1] + phone[at] + phone[at + 2 :]
        return phone[:at] + str((int(phone[at]) + self._rng.randint(1, 9)) % 10) + phone[at + 1 :]
