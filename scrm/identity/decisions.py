"""What humans decide about who is who: said, taken back, reverted in bulk; nothing is ever lost by it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from scrm.db import Conn
from scrm.errors import BadInput, NotFound
from scrm.identity import versions
from scrm.identity.closure import Fresh
from scrm.identity.preview import Preview, preview
from scrm.identity.projecting import Changed, Dirty, project
from scrm.identity.rules.policy import Policy
from scrm.identity.rules.reasons import kept
from scrm.identity.rules.solving import crowds, is_crowded
from scrm.identity.rules.values import Edge
from scrm.identity.store import evidence, log, nodes
from scrm.identity.store.evidence import Which
from scrm.identity.store.nodes import Known
from scrm.identity.telling import Cause
from scrm.ledger import store as ledger

__all__ = [
    "Actor",
    "Outcome",
    "Preview",
    "Which",
    "apart",
    "link",
    "preview",
    "reinstate",
    "revert",
    "withdraw",
]

RULES = {
    "same_person": "human.link",
    "not_same_person": "human.apart",
    "same_household": "human.family",
    "not_same_household": "human.no_family",
}
_OPS = {
    "same_person": "link",
    "not_same_person": "unlink",
    "same_household": "family",
    "not_same_household": "no_family",
}
#: What is taken back at a time; the rest with the next call.
AT_ONCE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who decides. `model`: a proposal that a person has not looked at."""

    origin: Literal["rep", "admin", "model"]
    staff_id: int | None = None

    @property
    def label(self) -> str:
        return f"staff:{self.staff_id}" if self.staff_id is not None else self.origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Persons and households that changed, and how to have it as before."""

    persons: frozenset[int] = frozenset()
    households: frozenset[int] = frozenset()
    evidence_ids: tuple[int, ...] = ()
    #: The verb that undoes it, given `evidence_ids`.
    undo: Literal["withdraw", "reinstate"] = "withdraw"
    recycled: frozenset[int] = field(default=frozenset())
    #: There is more of it: ask again.
    more: bool = False


async def link(
    conn: Conn,
    a_node: int,
    b_node: int,
    *,
    by: Actor,
    why: str,
    now: datetime,
    cls: Literal["same_person", "same_household"] = "same_person",
    batch: str = "",
) -> Outcome:
    """These two are one person, or one family. Raises `BadInput`, `NotFound`."""
    return await _decide(conn, a_node, b_node, cls, by=by, why=why, batch=batch, now=now)


async def apart(
    conn: Conn,
    a_node: int,
    b_node: int,
    *,
    by: Actor,
    why: str,
    now: datetime,
    cls: Literal["not_same_person", "not_same_household"] = "not_same_person",
    batch: str = "",
) -> Outcome:
    """These two are not. No rule and no model says otherwise from here on."""
    return await _decide(conn, a_node, b_node, cls, by=by, why=why, batch=batch, now=now)


async def _decide(
    conn: Conn, a: int, b: int, cls: str, *, by: Actor, why: str, batch: str, now: datetime
) -> Outcome:
    policy, why = await versions.current(conn), kept(why)
    await _demand(conn, policy, a, b)
    row = {
        "node_a": min(a, b),
        "node_b": max(a, b),
        "class": cls,
        "rule": RULES[cls] if by.origin != "model" else f"model.{cls}",
        "strength": 100,
        "origin": by.origin,
        "actor_id": by.staff_id,
        "first_event_id": 0,
        "first_at": now,
        "last_at": now,
        "key": f"decision|{now.isoformat()}",
        "n": 1,
        "why": why,
        "batch": batch,
    }
    ident = await evidence.decide(conn, row)
    edges = await evidence.by_ids(conn, [ident])
    cause = Cause(origin=by.origin, actor_id=by.staff_id, evidence_id=ident)
    deed = cause.deed(_OPS[cls], {"nodes": [row["node_a"], row["node_b"]], "why": why})
    changed = await settle(conn, policy, edges, cause=cause, first=[deed], now=now)
    await _audit(conn, by, f"identity.{_OPS[cls]}", [ident], now=now)
    return _outcome(changed, [ident], "withdraw")


async def _demand(conn: Conn, policy: Policy, a: int, b: int) -> None:
    if a == b:
        raise BadInput("这是同一个标识，无需处理。")
    known = await nodes.by_id(conn, {a, b})
    if len(known) < 2:
        raise NotFound
    for k in known.values():
        if policy.kind(k.kind).place:
            raise BadInput("群聊、客服号等不是客户，不能合并或拆分。")
        if k.state == "blocked" or is_crowded(policy, k.vertex):
            raise BadInput("这个标识被太多人共用，不能用来判断身份。")


async def withdraw(
    conn: Conn, evidence_ids: Collection[int], *, by: Actor, why: str, now: datetime
) -> Outcome:
    """As if this had never been said; what was seen stays seen."""
    edges = (await evidence.by_ids(conn, evidence_ids, hold=True))[:AT_ONCE]
    ids = [e.evidence_id for e in edges]
    await evidence.retract(conn, ids, by=by.staff_id, why=kept(why), now=now)
    return await _changed(conn, edges, "retract", by=by, why=why, now=now)


async def reinstate(
    conn: Conn, evidence_ids: Collection[int], *, by: Actor, why: str, now: datetime
) -> Outcome:
    """What was taken back stands again."""
    edges = (await evidence.retracted(conn, evidence_ids))[:AT_ONCE]
    await evidence.restore(conn, [e.evidence_id for e in edges])
    return await _changed(conn, edges, "reinstate", by=by, why=why, now=now)


async def revert(conn: Conn, which: Which, *, by: Actor, why: str, now: datetime) -> Outcome:
    """Take back all that a rule, an import, a person or a time brought; some at a time, oldest first."""
    if which.says_nothing:
        raise BadInput("请说明要撤回哪些依据：规则、批次、操作人或时间。")
    found = await evidence.found(conn, which, limit=AT_ONCE + 1)
    ids = [e.evidence_id for e in found[:AT_ONCE]]
    done = await withdraw(conn, ids, by=by, why=why, now=now)
    return replace(done, more=len(found) > AT_ONCE)


async def _changed(conn: Conn, edges: list[Edge], op: str, *, by: Actor, why: str, now: datetime) -> Outcome:
    if not edges:
        return Outcome()
    ids = [e.evidence_id for e in edges]
    policy, why = await versions.current(conn), kept(why)
    cause = Cause(origin=by.origin, actor_id=by.staff_id)
    deeds = [cause.deed(op, {"nodes": [e.a, e.b], "rule": e.rule, "why": why}, e.evidence_id) for e in edges]
    gone = ids if op == "retract" else []
    changed = await settle(conn, policy, edges, cause=cause, first=deeds, gone=gone, now=now)
    await _audit(conn, by, f"identity.{op}", ids, now=now)
    return _outcome(changed, ids, "reinstate" if op == "retract" else "withdraw")


async def settle(
    conn: Conn,
    policy: Policy,
    edges: Iterable[Edge],
    *,
    cause: Cause,
    first: list[log.Deed],
    gone: Collection[int] = (),
    now: datetime,
) -> Changed:
    """Everything that follows from evidence that was written just now.

    Locked only after writing it: whoever resolves an event writes evidence first, too.
    """
    await conn.lock("identity")
    dirty = Dirty(gone=set(gone))
    dirty.touch(edges)
    fresh = await counted(conn, policy, dirty.nodes)
    await log.write(conn, first, version=policy.version, now=now)
    return await project(conn, policy, dirty, fresh=fresh, cause=cause, now=now)


async def counted(conn: Conn, policy: Policy, node_ids: Collection[int]) -> Fresh:
    """Nodes as they are once their evidence is counted anew, where that is another number."""
    return await recounted(conn, policy, await nodes.by_id(conn, node_ids))


async def recounted(conn: Conn, policy: Policy, known: Mapping[int, Known]) -> Fresh:
    degree, kin = dict.fromkeys(known, 0), dict.fromkeys(known, 0)
    for n, cls, many in await evidence.classes(conn, known):
        counts = degree if crowds(cls, policy.kind(known[n].kind).merge) else kin
        counts[n] += many
    fresh = Fresh()
    for n, k in known.items():
        if (k.vertex.degree, k.vertex.kin) != (degree[n], kin[n]):
            fresh.change(k, replace(k.vertex, degree=degree[n], kin=kin[n]))
    return fresh


def _outcome(changed: Changed, ids: Collection[int], undo: Literal["withdraw", "reinstate"]) -> Outcome:
    return Outcome(
        persons=changed.persons,
        households=changed.households,
        evidence_ids=tuple(ids),
        undo=undo,
        recycled=changed.recycled,
    )


async def _audit(conn: Conn, by: Actor, action: str, ids: Collection[int], *, now: datetime) -> None:
    for ident in sorted(ids)[:AT_ONCE]:
        await ledger.audit(conn, by.label, action, now=now, subject=f"evidence:{ident}")
