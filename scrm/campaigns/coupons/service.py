"""Giving coupons: within stock and a family's limit, each once, with a code nobody can guess."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from scrm.campaigns.coupons import rules, store
from scrm.campaigns.coupons.rules import Batch
from scrm.campaigns.coupons.store import Coupon
from scrm.db import Conn
from scrm.errors import BadInput, Conflict, NotFound
from scrm.seal import new_id
from scrm.timeline import notes
from scrm.timeline.notes import Note

KIND = "event.coupon"
NO_BATCH = "没有这批券。"
TAKEN = "这个券编号已经用过，请换一个。"
GIVEN = "发券：{name}（{worth}），券码 {code}"
OTHERS = "这个操作编号发过另一张券，请刷新后再试。"
SENTENCES = (NO_BATCH, TAKEN, GIVEN, OTHERS)
#: An order uses a coupon up when it is paid for; one that was never paid leaves it to the family.
REDEEMS = frozenset({"paid", "delivered"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A batch as one family sees it."""

    batch: Batch
    #: "" = it may be given now.
    why_not: str
    left: int | None
    held: int


async def offers(conn: Conn, nodes: Collection[int], *, now: datetime) -> list[Offer]:
    """Every open batch, those that may be given first; `nodes` are the household's."""
    known = await store.batches(conn, state="open", limit=50)
    counts = await store.counts(conn, [b.batch_id for b in known])
    theirs = await store.of_nodes(conn, nodes)
    made = [_offer(b, counts[b.batch_id], theirs, now) for b in known]
    return sorted(made, key=lambda o: (bool(o.why_not), o.batch.ends_at, o.batch.batch_id))


def _offer(batch: Batch, counted: dict[str, int], theirs: Sequence[Coupon], now: datetime) -> Offer:
    issued = sum(n for state, n in counted.items() if state != "withdrawn")
    held = sum(c.batch_id == batch.batch_id and c.state != "withdrawn" for c in theirs)
    why = rules.why_not(batch, issued=issued, held=held, now=now)
    left = max(0, batch.stock - issued) if batch.stock else None
    return Offer(batch=batch, why_not=why, left=left, held=held)


async def issue(
    conn: Conn,
    batch_id: int,
    node_id: int,
    nodes: Collection[int],
    *,
    key: str,
    staff_id: int | None,
    account_id: int | None = None,
    now: datetime,
) -> Coupon:
    """One coupon for this member of the household `nodes`; the same `key` again gives the same one.

    With `account_id` it is told on their timeline. Raises `NotFound` or `Conflict` (why not).
    """
    # Held: the last coupon, and a family's last, are given once.
    batch = await store.batch(conn, batch_id, hold=True)
    if batch is None:
        raise NotFound(NO_BATCH)
    if known := await store.by_key(conn, key):
        if known.batch_id != batch_id or known.node_id not in {node_id, *nodes}:
            raise Conflict(OTHERS)
        return known
    counted = (await store.counts(conn, [batch_id]))[batch_id]
    found = _offer(batch, counted, await store.of_nodes(conn, {node_id, *nodes}), now)
    if found.why_not:
        raise Conflict(found.why_not)
    one = _coupon(key, batch_id, node_id, staff_id, now)
    await store.add(conn, one)
    if account_id is not None:
        await _tell(conn, batch, one, account_id, now=now)
    return one


def _coupon(key: str, batch_id: int, node_id: int, staff_id: int | None, now: datetime) -> Coupon:
    return Coupon(
        coupon_id=new_id(),
        key=key,
        batch_id=batch_id,
        node_id=node_id,
        code="".join(secrets.choice(rules.LETTERS) for _ in range(rules.LENGTH)),
        staff_id=staff_id,
        state="issued",
        event_id=None,
        issued_at=now,
        redeemed_at=None,
        order_number="",
    )


async def _tell(conn: Conn, batch: Batch, one: Coupon, account_id: int, *, now: datetime) -> None:
    note = Note(
        key=f"coupon:{one.key}",
        kind=KIND,
        text=GIVEN.format(name=batch.name, worth=rules.worth(batch), code=one.code),
        node_id=one.node_id,
        account_id=account_id,
        body={"batch": batch.code, "code": one.code},
        staff_id=one.staff_id,
    )
    await notes.tell(conn, note, now=now)


# -- used up -----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """A paid order that names a coupon."""

    code: str
    number: str
    event_id: int


def code_of(body: Mapping[str, object]) -> str:
    """The coupon an order says it was paid with."""
    order = body.get("order")
    said = order.get("coupon") if isinstance(order, Mapping) else None
    code = said.get("code") if isinstance(said, Mapping) else ""
    return str(code or "").strip()


async def redeem(conn: Conn, used: Sequence[Used], *, now: datetime) -> list[Coupon]:
    """Those that were ours and not used before; codes of other systems are none of them."""
    found = [
        await store.redeem(conn, one.code, one.number, event_id=one.event_id, now=now)
        for one in sorted(used, key=lambda u: u.code)
    ]
    return [one for one in found if one is not None]


# -- batches -----------------------------------------------------------------------------------------------
async def save_batch(conn: Conn, one: Batch) -> None:
    """A new batch. Raises `BadInput`, or `Conflict` when its code is taken."""
    rules.demand_good(one)
    if not await store.add_batch(conn, one):
        raise Conflict(TAKEN)


async def set_state(conn: Conn, batch_id: int, state: str) -> None:
    """Stops giving it out, or goes on; what was given stays good. Raises `BadInput` or `NotFound`."""
    if await store.batch(conn, batch_id, hold=True) is None:
        raise NotFound(NO_BATCH)
    if state not in rules.STATES:
        raise BadInput
    await store.set_state(conn, batch_id, state)
