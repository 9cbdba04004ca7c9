"""The API's commission: the ledger of every deal the asker sees, and what was paid out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.errors import NotFound
from scrm.ownership import deciding
from scrm.ownership.deciding import By
from scrm.ownership.rules import money
from scrm.ownership.rules.values import Claimant, claimant
from scrm.ownership.store import deals, rulings
from scrm.staff.rules import Policy, scope
from scrm.timeline.store import conversations
from scrm.web.api.endpoint import PAGED, Act, Endpoint, Query, audited, before_of, body_of, limit_of
from scrm.web.api.owning import ClaimantOut, Names
from scrm.web.api.resources import Page
from scrm.web.house import actor, house


@dataclass(frozen=True, slots=True, kw_only=True)
class PayIn:
    """Commission of a deal was paid out, as far as it is open."""

    deal_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidOut:
    deal_id: str
    #: Fen that were open and are paid now.
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryOut:
    """One line of the ledger; lines of one posting add up to nothing."""

    id: str
    deal_id: str
    ruling_id: str
    at: datetime
    #: expense | cash | claimant
    account: str
    claimant: ClaimantOut | None
    #: Fen; credit is negative.
    amount: int
    #: award | reversal | payout
    sort: str


async def list_commission(request: web.Request) -> Page[EntryOut]:
    who, limit, deal = actor(request), limit_of(request), request.query.get("deal_id", "")
    await audited(request, "api.commission.read")
    async with house(request).db.read(who.tenant_id) as conn:
        ids = [conn.vault.private("deal", deal)] if deal else None
        before = before_of(conn, request, "entry")
        page = await rulings.ledger(conn, before=before, limit=limit + 1, deal_ids=ids)
        names = await Names.of(conn, [c for b in page if (c := _earner(b.entry.account))])
        seen = await _deals_seen(conn, request, {b.deal_id for b in page[:limit]})
        items = [_booked(conn, names, one) for one in page[:limit] if one.deal_id in seen]
        cursor = conn.vault.public("entry", page[limit - 1].entry.entry_id) if len(page) > limit else None
    return Page(items=items, next_cursor=cursor)


async def _deals_seen(conn: Conn, request: web.Request, deal_ids: Collection[int]) -> set[int]:
    """Of these deals, those of customers the asker may see; compliance every one."""
    who = actor(request)
    known = await deals.by_ids(conn, deal_ids)
    if scope(who).everything or who.role == "compliance":
        return set(known)
    nodes = sorted({n for d in known.values() for n in d.nodes})
    seen = await conversations.visible_nodes(conn, scope(who), nodes)
    return {ident for ident, d in known.items() if seen & set(d.nodes)}


def _earner(account: str) -> Claimant | None:
    return None if account in (money.EXPENSE, money.CASH) else claimant(account)


def _booked(conn: Conn, names: Names, one: rulings.Booked) -> EntryOut:
    earner = _earner(one.entry.account)
    return EntryOut(
        id=conn.vault.public("entry", one.entry.entry_id),
        deal_id=conn.vault.public("deal", one.deal_id),
        ruling_id=conn.vault.public("ruling", one.ruling_id),
        at=one.at,
        account="claimant" if earner else one.entry.account,
        claimant=names.shown(earner) if earner else None,
        amount=one.entry.amount,
        sort=one.entry.sort,
    )


async def pay_commission(request: web.Request) -> Act:
    who, wanted = actor(request), await body_of(request, PayIn)

    async def act(conn: Conn) -> PaidOut:
        by = By(label=who.label, staff_id=who.staff_id)
        deal_id = conn.vault.private("deal", wanted.deal_id)
        if deal_id not in await _deals_seen(conn, request, {deal_id}):
            raise NotFound("没有这笔成交。")
        amount = await deciding.pay(conn, deal_id, by=by, now=utcnow())
        return PaidOut(deal_id=wanted.deal_id, amount=amount)

    return act


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="GET",
        path="/commission",
        summary="The commission ledger, newest first; of one deal with `deal_id`",
        policy=Policy.API_JUDGE,
        answer=Page[EntryOut],
        handler=list_commission,
        queries=(Query(name="deal_id", about="Only lines of this deal"), *PAGED),
    ),
    Endpoint(
        method="POST",
        path="/commission/pay",
        summary="Note that the open commission of a deal was paid out",
        policy=Policy.API_JUDGE,
        answer=PaidOut,
        handler=pay_commission,
        body=PayIn,
    ),
)
