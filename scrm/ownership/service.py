"""The seam of ownership: what happened becomes claims and deals; deals are judged, again when it matters.

A ruling and its entries are written in one transaction; deals are always held in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from scrm import jobs
from scrm.contract import Handle
from scrm.db import Conn
from scrm.identity import service as identity
from scrm.ledger.store import audit
from scrm.ownership import claiming, household, telling, versions
from scrm.ownership.rules.booking import Ruled, Standing, Step, step
from scrm.ownership.rules.judging import adjudicate, holder_now
from scrm.ownership.rules.policy import Policy
from scrm.ownership.rules.values import Claimant, Deal, Ruling
from scrm.ownership.store import appeals, deals, rulings
from scrm.ownership.store.claims import Kept
from scrm.ownership.store.rulings import Trigger
from scrm.seal import new_id
from scrm.timeline.store import events
from scrm.timeline.store.events import Stored

#: How soon after a deal it is looked at once more by itself: what another process was writing at the same
#: time is there by then.
_SECOND_LOOK = timedelta(seconds=60)
DUE = telling.DUE
_ORDERS, _REFUNDS, _CONTRACTS = "event.order.", "event.refund.", "event.contract."


# -- from events -------------------------------------------------------------------------------------------
async def heed(conn: Conn, told: Sequence[Stored], *, now: datetime) -> list[Ruled]:
    """Claims and deals of these events, and what has to be judged because of them. Replays change nothing.

    Called after the order book has been written.
    """
    policy = await versions.current(conn)
    made = await _deals(conn, told, policy, now=now)
    fresh = await claiming.from_events(conn, told, policy, now=now)
    return await _judged(conn, made, fresh, now=now)


async def claimed(conn: Conn, one: Kept, *, now: datetime) -> list[Ruled]:
    """After a claim was entered: deals it may decide."""
    return await _judged(conn, [], [one], now=now)


async def _judged(
    conn: Conn, made: Sequence[deals.Kept], fresh: Sequence[Kept], *, now: datetime
) -> list[Ruled]:
    wanted = {d.deal_id: d for d in await _decidable(conn, fresh)}
    found = []
    by_trigger: dict[int, Trigger] = dict.fromkeys(wanted, "claim")
    by_trigger |= dict.fromkeys((d.deal_id for d in made), "deal")
    wanted |= {d.deal_id: d for d in made}
    for deal_id in sorted(wanted):
        ruled = await judge(conn, wanted[deal_id], by_trigger[deal_id], now=now)
        found += [ruled] if ruled else []
    return found


async def _decidable(conn: Conn, fresh: Sequence[Kept]) -> list[deals.Kept]:
    """Deals made after one of these claims, on its household: nearly always there are none."""
    newest = await deals.newest_at(conn) if fresh else None
    late = [k for k in fresh if newest is not None and k.claim.at <= newest]
    if not late:
        return []
    since = min(k.claim.at for k in late)
    persons = await household.members(conn, {k.claim.node_id for k in late if not k.claim.masked})
    theirs = await household.nodes_of(conn, persons)
    found = await deals.of_nodes(conn, theirs, since=since)
    if any(k.claim.masked for k in late):  # whom a mask means only the household's own numbers tell
        found += await deals.made_since(conn, since)
    return found


async def _deals(conn: Conn, told: Sequence[Stored], policy: Policy, *, now: datetime) -> list[deals.Kept]:
    mine = [e for e in told if e.kind.startswith((_ORDERS, _REFUNDS, _CONTRACTS))]
    bodies = await events.bodies(conn, mine) if mine else {}
    found: dict[int, deals.Kept] = {}
    for event in sorted(mine, key=lambda e: (e.at, e.event_id)):
        one = await _deal(conn, event, bodies[event.event_id], policy)
        if one is None:
            continue
        await versions.pin(conn, policy, now=now)
        await deals.put(conn, one)
        kept = await deals.of_number(conn, one.account_id, one.source, one.number)
        if kept is not None:
            found[kept.deal_id] = kept
            payload = {"deals": [kept.deal_id]}
            again = (DUE, f"deal:{kept.deal_id}", 0, payload)
            await jobs.put_all(conn, [again], at=now + _SECOND_LOOK)
    return list(found.values())


async def _deal(conn: Conn, event: Stored, body: Mapping[str, Any], policy: Policy) -> deals.Kept | None:
    if event.kind.startswith(_CONTRACTS):
        return await _contract(conn, event, body, policy)
    said = body.get("order") or body.get("refund")
    if not isinstance(said, Mapping):
        return None
    number = str(said.get("order") or said.get("id")) if "refund" in body else str(said.get("id"))
    paid = event.kind.removeprefix(_ORDERS) in deals.PAID
    known = await deals.of_number(conn, event.account_id, "order", number)
    if not paid and known is None:
        return None
    at = event.at if paid or known is None else known.at
    return await deals.order_as_deal(conn, event.account_id, number, at=at, policy_version=policy.version)


async def _contract(conn: Conn, event: Stored, body: Mapping[str, Any], policy: Policy) -> deals.Kept | None:
    """A contract that stands by itself; one that names its order is paid for there."""
    said = body.get("contract")
    if not isinstance(said, Mapping) or said.get("order") or event.node_id is None:
        return None
    known = await deals.of_number(conn, event.account_id, "contract", str(said["id"]))
    if event.kind != f"{_CONTRACTS}signed" and known is None:
        return None
    others = body.get("others")
    learner = others.get("learner") if isinstance(others, Mapping) else None
    gone = event.kind == f"{_CONTRACTS}cancelled"
    return deals.Kept(
        deal_id=known.deal_id if known else new_id(),
        source="contract",
        account_id=event.account_id,
        number=str(said["id"]),
        line=str(said.get("business_line") or ""),
        node_id=event.node_id,
        payer_id=None,
        learner_id=await identity.find(conn, Handle(kind=learner[0], scope=learner[1], value=learner[2]))
        if learner
        else None,
        event_id=event.event_id,
        at=known.at if known and event.kind != f"{_CONTRACTS}signed" else event.at,
        amount=0 if gone else int(said.get("total") or 0),
        policy_version=policy.version,
    )


# -- judging -----------------------------------------------------------------------------------------------
async def judge(conn: Conn, one: deals.Kept, trigger: Trigger, *, now: datetime) -> Ruled | None:
    """Look at a deal once more; None = all is as it was."""
    await conn.lock(f"deal:{one.deal_id}")
    held = await deals.get(conn, one.deal_id) or one
    policy = await versions.of(conn, held.policy_version)
    preset = policy.preset(held.line)
    known = await household.evidence(conn, held.nodes, at=held.at)
    ruling = adjudicate(known.claims, as_deal(held), preset, known.relatives, as_of=now)
    before = await standing(conn, held.deal_id)
    found = step(ruling, held.amount, preset.commission_bp, before)
    return await _write(conn, held, found, before, trigger, now=now) if found else None


def as_deal(one: deals.Kept) -> Deal:
    return Deal(deal_id=one.deal_id, line=one.line, at=one.at, amount=one.amount)


async def standing(conn: Conn, deal_id: int) -> Standing:
    last = await rulings.last(conn, deal_id)
    final = last if last is None or last.state == "final" else await rulings.last(conn, deal_id, final=True)
    return Standing(
        last=last,
        final=final,
        entries=await rulings.entries(conn, deal_id),
        frozen=await appeals.open_of(conn, deal_id) is not None,
    )


async def _write(
    conn: Conn, one: deals.Kept, found: Step, before: Standing, trigger: Trigger, *, now: datetime
) -> Ruled | None:
    """The ruling, and the lines it leads to; lines alone belong to the ruling in force."""
    ruled, force = None, before.final
    for ruling, state in found.rulings:
        again = before.final if before.final and before.final.inputs == ruling.inputs else None
        ruled = written(one, ruling, state, trigger, again=again, now=now)
        force = ruled if state == "final" else force
        await rulings.add(conn, ruled)
        await telling.soon(conn, ruled, now=now)
        await audit(conn, "system", f"ruling.{state}", now=now, subject=f"deal:{one.deal_id}")
    if found.lines and force is not None:
        await rulings.book(conn, one.deal_id, force.ruling_id, found.lines, at=now)
    return ruled


def written(
    one: deals.Kept, ruling: Ruling, state: str, trigger: Trigger, *, again: Ruled | None, now: datetime
) -> Ruled:
    """With `again` it is that one once more: whoever decided it then decided it now."""
    return Ruled(
        ruling_id=new_id(),
        deal_id=one.deal_id,
        at=now,
        trigger=again.trigger if again else trigger,
        state="final" if state == "final" else "pending",
        shares=ruling.shares,
        reasons=ruling.reasons,
        rejected=ruling.rejected,
        inputs=ruling.inputs,
        policy_version=one.policy_version,
        by_id=again.by_id if again else None,
        note=again.note if again else "",
    )


# -- when people turn out to be others ---------------------------------------------------------------------
async def touched(
    conn: Conn, persons: Collection[int], households: Collection[int] = (), *, now: datetime
) -> bool:
    """Have the deals of these looked at soon; asked in the transaction that changed them.

    Whether there is any need: then the errands want waking.
    """
    wanted = sorted({*persons, *households})
    if not wanted or await deals.newest_at(conn) is None:
        return False
    await jobs.put_all(conn, [(DUE, f"persons:{new_id()}", 0, {"persons": wanted})], at=now)
    return True


async def rejudge(
    conn: Conn, persons: Collection[int], *, trigger: Trigger = "identity", now: datetime
) -> list[Ruled]:
    """Judge the deals of the households these persons are in, and no other."""
    everyone = await household.around(conn, persons)
    mine = await deals.of_nodes(conn, await household.nodes_of(conn, everyone))
    found = [await judge(conn, one, trigger, now=now) for one in mine]
    return [ruled for ruled in found if ruled]


async def look_again(conn: Conn, payload: Mapping[str, Any], *, now: datetime) -> list[Ruled]:
    """What a due row asks for: deals by id, or persons whose deals are meant."""
    found = []
    for deal_id in sorted(payload.get("tell", ())):  # first of all: it holds what others wait for
        await telling.tell(conn, deal_id, now=now)
    for deal_id in sorted(payload.get("deals", ())):
        one = await deals.get(conn, deal_id)
        ruled = await judge(conn, one, "claim", now=now) if one else None
        found += [ruled] if ruled else []
    if payload.get("persons"):
        found += await rejudge(conn, payload["persons"], now=now)
    return found


# -- asking ------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What would become of a deal."""

    deal: deals.Kept
    before: Ruled | None
    after: Ruling
    #: It would change at once; False: a human would have to agree.
    at_once: bool


async def preview(conn: Conn, persons: Collection[int], *, now: datetime) -> list[Effect]:
    """What would change if these persons were one family, or one person. Reads only."""
    everyone = await household.around(conn, persons)
    found = []
    for one in await deals.of_nodes(conn, await household.nodes_of(conn, everyone)):
        preset = (await versions.of(conn, one.policy_version)).preset(one.line)
        known = await household.evidence(conn, one.nodes, at=one.at, together=everyone)
        ruling = adjudicate(known.claims, as_deal(one), preset, known.relatives, as_of=now)
        before = await standing(conn, one.deal_id)
        change = step(ruling, one.amount, preset.commission_bp, before)
        if change is not None and change.rulings:
            at_once = change.rulings[-1][1] == "final"
            found.append(Effect(deal=one, before=before.final, after=ruling, at_once=at_once))
    return found


async def owners(conn: Conn, person_id: int, *, now: datetime) -> dict[str, Claimant | None]:
    """Whose this person's household is today, by business line."""
    policy = await versions.current(conn)
    mine = await household.nodes_of(conn, [person_id])
    if not mine:
        return dict.fromkeys(policy.lines)
    known = await household.evidence(conn, [min(mine)])
    return {
        line: holder_now(known.claims, line, policy.preset(line), known.relatives, now=now)
        for line in sorted(policy.lines)
    }
