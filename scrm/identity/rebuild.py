"""All projections derived anew from the evidence, piece by piece; and what another policy would do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from scrm.db import Conn
from scrm.identity import versions
from scrm.identity.closure import Fresh
from scrm.identity.decisions import counted
from scrm.identity.explain import store as explained
from scrm.identity.projecting import Dirty, project
from scrm.identity.rules.policy import Policy, is_blocked
from scrm.identity.store import nodes
from scrm.identity.store.log import Deed
from scrm.identity.store.nodes import Known
from scrm.identity.telling import Cause

#: Nodes looked at in one transaction.
AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What came of one piece. `last` is where to go on; `over` when there is no more."""

    last: int
    nodes: int = 0
    over: bool = False
    #: What differs from before: merges, splits, values that turned generic ...
    deeds: tuple[Deed, ...] = ()
    persons: frozenset[int] = frozenset()
    households: frozenset[int] = frozenset()


async def some(
    conn: Conn,
    *,
    after: int = 0,
    policy: Policy | None = None,
    write: bool = True,
    now: datetime,
    limit: int = AT_ONCE,
) -> Piece:
    """The next nodes by id. With `write=False` only told, also on a reading connection.

    What is right already is not written again, so that it may be broken off and taken up anywhere.
    """
    return await conn.together(lambda: _some(conn, after, policy, write=write, now=now, limit=limit))


async def _some(
    conn: Conn, after: int, policy: Policy | None, *, write: bool, now: datetime, limit: int
) -> Piece:
    policy = policy or await versions.current(conn)
    if write:
        await conn.lock("identity")
    ids = await nodes.after(conn, after, limit=limit)
    if not ids:
        return Piece(last=after, over=True)
    known = {n: k for n, k in (await nodes.by_id(conn, ids)).items() if not policy.kind(k.kind).place}
    fresh = await _as_they_should(conn, policy, known)
    weak = {n for n, k in known.items() if not policy.kind(k.kind).merge}
    dirty = Dirty(persons=set(known) - weak, kin=set(known), devices=weak)
    dirty.named = set(known)
    cause = Cause(origin="auto")
    done = await project(conn, policy, dirty, fresh=fresh, cause=cause, now=now, write=write)
    return Piece(
        last=ids[-1],
        nodes=len(ids),
        over=len(ids) < limit,
        deeds=done.deeds,
        persons=done.persons,
        households=done.households,
    )


async def _as_they_should(conn: Conn, policy: Policy, known: dict[int, Known]) -> Fresh:
    """Degrees counted anew, and whether their value says anything by this policy."""
    found = await counted(conn, policy, known)
    kinds = {n: policy.kind(k.kind) for n, k in known.items()}
    opened = await explained.opened(
        conn, [n for n, k in known.items() if kinds[n].blocked or k.state == "blocked"]
    )
    for n, one in opened.items():
        if one.value is None:
            continue  # erased: it stays what it was
        state = "blocked" if is_blocked(kinds[n], one.value) else "active"
        if (known[n].state == "blocked") != (state == "blocked"):
            found.changed[n] = replace(found.changed.get(n, known[n]), state=state)
    return found
