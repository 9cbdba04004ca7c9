"""A deal with everything said about whose it is, read for one reader."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from scrm.db import Conn
from scrm.identity.survivorship import service as survivorship
from scrm.ownership import household, service, versions
from scrm.ownership.household import Evidence
from scrm.ownership.rules import appeals as clock
from scrm.ownership.rules import money
from scrm.ownership.rules.booking import Ruled, Standing
from scrm.ownership.rules.policy import Preset
from scrm.ownership.rules.values import KINDS, OWN, Claim, Rejected, Share
from scrm.ownership.store import appeals, claims, deals, rulings
from scrm.ownership.watching import signals_of
from scrm.staff import store as staff
from scrm.staff.rules import Actor, masked, scope
from scrm.timeline.store import conversations
from scrm.web.lead import views as v
from scrm.web.lead.named import Named, labels_of, percent
from scrm.web.views import Tone

_TONES: Mapping[str, Tone] = {"report": "brand", "visit": "ok", "contact": "ok", "referral": "house"}
#: Claims of one side: the first ones and the last ones tell the story.
_HEAD, _TAIL = 12, 8
#: Claims of a deal that are searched for what looks wrong.
_SUSPECTED = 30
_RULINGS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealing:
    """One deal as it stands."""

    deal: deals.Kept
    preset: Preset
    standing: Standing
    known: Evidence
    asked: appeals.Appeal | None
    history: Sequence[Ruled]
    named: Named
    #: Everybody who has a part in it.
    labels: tuple[str, ...]

    @property
    def newest(self) -> Ruled:
        assert self.standing.last is not None
        return self.standing.last

    @property
    def pending(self) -> bool:
        return self.newest.state == "pending"

    @property
    def force(self) -> tuple[Share, ...]:
        return self.standing.final.shares if self.standing.final else (Share(by=OWN, bp=10_000),)


async def read(conn: Conn, deal_id: int, say: Callable[[str], str]) -> Dealing | None:
    """None = there is no such deal, or no ruling about it."""
    deal = await deals.get(conn, deal_id)
    standing = await service.standing(conn, deal_id)
    if deal is None or standing.last is None:
        return None
    known = await household.evidence(conn, deal.nodes, at=deal.at)
    history = await rulings.page(conn, before=None, limit=_RULINGS, deal_ids=[deal_id])
    asked = await appeals.page(conn, before=None, limit=1, deal_id=deal_id)
    labels = _in_order(standing, known)
    speaking = {label for one in history for label in labels_of(one)}
    people = {f"rep:{ident}" for one in history if (ident := one.by_id)}
    people |= {f"rep:{a.by_id}" for a in asked if a.by_id}
    return Dealing(
        deal=deal,
        preset=(await versions.of(conn, deal.policy_version)).preset(deal.line),
        standing=standing,
        known=known,
        asked=asked[0] if asked else None,
        history=history,
        named=await Named.of(conn, {*labels, *speaking, *people}, say),
        labels=labels,
    )


def _in_order(standing: Standing, known: Evidence) -> tuple[str, ...]:
    """Who has it first, then who would, then whoever came first."""
    force = [s.by.label for s in standing.final.shares] if standing.final else []
    wanted = [s.by.label for s in standing.last.shares] if standing.last else []
    return tuple(dict.fromkeys([*force, *wanted, *(c.by.label for c in known.claims)]))


async def may_see(conn: Conn, who: Actor, one: Dealing) -> bool:
    """Whose customer it is, who is named in it, and the leads of both; compliance every dispute."""
    if who.role == "compliance" or scope(who).everything:
        return True
    if f"rep:{who.staff_id}" in one.labels:
        return True
    if who.role == "lead" and who.team_id in one.named.teams(one.labels):
        return True
    return bool(await conversations.visible_nodes(conn, scope(who), one.deal.nodes))


# -- as a page ---------------------------------------------------------------------------------------------
async def view(
    conn: Conn,
    one: Dealing,
    who: Actor,
    *,
    say: Callable[[str], str],
    now: datetime,
    supposed: Sequence[Share] | None = None,
) -> v.DealView:
    """`supposed`: the shares somebody asks about; they are not decided."""
    after = supposed or (one.newest.shares if one.pending else one.force)
    mine = who.role in ("lead", "compliance")
    stopped = _stopped(one, who, say)
    return v.DealView(
        id=conn.vault.public("deal", one.deal.deal_id),
        number=one.deal.number,
        line=one.deal.line,
        at=one.deal.at,
        customer=await _customer(conn, one, who),
        amount=one.deal.amount if mine else None,
        policy=one.preset.title,
        policy_version=one.deal.policy_version,
        ruling=conn.vault.public("ruling", one.newest.ruling_id),
        pending=one.pending,
        sides=await _sides(conn, one, after, say),
        reasons=tuple(one.named.reason(r) for r in one.newest.reasons),
        before=one.named.shares(one.force),
        after=one.named.shares(after),
        money=_money(one, after, who),
        looked=supposed is not None,
        asked=_asked(one, now, say),
        paid=money.is_paid(one.standing.entries),
        rulings=tuple(_row(r, one.named) for r in one.history),
        decides=mine and (one.pending or _open(one)) and not stopped,
        stopped=stopped if mine else "",
    )


def _stopped(one: Dealing, who: Actor, say: Callable[[str], str]) -> str:
    """Why this reader decides nothing here, while there is something to decide."""
    if _open(one) and one.asked is not None and one.asked.by_id == who.staff_id:
        return say("不能处理自己提出的申诉，请交给其他主管。")
    parties = {*one.labels, *(r.by.label for r in one.newest.rejected)}
    if (one.pending or _open(one)) and f"rep:{who.staff_id}" in parties:
        return say("这笔成交与你有关，不能由你判定，请交给其他主管或合规同事。")
    return ""


def _open(one: Dealing) -> bool:
    return one.asked is not None and one.asked.state == "open"


async def _customer(conn: Conn, one: Dealing, who: Actor) -> str:
    """The name of who signed, else a masked number; the newest owner of the identifier."""
    persons = await household.persons_at(conn, one.deal.nodes[:1], one.deal.at)
    fields = await survivorship.shown(conn, next(iter(persons.values()))) if persons else []
    shown = {f.name: f.shown.value for f in fields}
    phone = shown.get("phone", "").removeprefix("+86")
    return "，".join(t for t in (shown.get("name", ""), masked(who, phone) if phone else "") if t)


def _money(one: Dealing, after: Sequence[Share], who: Actor) -> tuple[v.Money, ...]:
    now = money.awarded(one.standing.entries)
    fen = money.commission(one.deal.amount, one.preset.commission_bp)
    then = money.divide(fen, after)
    paid = {label: 0 for label in one.labels}
    for e in one.standing.entries:
        if e.sort == "payout" and e.account in paid:
            paid[e.account] += e.amount
    rows = []
    for label in dict.fromkeys([*now, *then]):
        mine = who.role in ("lead", "compliance") or label == f"rep:{who.staff_id}"
        rows.append(
            v.Money(
                name=one.named.name(label),
                before=now.get(label, 0) if mine else None,
                after=then.get(label, 0) if mine else None,
                paid=(paid.get(label) or None) if mine else None,
            )
        )
    return tuple(rows)


async def _sides(
    conn: Conn, one: Dealing, after: Sequence[Share], say: Callable[[str], str]
) -> tuple[v.Side, ...]:
    told: dict[str, list[Claim]] = defaultdict(list)
    for claim in one.known.claims:
        told[claim.by.label].append(claim)
    wins = {s.claim_id for s in one.newest.shares}
    refused = {r.claim_id: r for r in one.newest.rejected}
    signals = await _signals(conn, one.known.claims, say)
    force, then = _parts(one.force), _parts(after)
    return tuple(
        v.Side(
            key=one.named.key(label),
            name=one.named.name(label),
            rows=tuple(
                _claim(c, wins, refused.get(c.claim_id), signals.get(c.claim_id, ()), one.named, say)
                for c in _ends(told[label])
            ),
            more=max(0, len(told[label]) - _HEAD - _TAIL),
            share=percent(force[label]) if label in force else "",
            wanted=percent(then[label]) if label in then else "",
        )
        for label in one.labels
    )


def _parts(shares: Sequence[Share]) -> dict[str, int]:
    return {s.by.label: s.bp for s in shares}


def _ends(told: Sequence[Claim]) -> Sequence[Claim]:
    return told if len(told) <= _HEAD + _TAIL else [*told[:_HEAD], *told[-_TAIL:]]


async def _signals(
    conn: Conn, told: Sequence[Claim], say: Callable[[str], str]
) -> dict[int, tuple[str, ...]]:
    found: dict[int, tuple[str, ...]] = {}
    for claim in [c for c in told if c.kind == "report"][:_SUSPECTED]:
        kept = await claims.get(conn, claim.claim_id)
        if kept is not None:
            found[claim.claim_id] = tuple(s.say(say) for s in await signals_of(conn, kept))
    return found


def _claim(
    claim: Claim,
    wins: Collection[int | None],
    refused: Rejected | None,
    signals: tuple[str, ...],
    named: Named,
    say: Callable[[str], str],
) -> v.ClaimRow:
    won = claim.claim_id in wins
    late = claim.told_at.date() != claim.at.date()
    return v.ClaimRow(
        at=claim.at,
        kind=say(KINDS[claim.kind]),
        tone=_TONES.get(claim.kind, ""),
        outcome="wins" if won else "refused" if refused else "used",
        why=named.reason(refused.why) if refused and not won else "",
        told_at=claim.told_at if late else None,
        masked=claim.masked,
        signals=signals,
    )


def _asked(one: Dealing, now: datetime, say: Callable[[str], str]) -> v.Asked | None:
    asked = one.asked
    if asked is None or asked.state != "open":
        return None
    return v.Asked(
        who=one.named.name(f"rep:{asked.by_id}") if asked.by_id else say("接口调用方"),
        text=asked.text,
        at=asked.at,
        due_at=asked.due_at,
        overdue=clock.is_overdue(asked.due_at, asked.state, now=now),
        hours=hours_from(asked.due_at, now),
    )


def hours_from(due_at: datetime, now: datetime) -> int:
    """Whole hours until then, or since."""
    return int(abs((due_at - now).total_seconds()) // 3600)


def _row(one: Ruled, named: Named) -> v.RulingRow:
    return v.RulingRow(
        at=one.at,
        state=one.state,
        trigger=one.trigger,
        sentence=named.reason(one.reasons[0]) if one.reasons else "",
        winners=named.shares(one.shares),
        by=named.name(f"rep:{one.by_id}") if one.by_id else "",
        note=one.note,
    )


async def claimant_of(conn: Conn, login: str) -> str:
    """The label of a colleague by login; "" = there is nobody of that name."""
    row = await staff.by_login(conn, login.strip())
    return f"rep:{row.staff_id}" if row is not None and row.state == "active" else ""
