"""The sentences we understand, as patterns over word classes; everything else says nothing.

Careful before clever: negation, question, hypothesis and reported words anywhere in a clause silence it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from scrm.identity.statements.lexicon import OF_CHILD, OF_ME
from scrm.identity.statements.patterns import Found, Item, compiled, match
from scrm.identity.statements.values import Relation, Statement, Target, Token
from scrm.identity.statements.words import Clause, clauses

_Kept = Mapping[str, Token]
#: Classes that silence their clause.
_SILENT = ("NEG", "ASK", "IF", "SAY", "EX", "SWEAR")
#: Whoever has none of these characters speaks of nobody (all but a few messages).
_HINTS = frozenset(
    "爸妈爹娘父母爷奶姥公婆舅姑姨叔伯婶哥姐弟妹家监保司助秘老丈妻先太爱媳半内夫属儿女闺孙侄甥孩娃宝介推粑麻叫"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A pattern from the beginning of a clause on, and what it says."""

    items: tuple[Item, ...]
    means: Callable[[_Kept], tuple[Relation, Target, str]]
    confidence: float


def _self(kept: _Kept) -> tuple[Relation, Target, str]:
    """我是孩子爸爸: the speaker's own part in the family."""
    return OF_CHILD[kept["kin"].cls], _whose(kept["own"]), kept["kin"].text


def _partner(_: _Kept) -> tuple[Relation, Target, str]:
    """我是她老公: written on the other one's telephone."""
    return "spouse", Target(kind="account"), ""


def _shown(kept: _Kept) -> tuple[Relation, Target, str]:
    """这是我老婆, 加我老公微信: what the other one is to the speaker."""
    return OF_ME[kept["kin"].cls], _reach(kept), ""


def _of_kid(kept: _Kept) -> tuple[Relation, Target, str]:
    """孩子爸爸的电话: of the same family, but who the speaker is was not said."""
    return "helper" if kept["kin"].cls == "HELPER" else "other", _reach(kept), ""


def _mine(kept: _Kept) -> tuple[Relation, Target, str]:
    """孩子是我女儿, 我女儿叫子涵."""
    return OF_ME[kept["kin"].cls], _whose(kept["own"]), ""


def _behalf(kept: _Kept) -> tuple[Relation, Target, str]:
    return OF_ME[kept["kin"].cls], Target(kind="unknown"), ""


def _referred(_: _Kept) -> tuple[Relation, Target, str]:
    return "referrer", Target(kind="unknown"), ""


def _whose(own: Token) -> Target:
    return Target(kind="child", value=own.text) if own.cls == "NAME" else Target(kind="account")


def _reach(kept: _Kept) -> Target:
    phone = kept.get("phone")
    return Target(kind="phone", value=_digits(phone.text)) if phone else Target(kind="card")


def _digits(text: str) -> str:
    return "".join(c for c in text if c.isdecimal())[-11:]


_START = "LEAD* "
_NUMBER = "BE? COLON? phone:PHONE STOP"
#: Where 吧 would make a question of it.
_SURELY = "BE? COLON? phone:PHONE DONE"
_CHILD = "KID|HE|NAME"
RULES: tuple[Rule, ...] = tuple(
    Rule(items=compiled(_START + pattern), means=means, confidence=confidence)
    for pattern, means, confidence in (
        # 我是孩子爸爸, 我是王子涵的妈妈, 我是孩子他爸, 这里是子涵妈妈
        (f"I ADV* BE THIS? GRADE* own:{_CHILD} HE? DE? kin:ELDER ON", _self, 0.95),
        ("I ADV* BE I own:KID DE? kin:ELDER ON", _self, 0.9),
        ("THIS BE GRADE* own:NAME DE? kin:ELDER ON", _self, 0.8),
        # 我是她老公
        ("I ADV* BE HE DE? SPOUSE ON", _partner, 0.8),
        # 这是我老婆, 这是我爱人的电话13912345678
        (f"THIS CONTACT? ADV* BE I DE? kin:MINE DE? CONTACT? {_SURELY}", _shown, 0.95),
        ("THIS CONTACT? ADV* BE I DE? kin:MINE DE? CONTACT? DONE", _shown, 0.9),
        (f"THIS CONTACT? ADV* BE KID HE? DE? kin:ELDER DE? CONTACT? {_SURELY}", _of_kid, 0.9),
        ("THIS CONTACT? ADV* BE KID HE? DE? kin:ELDER DE? CONTACT? DONE", _of_kid, 0.8),
        # 孩子是我女儿, 我女儿叫王子涵, 孩子叫子涵
        (f"THIS? own:{_CHILD} ADV* BE I DE? kin:YOUNG ON", _mine, 0.95),
        ("I DE? kin:YOUNG|KID DE? CALLED CALLED? BE? COLON? own:NAME ON", _mine, 0.95),
        ("kin:KID DE? CALLED CALLED? BE? COLON? own:NAME ON", _mine, 0.7),
        # 加我老公微信, 加一下孩子爸爸139...
        (f"YOU? ADV* ADD ADV* I DE? kin:MINE DE? CONTACT? {_NUMBER}", _shown, 0.95),
        ("YOU? ADV* ADD ADV* I DE? kin:MINE DE? CONTACT? STOP", _shown, 0.85),
        (f"YOU? ADV* ADD ADV* KID HE? DE? kin:ELDER DE? CONTACT? {_NUMBER}", _of_kid, 0.9),
        ("YOU? ADV* ADD ADV* KID HE? DE? kin:ELDER DE? CONTACT? STOP", _of_kid, 0.8),
        # 我把我老公微信推给你
        ("I? ADV* BA I DE? kin:MINE DE? CONTACT ADV* SEND|GIVE GIVE? YOU ADV* STOP", _shown, 0.9),
        ("I? ADV* BA KID HE? DE? kin:ELDER DE? CONTACT ADV* SEND|GIVE GIVE? YOU ADV* STOP", _of_kid, 0.85),
        # 我爱人电话是139..., 孩子爸爸手机139..., 139...是我老公
        (f"I DE? kin:MINE DE? CONTACT? {_NUMBER}", _shown, 0.95),
        (f"KID HE? DE? kin:ELDER DE? CONTACT? {_NUMBER}", _of_kid, 0.9),
        ("phone:PHONE THIS? ADV* BE I DE? kin:MINE DE? CONTACT? DONE", _shown, 0.95),
        ("phone:PHONE THIS? ADV* BE KID HE? DE? kin:ELDER DE? CONTACT? DONE", _of_kid, 0.9),
        ("YOU? SEND I DE? kin:MINE DE? CONTACT GIVE YOU ADV* STOP", _shown, 0.85),
        # 我老公加你了
        ("I DE? kin:MINE ADV* ADD PARTICLE? YOU PARTICLE? DE? CONTACT? STOP", _shown, 0.8),
        ("KID HE? DE? kin:ELDER ADV* ADD PARTICLE? YOU PARTICLE? DE? CONTACT? STOP", _of_kid, 0.75),
        # 我帮我妈问的
        ("I? BE? ADV* HELP|GIVE I DE? kin:MINE ADV* INQUIRE", _behalf, 0.85),
        # 朋友介绍的
        ("I? BE? ADV* I? DE? FRIEND|MINE REFER I? WANT? PARTICLE? I? DE? ON", _referred, 0.9),
    )
)
#: 我是孩子爸爸，对吗？ takes back what stands before it.
_TAGS = frozenset(
    {"对吗", "是吗", "对吧", "是吧", "对不对", "是不是", "对么", "是么", "没错吧", "对不", "才怪"}
)


def heard(text: str) -> tuple[Statement, ...]:
    """What this message of a customer says about who they are to whom; nearly always nothing."""
    if not text or _HINTS.isdisjoint(text):
        return ()
    return _heard(text)


@lru_cache(maxsize=1024)
def _heard(text: str) -> tuple[Statement, ...]:
    return tuple(_said(clauses(text)))


def _said(found: Sequence[Clause]) -> Iterator[Statement]:
    supposed = False
    for n, clause in enumerate(found):
        follows = found[n + 1] if n + 1 < len(found) else None
        supposed = supposed or clause.has("IF", "SAY")
        if not (supposed or clause.asks or clause.has(*_SILENT) or _doubted(clause, follows)):
            statement = _read(clause)
            if statement is not None:
                yield _with_number(statement, follows)
        if clause.last:
            supposed = False


def _doubted(clause: Clause, follows: Clause | None) -> bool:
    """A tag question follows, or 如果 comes after: 我是孩子爸爸的话."""
    if clause.last or follows is None:
        return False
    return "".join(t.text for t in follows.tokens) in _TAGS


def _read(clause: Clause) -> Statement | None:
    for rule in RULES:
        found = match(rule.items, clause.tokens)
        if found is not None:
            return _statement(rule, clause, found)
    return None


def _statement(rule: Rule, clause: Clause, found: Found) -> Statement:
    relation, target, speaker = rule.means(found.kept)
    start, end = clause.tokens[0].start, clause.tokens[found.end - 1].end
    return Statement(
        relation=relation, target=target, speaker=speaker, confidence=rule.confidence, start=start, end=end
    )


def _with_number(said: Statement, follows: Clause | None) -> Statement:
    """加我老公微信，13912345678: the number stands alone behind the comma."""
    if said.target.kind != "card" or follows is None or len(follows.tokens) > 3:
        return said
    if follows.asks or follows.has(*_SILENT):
        return said
    phone = next((t for t in follows.tokens if t.cls == "PHONE"), None)
    if phone is None or any(t.cls not in {"PHONE", "CONTACT", "BE", "COLON"} for t in follows.tokens):
        return said
    return Statement(
        relation=said.relation,
        target=Target(kind="phone", value=_digits(phone.text)),
        speaker=said.speaker,
        confidence=said.confidence,
        start=said.start,
        end=phone.end,
    )
