"""Results and refunds that are promised: 保证提分, 包过, 年回报 8%, 不满意全额退款."""

from __future__ import annotations

import re
from collections.abc import Iterator

from scrm.playbook.promises.offer import Offer
from scrm.playbook.promises.reading import Clause, Reading
from scrm.playbook.promises.values import Kind
from scrm.playbook.promises.words import Word

#: Said of a result they are vows, of anything else manners of speaking.
_WEAK = frozenset(
    "一定 肯定 必 必然 必定 绝对 准 都能 放心 轻松 管 稳 都 妥妥 没问题 不是问题 签约 签协议".split()
)
_SHORT = {
    "上": re.compile(r"普|公办|高|[\d一二三四五六七八九十]|重点|本科|实验|名校|榜|高中|大学|岸|一本|好学校"),
    "提": re.compile(r"[\d一二三四五六七八九十]|分|高|上"),
    "进": re.compile(r"前|重点|实验|班|名校|面|复赛"),
    "前": re.compile(r"[\d一二三四五六七八九十]"),
    "涨": re.compile(r"\S?"),
    "瘦": re.compile(r"\S?"),
    "会": re.compile(r"涨|升|赚|有效|赔|$|的$|背|说|认"),
    "过": re.compile(r"级|线|关|考|$|的|了|[,。!?]|\d|四|六|科|n1|雅思"),
    "赔": re.compile(r"\S?"),
    "批": re.compile(r"\S?"),
}
_SERVICE = re.compile(
    "发您|寄|送到|回复|通知|反馈|服务|盯|质量|正品|新车|真实|没骗|不骗|"
    "跟进|安排|安全送|准时|按时|联系|负责|沟通|态度|认真|尽力|努力|"
    "交付|交车|最低价|全网"
)
_STRONG_REFUND = frozenset(
    """全额退款 全额退费 全额退 退全款 全款退 退差价 退差 包退 无理由退 全退 退一赔三 假一赔十 假一赔三
        假一罚十 双倍退 退双倍 无条件退 随时退 退全费 退回全款 全数退 全额返还 一分不少退 退您全款 原价回购
        全额退您 赔双倍 双倍赔 双倍返还 保价 价保 补差价 全额退还 全部退 赔差价 返差价
        随便退 返全额 返还全款 退全额 无忧退 一律退 refund""".split()
)
_PROCESS = re.compile(
    r"保(?!证)|流程|政策|规定|申请|要求|按剩|按比例|按实际|按课|要扣|"
    r"扣除|手续|周期|的话|需要|\S?\d+天到|到账|协议|制度|另|规则|咨询|"
    r"怎么|问题|率|[要得]看|时间|前提"
)
_BACK = re.compile(
    r"(?:就|都|直接|也|,|保证|一定|肯定|我们|可以|随时|给您|全部|立马|马上|七天|\d天){0,4}(?:退(?![步休学役保出烧热化回来路市税房换])|"
    r"赔|补差|兜底|回购|买单)"
)
#: 稳赚的生意: of what is spoken, not what is promised.
_OF = re.compile(r"的(?!您|放|呢|哦|啦|啊|吧|没|,|。|!|\?|;|\n|$)")
_EXAM = re.compile("雅思|托福|[四六]级|中考|高考|期末|考级|过级|普高|重点|一本|上岸|年级前")
_VOWS = frozenset("保证 确保 承诺 百分百 百分之百 100% 保您 包您 担保 敢保证".split())
_FIRM = frozenset("肯定 一定 绝对 必定".split())
_MANNERS = re.compile(
    _SERVICE.pattern + "|赶|满足|帮|优惠|给|送|便宜|来|到|约|做主|谈|申请|打|折|满意|理解|"
    "看到|找|解决|喜欢|用|等|省|买|成$"
)
_ABLE = re.compile("(?:您|孩子|咱们?|家里|我们|一定|肯定|让您|让孩子|今年)*能(?!不能|否)")
_NUMBER = re.compile(r"[^,。!?;\n]{0,12}")
#: 每年给您 7% 的租金回报.
_FIXED = re.compile(r"(?:给您|固定|每年|保证|承诺)\S{0,3}\d[\d.]*(?:%|个点)的?$")
#: After a result named before the vow.
_REACHES = re.compile(r"(?:能|可以)?(?:做到|达到|提到|在|不低于|到)\S{1,10}")
#: A floor under a result.
_FLOOR = re.compile(
    r"(?:起薪|月薪|薪资|年薪|底薪|收益|年化|回报率?|转化率?|客流量?|线索量?|订单量?|roi|投产比|出租率|通过率|提分|分数|成绩)"
    r"\S{0,4}(?:不低于|不少于|不会低于)\S{1,8}"
    r"|(?:雅思|托福|gre|gmat|sat|四级|六级|期末|中考|高考|会考)\S{0,2}[包保]\d[\d.]*分?"
)
_TAIL = re.compile(r"[吧哦哈啊呀呢了的啦嘛~!]+$")


def guarantees(reading: Reading) -> list[Offer]:
    """Candidates in order; a result and its refund are two."""
    found: list[Offer] = []
    for at, clause in enumerate(reading.clauses):
        refunds = list(_refunds(reading, at, clause))
        results = list(_results(reading, clause)) or list(_backed(reading, at, clause))
        found += refunds
        found += [one for one in results if not any(one.start < r.end and r.start < one.end for r in refunds)]
    found.sort(key=lambda one: one.start)
    kept: list[Offer] = []
    for one in found:
        if not kept or one.start >= kept[-1].end:
            kept.append(one)
    return kept


def _make(text: str, start: int, end: int) -> Offer:
    said = _TAIL.sub("", text[start:end])
    return Offer(Kind.GUARANTEE, start, start + len(said), text=said)


def _results(reading: Reading, clause: Clause) -> Iterator[Offer]:
    text = reading.text
    done = clause.start
    for word in clause.words:
        if word.start < done or text.startswith(("班", "金", "率"), word.end):
            continue
        end = 0
        start = word.start
        if "sure-word" in word.tags and not _OF.match(text, word.end):
            end = word.end
        elif "yield" in word.tags:
            end = _yield(reading, clause, word)
        if not end and "vow" in word.tags:
            end = _vowed(text, clause, word)
        if not end and word.text in _VOWS | _FIRM and (able := _ABLE.match(text, word.end)):
            kind = _SERVICE if word.text in _VOWS else _MANNERS
            if not kind.search(text, word.end, min(clause.end, word.end + 14)):
                end = min(clause.end, able.end() + 16)
        if not end:
            start, end = _after_result(text, clause, word)
        if end:
            done = clause.end
            yield _make(text, start, end)


def _backed(reading: Reading, at: int, clause: Clause) -> Iterator[Offer]:
    """一个疗程瘦 10 斤，瘦不下来退钱: what is paid back for has been promised; and 起薪不低于八千."""
    text = reading.text
    if floor := _FLOOR.search(text, clause.start, clause.end):
        yield _make(text, *floor.span())
        return
    previous, following = reading.around(at)
    if previous and _ends_in_vow(previous) and clause.has("result") and clause.end - clause.start <= 20:
        if not _SERVICE.search(text, clause.start, clause.end):
            yield _make(text, clause.start, clause.end)
        return
    if following is None or not clause.has("result") or clause.words[0].tags & {"if", "bad", "neg"}:
        return
    if clause.end - clause.start <= 20 and any(
        "bad" in word.tags and _BACK.match(text, word.end, following.end) for word in following.words
    ):
        yield _make(text, clause.start, clause.end)


def _ends_in_vow(clause: Clause) -> bool:
    """我可以跟您保证，……"""
    last = clause.words[-1] if clause.words else None
    return last is not None and last.end == clause.end and last.text in _VOWS and not clause.has("neg")


def _yield(reading: Reading, clause: Clause, word: Word) -> int:
    if _FIXED.search(reading.text, clause.start, word.start):
        return word.end
    for figure in reading.figures_in(word.end, min(clause.end, word.end + 14)):
        if any(
            "hedge" in one.tags and word.start < one.end and one.start < figure.start for one in clause.words
        ):
            return 0
        if (
            (figure.kind == "share" or word.text == "保底")
            and figure.start - word.end <= 6
            and not figure.vague
        ):
            return figure.end
    return 0


def _vowed(text: str, clause: Clause, vow: Word) -> int:
    """Where the result ends that this word vows; 0 = it vows no result."""
    if _SERVICE.search(text, vow.end, min(clause.end, vow.end + 14)):
        return 0
    for word in clause.words:
        if "result" not in word.tags or not 0 <= word.start - vow.end <= 12:
            continue
        if (short := _SHORT.get(word.text)) and not short.match(text[word.end : clause.end] or ""):
            continue
        gap = text[vow.end : word.start]
        if gap.endswith(("不", "没")) or (not gap and vow.text.startswith("签")):
            continue
        if vow.text in _WEAK and gap and not re.search("能|会|可以|是|有|让|帮|给", gap):
            continue
        tail = _NUMBER.match(text, word.end, clause.end)
        return tail.end() if tail else word.end
    return 0


def _result_first(text: str, clause: Clause, vow: Word) -> tuple[int, int]:
    """投产比保证做到 1 比 3."""
    near = [w for w in clause.words if "result" in w.tags and len(w.text) > 1 and 0 <= vow.start - w.end <= 3]
    done = _REACHES.match(text, vow.end, clause.end)
    return (near[-1].start, done.end()) if near and done else (0, 0)


def _after_result(text: str, clause: Clause, vow: Word) -> tuple[int, int]:
    """三个月提 20 分没问题."""
    if vow.text in _VOWS:
        return _result_first(text, clause, vow)
    if vow.text not in ("没问题", "不是问题"):
        return 0, 0
    for word in clause.words:
        if "result" in word.tags and word.end <= vow.start and vow.start - word.end <= 8:
            if (short := _SHORT.get(word.text)) and not short.match(text[word.end : vow.start]):
                continue
            if word.text in ("下来", "批", "通过", "批下来", "拿到", "会", "安全"):
                continue
            return word.start, vow.end
    exam = _EXAM.search(text, clause.start, vow.start)
    return (exam.start(), vow.end) if exam and vow.start - exam.end() <= 8 else (0, 0)


def _refunds(reading: Reading, at: int, clause: Clause) -> Iterator[Offer]:
    text = reading.text
    bad = next((word for word in clause.words if "bad" in word.tags), None)
    for word in clause.words:
        if "refund" not in word.tags or _PROCESS.match(text, word.end):
            continue
        if bad is not None and bad.end <= word.start:
            yield _make(text, bad.start, word.end)
            return
        if word.text in _STRONG_REFUND or _promised(reading, at, clause, word):
            yield _make(text, word.start, word.end)
            return
    if bad is not None and (back := _BACK.match(text, bad.end, clause.end + 8)):
        yield _make(text, bad.start, back.end())


def _promised(reading: Reading, at: int, clause: Clause, word: Word) -> bool:
    """A plain 退款 is promised after 包, 保证, 随时, or when the clause before says when things go wrong."""
    text = reading.text
    if re.search("包|保证|承诺|随时|无条件|给您|一定|直接|立马|无理由|马上", text[clause.start : word.start]):
        return True
    previous = reading.around(at)[0]
    return previous is not None and previous.has("bad")
