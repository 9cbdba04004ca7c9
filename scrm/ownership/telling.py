"""Owners that changed, told in the feed of changes: once each, in the order of the log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from scrm import jobs
from scrm.db import Conn
from scrm.identity.store import log
from scrm.identity.store.log import Deed
from scrm.ownership.rules.booking import Ruled
from scrm.ownership.rules.values import CUSTOMER, Share
from scrm.ownership.store import deals, rulings

#: The due row that looks at deals again, and tells of those that were decided.
DUE = "adjudicate"


async def soon(conn: Conn, one: Ruled, *, now: datetime) -> None:
    """In the transaction of the ruling: it is told of if and only if it was made.

    Not written at once: the log belongs to who holds identity, and a deal is held already.
    """
    if one.state == "final":
        key, payload = f"tell:{one.deal_id}", {"tell": [one.deal_id]}
        await jobs.put_all(conn, [(DUE, key, 0, payload)], at=now)


async def tell(conn: Conn, deal_id: int, *, now: datetime) -> int:
    """How many changes there were. Rulings that left the owners as they were change nothing."""
    await conn.lock("identity")
    deal = await deals.get(conn, deal_id)
    fresh = await rulings.tell(conn, deal_id, now=now) if deal else []
    if deal is None or not fresh:
        return 0
    known = await rulings.page(conn, before=fresh[0].ruling_id, limit=50, deal_ids=[deal_id])
    before = next((_winners(r.shares) for r in known if r.state == "final"), [])
    told = []
    for one in fresh:
        after = _winners(one.shares)
        if after != before:
            body = {"node": deal.node_id, "deal": deal_id, "business_line": deal.line}
            told.append(Deed(op="owner", body={**body, "before": before, "after": after}, actor_id=one.by_id))
        before = after
    await log.write(conn, told, version=deal.policy_version, now=now)
    return len(told)


def _winners(shares: tuple[Share, ...]) -> list[dict[str, Any]]:
    """With ids where they are ours, so that each reader gets its own names for them."""
    return sorted((_winner(s) for s in shares), key=str)


def _winner(share: Share) -> dict[str, Any]:
    who, plain = share.by, {"kind": share.by.kind, "bp": str(share.bp)}
    if who.kind == "rep" and who.ident.isdigit():
        return plain | {"staff": int(who.ident)}
    if who.ident.startswith(CUSTOMER):
        return plain | {"node": int(who.ident.removeprefix(CUSTOMER))}
    return plain | ({"id": who.ident} if who.ident else {})
