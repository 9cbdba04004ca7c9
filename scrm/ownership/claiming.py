"""Claims from what happened and from what people enter: each once per key, on an identifier, never ageing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from scrm.contract import Handle
from scrm.db import Conn
from scrm.errors import BadInput
from scrm.identity import service as identity
from scrm.identity.rules import address
from scrm.ledger.store import audit
from scrm.ownership.rules import masks, reading
from scrm.ownership.rules.policy import Policy
from scrm.ownership.rules.reading import Said
from scrm.ownership.rules.values import CUSTOMER, KINDS, Claimant
from scrm.ownership.store import claims as store
from scrm.ownership.store.claims import Draft, Kept
from scrm.shapes import bounded
from scrm.timeline.store import events
from scrm.timeline.store.events import Stored

_ZONE = ZoneInfo("Asia/Shanghai")
#: What a person may enter by hand; the rest is what channels tell.
BY_HAND = ("report", "visit", "call", "referral")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A claim somebody enters. `phone` in full, or its ends: 138****1234."""

    claimant: Claimant
    kind: str
    phone: str
    at: datetime
    name: str = ""
    line: str = ""
    token: str = ""
    device: str = ""
    #: Of the claimant, if known: a report of one's own number is no customer.
    own_number: str = ""


async def from_events(conn: Conn, told: Sequence[Stored], policy: Policy, *, now: datetime) -> list[Kept]:
    """The claims these events are, as they now stand."""
    read = await _read(conn, told, policy)
    drafts = [d for one, said in read if (d := await _draft(conn, one, said, policy, now)) is not None]
    drafts += await _referrals(conn, told, policy, now)
    await store.put(conn, drafts)
    return await store.by_keys(conn, {d.key for d in drafts})


async def _read(conn: Conn, told: Sequence[Stored], policy: Policy) -> list[tuple[Stored, Said]]:
    may = [(e, sources) for e in told if (sources := reading.candidates(policy, e.kind, e.direction))]
    wanted = [e for e, sources in may if reading.needs_body(sources)]
    bodies: Mapping[int, Mapping[str, Any]] = await events.bodies(conn, wanted) if wanted else {}
    found = [(e, reading.read(sources, bodies.get(e.event_id, {}))) for e, sources in may]
    return [(e, said) for e, said in found if said is not None]


async def _draft(conn: Conn, one: Stored, said: Said, policy: Policy, now: datetime) -> Draft | None:
    """None: it does not say who claims, or on whom."""
    by, phone = _claimant(one, said), masks.full(said.phone) or masks.masked(said.phone)
    key = f"{one.account_id}|{one.source_key}"
    node_id = await _node(conn, phone, key=key, at=one.at, now=now) if phone else one.node_id
    if by is None or node_id is None:
        return None
    if said.source.daily:
        day = f"{one.at.astimezone(_ZONE):%Y-%m-%d}"
        key = f"{said.source.claim}|{node_id}|{by.label}|{day}"
    return Draft(
        node_id=node_id,
        claimant=by.label,
        kind=said.source.claim,
        at=one.at,
        told_at=one.at,
        key=bounded(key),
        line=said.line,
        event_id=one.event_id,
        account_id=one.account_id,
        policy_version=policy.version,
        named=bool(said.name) or not said.source.name,
        phoned=bool(phone) or not said.source.phone,
        phone=phone,
        token=said.token,
        device=said.device,
    )


async def _referrals(conn: Conn, told: Sequence[Stored], policy: Policy, now: datetime) -> list[Draft]:
    """Whom an order names as the one who sent the customer: a referral, once an order."""
    orders = [e for e in told if e.kind.startswith("event.order.") and e.node_id is not None]
    bodies = await events.bodies(conn, orders) if orders else {}
    found = []
    for one in orders:
        body = bodies[one.event_id]
        named, order = reading.referrer(body), body.get("order")
        if named is None or one.node_id is None or not isinstance(order, Mapping):
            continue
        key = f"referrer|{one.account_id}|{order.get('id')}"
        kind, scope, value = named
        handle = Handle(kind=kind, scope=scope, value=value, part="about")
        sender = await _known(conn, handle, key=key, at=one.at, now=now)
        if sender == one.node_id:
            continue  # nobody refers themselves
        found.append(
            Draft(
                node_id=one.node_id,
                claimant=Claimant(kind="channel", ident=f"{CUSTOMER}{sender}").label,
                kind="referral",
                at=one.at,
                told_at=one.at,
                key=bounded(key),
                line=str(order.get("business_line") or ""),
                event_id=one.event_id,
                account_id=one.account_id,
                policy_version=policy.version,
            )
        )
    return found


def _claimant(one: Stored, said: Said) -> Claimant | None:
    kind = said.source.by
    if kind == "own":
        return Claimant(kind="own")
    ident = said.claimant or (str(one.staff_id) if kind == "rep" and one.staff_id else "")
    return Claimant(kind=kind, ident=ident) if ident else None


async def _node(conn: Conn, phone: str, *, key: str, at: datetime, now: datetime) -> int:
    """The identifier of a number; of a masked one a node that founds nothing and proves nothing."""
    handle = Handle(kind="masked_phone", scope="", value=phone, part="about")
    if "*" not in phone:
        handle = Handle(kind="phone", scope="e164", value=phone, part="about")
    return await _known(conn, handle, key=f"claim|{key}", at=at, now=now)


async def _known(conn: Conn, handle: Handle, *, key: str, at: datetime, now: datetime) -> int:
    """The identifier, met now if nobody has met it."""
    known = await identity.find(conn, handle)
    if known is not None:
        return known
    seen = identity.Sighting(event_id=0, at=at, key=key, handles=(handle,))
    return (await identity.resolve(conn, [seen], now)).nodes[address(handle)]


async def enter(
    conn: Conn, wanted: Wanted, policy: Policy, *, key: str, by: str, by_id: int | None, now: datetime
) -> Kept:
    """A claim by hand, written down with who entered it and when. Raises `BadInput`."""
    if wanted.kind not in BY_HAND:
        raise BadInput(f"可以登记的有：{'、'.join(KINDS[k] for k in BY_HAND)}。")  # type: ignore[index]
    if wanted.at > now:
        raise BadInput("发生时间不能在将来。")
    phone = masks.full(wanted.phone) or masks.masked(wanted.phone)
    if not phone:
        raise BadInput("电话看不懂：请填完整的手机号，或前三后四、前四后三的隐号，例如 138****1234。")
    key = bounded(f"hand|{key}")
    draft = Draft(
        node_id=await _node(conn, phone, key=key, at=wanted.at, now=now),
        claimant=wanted.claimant.label,
        kind=wanted.kind,
        at=wanted.at,
        told_at=now,
        key=key,
        line=wanted.line,
        policy_version=policy.version,
        named=bool(wanted.name.strip()),
        phone=phone,
        token=wanted.token,
        device=wanted.device,
        own_phone=masks.full(wanted.own_number) == phone,
        by_id=by_id,
    )
    await store.put(conn, [draft])
    (kept,) = await store.by_keys(conn, [key])
    await audit(conn, by, "claim.entered", now=now, subject=f"claim:{kept.claim.claim_id}", fields=["phone"])
    return kept
