"""Who registers, buys, pays, uses, signs, decides: in which context, since when, and by what evidence."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from scrm.contract import Handle
from scrm.db import Conn
from scrm.errors import BadInput, NotFound
from scrm.identity import relations, service
from scrm.identity.kin import rules, store, titles
from scrm.identity.kin.rules import Assigned, Deciding
from scrm.identity.kin.store import Related
from scrm.identity.relations import Heard
from scrm.identity.rules.reasons import kept
from scrm.seal import new_id

#: Kinds of events that say who plays which part.
KINDS = ("event.order.", "event.contract.", "event.lesson.")
_TRACKED = "event.app.track"
_PAID = frozenset({"paid", "delivered", "closed"})
_INTENDED = 60
_WHY = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part somebody plays, for screens and scripts."""

    role: str
    title: str
    person_id: int
    node_id: int
    context_type: str
    context_id: str
    since: datetime
    until: datetime | None
    confidence: int
    origin: str
    #: In words: 2 月 3 日的订单, 主管确认, 付款 · 问过 3 次价格
    reason: str
    event_id: int | None = None
    actor_id: int | None = None
    #: The row behind it; None for what is only reckoned.
    role_id: int | None = None


def tells(kind: str, text: str) -> bool:
    if kind.startswith(KINDS):
        return True
    return kind == _TRACKED and any(word in text.lower() for word in rules.REGISTERS)


# -- from events -------------------------------------------------------------------------------------------
async def record(conn: Conn, one: Heard, *, now: datetime) -> relations.Learned:
    """Keep the parts an event tells; a learner's name may say who was spoken of before."""
    if one.kind == _TRACKED:
        await store.assign(conn, [_row(one, "lead", "", "registrant", one.node_id)] if one.node_id else [])
        return relations.Learned()
    rows, kin = await _told(conn, one, now)
    await store.assign(conn, rows)
    await store.note(conn, kin)
    keys = sorted({r["name_key"] for r in rows if r.get("name_key")})
    return await relations.learner_named(conn, keys, now=now) if keys else relations.Learned()


async def _told(conn: Conn, one: Heard, now: datetime) -> tuple[list[dict[str, Any]], list[Related]]:
    for name, read in (("order", _order), ("lesson", _lesson), ("contract", _contract)):
        if isinstance(said := one.body.get(name), Mapping):
            return await read(conn, one, said, now)
    return [], []


async def _order(
    conn: Conn, one: Heard, said: Mapping[str, Any], now: datetime
) -> tuple[list[dict[str, Any]], list[Related]]:
    others = await _others(conn, one)
    context = f"{one.account_id}:{said['id']}"
    paid = 100 if said.get("status") in _PAID or said.get("paid") else _INTENDED
    learner = others.get("learner")
    parts = [
        ("buyer", one.node_id, 100),
        ("payer", others.get("payer", one.node_id), paid),
        ("user", learner, 100),
        ("referrer", others.get("referrer"), 100),
    ]
    rows = [
        _row(one, "order", context, role, node, version=said.get("version", 0), confidence=sure)
        for role, node, sure in parts
        if node is not None
    ]
    _name(conn, rows, (said.get("learner") or {}).get("name", ""))
    del now
    kin = [_kin(one, one.node_id, learner, "guardian", "order.learner")] if learner and one.node_id else []
    return rows, kin


async def _lesson(
    conn: Conn, one: Heard, said: Mapping[str, Any], now: datetime
) -> tuple[list[dict[str, Any]], list[Related]]:
    del now
    if one.node_id is None:
        return [], []
    context = f"{one.account_id}:{said.get('course') or said['id']}"
    rows = [_row(one, "course", context, "user", one.node_id)]
    _name(conn, rows, (said.get("learner") or {}).get("name", ""))
    return rows, []


async def _contract(
    conn: Conn, one: Heard, said: Mapping[str, Any], now: datetime
) -> tuple[list[dict[str, Any]], list[Related]]:
    del now
    context = f"{one.account_id}:{said['id']}"
    told = (one.body.get("others") or {}).get("signatories") or []
    nodes = [await service.find(conn, Handle(kind=a[0], scope=a[1], value=a[2])) for a in told]
    known = [n for n in nodes if n is not None]
    version = said.get("version", 0)
    rows = [_row(one, "contract", context, "signatory", n, version=version) for n in dict.fromkeys(known)]
    learner = (await _others(conn, one)).get("learner")
    if learner is not None:
        rows.append(_row(one, "contract", context, "user", learner, version=version))
        _name(conn, rows, (said.get("learner") or {}).get("name", ""))
    kin = []
    for n, (party, node) in enumerate(zip(said.get("signatories", []), nodes, strict=False)):
        what = party.get("relation", "")
        if n and node and nodes[0] and node != nodes[0] and what and what != "other":
            kin.append(
                _kin(one, node, nodes[0], "other" if what == "relative" else what, f"contract.{what}", n)
            )
    return rows, kin


async def _others(conn: Conn, one: Heard) -> dict[str, int]:
    """The nodes of those a document names besides its actor."""
    told = {
        who: Handle(kind=a[0], scope=a[1], value=a[2])
        for who, a in sorted((one.body.get("others") or {}).items())
        if who != "signatories"
    }
    found = {who: await service.find(conn, handle) for who, handle in told.items()}
    return {who: node for who, node in found.items() if node is not None}


def _row(
    one: Heard, context_type: str, context_id: str, role: str, node_id: int | None, **more: Any
) -> dict[str, Any]:
    return {
        "key": f"{context_type}|{context_id}|{role}|{node_id}",
        "context_type": context_type,
        "context_id": context_id,
        "role": role,
        "node_id": node_id,
        "valid_from": one.at,
        "told_at": one.at,
        "event_id": one.event_id,
        **more,
    }


def _name(conn: Conn, rows: Sequence[dict[str, Any]], name: str) -> None:
    """A learner is found by name later: by a keyed hash of it."""
    name_key, full_key = relations.name_keys(conn, name.strip())
    for row in rows:
        if row["role"] == "user":
            row |= {"name_key": name_key, "full_key": full_key}


def _kin(one: Heard, a: int | None, b: int | None, what: str, rule: str, n: int = 0) -> Related:
    """A document says so; its links are the evidence, this says what they are to each other."""
    return Related(
        relation_id=new_id(),
        key=f"{one.key}#{rule}{n or ''}",
        at=one.at,
        event_id=one.event_id,
        account_id=one.account_id,
        node_a=a or 0,
        node_b=b,
        type=what,
        rule=rule,
        strength=80,
        target="account",
        tied_at=one.at,
    )


# -- by a human --------------------------------------------------------------------------------------------
async def assign(
    conn: Conn,
    node_id: int,
    role: str,
    *,
    by: int | None,
    why: str,
    now: datetime,
    context_type: str = "household",
    context_id: str = "",
    origin: str = "rep",
) -> int:
    """From now on this one has the part, whatever events say, until it is taken back. Raises `BadInput`."""
    if role not in rules.ROLES:
        raise BadInput("没有这个角色。")
    if context_type not in rules.CONTEXTS:
        raise BadInput("没有这种场合。")
    role_id = new_id()
    row = {
        "role_id": role_id,
        "key": f"human|{role_id}",
        "context_type": context_type,
        "context_id": context_id,
        "role": role,
        "node_id": node_id,
        "valid_from": now,
        "told_at": now,
        "origin": origin,
        "actor_id": by,
        "why": kept(why.strip()[:_WHY]),
    }
    await store.assign(conn, [row])
    return role_id


async def take_back(conn: Conn, role_id: int, *, now: datetime) -> Assigned:
    """What events say holds again. Raises `NotFound`."""
    row = await store.take_back(conn, role_id, now=now)
    if row is None:
        raise NotFound("没有这条角色设置，或已经撤销。")
    return row


# -- reading -----------------------------------------------------------------------------------------------
async def roles_of(conn: Conn, node_ids: Collection[int], at: datetime) -> list[Assigned]:
    """The parts that hold at a time for a household's nodes, a human's word before events."""
    return rules.holding(await store.assigned(conn, node_ids), at)


def holding(rows: Sequence[Assigned], at: datetime) -> list[Assigned]:
    """The parts of one household that hold at a time, of the rows that were looked up for many."""
    return _household(rules.holding(rows, at))


async def parts(conn: Conn, persons: Mapping[int, int], at: datetime) -> list[Part]:
    """The parts of a household, `persons` = person by node; who decides follows from talk and payments."""
    rows = await roles_of(conn, list(persons), at)
    mine = _household(rows)
    found = [_part(r, persons[r.node_id]) for r in mine if r.node_id in persons]
    if not any(p.role == "registrant" for p in found):
        found += await _first_account(conn, persons)
    if not any(p.role == "decision_maker" for p in found):
        payers = {r.node_id for r in mine if r.role == "payer"}
        found += _reckoned(await deciding(conn, persons, payers), persons, at)
    order = {role: n for n, role in enumerate(rules.ROLES)}
    return sorted(found, key=lambda p: (order[p.role], p.since, p.person_id, p.role_id or 0))  # type: ignore[index]


def _household(rows: Sequence[Assigned]) -> list[Assigned]:
    """A human's word about the household as a whole beats every context of that part."""
    said = {r.role for r in rows if r.human and r.context_type == "household"}
    return [r for r in rows if r.role not in said or (r.human and r.context_type == "household")]


def _part(row: Assigned, person_id: int) -> Part:
    return Part(
        role=row.role,
        title=titles.ROLES[row.role],
        person_id=person_id,
        node_id=row.node_id,
        context_type=row.context_type,
        context_id=row.context_id,
        since=row.valid_from,
        until=row.valid_to,
        confidence=row.confidence,
        origin=row.origin,
        reason=row.why or titles.REASONS.get(row.origin) or titles.REASONS.get(row.context_type, ""),
        event_id=row.event_id,
        actor_id=row.actor_id,
        role_id=row.role_id,
    )


async def _first_account(conn: Conn, persons: Mapping[int, int]) -> list[Part]:
    """Nobody was seen to register: the oldest account of the household's says who did."""
    accounts = await store.kind_of(conn, list(persons), "app_user")
    if not accounts:
        return []
    node, at = accounts[0]
    guess = Assigned(
        role_id=0,
        context_type="lead",
        context_id="",
        role="registrant",
        node_id=node,
        valid_from=at,
        confidence=80,
    )
    return [replace(_part(guess, persons[node]), role_id=None, reason=titles.OLDEST_ACCOUNT)]


async def deciding(conn: Conn, persons: Mapping[int, int], payers: Collection[int]) -> dict[int, Deciding]:
    """By person: how much speaks for their deciding."""
    said = await store.words(conn, list(persons))
    counts: dict[int, tuple[int, int]] = {}
    for one in said:
        messages, prices = counts.get(one.node_id, (0, 0))
        asks = any(word in one.text for word in rules.PRICE)
        counts[one.node_id] = (messages + 1, prices + asks)
    voices = [rules.Voice(node_id=n, messages=m, prices=p) for n, (m, p) in sorted(counts.items())]
    return rules.deciders(persons, voices, payers)


def _reckoned(scores: Mapping[int, Deciding], persons: Mapping[int, int], at: datetime) -> list[Part]:
    """The one for whom most speaks, if enough does."""
    if not scores:
        return []
    person_id, best = min(scores.items(), key=lambda one: (-one[1].score, one[0]))
    if best.score < rules.DECIDES:
        return []
    node = min(n for n, p in persons.items() if p == person_id)
    guess = Assigned(
        role_id=0, context_type="household", context_id="", role="decision_maker", node_id=node, valid_from=at
    )
    part = _part(guess, person_id)
    return [replace(part, role_id=None, confidence=round(100 * best.score), reason=" · ".join(best.reasons))]
