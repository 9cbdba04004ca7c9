"""What looks wrong about a report, in sentences; it decides nothing, a lead looks at it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from scrm.ownership.rules.judging import first_contact, shown
from scrm.ownership.rules.policy import Fraud
from scrm.ownership.rules.values import Claim

#: Message ids of the catalogues.
SIGNALS: Mapping[str, str] = {
    "before_contact": "报备在我方首次接触（{contact}）之前 {minutes} 分钟内才提交，可能是得知后抢报。",
    "many_masks": "同一渠道 24 小时内报备了 {count} 个隐号（上限 {limit}），可能在批量试号。",
    "own_phone": "报备的客户电话就是报备人自己的电话。",
    "one_device": "同一台设备 24 小时内提交了 {count} 条报备（上限 {limit}）。",
}
SENTENCES = tuple(SIGNALS.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    code: str
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        return self.say()

    def say(self, gettext: Callable[[str], str] = lambda message: message) -> str:
        return gettext(SIGNALS[self.code]).format(**self.facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What is known around one report."""

    #: Claims on the same household.
    household: tuple[Claim, ...] = ()
    #: The number given is the claimant's own.
    own_phone: bool = False
    #: Masked reports of the claimant, and reports from the device, each within a day before it.
    masks: int = 0
    from_device: int = 0


def signals(claim: Claim, around: Around, policy: Fraud) -> list[Signal]:
    """In the order of how much they weigh."""
    found = []
    if around.own_phone:
        found.append(Signal(code="own_phone"))
    contact = first_contact(c for c in around.household if c.by != claim.by)
    minutes = timedelta(minutes=policy.before_contact_minutes)
    if contact and claim.by.kind in ("broker", "channel") and timedelta() <= contact.at - claim.at <= minutes:
        facts = {"contact": shown(contact.at), "minutes": str(policy.before_contact_minutes)}
        found.append(Signal(code="before_contact", facts=facts))
    if claim.masked and around.masks > policy.masks_a_day:
        found.append(_counted("many_masks", around.masks, policy.masks_a_day))
    if around.from_device > policy.reports_a_device:
        found.append(_counted("one_device", around.from_device, policy.reports_a_device))
    return found


def _counted(code: str, count: int, limit: int) -> Signal:
    return Signal(code=code, facts={"count": str(count), "limit": str(limit)})
