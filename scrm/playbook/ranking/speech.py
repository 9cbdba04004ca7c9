"""What people type, made comparable: one form of spelling, words and pairs of characters, clauses."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

import rjieba

from scrm.playbook.ranking.concepts import concepts

QUOTE_CHARS = 20
#: Longer utterances are cut: a pasted article must not slow the page.
MAX_CHARS = 500

_STOP = frozenset(
    "我们 你们 咱们 这个 那个 一个 一下 可以 但是 如果 的话 现在 觉得"
    " 我 你 您 咱 他 她 它 们 的 了 吗 呢 吧 啊 呀 哦 嗯 哈 是 在 有 没 就 都 也 还 和 跟 这 那"
    " 个 点 要 会 能 很 太 说 给 把 对 到 里 得 着 过 又 可 想 家 但 不 一 先 么 什 怎 为 以 上"
    " 下 来 去 时 候".split()
)
#: Said alone they ask for nothing; nor does a message that is only a picture or a sticker.
_ACKS = frozenset(
    "好 好的 好滴 好吧 行 行吧 可以 嗯 嗯嗯 哦 哦哦 收到 知道了"
    " 明白 明白了 谢谢 谢谢您 谢谢你 多谢 辛苦了 ok 哈哈 哈哈哈".split()
)
_PLACEHOLDER = re.compile(r"\[[^\[\]]{1,8}\]")
#: Spoken variants, so that a script need not list each.
_SAME = {
    "啥": "什么",
    "咋": "怎么",
    "娃": "孩子",
    "闺女": "孩子",
    "女儿": "孩子",
    "儿子": "孩子",
    "1对1": "一对一",
}
_SPOKEN = re.compile("|".join(_SAME))
#: Left out when looking for trigger words a second time: 请个假 is 请假, 考虑下 is 考虑.
_FILLERS = re.compile("[个了下着过啊呀吧呢嘛吗]|一[点下]")
_CLAUSES = re.compile(r"[，。！？；,.!?;、\s…~～]+")


def normal(text: str) -> str:
    """Full-width and half-width, upper and lower case, common spoken variants become one form."""
    plain = unicodedata.normalize("NFKC", text[:MAX_CHARS]).lower()
    return _SPOKEN.sub(lambda found: _SAME[found[0]], plain)


def terse(said: str) -> str:
    """Normal text without the little words people put between the parts of a word."""
    return _FILLERS.sub("", said)


def clauses(said: str) -> tuple[str, ...]:
    """The parts of normal text between punctuation."""
    return tuple(filter(None, _CLAUSES.split(said)))


@lru_cache(maxsize=4096)
def tokens(text: str) -> frozenset[str]:
    """What is worth matching: words, Chinese characters and pairs of them, without stop words.

    Characters and pairs find again what segmentation cuts differently in speech (坐不住, 坐不了).
    """
    plain = normal(text)
    words = {word for word in rjieba.cut_for_search(plain) if any(map(str.isalnum, word))}
    single = {one for one in plain if _is_han(one)}
    pairs = {one + two for one, two in pairwise(plain) if _is_han(one) and _is_han(two)}
    return frozenset(((words | single | pairs) - _STOP) | concepts(plain))


def asks(utterance: str) -> bool:
    """Whether there is anything to answer in it."""
    text = _PLACEHOLDER.sub("", normal(utterance))
    bare = "".join(filter(str.isalnum, text))
    return bare not in _ACKS if bare else "?" in text


def quote(utterance: str) -> str:
    """The beginning of what was said, on one line."""
    text = " ".join(utterance.split())
    return text if len(text) <= QUOTE_CHARS else text[:QUOTE_CHARS] + "…"


def _is_han(character: str) -> bool:
    return "\u4e00" <= character <= "\u9fff"
