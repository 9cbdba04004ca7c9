"""Adjudication: of all claims on one household, whose a deal is, and why nobody else's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from scrm.ownership.rules.policy import MODES, Preset
from scrm.ownership.rules.values import (
    KINDS,
    OWN,
    RELATIONS,
    WHOLE,
    Claim,
    Claimant,
    Deal,
    Kind,
    Protection,
    Reason,
    Rejected,
    Relation,
    Ruling,
    Share,
)

_ZONE = ZoneInfo("Asia/Shanghai")
_MISSING = {("name",): "姓名", ("phone",): "电话", ("name", "phone"): "姓名和电话"}
#: What shows that a rep looked after the customer.
_CARE: frozenset[Kind] = frozenset({"follow_up", "visit", "call"})


def adjudicate(
    claims: Iterable[Claim],
    deal: Deal,
    preset: Preset,
    relatives: Mapping[int, Relation],
    *,
    as_of: datetime,
) -> Ruling:
    """Whose the deal is by what was told until `as_of`.

    `relatives`: what the person of each identifier is to whoever signed; who is not named is of the family.
    """
    told = sorted((c for c in claims if c.told_at <= as_of), key=lambda c: c.order)
    return _Case(told, deal, preset, relatives).ruling(_inputs(told, deal, preset, relatives))


def _inputs(claims: Sequence[Claim], deal: Deal, preset: Preset, relatives: Mapping[int, Relation]) -> str:
    kin = sorted((n, r) for n, r in relatives.items() if any(c.node_id == n for c in claims))
    # Not the amount: a refund changes what is earned, not whose it is.
    known = [[astuple(c) for c in claims], [deal.line, deal.at], repr(preset), kin]
    return hashlib.sha256(json.dumps(known, default=str, ensure_ascii=False).encode()).hexdigest()


def shown(at: datetime) -> str:
    return f"{at.astimezone(_ZONE):%Y-%m-%d %H:%M}"


def _number(value: float) -> str:
    return f"{value:g}"


def _percent(bp: int) -> str:
    return f"{bp / 100:g}%"


class _Case:
    """One deal being judged: claims are met in the order they happened."""

    def __init__(
        self, claims: Sequence[Claim], deal: Deal, preset: Preset, relatives: Mapping[int, Relation]
    ) -> None:
        self.deal, self.preset, self.relatives = deal, preset, relatives
        self.refused: dict[int, Rejected] = {}
        self.counted: set[int] = set()
        self.holder: Protection | None = None
        self.waiting: list[Protection] = []
        self.over: list[Protection] = []
        self.visits = [c for c in claims if c.kind == "visit" and c.at <= deal.at]
        self.claims = [c for c in claims if self._stands(c)]
        #: Visits of the customer's own accord.
        self.natural = [c for c in self.claims if c.kind == "visit" and c.by.kind == "own"]

    # -- what counts at all ----------------------------------------------------------------------------------
    def _refuse(self, claim: Claim, rule: str, **facts: str) -> None:
        why = Reason(rule=rule, facts={"kind": KINDS[claim.kind], **facts})
        self.refused[claim.claim_id] = Rejected(claim_id=claim.claim_id, by=claim.by, why=why)

    def _stands(self, claim: Claim) -> bool:
        for test in (self._of_this_deal, self._of_this_customer, self._complete, self._certain):
            if not test(claim):
                return False
        return True

    def _of_this_deal(self, claim: Claim) -> bool:
        days = self.preset.look_back_days
        if claim.line and claim.line != self.deal.line:
            self._refuse(claim, "line", line=claim.line)
        elif claim.at > self.deal.at:
            self._refuse(claim, "after")
        elif claim.told_at > self.deal.at + timedelta(days=days):
            self._refuse(claim, "late", days=_number(days))
        else:
            return True
        return False

    def _of_this_customer(self, claim: Claim) -> bool:
        relation = self.relatives.get(claim.node_id, "family")
        if relation == "self" or relation in self.preset.relatives:
            return True
        self._refuse(claim, "relative", relation=RELATIONS[relation])
        return False

    def _complete(self, claim: Claim) -> bool:
        if claim.kind != "report":
            return True
        has = {"name": claim.named, "phone": claim.phoned}
        missing = tuple(what for what in has if what in self.preset.requires and not has[what])
        if missing:
            self._refuse(claim, "incomplete", missing=_MISSING[missing])
        return not missing

    def _certain(self, claim: Claim) -> bool:
        """A masked number fits many: only who was seen with this very customer may mean them."""
        if not claim.masked:
            return True
        if claim.token and any(v.token == claim.token for v in self.visits):
            return True
        if not any(v.by == claim.by and v.at >= claim.at for v in self.visits):
            self._refuse(claim, "masked")
            return False
        if claim.fits > 1:
            self._refuse(claim, "collision", fits=str(claim.fits))
            return False
        return True

    def _in_time(self, claim: Claim) -> bool:
        """A report comes before the customer, not while they are at the door or after they have been."""
        if claim.kind != "report":
            return True
        lead, hours = timedelta(minutes=self.preset.lead_minutes), timedelta(hours=self.preset.natural_hours)
        if any(claim.at <= v.at < claim.at + lead for v in self.visits):
            self._refuse(claim, "lead", minutes=str(self.preset.lead_minutes))
            return False
        seen = [v for v in self.natural if v.at <= claim.at < v.at + hours]
        if seen:
            self._refuse(claim, "visited", hours=str(self.preset.natural_hours), visit=shown(seen[-1].at))
        return not seen

    # -- whose they were, and when ---------------------------------------------------------------------------
    def _walk(self) -> None:
        for claim in self.claims:
            if claim in self.natural or claim.kind == "referral" or not self._in_time(claim):
                continue
            self._free(claim.at)
            mine = self._mine(claim)
            if mine is not None:
                self._again(mine, claim)
            elif not self._protects(claim):
                self._refuse(claim, "unused", mode=MODES[self.preset.mode])
            elif self.holder is None:
                self.holder = self._protection(claim)
            else:
                self._second(self.holder, claim)
        self._free(self.deal.at)

    def _protects(self, claim: Claim) -> bool:
        if self.preset.mode == "report_visit_deal" and claim.kind != "report":
            return False
        if self.preset.mode == "visit_deal" and claim.kind != "visit":
            return False
        return bool(self.preset.windows.get(claim.kind))

    def _protection(self, claim: Claim) -> Protection:
        longest = self.preset.longest_days
        limit = claim.at + timedelta(days=longest) if longest else None
        until = claim.at + timedelta(days=self.preset.windows[claim.kind])
        return Protection(claim=claim, until=min(until, limit) if limit else until, limit=limit)

    def _mine(self, claim: Claim) -> Protection | None:
        held = [self.holder, *self.waiting] if self.holder else self.waiting
        return next((p for p in held if p and p.claim.by == claim.by and claim.at <= p.until), None)

    def _again(self, mine: Protection, claim: Claim) -> None:
        """The claimant does something more for a customer who is theirs."""
        if claim.kind == "report":
            self._refuse(claim, "repeated")
        elif claim.kind == "follow_up":
            mine.renewed |= mine.prolong(claim, self.preset.refresh_days)
        elif claim.kind == "visit" and self.preset.mode == "report_visit_deal" and mine.visit is None:
            mine.visit, mine.until = claim, claim.at
            mine.prolong(claim, self.preset.windows.get("visit", 0))
        else:
            mine.prolong(claim, self.preset.windows.get(claim.kind, 0))

    def _second(self, holder: Protection, claim: Claim) -> None:
        apart = claim.at - holder.claim.at
        if claim.kind == holder.claim.kind and apart < timedelta(minutes=self.preset.split.tie_minutes):
            holder.ties.append(claim)
            return
        self._refuse(claim, "protected", other=holder.claim.by.label, until=shown(holder.until))
        if self.preset.queue:
            self.waiting.append(self._protection(claim))

    def _free(self, at: datetime) -> None:
        """Protections that ended before then; who waited comes next."""
        while self.holder is not None and self.holder.until < at:
            ended = self.holder
            self.over.append(ended)
            self.waiting = [p for p in self.waiting if p.until > ended.until]
            self.holder = self.waiting.pop(0) if self.waiting else None
            if self.holder:
                self.holder.behind = ended

    # -- the ruling ------------------------------------------------------------------------------------------
    def ruling(self, inputs: str) -> Ruling:
        self._walk()
        self._unseen()
        reasons, shares, approval = self._winner()
        extra = [*self._referral(shares), *self._closer(shares)]
        left = WHOLE - sum(share.bp for share, _ in extra)
        return Ruling(
            shares=(*self._scaled(shares, left), *(share for share, _ in extra)),
            reasons=(*reasons, *(why for _, why in extra)),
            rejected=self._others(),
            approval=approval,
            inputs=inputs,
        )

    def _unseen(self) -> None:
        """Under 报备→到访→成交 who did not bring the customer gives way to whoever did."""
        if self.preset.mode != "report_visit_deal" or self.holder is None or self.holder.visit:
            return
        self._refuse(self.holder.claim, "unseen", who=self.holder.claim.by.label)
        came = [p for p in self.waiting if p.visit and p.until >= self.deal.at]
        if came:
            self.waiting.remove(came[0])
            came[0].behind = self.holder
        self.holder = came[0] if came else None

    def _winner(self) -> tuple[list[Reason], list[Share], bool]:
        if self.holder is not None:
            return self._held(self.holder)
        came = [v for v in self.natural if self.deal.at <= v.at + timedelta(hours=self.preset.natural_hours)]
        if came and self.preset.natural_hours:
            self.counted.add(came[0].claim_id)
            facts = {"at": shown(came[0].at), "hours": str(self.preset.natural_hours)}
            share = Share(by=OWN, bp=WHOLE, claim_id=came[0].claim_id)
            return [Reason(rule="natural", facts=facts)], [share], False
        past = self._past()
        if past is not None:
            return past
        return [Reason(rule="nobody")], [Share(by=OWN, bp=WHOLE)], False

    def _held(self, by: Protection) -> tuple[list[Reason], list[Share], bool]:
        self._count(by)
        facts = self._facts(by)
        rule = "refreshed" if by.renewed else "first"
        if by.behind:
            rule = "queued"
            facts |= {"other": by.behind.claim.by.label, "freed": shown(by.behind.until)}
        elif by.visit and self.preset.mode == "report_visit_deal":
            rule = "chain"
            facts |= {"visit": shown(by.visit.at)}
        reasons = [Reason(rule=rule, facts=facts)]
        shares = [Share(by=by.claim.by, bp=WHOLE, claim_id=by.claim.claim_id)]
        for claim in by.ties[:1]:
            minutes = str(self.preset.split.tie_minutes)
            facts = {"who": by.claim.by.label, "other": claim.by.label, "minutes": minutes}
            reasons.insert(0, Reason(rule="tie", facts={**facts, "kind": KINDS[claim.kind]}))
            second = self.preset.split.tie_bp
            shares = [
                Share(by=by.claim.by, bp=WHOLE - second, claim_id=by.claim.claim_id),
                Share(by=claim.by, bp=second, claim_id=claim.claim_id),
            ]
            self.counted.add(claim.claim_id)
        return reasons, shares, False

    def _facts(self, by: Protection) -> dict[str, str]:
        return {
            "who": by.claim.by.label,
            "kind": KINDS[by.claim.kind],
            "at": shown(by.claim.at),
            "until": shown(by.until),
            "deal": shown(self.deal.at),
        }

    def _past(self) -> tuple[list[Reason], list[Share], bool] | None:
        """Whose protection ended a moment too early; a lead may still say yes."""
        days = timedelta(days=self.preset.approval_days)
        visits = self.preset.mode == "report_visit_deal"
        near = [p for p in self.over if self.deal.at <= p.until + days and (p.visit or not visits)]
        if not near or not days:
            return None
        best = max(near, key=lambda p: p.until)
        self._count(best)
        facts = self._facts(best) | {"days": _number(self.preset.approval_days)}
        share = Share(by=best.claim.by, bp=WHOLE, claim_id=best.claim.claim_id)
        return [Reason(rule="past", facts=facts)], [share], True

    def _count(self, by: Protection) -> None:
        self.counted |= {by.claim.claim_id, *(c.claim_id for c in by.used)}
        self.refused.pop(by.claim.claim_id, None)

    def _referral(self, shares: Sequence[Share]) -> list[tuple[Share, Reason]]:
        bp, days = self.preset.split.referral_bp, timedelta(days=self.preset.windows.get("referral", 0))
        for claim in self.claims:
            if claim.kind != "referral" or not bp:
                continue
            if claim.by in {s.by for s in shares}:
                self.counted.add(claim.claim_id)  # who earns it all has that part, too
                continue
            if self.deal.at <= claim.at + days:
                facts = {"who": claim.by.label, "at": shown(claim.at), "share": _percent(bp)}
                return [self._extra(claim, bp, Reason(rule="referral", facts=facts))]
        return []

    def _closer(self, shares: Sequence[Share]) -> list[tuple[Share, Reason]]:
        split = self.preset.split
        since = self.deal.at - timedelta(days=split.closer_days)
        care = [c for c in self.claims if c.kind in _CARE and c.by.kind == "rep" and c.at >= since]
        if not split.closer_bp or not care or care[-1].by in {s.by for s in shares}:
            return []
        last = care[-1]
        facts = {"who": last.by.label, "days": str(split.closer_days), "share": _percent(split.closer_bp)}
        return [self._extra(last, split.closer_bp, Reason(rule="closer", facts=facts))]

    def _extra(self, claim: Claim, bp: int, why: Reason) -> tuple[Share, Reason]:
        self.counted.add(claim.claim_id)
        self.refused.pop(claim.claim_id, None)
        return Share(by=claim.by, bp=bp, claim_id=claim.claim_id), why

    @staticmethod
    def _scaled(shares: Sequence[Share], left: int) -> list[Share]:
        """The same proportions of what is left; the first takes what does not divide."""
        rest = [Share(by=s.by, bp=s.bp * left // WHOLE, claim_id=s.claim_id) for s in shares[1:]]
        first = shares[0]
        return [Share(by=first.by, bp=left - sum(s.bp for s in rest), claim_id=first.claim_id), *rest]

    def _others(self) -> tuple[Rejected, ...]:
        """Every claim that neither won nor served the winner, each with why."""
        for ended in (*self.over, *self.waiting):
            self._explain(ended)
        for claim in self.claims:
            if claim.claim_id in self.counted or claim.claim_id in self.refused:
                continue
            if claim.kind == "referral" and self.preset.split.referral_bp:
                until = claim.at + timedelta(days=self.preset.windows.get("referral", 0))
                late = until < self.deal.at
                self._refuse(claim, "expired" if late else "referred", until=shown(until))
            else:
                self._refuse(claim, "unused", mode=MODES[self.preset.mode])
        return tuple(self.refused[c] for c in sorted(self.refused) if c not in self.counted)

    def _explain(self, ended: Protection) -> None:
        if ended.claim.claim_id in self.counted:
            return
        served = [c for c in (ended.claim, *ended.used) if c.claim_id not in self.refused]
        if ended in self.waiting:
            if self.holder is not None and ended.until >= self.deal.at:
                self._refuse(ended.claim, "waiting", other=self.holder.claim.by.label)
            return
        unvisited = self.preset.mode == "report_visit_deal" and ended.visit is None
        for claim in served:
            if unvisited:
                self._refuse(claim, "unvisited", days=_number(self.preset.windows["report"]))
            else:
                self._refuse(claim, "expired", until=shown(ended.until))


def first_contact(claims: Iterable[Claim]) -> Claim | None:
    """When we ourselves first talked with the customer."""
    ours = [c for c in claims if c.by.kind in ("rep", "own") and c.kind != "report"]
    return min(ours, key=lambda c: c.order, default=None)


def holder_now(
    claims: Iterable[Claim], line: str, preset: Preset, relatives: Mapping[int, Relation], *, now: datetime
) -> Claimant | None:
    """Whose the customer is today, should they buy today; None = nobody's."""
    deal = Deal(deal_id=0, line=line, at=now, amount=0)
    ruling = adjudicate(claims, deal, preset, relatives, as_of=now)
    won = ruling.shares[0]
    return None if won.claim_id is None or ruling.approval else won.by
