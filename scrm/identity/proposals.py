"""Proposals: what may be one person or one family, why, and what a human said to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from scrm.db import Conn
from scrm.errors import Conflict, NotFound
from scrm.identity import decisions
from scrm.identity.decisions import Actor, Outcome
from scrm.identity.match.choosing import rank
from scrm.identity.match.sentences import Reason
from scrm.identity.match.store import proposals as store
from scrm.identity.rules.reasons import kept as reason
from scrm.shapes import from_json, to_json

Cls = Literal["same_person", "same_household"]
#: Put off without a word on when.
LATER = timedelta(days=7)
_LISTED = 100
#: Where a question stands that somebody waits for.
_ASKED = 2_000_000_000
_NOT: Mapping[str, Literal["not_same_person", "not_same_household"]] = {
    "same_person": "not_same_person",
    "same_household": "not_same_household",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One question to a human."""

    proposal_id: int
    cls: Cls
    node_a: int
    node_b: int
    #: Today's persons; None = that identifier is nobody's any more.
    person_a: int | None
    person_b: int | None
    #: model | online | masked | statement | ...
    source: str
    model_version: str
    #: Heaviest first, what speaks against it last.
    reasons: tuple[Reason, ...]
    #: In hundredths of a bit, and per mille.
    weight: int
    likely: int
    rank: int
    state: str
    until_at: datetime | None
    created_at: datetime
    #: Still open: who asked for it to be decided by somebody who may.
    asked_by: int | None = None

    @property
    def percent(self) -> int:
        return min(99, self.likely // 10)

    @property
    def place(self) -> tuple[int, int]:
        """Where the next page of the queue goes on."""
        return (self.rank, self.proposal_id)

    def other(self, person_ids: Collection[int]) -> int | None:
        """Seen from these persons: whom it is about."""
        return self.person_b if self.person_a in person_ids else self.person_a


async def suggest(
    conn: Conn,
    a_node: int,
    b_node: int,
    cls: Cls,
    reasons: Sequence[Reason | str],
    *,
    source: str,
    now: datetime,
    likely: float = 0.5,
    value: int = 0,
) -> bool:
    """Put a question on the list; False when it is answered already, by evidence or by a human."""
    owners = await store.owners(conn, {a_node, b_node})
    left, right = owners.get(a_node), owners.get(b_node)
    if a_node == b_node or (left is not None and left == right):
        return False
    if await _settled(conn, a_node, b_node, owners, cls):
        return False
    said = [r if isinstance(r, Reason) else Reason(text=r, field="said", weight=300) for r in reasons]
    one = new(a_node, b_node, cls, said, source=source, likely=likely, value=value)
    known = await store.of_nodes(conn, {a_node, b_node}, states=("open", "later", "accepted", "rejected"))
    pair = (one.node_a, one.node_b, cls)
    if any((k.node_a, k.node_b, k.cls) == pair and k.state not in store.OPEN for k in known):
        return False
    await store.add(conn, [one], now=now)
    return True


async def _settled(conn: Conn, a: int, b: int, owners: Mapping[int, int], cls: Cls) -> bool:
    """Whether somebody keeps these two apart, or they are one household already."""
    nodes = await store.nodes_of(conn, set(owners.values()))
    mine = {n for n, p in nodes.items() if p == owners.get(a)} | {a}
    theirs = {n for n, p in nodes.items() if p == owners.get(b)} | {b}
    if await store.kept_apart(conn, mine, theirs, cls):
        return True
    if cls == "same_person" or a not in owners or b not in owners:
        return False
    homes = await store.households(conn, set(owners.values()))
    return homes[owners[a]] == homes[owners[b]]


def new(
    a_node: int,
    b_node: int,
    cls: Cls,
    reasons: Sequence[Reason],
    *,
    source: str,
    likely: float,
    value: int,
    model_version: str = "",
    batch: str = "",
    weight: int | None = None,
    sides: tuple[Sequence[int], Sequence[int]] = ((), ()),
) -> store.New:
    """A proposal in its stored form."""
    sides = sides if a_node < b_node else (sides[1], sides[0])
    a_node, b_node = sorted((a_node, b_node))
    return store.New(
        node_a=a_node,
        node_b=b_node,
        cls=cls,
        source=source,
        reasons=to_json(list(reasons)),
        weight=sum(r.weight for r in reasons) if weight is None else weight,
        likely=round(1000 * likely),
        value=value,
        rank=rank(value, likely),
        model_version=model_version,
        batch=batch,
        sides=to_json([list(side) for side in sides]).decode(),
    )


# -- reading -----------------------------------------------------------------------------------------------
async def open_for(conn: Conn, person_ids: Collection[int], *, now: datetime | None = None) -> list[Proposal]:
    """What waits for a word about these persons, heaviest first; one per pair and question.

    With `now` what was put off until later is left out.
    """
    nodes = await store.nodes_of(conn, person_ids)
    found = await _read(conn, await store.of_nodes(conn, nodes))
    if now is not None:
        found = [one for one in found if one.until_at is None or one.until_at <= now]
    return await _standing(conn, found)


async def queue(
    conn: Conn, before: tuple[int, int] | None = None, limit: int = 50, *, now: datetime
) -> list[Proposal]:
    """The review queue by value x uncertainty; `before` is the `place` of the last one shown.

    A page may be shorter than asked: what was answered meanwhile by evidence is left out. It is the last
    page only when it is empty.
    """
    limit = min(limit, _LISTED)
    while True:
        rows = await store.queue(conn, before=before, limit=limit, now=now)
        found = await _standing(conn, await _read(conn, rows))
        if found or len(rows) < limit:
            return found
        before = (rows[-1].rank, rows[-1].proposal_id)


async def get(conn: Conn, proposal_id: int) -> Proposal:
    """Raises `NotFound`."""
    row = await store.get(conn, proposal_id)
    if row is None:
        raise NotFound("没有找到这条推荐。")
    found = await _read(conn, [row])
    if not found:
        raise NotFound("这条推荐的内容已清除。")
    return found[0]


async def owners(conn: Conn, node_ids: Collection[int]) -> Mapping[int, int]:
    """Today's person of each identifier."""
    return await store.owners(conn, node_ids)


async def counts(conn: Conn) -> dict[str, int]:
    """How many there are in each state."""
    return await store.counts(conn)


async def _read(conn: Conn, rows: Sequence[Any]) -> list[Proposal]:
    owners = await store.owners(conn, {n for r in rows for n in (r.node_a, r.node_b)})
    opened = await store.opened(conn, rows)
    return [
        Proposal(
            proposal_id=r.proposal_id,
            cls=r.cls,
            node_a=r.node_a,
            node_b=r.node_b,
            person_a=owners.get(r.node_a),
            person_b=owners.get(r.node_b),
            source=r.source,
            model_version=r.model_version,
            reasons=tuple(from_json(list[Reason], opened[r.proposal_id], where="proposal.reasons")),
            weight=r.weight,
            likely=r.likely,
            rank=r.rank,
            state=r.state,
            until_at=r.until_at,
            created_at=r.created_at,
            asked_by=r.decided_by if r.state in store.OPEN else None,
        )
        for r in rows
        if r.proposal_id in opened
    ]


async def _standing(conn: Conn, found: Sequence[Proposal]) -> list[Proposal]:
    """Without those that evidence has answered since, and one per pair of persons and question."""
    persons = {p for one in found for p in (one.person_a, one.person_b) if p is not None}
    homes = await store.households(conn, persons)
    kept: dict[tuple[frozenset[int], str], Proposal] = {}
    for one in found:
        if one.person_a is None or one.person_b is None or one.person_a == one.person_b:
            continue
        if one.cls == "same_household" and homes[one.person_a] == homes[one.person_b]:
            continue
        kept.setdefault((frozenset((one.person_a, one.person_b)), one.cls), one)
    return list(kept.values())


# -- deciding ----------------------------------------------------------------------------------------------
async def accept(conn: Conn, proposal_id: int, *, by: Actor, now: datetime, why: str = "") -> Outcome:
    """They are one: a human's decision that names the proposal. Raises `Conflict` when somebody was first."""
    one = await _claimed(conn, proposal_id, "accepted", by=by, why=why, now=now)
    # The reasons quote names: they stay sealed with the proposal, which names this evidence.
    text = why or "采纳推荐"
    outcome = await decisions.link(
        conn, one.node_a, one.node_b, by=by, why=text, now=now, cls=one.cls, batch=one.model_version
    )
    await _note(conn, proposal_id, "accepted", outcome)
    return outcome


async def reject(conn: Conn, proposal_id: int, *, by: Actor, now: datetime, why: str = "") -> Outcome:
    """They are not: remembered as evidence, so that nothing proposes it again."""
    one = await _claimed(conn, proposal_id, "rejected", by=by, why=why, now=now)
    text = why or "看过推荐，认为不是"
    outcome = await decisions.apart(conn, one.node_a, one.node_b, by=by, why=text, now=now, cls=_NOT[one.cls])
    await _note(conn, proposal_id, "rejected", outcome)
    return outcome


async def ask(conn: Conn, proposal_id: int, *, by: Actor, why: str, now: datetime) -> None:
    """Somebody who may not decide asks for it: it goes to the head of the queue. Raises `Conflict`."""
    asked: dict[str, Any] = {"decided_by": by.staff_id, "decided_why": reason(why)}
    asked |= {"state": "open", "until_at": None}
    if not await store.close_one(conn, proposal_id, since=store.OPEN, rank=_ASKED, updated_at=now, **asked):
        raise Conflict("这条推荐刚刚被别人处理了。")


async def later(conn: Conn, proposal_id: int, *, now: datetime, until: datetime | None = None) -> None:
    """Not now: out of sight until then."""
    at = until or now + LATER
    if not await store.close_one(conn, proposal_id, state="later", until_at=at, updated_at=now):
        raise Conflict("这条推荐刚刚被别人处理了。")


async def reopen(conn: Conn, proposal_id: int, *, by: Actor, why: str, now: datetime) -> Outcome | None:
    """Undo of a decision: the evidence is withdrawn and the question is open again."""
    row = await store.get(conn, proposal_id)
    if row is None or row.state not in ("accepted", "rejected"):
        raise Conflict("这条推荐还没有决定，或者已经撤销了。")
    outcome = None
    if row.evidence_id is not None:
        outcome = await decisions.withdraw(conn, [row.evidence_id], by=by, why=why, now=now)
    await store.close_one(
        conn, proposal_id, since=("accepted", "rejected"), state="open", evidence_id=None, decided_at=None,
        decided_by=None, decided_why="", updated_at=now,
    )  # fmt: skip
    return outcome


async def take_back(
    conn: Conn, model_version: str, *, by: Actor, why: str, now: datetime, limit: int = 200
) -> int:
    """Withdraw what was accepted from a model, at most `limit` of it; how many. 0 = nothing is left."""
    rows = await store.accepted_by(conn, model_version, after=0, limit=limit)
    evidence = [r.evidence_id for r in rows if r.evidence_id is not None]
    if evidence:
        await decisions.withdraw(conn, evidence, by=by, why=why, now=now)
    for r in rows:
        await store.close_one(conn, r.proposal_id, since=("accepted",), state="withdrawn", updated_at=now)
    return len(rows)


async def forget(conn: Conn, node_ids: Collection[int]) -> None:
    """For erasure: nothing about these identifiers stays quoted anywhere."""
    await store.forget(conn, node_ids)


async def _claimed(
    conn: Conn, proposal_id: int, state: str, *, by: Actor, why: str, now: datetime
) -> Proposal:
    """The proposal, decided by us and nobody else."""
    one = await get(conn, proposal_id)
    won = await store.close_one(
        conn,
        proposal_id,
        state=state,
        decided_at=now,
        decided_by=by.staff_id,
        decided_why=reason(why),
        updated_at=now,
    )
    if not won:
        raise Conflict("这条推荐刚刚被别人处理了。")
    return one


async def _note(conn: Conn, proposal_id: int, state: str, outcome: Outcome) -> None:
    if outcome.evidence_ids:
        await store.close_one(conn, proposal_id, since=(state,), evidence_id=outcome.evidence_ids[0])
