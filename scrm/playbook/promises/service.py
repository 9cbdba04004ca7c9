"""The ledger at work: what our side says is read and kept, what stands is told, what is over is closed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from scrm.db import Conn
from scrm.errors import BadInput, Conflict, NotFound
from scrm.identity import store as nodes
from scrm.playbook.promises import store
from scrm.playbook.promises.conflicts import MONEY, WHOLE
from scrm.playbook.promises.ledger import Entry, beside, read, replaced, stands
from scrm.playbook.promises.store import Row
from scrm.playbook.situation import Kept
from scrm.seal import new_id
from scrm.staff import store as staff

RECALLED = "消息已撤回。"
REWORDED = "消息改过了，以改后的为准。"
READ_ANEW = "消息重新解析过。"
BETTERED = "后来又给了同样或更好的条件。"
PAID = "订单已按约定付款。"
RAN_OUT = "已过有效期。"
CLOSED = "这条承诺已经结束，不能再撤回。"
GONE = "没有这条承诺，或者你不能查看。"
WHY = "请写明为什么撤回这条承诺。"
NO_SHARE = "只有折扣能改成别的折扣，在 0 到 10 折之间。"
NO_FEN = "只有价格和优惠金额能改成别的金额，要大于 0。"
NO_DAY = "截止日期不能在作出承诺之前。"
SAME = "请填写要改成什么，和现在不同。"
RIGHTING = (NO_SHARE, NO_FEN, NO_DAY, SAME)
SENTENCES = (*RIGHTING, RECALLED, REWORDED, READ_ANEW, BETTERED, PAID, RAN_OUT, CLOSED, GONE, WHY)
_REASON, _MOST_FEN = 200, 10**11
#: Expired ones are closed so many at a time.
_SWEPT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What one of us said to a customer: a message as it reads now, or a call written down."""

    event_id: int
    account_id: int
    conversation_id: int | None
    node_id: int
    staff_id: int | None
    at: datetime
    text: str
    source: Literal["message", "call"] = "message"
    recalled: bool = False
    #: Readings of the same message that this one took the place of.
    instead_of: tuple[int, ...] = ()
    #: The family's coupons that it names: their own words promise nothing besides them.
    coupons: tuple[Kept, ...] = ()

    def entries(self, products: Mapping[str, str]) -> tuple[Entry, ...]:
        """What it promises as it reads now."""
        if self.recalled:
            return ()
        return beside(self.text, read(self.text, self.at, products), self.coupons)


async def heed(conn: Conn, said: Sequence[Spoken], products: Mapping[str, str], *, now: datetime) -> set[int]:
    """Keep what was promised, take back what was recalled or reworded; the nodes something changed for."""
    events = {one.event_id for one in said} | {e for one in said for e in one.instead_of}
    known: dict[int, list[Row]] = {}
    for row in await store.of_events(conn, events):
        known.setdefault(row.event_id or 0, []).append(row)
    changed: set[int] = set()
    telling = [s for s in said if known.keys() & {s.event_id, *s.instead_of} or s.entries(products)]
    # What takes whose place is settled by one at a time for each customer.
    for node_id in sorted({one.node_id for one in telling}):
        await conn.lock(f"promise:{node_id}")
    for one in sorted(telling, key=lambda s: (s.node_id, s.at, s.event_id)):
        for before in one.instead_of:
            changed |= await _void(conn, known.get(before, ()), READ_ANEW, now=now)
        changed |= await _keep(conn, one, known.get(one.event_id, []), products, now=now)
    for node_id in sorted(changed):
        await _settle(conn, node_id, now=now)
    return changed


async def _keep(
    conn: Conn, one: Spoken, known: Sequence[Row], products: Mapping[str, str], *, now: datetime
) -> set[int]:
    fresh = one.entries(products)
    standing = [row for row in known if row.state != "void"]
    # What a leader put right says how the same words were meant.
    if [_said(row) for row in standing if row.source != "manual"] == [_said(entry) for entry in fresh]:
        return set()
    changed = await _void(conn, standing, RECALLED if one.recalled else REWORDED, now=now)
    after = max((row.n for row in known), default=-1) + 1
    new = await store.add(conn, [_row(one, entry, after + entry.n) for entry in fresh])
    return changed | ({one.node_id} if new else set())


def _said(one: Row | Entry) -> tuple[object, ...]:
    return one.kind, one.share, one.fen, one.min_fen, one.text, one.until_at


async def _void(conn: Conn, rows: Collection[Row], why: str, *, now: datetime) -> set[int]:
    standing = [row for row in rows if row.state in ("live", "replaced", "expired")]
    ids = [row.promise_id for row in standing]
    await store.close(conn, ids, "void", why=why, now=now, among=("live", "replaced", "expired"))
    return {row.node_id for row in standing}


async def _settle(conn: Conn, node_id: int, *, now: datetime) -> None:
    """Which of a customer's promises the later ones took the place of: derived again from all of them."""
    rows = await store.open_of_node(conn, node_id)
    over = replaced([kept_of(row) for row in rows])
    gone = [r.promise_id for r in rows if r.promise_id in over and r.state == "live"]
    back = [r.promise_id for r in rows if r.promise_id not in over and r.state == "replaced"]
    await store.close(conn, gone, "replaced", why=BETTERED, now=now)
    await store.reopen(conn, back)


def _row(one: Spoken, entry: Entry, n: int) -> Row:
    return Row(
        promise_id=new_id(),
        source=one.source,
        event_id=one.event_id,
        n=n,
        account_id=one.account_id,
        conversation_id=one.conversation_id,
        node_id=one.node_id,
        staff_id=one.staff_id,
        kind=entry.kind,
        share=entry.share,
        fen=entry.fen,
        min_fen=entry.min_fen,
        text=entry.text,
        quote=entry.quote,
        product_code=entry.product_code,
        product=entry.product,
        made_at=one.at,
        until_at=entry.until_at,
        state="live",
        closed_at=None,
        closed_by=None,
        why="",
        changed=new_id(),
    )


def kept_of(row: Row, *, by: str = "", to: str = "", channel: str = "") -> Kept:
    return Kept(
        promise_id=row.promise_id,
        kind=row.kind,
        share=row.share,
        fen=row.fen,
        min_fen=row.min_fen,
        text=row.text,
        product_code=row.product_code,
        product=row.product,
        made_at=row.made_at,
        until_at=row.until_at,
        by=by,
        to=to,
        channel=channel,
        node_id=row.node_id,
        event_id=row.event_id,
    )


# -- what stands -------------------------------------------------------------------------------------------
async def live(
    conn: Conn,
    node_ids: Collection[int],
    *,
    now: datetime,
    channel_of: Callable[[int | None], str] = lambda _: "",
) -> tuple[Kept, ...]:
    """What stands towards any address of a household, the newest first, with who said it to whom."""
    rows = await standing(conn, node_ids, now=now)
    said_by = await staff.members(conn, sorted({r.staff_id for r in rows if r.staff_id}))
    said_to = await nodes.names(conn, {r.node_id for r in rows}) if rows else {}
    return tuple(
        kept_of(
            r,
            by=said_by[r.staff_id].name if r.staff_id in said_by else "",
            to=said_to.get(r.node_id, ""),
            channel=channel_of(r.account_id),
        )
        for r in rows
    )


async def standing(conn: Conn, node_ids: Collection[int], *, now: datetime) -> list[Row]:
    """The rows of it."""
    rows = await store.live(conn, node_ids, now=now)
    return [r for r in rows if stands(r.made_at, r.until_at, now=now)]


async def version(conn: Conn, node_ids: Collection[int]) -> int:
    """Changes with every promise to any of these addresses that is made or ends."""
    return await store.version(conn, node_ids)


# -- how it ends -------------------------------------------------------------------------------------------
async def withdraw(conn: Conn, promise_id: int, *, by: int | None, why: str, now: datetime) -> Row:
    """A leader takes it back and says why. Raises `BadInput`, `NotFound` or `Conflict`."""
    reason = why.strip()
    if not reason or len(reason) > _REASON:
        raise BadInput(WHY)
    row = await store.get(conn, promise_id)
    if row is None:
        raise NotFound(GONE)
    if not await store.close(conn, [promise_id], "withdrawn", why=reason, by=by, now=now):
        raise Conflict(CLOSED)
    await _settle(conn, row.node_id, now=now)
    return row


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """How a promise should have read; what is None stays as it was."""

    share: int | None = None
    fen: int | None = None
    min_fen: int | None = None
    until_at: datetime | None = None


async def correct(
    conn: Conn, promise_id: int, right: Right, *, by: int | None, why: str, now: datetime
) -> Row:
    """It was read or meant otherwise: the wrong one is withdrawn, the right one stands from the same moment.

    Raises `BadInput`, `NotFound` or `Conflict`.
    """
    row = await store.get(conn, promise_id)
    if row is None:
        raise NotFound(GONE)
    made = _righted(row, right)
    await withdraw(conn, promise_id, by=by, why=why, now=now)
    of_event = await store.of_events(conn, [row.event_id]) if row.event_id else []
    n = max((r.n for r in of_event), default=row.n) + 1
    one = replace(
        made, promise_id=new_id(), source="manual", n=n, state="live", why=why.strip(), changed=new_id()
    )
    await store.add(conn, [one])
    await _settle(conn, row.node_id, now=now)
    return one


def _righted(row: Row, right: Right) -> Row:
    if right.share is not None and (row.kind != "discount" or not 0 < right.share < WHOLE):
        raise BadInput(NO_SHARE)
    money = [v for v in (right.fen, right.min_fen) if v is not None]
    if money and (row.kind not in ("price", "off") or not all(0 < v <= _MOST_FEN for v in money)):
        raise BadInput(NO_FEN)
    if right.until_at is not None and right.until_at <= row.made_at:
        raise BadInput(NO_DAY)
    said = {name: v for name in Right.__slots__ if (v := getattr(right, name)) is not None}
    if not said or all(getattr(row, name) == v for name, v in said.items()):
        raise BadInput(SAME)
    return replace(row, **said)


async def paid(
    conn: Conn, node_ids: Collection[int], codes: Collection[str], *, at: datetime, now: datetime
) -> int:
    """An order was paid: what was promised about its money before then is kept."""
    rows = [r for r in await store.live(conn, node_ids, now=at) if r.kind in MONEY and r.made_at <= at]
    done = [r.promise_id for r in rows if not r.product_code or r.product_code in codes]
    return await store.close(conn, done, "kept", why=PAID, now=now)


async def expire(conn: Conn, *, now: datetime) -> int:
    """Those whose last day is over; how many."""
    rows = await store.run_out(conn, now=now, limit=_SWEPT)
    return await store.close(conn, [r.promise_id for r in rows], "expired", why=RAN_OUT, now=now)
