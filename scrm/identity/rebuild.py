"""All projections derived anew from the evidence, piece by piece; and what another policy would do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from scrm.db import Conn
from scrm.identity import versions
from scrm.identity.closure import Fresh
from scrm.identity.decisions import recounted
from scrm.identity.projecting import Dirty, project
from scrm.identity.rules.policy import Policy, is_blocked
from scrm.identity.rules.solving import DEGREE_CAP, KIN_CAP
from scrm.identity.shelf import is_calm
from scrm.identity.store import evidence, nodes
from scrm.identity.store.log import Deed
from scrm.identity.store.nodes import Known
from scrm.identity.telling import Cause

#: Nodes looked at in one transaction while others work, and when nothing waits for it.
AT_ONCE, IN_BULK = 500, 10_000
#: Rows read at a time to find out who has to do with whom.
_PAGE = 20_000


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

    async def next_ones() -> Piece:
        ids = await nodes.after(conn, after, limit=limit)
        if not ids:
            return Piece(last=after, over=True)
        done = await _some(conn, ids, policy, write=write, now=now)
        return replace(done, over=len(ids) < limit)

    return await conn.together(next_ones)


async def these(
    conn: Conn, ids: Sequence[int], *, policy: Policy | None = None, write: bool = True, now: datetime
) -> Piece:
    """One of the pieces of a `plan`."""
    return await conn.together(lambda: _some(conn, ids, policy, write=write, now=now))


async def _some(
    conn: Conn, ids: Sequence[int], policy: Policy | None, *, write: bool, now: datetime
) -> Piece:
    policy = policy or await versions.current(conn)
    if write:
        await conn.lock("identity")
    known = {n: k for n, k in (await nodes.by_id(conn, ids)).items() if not policy.kind(k.kind).place}
    fresh = await _as_they_should(conn, policy, known)
    await _shelve(conn, policy, known, fresh)
    weak = {n for n, k in known.items() if not policy.kind(k.kind).merge}
    dirty = Dirty(persons=set(known) - weak, kin=set(known), devices=weak)
    dirty.named = set(known)
    cause = Cause(origin="auto")
    done = await project(conn, policy, dirty, fresh=fresh, cause=cause, now=now, write=write)
    return Piece(
        last=ids[-1], nodes=len(ids), deeds=done.deeds, persons=done.persons, households=done.households
    )


async def _as_they_should(conn: Conn, policy: Policy, known: dict[int, Known]) -> Fresh:
    """Degrees counted anew, and whether their value says anything by this policy."""
    found = await recounted(conn, policy, known)
    kinds = {n: policy.kind(k.kind) for n, k in known.items()}
    asked = [n for n, k in known.items() if kinds[n].blocked or k.state == "blocked"]
    for n, value in (await nodes.values(conn, asked)).items():
        if value is None:
            continue  # erased: it stays what it was
        state = "blocked" if is_blocked(kinds[n], value) else "active"
        if (known[n].state == "blocked") != (state == "blocked"):
            found.changed[n] = replace(found.changed.get(n, known[n]), state=state)
    return found


async def _shelve(conn: Conn, policy: Policy, known: dict[int, Known], fresh: Fresh) -> None:
    """Everything that touches these is read once; of what too much touches only what is asked for."""
    shelf = fresh.shelf
    shelf.known = dict(known)
    calm = [n for n, k in known.items() if is_calm(policy, fresh.changed.get(n, k))]
    await shelf.read(conn, calm)
    await shelf.learn(conn, {n for mine in shelf.edges.values() for e in mine for n in (e.a, e.b)})


# -- everything in one go ----------------------------------------------------------------------------------
async def plan(conn: Conn, *, limit: int = IN_BULK) -> list[list[int]]:
    """All nodes in pieces of about so many, those that have to do with each other in the same piece.

    A thousand nodes take about a fifth of a megabyte while it is made.
    """
    root: dict[int, int] = {}
    loud: set[int] = set()
    page = await nodes.weights(conn, 0, limit=_PAGE)
    while page:
        for n, degree, kin in page:
            root[n] = n
            if degree > DEGREE_CAP or kin > KIN_CAP:
                loud.add(n)  # tied to everybody
        page = await nodes.weights(conn, page[-1].node_id, limit=_PAGE)
    page = await evidence.pairs(conn, 0, limit=_PAGE)
    while page:
        for _, a, b in page:
            if a in root and b in root and a not in loud and b not in loud:
                root[_root(root, b)] = _root(root, a)
        page = await evidence.pairs(conn, page[-1].evidence_id, limit=_PAGE)
    return _cut(root, limit)


def _cut(root: dict[int, int], limit: int) -> list[list[int]]:
    webs: dict[int, list[int]] = defaultdict(list)
    for n in root:
        webs[_root(root, n)].append(n)
    pieces: list[list[int]] = [[]]
    for web in webs.values():
        for start in range(0, len(web), limit):
            part = web[start : start + limit]
            if len(pieces[-1]) + len(part) > limit:
                pieces.append([])
            pieces[-1] += part
    return [piece for piece in pieces if piece]


def _root(root: dict[int, int], n: int) -> int:
    while root[n] != n:
        root[n] = root[root[n]]
        n = root[n]
    return n
