"""What humans decide: rulings that wait, appeals against rulings, and that commission was paid out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from scrm.db import Conn
from scrm.errors import BadInput, NotFound
from scrm.ledger.store import audit
from scrm.ownership import household, service, telling, versions
from scrm.ownership.rules import appeals as clock
from scrm.ownership.rules import money
from scrm.ownership.rules.booking import Ruled, decided
from scrm.ownership.rules.values import OWN, WHOLE, Reason, Share
from scrm.ownership.store import appeals, deals, rulings
from scrm.ownership.store.rulings import Trigger
from scrm.seal import new_id


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """Who decides: how the audit trail names them, and their id."""

    label: str
    staff_id: int | None = None


async def appeal(conn: Conn, ruling_id: int, text: str, *, by: By, now: datetime) -> appeals.Appeal:
    """Until it is decided no money of this deal moves. Raises `BadInput` or `NotFound`."""
    ruled, deal = await _held(conn, ruling_id)
    newest = await rulings.last(conn, deal.deal_id)
    if newest is not None and newest.ruling_id != ruled.ruling_id:
        raise BadInput("这笔成交已有新的判定，请对最新的判定申诉。")
    if await appeals.open_of(conn, deal.deal_id) is not None:
        raise BadInput("这笔成交已有一条申诉在处理中，请等结果出来。")
    policy = await versions.of(conn, deal.policy_version)
    due_at = clock.due(policy.appeal, ruled.at, text, now=now)
    ident = await appeals.add(
        conn,
        deal.deal_id,
        ruling_id,
        by_id=by.staff_id,
        text=clock.evidence(text),
        at=now,
        due_at=due_at,
    )
    await audit(conn, by.label, "appeal.raised", now=now, subject=f"appeal:{ident}")
    found = await appeals.open_of(conn, deal.deal_id)
    if found is None:
        raise NotFound
    return found


async def decide(
    conn: Conn,
    ruling_id: int,
    *,
    agree: bool,
    why: str,
    by: By,
    now: datetime,
    shares: Sequence[Share] = (),
) -> Ruled:
    """On the appeal that is open, else on a ruling that waits; with `shares` the human says whose it is.

    Agreeing means: the appeal is right, or what waits comes into force. Raises `BadInput` or `NotFound`.
    """
    ruled, deal = await _held(conn, ruling_id)
    newest = await rulings.last(conn, deal.deal_id)
    if newest is None or newest.ruling_id != ruled.ruling_id:
        raise BadInput("这笔成交已有新的判定，请看过最新的再决定。")
    asked = await appeals.open_of(conn, deal.deal_id)
    if asked is None and ruled.state != "pending":
        raise BadInput("这条判定没有待处理的申诉或审批。")
    if asked is not None and asked.by_id is not None and asked.by_id == by.staff_id:
        raise BadInput("不能处理自己提出的申诉，请交给其他主管。")
    if f"rep:{by.staff_id}" in {*await _parties(conn, deal, ruled), *(s.by.label for s in shares)}:
        raise BadInput("这笔成交与你有关，不能由你判定，请交给其他主管或合规同事。")
    words = clock.evidence(why)
    final = await rulings.last(conn, deal.deal_id, final=True)
    if asked is not None:
        won = checked(_appealed(ruled, final, agree=agree, shares=shares))
        state = "upheld" if agree else "dismissed"
        if not await appeals.decide(conn, asked.appeal_id, state, words, by_id=by.staff_id, at=now):
            raise BadInput("这条申诉刚刚已由别人处理，请刷新。")
        return await _in_force(conn, deal, ruled, won, "appeal", words, by, now=now)
    won = checked(shares or (ruled.shares if agree else _before(final)))
    return await _in_force(conn, deal, ruled, won, "decide", words, by, now=now)


async def _parties(conn: Conn, deal: deals.Kept, ruled: Ruled) -> set[str]:
    """Everybody who has it, would have it, or claims it."""
    final = await rulings.last(conn, deal.deal_id, final=True)
    known = await household.evidence(conn, deal.nodes, at=deal.at)
    named = {s.by.label for one in (ruled, final) if one is not None for s in one.shares}
    return named | {r.by.label for r in ruled.rejected} | {c.by.label for c in known.claims}


def _appealed(
    ruled: Ruled, final: Ruled | None, *, agree: bool, shares: Sequence[Share]
) -> tuple[Share, ...]:
    if not agree:
        return ruled.shares if ruled.state == "final" else _before(final)
    if not shares:
        raise BadInput("申诉成立时请写明判给谁、各占多少。")
    return tuple(shares)


def _before(final: Ruled | None) -> tuple[Share, ...]:
    return final.shares if final else (Share(by=OWN, bp=WHOLE),)


def checked(shares: Sequence[Share]) -> tuple[Share, ...]:
    """Raises `BadInput`."""
    if sum(s.bp for s in shares) != WHOLE or any(s.bp <= 0 for s in shares):
        raise BadInput("各方份额都要大于 0，合计正好 100%。")
    if len({s.by for s in shares}) != len(shares):
        raise BadInput("同一个人只写一次。")
    return tuple(shares)


async def _held(conn: Conn, ruling_id: int) -> tuple[Ruled, deals.Kept]:
    """The ruling and its deal, which nobody else changes until the transaction ends."""
    found = await rulings.get(conn, ruling_id)
    if found is None:
        raise NotFound("没有这条判定。")
    await conn.lock(f"deal:{found.deal_id}")
    deal = await deals.get(conn, found.deal_id)
    if deal is None:
        raise NotFound("没有这笔成交。")
    return found, deal


async def _in_force(
    conn: Conn,
    deal: deals.Kept,
    ruled: Ruled,
    shares: tuple[Share, ...],
    trigger: Trigger,
    words: str,
    by: By,
    *,
    now: datetime,
) -> Ruled:
    """A human's ruling stands until somebody decides otherwise, or its reasons are gone and back again."""
    one = Ruled(
        ruling_id=new_id(),
        deal_id=deal.deal_id,
        at=now,
        trigger=trigger,
        state="final",
        shares=shares,
        reasons=(Reason(rule="decided"), *ruled.reasons),
        rejected=ruled.rejected,
        inputs=ruled.inputs,
        policy_version=deal.policy_version,
        by_id=by.staff_id,
        note=words,
    )
    await rulings.add(conn, one)
    await telling.soon(conn, one, now=now)
    preset = (await versions.of(conn, deal.policy_version)).preset(deal.line)
    entries = await rulings.entries(conn, deal.deal_id)
    lines = decided(shares, deal.amount, preset.commission_bp, entries)
    await rulings.book(conn, deal.deal_id, one.ruling_id, lines, at=now)
    await audit(conn, by.label, f"ruling.{trigger}", now=now, subject=f"ruling:{one.ruling_id}")
    return one


async def pay(conn: Conn, deal_id: int, *, by: By, now: datetime) -> int:
    """Note that what is open was paid out; how many fen. Raises `BadInput` while anything is undecided."""
    await conn.lock(f"deal:{deal_id}")
    before = await service.standing(conn, deal_id)
    if before.final is None or before.last is None:
        raise NotFound("这笔成交还没有判定。")
    if before.frozen or before.last.state == "pending":
        raise BadInput("申诉或审批还没有结果，佣金暂时冻结。")
    lines = money.pay(before.entries)
    await rulings.book(conn, deal_id, before.final.ruling_id, lines, at=now)
    await audit(conn, by.label, "commission.paid", now=now, subject=f"deal:{deal_id}")
    return -sum(line.amount for line in lines if line.account == money.CASH)
