"""Hand-over: briefs drafted and edited, then everything moved at once; the platform's transfer follows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scrm.accounts.service import Plugged
from scrm.contract import Handle
from scrm.db import Conn
from scrm.deeds import service as deeds
from scrm.deeds import store as asked
from scrm.deeds.store import Asked
from scrm.desk import store as desk
from scrm.errors import BadInput, NotFound
from scrm.identity import roles
from scrm.identity import service as identity
from scrm.identity import store as persons
from scrm.identity.kin.titles import ROLES
from scrm.ledger.store import audit
from scrm.ownership import pooling, versions
from scrm.ownership.deciding import By
from scrm.ownership.pooling import Case
from scrm.ownership.rules import handover as rules
from scrm.ownership.rules.handover import Around, Said
from scrm.ownership.store import appeals, deals, rulings
from scrm.ownership.store import handover as store
from scrm.ownership.store import pool as holding
from scrm.ownership.store.handover import Customer, Handover
from scrm.timeline import hands
from scrm.timeline.hands import Moved
from scrm.timeline.store import conversations, events

_UNDONE = "交接已撤销，没有提交给平台。"
_BEGUN = "平台已经开始转接，不能撤销；请再交接一次，转回原同事。"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One customer of a hand-over, and how the platform's transfer stands."""

    customer: Customer
    outcome: str
    #: The platform's answer where it is none of ours to name.
    words: str = ""


# -- draft ---------------------------------------------------------------------------------------------------
async def customers_of(conn: Conn, rep_id: int, *, limit: int = rules.MOST) -> list[Case]:
    """Whom this rep has, by the identifier their customers are handed over by."""
    found = await holding.kept_by(conn, rep_id, limit=4 * limit)
    return [c for c in await pooling.cases(conn, found) if c.rep_id == rep_id][:limit]


async def draft(
    conn: Conn, *, from_id: int, to_id: int, sort: str, node_ids: Collection[int], by: By, now: datetime
) -> Handover:
    """With a brief for each customer, to be edited before it is sent. Raises `BadInput`."""
    if sort not in rules.SORTS:
        raise BadInput("请选择在职继承还是离职继承。")
    if from_id == to_id:
        raise BadInput("原同事与接替同事不能是同一个人。")
    await _demand_taker(conn, to_id)
    chosen = [c for c in await customers_of(conn, from_id) if c.node_id in set(node_ids)]
    if not chosen:
        raise BadInput("请至少选择一位客户。")
    one = await store.add(conn, from_id=from_id, to_id=to_id, by_id=by.staff_id, sort=sort, now=now)
    for case in chosen:
        text = rules.brief(await _around(conn, case, now=now))
        await store.add_customer(conn, one.handover_id, case.node_id, text)
    await audit(conn, by.label, "handover.drafted", now=now, subject=f"handover:{one.handover_id}")
    return one


async def _demand_taker(conn: Conn, to_id: int) -> None:
    if to_id not in {s.staff_id for s in await desk.colleagues(conn, None)}:
        raise BadInput("接替的同事已离开，或不接待客户。")


async def _around(conn: Conn, case: Case, *, now: datetime) -> Around:
    owners = await persons.persons_of(conn, [case.node_id])
    person = owners.get(case.node_id)
    home = await identity.household(conn, person) if person else None
    members = home.members if home else []
    named = await persons.shown(conn, members)
    parts = await roles.parts(conn, home.owners, now) if home else []
    titles: dict[int, list[str]] = {m: [] for m in members}
    for part in parts:
        titles.setdefault(part.person_id, []).append(ROLES[part.role])
    talks = [t for t in await conversations.of_nodes(conn, case.nodes) if t.rep_id == case.rep_id]
    sold = await deals.of_nodes(conn, case.nodes)
    return Around(
        name=_name(named, person),
        roles=tuple(dict.fromkeys(titles.get(person or 0, ()))),
        family=tuple(_with(_name(named, m), titles.get(m, ())) for m in members[1:]),
        waits=tuple(t.waiting_since for t in talks if t.waiting_since),
        put_off=tuple(t.snooze_until for t in talks if t.snooze_until and t.snooze_until > now),
        tasks=await _tasks(conn, sold),
        deals=tuple(f"{d.line or '订单'} {d.number}，¥{d.amount / 100:.2f}" for d in sold[-5:]),
        talks=await _talks(conn, person),
    )


def _name(named: Mapping[int, persons.Shown], person: int | None) -> str:
    found = named.get(person or 0)
    return (found.name if found else "") or "未命名客户"


def _with(name: str, titles: Sequence[str]) -> str:
    return f"{name}（{'、'.join(dict.fromkeys(titles))}）" if titles else name


async def _tasks(conn: Conn, sold: Sequence[deals.Kept]) -> tuple[str, ...]:
    found = []
    for one in sold[-5:]:
        if await appeals.open_of(conn, one.deal_id):
            found.append(f"{one.number} 的判客申诉还在处理")
        elif (last := await rulings.last(conn, one.deal_id)) and last.state == "pending":
            found.append(f"{one.number} 的判定在等人审批")
    return tuple(found)


async def _talks(conn: Conn, person: int | None) -> tuple[Said, ...]:
    spans = await persons.intervals(conn, person) if person else []
    found = await events.page(conn, spans, before=None, limit=10, genres=("talk", "call"))
    return tuple(
        Said(at=e.at, ours=e.direction == "out", text=e.text[:120])
        for e in found
        if e.recalled_at is None and e.text
    )


async def edit(conn: Conn, one: Handover, node_id: int, text: str, *, by: By, now: datetime) -> None:
    """Before it is sent. Raises `BadInput` or `NotFound`."""
    held = await _held(conn, one.handover_id)
    if held.state != "draft":
        raise BadInput("交接已经发出，交接说明不能再改。")
    if not await store.set_brief(conn, one.handover_id, node_id, rules.edited(text)):
        raise NotFound("交接单里没有这位客户。")
    await audit(conn, by.label, "handover.edited", now=now, subject=f"handover:{one.handover_id}")


async def _held(conn: Conn, handover_id: int) -> Handover:
    found = await store.get(conn, handover_id, lock=True)
    if found is None:
        raise NotFound("没有这张交接单。")
    return found


# -- sent ----------------------------------------------------------------------------------------------------
async def send(
    conn: Conn, handover_id: int, accounts: Sequence[Plugged], *, by: By, now: datetime
) -> list[Moved]:
    """From now on the new rep sees the customers and the old one does not; then the platform is asked.

    `accounts` are those that may do it. Raises `BadInput` when it was sent before, or the new rep has left.
    """
    one = await _held(conn, handover_id)
    if one.state != "draft":
        raise BadInput("这张交接单已经发出或撤销。")
    await _demand_taker(conn, one.to_id)  # who was there when it was drafted may have left since
    listed = await store.customers(conn, handover_id)
    nodes = await _everything_of(conn, [c.node_id for c in listed])
    moved: dict[int, list[Moved]] = {c.node_id: [] for c in listed}
    whose = {n: c.node_id for c in listed for n in nodes[c.node_id]}
    for talk in await conversations.hold(conn, whose):
        if talk.rep_id == one.from_id:
            after = await hands.hand_over(conn, talk, to=one.to_id, by=by.staff_id, now=now)
            moved[whose[talk.node_id]].append(after)
    transfers = await _transfers(conn, one, accounts, nodes, by=by, now=now)
    for customer in listed:
        deed_id, barrier = transfers.get(customer.node_id, (None, ""))
        talks = [m.after.conversation_id for m in moved[customer.node_id]]
        await store.set_moved(
            conn, handover_id, customer.node_id, talks=talks, deed_id=deed_id, barrier=barrier
        )
    await store.change(conn, handover_id, "moved", moved_at=now)
    await audit(conn, by.label, "handover.sent", now=now, subject=f"handover:{handover_id}")
    return [m for some in moved.values() for m in some]


async def _everything_of(conn: Conn, node_ids: Collection[int]) -> dict[int, set[int]]:
    """Every identifier of the customer behind each of these."""
    owners = await persons.persons_of(conn, node_ids)
    theirs: dict[int, set[int]] = {}
    for node_id, person_id in (await persons.nodes_of(conn, set(owners.values()))).items():
        theirs.setdefault(person_id, set()).add(node_id)
    return {n: {n} | theirs.get(owners.get(n, 0), set()) for n in node_ids}


async def _transfers(
    conn: Conn,
    one: Handover,
    accounts: Sequence[Plugged],
    nodes: Mapping[int, set[int]],
    *,
    by: By,
    now: datetime,
) -> dict[int, tuple[int | None, str]]:
    """What is asked of the platform for each customer it knows, or why nothing is."""
    known = await persons.handles(conn, {n for mine in nodes.values() for n in mine})
    policy = (await versions.current(conn)).handover
    tired = await _resting(conn, nodes, policy.rest_days, now=now)
    found: dict[int, tuple[int | None, str]] = {}
    for plugged in sorted(accounts, key=lambda p: p.account.account_id):
        mine = _customers(plugged, known, nodes)
        fresh = {n: ids for n, ids in mine.items() if n not in found}
        found |= {n: (None, "resting") for n in fresh if n in tired}
        fresh = {n: ids for n, ids in fresh.items() if n not in tired}
        if not fresh:
            continue
        users = await store.accounts_of(conn, plugged.account.realm, [one.from_id, one.to_id])
        if len(users) < 2:
            found |= {n: (None, "unknown") for n in fresh}
            continue
        deed = await deeds.ask(
            conn,
            plugged,
            rules.DEEDS[one.sort],
            {
                "handover": users[one.from_id],
                "takeover": users[one.to_id],
                "customers": sorted(i for ids in fresh.values() for i in ids)[: rules.MOST],
            },
            key=f"handover:{one.handover_id}:{plugged.account.account_id}",
            by=by.label,
            staff_id=by.staff_id,
            now=now,
            wait=timedelta(minutes=policy.undo_minutes),
        )
        found |= {n: (deed.deed_id, "") for n in fresh}
    return found


def _customers(
    plugged: Plugged, known: Mapping[int, Handle], nodes: Mapping[int, set[int]]
) -> dict[int, list[str]]:
    """What this platform calls each customer."""
    realm = plugged.account.realm
    found = {
        n: [
            h.value for m in sorted(mine) if (h := known.get(m)) and h.kind == rules.KIND and h.scope == realm
        ]
        for n, mine in nodes.items()
    }
    return {n: ids for n, ids in found.items() if ids}


async def _resting(conn: Conn, nodes: Mapping[int, set[int]], days: int, *, now: datetime) -> set[int]:
    """Those the platform has handed over, or is handing over, within so many days."""
    everything = {m: n for n, mine in nodes.items() for m in mine}
    before = await store.asked_before(conn, list(everything), since=now - timedelta(days=days))
    found = set()
    for node_id, at, deed_id in before:
        deed = await asked.get(conn, deed_id)
        owner = everything[node_id]
        customers = await _names_of(conn, nodes[owner])
        stands = _stands("moved", "", deed, customers)
        if stands in ("done", "waiting", "asked") and not rules.rested([at], days, now=now):
            found.add(owner)
    return found


async def _names_of(conn: Conn, node_ids: Collection[int]) -> list[str]:
    return [h.value for h in (await persons.handles(conn, node_ids)).values() if h.kind == rules.KIND]


def _stands(state: str, barrier: str, deed: Asked | None, customers: Collection[str]) -> str:
    result = deed.result if deed else {}
    return rules.outcome(state, barrier, deed.state if deed else None, result, customers)


async def standings(conn: Conn, one: Handover) -> list[Standing]:
    """How each customer of a hand-over stands now."""
    listed = await store.customers(conn, one.handover_id)
    nodes = await _everything_of(conn, [c.node_id for c in listed])
    found: list[Standing] = []
    known: dict[int, Asked | None] = {}
    for c in listed:
        if c.deed_id is not None and c.deed_id not in known:
            known[c.deed_id] = await asked.get(conn, c.deed_id)
        deed = known.get(c.deed_id or 0)
        names = await _names_of(conn, nodes[c.node_id])
        stands = _stands(one.state, c.barrier, deed, names)
        words = rules.refusal(deed.result, names) or deed.error if deed and stands == "failed" else ""
        found.append(Standing(customer=c, outcome=stands, words=words))
    return found


# -- undone --------------------------------------------------------------------------------------------------
async def undo(conn: Conn, handover_id: int, *, by: By, now: datetime) -> list[Moved]:
    """While the platform has not begun: everything is as it was. Raises `BadInput`."""
    one = await _held(conn, handover_id)
    if one.state != "moved":
        raise BadInput("这张交接单没有发出，或已经撤销。")
    listed = await store.customers(conn, handover_id)
    for deed_id in sorted({c.deed_id for c in listed if c.deed_id is not None}):
        if not await deeds.call_off(conn, deed_id, _UNDONE, by=by.label, now=now):
            raise BadInput(_BEGUN)
    talks = {t for c in listed for t in c.talks}
    nodes = await _everything_of(conn, [c.node_id for c in listed])
    held = await conversations.hold(conn, {n for mine in nodes.values() for n in mine})
    back = [
        await hands.hand_over(conn, t, to=one.from_id, by=by.staff_id, now=now)
        for t in held
        if t.conversation_id in talks and t.rep_id == one.to_id
    ]
    await store.change(conn, handover_id, "undone", undone_at=now)
    await audit(conn, by.label, "handover.undone", now=now, subject=f"handover:{handover_id}")
    return back
