"""What a ruling is made from and what it says: claims, the deal, winners with shares, reasons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

#: 报备 到访 来电 加微 注册 跟进 推荐
Kind = Literal["report", "visit", "call", "contact", "signup", "follow_up", "referral"]
KINDS: Mapping[Kind, str] = {
    "report": "报备",
    "visit": "到访",
    "call": "来电",
    "contact": "加微",
    "signup": "注册",
    "follow_up": "跟进",
    "referral": "推荐",
}
#: `own`: the company itself; nobody earns on what came by itself.
ClaimantKind = Literal["rep", "broker", "channel", "own"]
#: What somebody is to the person who signed. `family`: of the household, nobody said in what way.
Relation = Literal["self", "spouse", "parent", "child", "sibling", "grandparent", "family", "other"]
RELATIONS: Mapping[Relation, str] = {
    "self": "本人",
    "spouse": "配偶",
    "parent": "父母",
    "child": "子女",
    "sibling": "兄弟姐妹",
    "grandparent": "祖父母",
    "family": "家人",
    "other": "其他关系人",
}
WHOLE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Claimant:
    """A rep, broker or channel by our id of them; the company itself has none."""

    kind: ClaimantKind
    ident: str = ""

    @property
    def label(self) -> str:
        return f"{self.kind}:{self.ident}" if self.ident else self.kind


OWN = Claimant(kind="own")
#: Begins the name of a channel that is a customer who sent somebody; what follows is their identifier's id.
CUSTOMER = "customer:"


def claimant(label: str) -> Claimant:
    """What `Claimant.label` wrote."""
    kind, _, ident = label.partition(":")
    return Claimant(kind=kind, ident=ident)  # type: ignore[arg-type]  # only labels of ours are read


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One fact that gives somebody a right to a customer; it hangs on an identifier."""

    claim_id: int
    node_id: int
    by: Claimant
    kind: Kind
    #: When it happened, and when we were told: by a channel at once, by a person perhaps much later.
    at: datetime
    told_at: datetime
    #: "" = whatever is sold.
    line: str = ""
    #: Orders what happened at the same time, and is the same after a replay.
    key: str = ""
    named: bool = True
    phoned: bool = True
    #: Only the first and last digits of the telephone were given.
    masked: bool = False
    #: A masked number: customers it fits among those this claimant was seen with.
    fits: int = 1
    #: Code of a visit that both the report and the visit name.
    token: str = ""

    @property
    def order(self) -> tuple[datetime, str, int]:
        return (self.at, self.key, self.claim_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """A paid order or a signed contract. `amount` in fen: what was paid less what was given back."""

    deal_id: int
    line: str
    at: datetime
    amount: int


#: Why a claim decides, or does not. Message ids of the catalogues; `who` and `other` are claimants.
RULES: Mapping[str, str] = {
    "first": "判给{who}：{at} {kind}最早有效，保护期到 {until}，{deal} 成交时仍在保护期内。",
    "refreshed": "判给{who}：{at} {kind}最早有效，之后一直有跟进，保护期延到 {until}，"
    "{deal} 成交时仍在保护期内。",
    "chain": "判给{who}：{at} 报备，{visit} 到访，到访后的保护期到 {until}，{deal} 成交时仍在保护期内。",
    "queued": "判给{who}：{at} {kind}时客户还在{other}的保护期内，排在其后；{other}的保护期 {freed} 结束，"
    "由{who}接续，到 {until}。",
    "tie": "{who}和{other}的{kind}只差 {minutes} 分钟以内，按规则平分。",
    "natural": "按自然到访：客户 {at} 自己到访，{hours} 小时内成交，不归任何渠道。",
    "nobody": "没有有效的认领，按自然成交，不归任何人。",
    "past": "{who}的保护期 {until} 已过，{deal} 成交在过保 {days} 天以内，凭证据由主管批准后可以判给{who}。",
    "decided": "由主管人工判定，理由见批注。",
    "referral": "{who} {at} 推荐了客户，按规则分 {share}。",
    "closer": "{who}在成交前 {days} 天内最后跟进了客户，按规则分 {share}。",
    "line": "这条{kind}属于“{line}”，与这笔成交的业务不同。",
    "relative": "这条{kind}登记的是客户的{relation}，按规则不算同一位客户。",
    "after": "这条{kind}发生在成交之后。",
    "late": "这条{kind}在成交 {days} 天之后才登记，已过追溯期。",
    "incomplete": "这条{kind}缺少{missing}，信息不完整，无效。",
    "masked": "这条报备只有隐号，没有带看记录能证明就是这位客户。",
    "collision": "这条报备的隐号对得上 {fits} 位客户，请补全号码后再认定。",
    "lead": "报备后不到 {minutes} 分钟客户就到访了，提前量不足，无效。",
    "visited": "报备前 {hours} 小时内客户已自己到访（{visit}），受自然到访保护，无效。",
    "protected": "这条{kind}发生在{other}的保护期内（到 {until}）。",
    "waiting": "这条{kind}排在{other}之后，成交时还没有轮到。",
    "referred": "推荐分成只算最早的一位推荐人。",
    "repeated": "重复{kind}，不重新计算保护期。",
    "unvisited": "报备后 {days} 天内没有到访，报备失效。",
    "unseen": "报备了但到成交时客户没有随{who}到访过。",
    "expired": "保护期 {until} 已过，成交时不再有效。",
    "unused": "按“{mode}”，{kind}不能单独认领客户。",
}
SENTENCES = (*RULES.values(), *KINDS.values(), *RELATIONS.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """The rule that decided, and what it saw."""

    rule: str
    facts: Mapping[str, str] = field(default_factory=dict)

    def sentence(
        self,
        name: Callable[[str], str] = lambda label: label.partition(":")[2] or label,
        gettext: Callable[[str], str] = lambda message: message,
    ) -> str:
        """For people; `name` says who a claimant's label is."""
        shown = {
            fact: name(value) if fact in ("who", "other") else gettext(value)
            for fact, value in self.facts.items()
        }
        return gettext(RULES[self.rule]).format(**shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Basis points of the deal's commission, by right of this claim (None = nobody's claim)."""

    by: Claimant
    bp: int
    claim_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    claim_id: int
    by: Claimant
    why: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """Whose the deal is. Shares add up to 10,000 basis points; the first reason is the one that decides."""

    shares: tuple[Share, ...]
    reasons: tuple[Reason, ...]
    rejected: tuple[Rejected, ...] = ()
    #: A human must agree before it counts.
    approval: bool = False
    #: Of everything it was made from: equal inputs, equal hash.
    inputs: str = ""

    @property
    def rule(self) -> str:
        return self.reasons[0].rule


@dataclass(slots=True, kw_only=True)
class Protection:
    """The time in which a customer is a claimant's, by a claim of theirs."""

    claim: Claim
    until: datetime
    #: Under 报备→到访→成交: the visit that made it good.
    visit: Claim | None = None
    #: Longest it may be renewed to; None = without limit.
    limit: datetime | None = None
    renewed: bool = False
    #: Claims that prolonged or came with it: neither winners nor refused.
    used: list[Claim] = field(default_factory=list)
    #: Of others, as good as this one.
    ties: list[Claim] = field(default_factory=list)
    #: It had to wait for this one to end.
    behind: Protection | None = None

    def prolong(self, by: Claim, days: float) -> bool:
        """Whether that made it last longer."""
        until = by.at + timedelta(days=days)
        until = min(until, self.limit) if self.limit else until
        self.used.append(by)
        longer = until > self.until
        self.until = max(until, self.until)
        return longer
