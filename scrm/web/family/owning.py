"""Whose a household is by business line, the claims behind it, rulings and the commission ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scrm.ownership import household, service
from scrm.ownership.rules.booking import Ruled
from scrm.ownership.rules.values import KINDS, WHOLE, Claimant, Reason, claimant
from scrm.ownership.store import claims, deals, rulings
from scrm.ownership.store.claims import Kept
from scrm.ownership.store.rulings import Booked
from scrm.ownership.watching import signals_of
from scrm.web.api.owning import Names
from scrm.web.family.kinfolk import Folk
from scrm.web.kinship import BookView, ClaimView, DealView, OwningView
from scrm.web.reading import Reading

_CLAIMS, _DEALS, _ENTRIES = 30, 12, 200
STATES: Mapping[str, tuple[str, str]] = {"final": ("已生效", "ok"), "pending": ("等主管判客", "warn")}
SORTS: Mapping[str, str] = {"award": "计提", "reversal": "冲回", "payout": "发放"}
ACCOUNTS: Mapping[str, str] = {"expense": "公司佣金支出", "cash": "付款账户"}


async def owning(desk: Reading, known: Folk) -> OwningView:
    conn, members = desk.conn, known.home.members
    nodes = await household.nodes_of(conn, members)
    held = await service.owners(conn, members[0], now=desk.now)
    told = sorted(await claims.of_nodes(conn, nodes), key=lambda k: k.claim.at, reverse=True)[:_CLAIMS]
    made = sorted(await deals.of_nodes(conn, nodes), key=lambda d: d.at, reverse=True)[:_DEALS]
    ids = [d.deal_id for d in made]
    ruled = await rulings.page(conn, before=None, limit=_ENTRIES, deal_ids=ids) if ids else []
    booked = await rulings.ledger(conn, before=None, limit=_ENTRIES, deal_ids=ids) if ids else []
    names = await Names.of(conn, _everybody(held, told, ruled, booked))
    return OwningView(
        owners=tuple((_line(desk, line), _name(desk, names, who.label)) for line, who in held.items() if who),
        free=tuple(_line(desk, line) for line, who in held.items() if who is None),
        claims=tuple([await _claim(desk, names, k) for k in told]),
        deals=tuple(_deal(desk, names, d, ruled, booked) for d in made),
    )


def _everybody(
    held: Mapping[str, Claimant | None],
    told: Sequence[Kept],
    ruled: Sequence[Ruled],
    booked: Sequence[Booked],
) -> list[Claimant]:
    """Whoever is named anywhere below."""
    found = [who for who in held.values() if who is not None] + [k.claim.by for k in told]
    found += [s.by for r in ruled for s in r.shares] + [x.by for r in ruled for x in r.rejected]
    facts = {
        f for r in ruled for why in (*r.reasons, *(x.why for x in r.rejected)) for f in why.facts.values()
    }
    found += [claimant(f) for f in sorted(facts) if f.startswith("rep:")]
    return found + [claimant(b.entry.account) for b in booked if b.entry.account not in ACCOUNTS]


def _line(desk: Reading, line: str) -> str:
    return line or desk.say("默认业务")


def _name(desk: Reading, names: Names, label: str) -> str:
    return desk.say(ACCOUNTS[label]) if label in ACCOUNTS else desk.say(names.name(label))


async def _claim(desk: Reading, names: Names, one: Kept) -> ClaimView:
    notes = [desk.say(signal.sentence) for signal in await signals_of(desk.conn, one)]
    if not (one.claim.named and one.claim.phoned):
        notes.insert(0, desk.say("信息不完整"))
    if one.claim.masked:
        notes.insert(0, desk.say("隐号报备"))
    return ClaimView(
        who=_name(desk, names, one.claim.by.label),
        kind=desk.say(KINDS[one.claim.kind]),
        at=one.claim.at,
        line=_line(desk, one.claim.line),
        notes=tuple(notes),
    )


def _deal(
    desk: Reading, names: Names, deal: deals.Kept, ruled: Sequence[Ruled], booked: Sequence[Booked]
) -> DealView:
    last = next((r for r in ruled if r.deal_id == deal.deal_id), None)
    state, tone = STATES[last.state] if last else ("未判定", "")

    def say(why: Reason) -> str:
        return why.sentence(lambda label: _name(desk, names, label), desk.say)

    return DealView(
        number=deal.number,
        line=_line(desk, deal.line),
        at=deal.at,
        amount=deal.amount,
        winners=desk.say("、").join(_share(desk, names, s.by.label, s.bp) for s in last.shares)
        if last
        else "",
        state=desk.say(state),
        tone=tone,
        reasons=tuple(say(why) for why in last.reasons) if last else (),
        rejected=tuple(f"{_name(desk, names, r.by.label)}：{say(r.why)}" for r in last.rejected)
        if last
        else (),
        entries=tuple(
            BookView(
                at=b.at,
                account=_name(desk, names, b.entry.account),
                sort=desk.say(SORTS[b.entry.sort]),
                amount=b.entry.amount,
            )
            for b in booked
            if b.deal_id == deal.deal_id
        ),
    )


def _share(desk: Reading, names: Names, label: str, bp: int) -> str:
    name = _name(desk, names, label)
    return name if bp == WHOLE else f"{name} {bp / 100:g}%"
