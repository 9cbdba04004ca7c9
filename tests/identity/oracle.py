"""The measure of the SQL engine: the same said to the engine in memory, and both read by addresses."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.identity import gathering, store
from scrm.identity.decisions import RULES
from scrm.identity.gathering import Sighting
from scrm.identity.rules import Address, address, weak
from scrm.identity.rules.memory import Engine
from scrm.identity.rules.policy import Policy
from scrm.identity.rules.reading import Ident, Seen
from scrm.identity.rules.solving import derived
from scrm.schema import evidence, evidence_state, household_member, node, node_person, person

#: (kind/value, how manieth owner): who a person is, whatever their id.
Who = tuple[str, int]
State = dict[str, Any]
_OWNERS = 6


def name_of(a: Address) -> str:
    return "/".join(a)


def tell(engine: Engine, policy: Policy, batch: Iterable[Sighting], now: datetime) -> None:
    """What `service.resolve` is told, told to the engine in memory."""
    for s in batch:
        seen = Seen(id=s.key, at=s.at, type="seen")
        found = gathering.gather(policy, [s], now=now)
        shown = (*s.handles, *(h for link in s.links for h in (link.a, link.b)))
        ids: dict[Address, int] = {}
        for place, h in enumerate(shown):
            ids[address(h)] = engine._node(Ident(h.kind, h.scope, h.value), seen, place)  # noqa: SLF001 - piece by piece
        for a, met in found.met.items():
            for word in met.words:
                engine._named(ids[a], [word.name], word.first_at)  # noqa: SLF001
        for t in found.ties:
            engine._evidence(ids[t.a], ids[t.b], t.cls, t.rule, t.strength, t.at, t.key)  # type: ignore[arg-type] # noqa: SLF001
    engine.flush()


def node_in(engine: Engine, a: Address) -> int:
    found = engine.node(Ident(*a))
    assert found is not None
    return found


def decide(engine: Engine, a: Address, b: Address, cls: Any, at: datetime) -> None:
    engine.decide(node_in(engine, a), node_in(engine, b), cls, at, rule=RULES[cls])


def state_of(engine: Engine, policy: Policy) -> State:
    """As the engine in memory has it."""
    names = {n: name_of((i.kind, i.scope, i.value)) for i, n in engine.idents().items()}
    who = {derived(n, e): (name, e) for n, name in names.items() for e in range(_OWNERS)}
    spans: dict[str, list[Any]] = {}
    for n, name in names.items():
        vertex = engine.vertices[n]
        if policy.kind(vertex.kind).place:
            continue
        mine = engine.spans[n]
        if not policy.kind(vertex.kind).merge:
            owner = weak.owner(policy, vertex, engine.uses(n))
            spans[name] = [(who[owner or n], None, None)]
        else:
            spans[name] = [(who[s.person_id], s.from_at, s.until_at) for s in mine]
    homes: dict[Any, list[Who]] = {}
    for p, h in engine.households().of.items():
        homes.setdefault(who[h], []).append(who[p])
    return {
        "spans": spans,
        "generic": sorted(names[n] for n in engine.generic if policy.kind(engine.vertices[n].kind).merge),
        "homes": {h: sorted(mine) for h, mine in sorted(homes.items()) if len(mine) > 1},
    }


async def state_in(conn: Conn) -> State:
    """As the tables have it; checks by the way that they agree with each other."""
    t = conn.tenant_id
    rows = await conn.rows(sa.select(node).where(node.c.tenant_id == t))
    opened = await store.handles(conn, [r.node_id for r in rows])
    names = {n: name_of(address(h)) for n, h in opened.items()}
    who = {derived(r.birth_id, e): (names[r.node_id], e) for r in rows for e in range(_OWNERS)}
    spans: dict[str, list[Any]] = {}
    held = await conn.rows(
        sa.select(node_person).where(node_person.c.tenant_id == t).order_by(node_person.c.from_at)
    )
    for r in held:
        begin = None if r.from_at.year == 1970 else r.from_at
        spans.setdefault(names[r.node_id], []).append((who[r.person_id], begin, r.until_at))
    people = await conn.rows(sa.select(person.c.person_id).where(person.c.tenant_id == t))
    assert {r.person_id for r in people} == {r.person_id for r in held}
    homes: dict[Any, list[Who]] = {}
    for r in await conn.rows(sa.select(household_member).where(household_member.c.tenant_id == t)):
        homes.setdefault(who[r.household_id], []).append(who[r.person_id])
    crowd = ("device", "app_anon", "address")
    return {
        "spans": spans,
        "generic": sorted(names[r.node_id] for r in rows if r.state == "generic" and r.kind not in crowd),
        "homes": {h: sorted(mine) for h, mine in sorted(homes.items())},
    }


async def fingerprint(conn: Conn) -> str:
    """All projections as one text, for telling whether anything at all is different."""
    state = await state_in(conn)
    e, s = evidence.c, evidence_state.c
    t = conn.tenant_id
    stands = await conn.rows(
        sa.select(e.node_a, e.node_b, e["class"].label("cls"), e.rule, s.standing, s.why)
        .join(evidence_state, sa.and_(s.tenant_id == e.tenant_id, s.evidence_id == e.evidence_id))
        .where(e.tenant_id == t)
    )
    nodes = await conn.rows(sa.select(node).where(node.c.tenant_id == t))
    names = {
        n: name_of(address(h)) for n, h in (await store.handles(conn, [r.node_id for r in nodes])).items()
    }
    state["verdicts"] = sorted(
        [*sorted((names[r.node_a], names[r.node_b])), r.cls, r.rule, r.standing, r.why] for r in stands
    )
    state["degrees"] = {names[r.node_id]: (r.degree, r.kin, r.state, r.gaps) for r in nodes}
    state["homes"] = sorted(state["homes"].items())
    return json.dumps(state, default=str, sort_keys=True)
