"""Deals that wait for somebody, those a rep has part in, and claims that look wrong; page by page."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from scrm.db import Conn
from scrm.ownership import versions
from scrm.ownership.rules import appeals as clock
from scrm.ownership.rules import money
from scrm.ownership.rules.booking import Ruled
from scrm.ownership.rules.values import KINDS
from scrm.ownership.store import appeals, claims, deals, rulings
from scrm.ownership.watching import signals_of
from scrm.staff.rules import Actor, scope
from scrm.timeline.store import conversations
from scrm.web.lead import views as v
from scrm.web.lead.dealing import hours_from
from scrm.web.lead.named import Named, labels_of

PAGE = 30
#: Open appeals looked at: their clock orders them, not their age.
_APPEALS = 200


async def waiting(
    conn: Conn, who: Actor, *, before: int | None, say: Callable[[str], str], now: datetime
) -> v.ListView:
    """Appeals by their clock, the longest overdue first, then rulings that wait for a human, newest first."""
    open_ = await appeals.running(conn, limit=_APPEALS) if before is None else []
    page = await rulings.page(conn, before=before, limit=PAGE + 1, waiting=True)
    asked = await _of_deals(conn, open_)
    mine = {r.deal_id: r for r in page[:PAGE] if r.deal_id not in asked} | {
        d: r for d, (_, r) in asked.items()
    }
    rows = await _asked_rows(conn, who, mine, {d: a for d, (a, _) in asked.items()}, say=say, now=now)
    more = conn.vault.public("ruling", page[PAGE - 1].ruling_id) if len(page) > PAGE else ""
    return v.ListView(tab="waiting", rows=rows, late=sum(r.overdue for r in rows), before=more)


async def late(conn: Conn, who: Actor, *, say: Callable[[str], str], now: datetime) -> v.ListView:
    """Only appeals nobody decided in time, the longest overdue first."""
    asked = await _of_deals(conn, await appeals.running(conn, limit=_APPEALS, overdue_at=now))
    mine = {d: r for d, (_, r) in asked.items()}
    rows = await _asked_rows(conn, who, mine, {d: a for d, (a, _) in asked.items()}, say=say, now=now)
    return v.ListView(tab="late", rows=rows, late=len(rows))


async def _of_deals(conn: Conn, found: Sequence[appeals.Appeal]) -> dict[int, tuple[appeals.Appeal, Ruled]]:
    """By deal, with its newest ruling."""
    pairs = [(a, await rulings.last(conn, a.deal_id)) for a in found]
    return {a.deal_id: (a, last) for a, last in pairs if last is not None}


async def _asked_rows(
    conn: Conn,
    who: Actor,
    mine: Mapping[int, Ruled],
    asked: Mapping[int, appeals.Appeal],
    *,
    say: Callable[[str], str],
    now: datetime,
) -> tuple[v.Row, ...]:
    seen = await visible(conn, who, list(mine.values()))
    people = {f"rep:{a.by_id}" for a in asked.values() if a.by_id}
    named = await Named.of(conn, {x for r in mine.values() for x in labels_of(r)} | people, say)
    rows = [
        await _row(conn, mine[d.deal_id], d, named, "/lead/ownership", asked=asked.get(d.deal_id), now=now)
        for d in seen
    ]
    return tuple(sorted(rows, key=lambda r: (r.due_at is None, r.due_at or now, r.at)))


async def rulings_of(
    conn: Conn,
    who: Actor,
    *,
    before: int | None,
    say: Callable[[str], str],
    now: datetime,
    base: str,
    tab: str = "all",
) -> v.ListView:
    """Every deal by its newest ruling, of those the reader may see."""
    page = await rulings.page(conn, before=before, limit=PAGE + 1)
    newest: dict[int, Ruled] = {}
    for r in page[:PAGE]:
        newest.setdefault(r.deal_id, r)
    newest = {
        d: r
        for d, r in newest.items()
        if (last := await rulings.last(conn, d)) and last.ruling_id == r.ruling_id
    }
    seen = await visible(conn, who, list(newest.values()))
    named = await Named.of(conn, {x for r in newest.values() for x in labels_of(r)}, say)
    rows = []
    for d in seen:
        asked = await appeals.open_of(conn, d.deal_id)
        rows.append(await _row(conn, newest[d.deal_id], d, named, base, asked=asked, now=now))
    more = conn.vault.public("ruling", page[PAGE - 1].ruling_id) if len(page) > PAGE else ""
    return v.ListView(tab=tab, rows=tuple(rows), before=more)


async def visible(conn: Conn, who: Actor, found: Sequence[Ruled]) -> list[deals.Kept]:
    """The deals of these rulings that the reader may see, in the order of the rulings."""
    known = await deals.by_ids(conn, {r.deal_id for r in found})
    mine = [(r, known[r.deal_id]) for r in found if r.deal_id in known]
    if who.role == "compliance" or scope(who).everything:
        return [d for _, d in mine]
    nodes = {n for _, d in mine for n in d.nodes}
    allowed = await conversations.visible_nodes(conn, scope(who), sorted(nodes))
    named = await Named.of(conn, {x for r, _ in mine for x in labels_of(r)}, str)
    return [d for r, d in mine if allowed & set(d.nodes) or _has_part(who, labels_of(r), named)]


def _has_part(who: Actor, labels: Collection[str], named: Named) -> bool:
    if f"rep:{who.staff_id}" in labels:
        return True
    return who.role == "lead" and who.team_id is not None and who.team_id in named.teams(labels)


async def _row(
    conn: Conn,
    one: Ruled,
    deal: deals.Kept,
    named: Named,
    base: str,
    *,
    asked: appeals.Appeal | None,
    now: datetime,
) -> v.Row:
    entries = await rulings.entries(conn, deal.deal_id) if one.state == "pending" or asked else []
    paid = money.is_paid(entries) if one.state == "pending" else False
    sort = "appeal" if asked else "settled" if one.state == "final" else "changed" if paid else "approval"
    return v.Row(
        href=f"{base}/{conn.vault.public('deal', deal.deal_id)}",
        number=deal.number,
        line=deal.line,
        at=asked.at if asked else one.at,
        title=named.reason(one.reasons[0]) if one.reasons else "",
        winners=named.shares(one.shares),
        sort=sort,
        due_at=asked.due_at if asked else None,
        hours=hours_from(asked.due_at, now) if asked else 0,
        overdue=bool(asked and clock.is_overdue(asked.due_at, asked.state, now=now)),
        asker=named.name(f"rep:{asked.by_id}") if asked and asked.by_id else "",
        frozen=await _frozen(conn, deal, entries) if asked else 0,
    )


async def _frozen(conn: Conn, deal: deals.Kept, entries: Sequence[money.Entry]) -> int:
    """Fen that wait for the decision: the commission of the deal that is not paid yet."""
    preset = (await versions.of(conn, deal.policy_version)).preset(deal.line)
    paid = sum(e.amount for e in entries if e.sort == "payout" and e.account != money.CASH)
    return max(0, money.commission(deal.amount, preset.commission_bp) - paid)


async def suspected(conn: Conn, who: Actor, *, before: int | None, say: Callable[[str], str]) -> v.ListView:
    """Reports among the next claims that look wrong; a page may be empty and still not the last."""
    page = await claims.page(conn, before=before, limit=2 * PAGE + 1)
    mine = [k for k in page[: 2 * PAGE] if k.claim.kind == "report"]
    named = await Named.of(conn, {k.claim.by.label for k in mine}, say)
    if who.role != "compliance":
        allowed = await conversations.visible_nodes(conn, scope(who), [k.claim.node_id for k in mine])
        mine = [k for k in mine if k.claim.node_id in allowed or _has_part(who, {k.claim.by.label}, named)]
    rows = []
    for kept in mine:
        signals = await signals_of(conn, kept)
        if signals:
            rows.append(
                v.SignalRow(
                    at=kept.claim.at,
                    who=named.name(kept.claim.by.label),
                    kind=say(KINDS[kept.claim.kind]),
                    signals=tuple(s.say(say) for s in signals),
                )
            )
    more = conn.vault.public("claim", page[2 * PAGE - 1].claim.claim_id) if len(page) > 2 * PAGE else ""
    return v.ListView(tab="signals", signals=tuple(rows), before=more)
