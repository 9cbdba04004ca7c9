"""Golden scenarios as a sales manager writes them, read into claims and compared with the ruling."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from scrm.ownership import policies
from scrm.ownership.rules import masks
from scrm.ownership.rules.judging import adjudicate
from scrm.ownership.rules.policy import Policy
from scrm.ownership.rules.values import (
    KINDS,
    OWN,
    RELATIONS,
    Claim,
    Claimant,
    ClaimantKind,
    Deal,
    Kind,
    Relation,
    Ruling,
)
from scrm.settings import shipped
from scrm.shapes import read_yaml

GOLDEN = Path(__file__).with_name("golden")
POLICY = policies.read(shipped("config") / policies.FILE)
_ZONE = ZoneInfo("Asia/Shanghai")
_WHEN = re.compile(r"(\d+)月(\d+)日 (\d+):(\d+)")
_KINDS: Mapping[str, Kind] = {title: kind for kind, title in KINDS.items()}
_RELATIONS: Mapping[str, Relation] = {title: name for name, title in RELATIONS.items()}
_SELF = 1
#: How a manager calls the rules.
RULES = {
    "最早有效": "first",
    "跟进续期": "refreshed",
    "报备后带看": "chain",
    "前者过保后接续": "queued",
    "同时认领平分": "tie",
    "自然到访": "natural",
    "无人认领": "nobody",
    "过保待批": "past",
    "推荐分成": "referral",
    "成交前跟进分成": "closer",
    "业务不同": "line",
    "不算同一客户": "relative",
    "成交后才发生": "after",
    "登记太迟": "late",
    "信息不全": "incomplete",
    "隐号无法证明": "masked",
    "隐号撞号": "collision",
    "提前量不足": "lead",
    "自然到访在先": "visited",
    "别人的保护期内": "protected",
    "还没轮到": "waiting",
    "推荐只算最早一位": "referred",
    "重复报备": "repeated",
    "没有带看": "unvisited",
    "成交前没带看": "unseen",
    "已过保护期": "expired",
    "这种方式不算": "unused",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    title: str
    claims: tuple[Claim, ...]
    deal: Deal
    relatives: Mapping[int, Relation]
    winners: Mapping[str, int]
    rules: tuple[str, ...]
    rejected: Mapping[str, str]
    approval: bool = False
    file: str = field(default="", compare=False)

    def judged(self, policy: Policy = POLICY) -> Ruling:
        as_of = self.deal.at + timedelta(days=400)
        return adjudicate(self.claims, self.deal, policy.preset(self.deal.line), self.relatives, as_of=as_of)


def outcome(ruling: Ruling) -> tuple[object, ...]:
    """What a manager would notice."""
    shares = sorted((name(s.by), s.bp) for s in ruling.shares)
    return (
        shares,
        [r.rule for r in ruling.reasons],
        ruling.approval,
        [(r.claim_id, r.why.rule) for r in ruling.rejected],
    )


def name(by: Claimant) -> str:
    return by.ident or "公司"


def when(text: str) -> datetime:
    found = _WHEN.fullmatch(text)
    assert found, f"时间写成“3月1日 10:00”：{text}"
    month, day, hour, minute = map(int, found.groups())
    return datetime(2026, month, day, hour, minute, tzinfo=_ZONE)


def all_of_them() -> list[Scenario]:
    return [
        replace(_scenario(one), file=path.stem)
        for path in sorted(GOLDEN.glob("*.yaml"))
        for one in read_yaml(path)
    ]


def _scenario(said: Mapping[str, Any]) -> Scenario:
    known = {"场景", "业务", "过程", "成交", "判给", "因为", "没判给", "要批准", "最终"}
    assert set(said) <= known, set(said) - known
    steps: Sequence[Mapping[str, Any]] = said["过程"]
    relatives: dict[int, Relation] = {}
    claims = []
    for number, step in enumerate(steps, 1):
        relation = _RELATIONS[step.get("登记的是", "本人")]
        node = _SELF if relation == "self" else 100 + number
        relatives[node] = relation
        claims.append(_claim(step, number, node))
    won = said["判给"]
    why = said["因为"]
    return Scenario(
        title=said["场景"],
        claims=tuple(claims),
        deal=Deal(deal_id=1, line=said["业务"], at=when(said["成交"]), amount=100_000),
        relatives=relatives,
        winners=_shares(won),
        rules=tuple(RULES[one] for one in ([why] if isinstance(why, str) else why)),
        rejected={who: RULES[rule] for who, rule in said.get("没判给", {}).items()},
        approval=said.get("要批准", False),
    )


def _shares(won: str | Mapping[str, str]) -> dict[str, int]:
    if isinstance(won, str):
        return {won: 10_000}
    return {who: round(float(part.removesuffix("%")) * 100) for who, part in won.items()}


def _claim(step: Mapping[str, Any], number: int, node: int) -> Claim:
    known = {"谁", "何时", "做了什么", "登记的是", "业务", "号码", "姓名", "补登", "撞号", "带看码"}
    assert set(step) <= known, set(step) - known
    at, number_given = when(step["何时"]), step.get("号码", "全号")
    return Claim(
        claim_id=number,
        node_id=node,
        by=_by(step["谁"]),
        kind=_KINDS[step["做了什么"]],
        at=at,
        told_at=when(step["补登"]) if "补登" in step else at,
        line=step.get("业务", ""),
        key=f"{number:03}",
        named=step.get("姓名", "有") != "没有",
        phoned=number_given != "没有",
        masked=bool(masks.masked(number_given)),
        fits=step.get("撞号", 1),
        token=step.get("带看码", ""),
    )


def _by(who: str) -> Claimant:
    if who in ("公司", "客户自己"):
        return OWN
    kinds: tuple[tuple[str, ClaimantKind], ...] = (
        ("渠道", "channel"),
        ("经纪人", "broker"),
        ("介绍人", "channel"),
        ("老客户", "channel"),
    )
    return Claimant(kind=next((k for prefix, k in kinds if who.startswith(prefix)), "rep"), ident=who)
