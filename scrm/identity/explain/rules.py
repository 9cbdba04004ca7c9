"""Paths through the evidence, what stands in the way of one, and a person's story in order of time. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush
from typing import Literal

from scrm.identity.rules.values import HUMAN

#: Evidence that carries: `implied` says the same as something stronger that was accepted.
CARRIES = frozenset({"accepted", "implied"})
#: An identifier in one person's hands; 0 = in nobody's (a device that several use).
Spot = tuple[int, int]
Reason = Literal[
    "said_apart",
    "recycled",
    "conflict",
    "overruled",
    "generic",
    "capped",
    "withdrawn",
    "one_word",
    "weak",
    "exclusive",
    "nothing",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One row of evidence with what became of it."""

    evidence_id: int
    a: int
    b: int
    cls: str
    rule: str
    rule_version: int
    strength: int
    origin: str
    first_event_id: int
    first_at: datetime
    last_at: datetime
    n: int
    actor_id: int | None = None
    batch: str = ""
    why: str = ""
    standing: str = "accepted"
    #: With `held` and `overruled`: the kind that conflicts, or `not_same` | `cap`.
    blocked_why: str = ""
    #: The two identifiers that stand against it.
    blocked_by: tuple[int, ...] = ()
    retracted_at: datetime | None = None
    retracted_by: int | None = None
    retracted_why: str = ""

    @property
    def human(self) -> bool:
        return self.origin in HUMAN

    @property
    def active(self) -> bool:
        return self.retracted_at is None

    @property
    def carries(self) -> bool:
        return self.active and self.standing in CARRIES

    def other(self, node_id: int) -> int:
        return self.b if node_id == self.a else self.a


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """An identifier as explanations need it."""

    node_id: int
    kind: str
    scope: str
    first_at: datetime
    state: str = "active"


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """What is known about some persons: their identifiers, and all evidence that touches one of them."""

    nodes: Mapping[int, Dot]
    #: Every identifier of each person, whenever it was theirs.
    persons: Mapping[int, frozenset[int]]
    pieces: Sequence[Piece]
    #: Household of each person.
    homes: Mapping[int, int] = field(default_factory=dict)

    def owners(self, node_id: int) -> list[int]:
        return sorted(p for p, nodes in self.persons.items() if node_id in nodes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Why two are not one."""

    reason: Reason
    piece: Piece | None = None
    #: Identifiers that it is about: the two that conflict, or the one that too many use.
    nodes: tuple[int, ...] = ()
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An identifier opened; value None = it was erased."""

    node_id: int
    kind: str
    scope: str
    value: str | None
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """The event a piece of evidence stands on."""

    event_id: int
    at: datetime
    account_id: int
    kind: str


# -- paths -------------------------------------------------------------------------------------------------
_Cost = tuple[int, int, int]
Steps = Mapping[Spot, Sequence[tuple[Spot, Piece]]]


def within(graph: Graph, person_id: int) -> Steps:
    """Steps of evidence from identifier to identifier of one person."""
    mine = graph.persons.get(person_id, frozenset())
    steps: dict[Spot, list[tuple[Spot, Piece]]] = defaultdict(list)
    for piece in graph.pieces:
        if piece.cls in ("same_person", "uses") and piece.carries and {piece.a, piece.b} <= mine:
            _both(steps, (piece.a, person_id), (piece.b, person_id), piece)
    return steps


def across(graph: Graph, persons: Collection[int], *, device_uses: int = 3) -> Steps:
    """Steps within each of these persons, and those of family evidence from one to another.

    A device counts for whoever used it `device_uses` times.
    """
    steps: dict[Spot, list[tuple[Spot, Piece]]] = defaultdict(list)
    for person_id in sorted(persons):
        for spot, found in within(graph, person_id).items():
            steps[spot] += found
    used: dict[Spot, int] = defaultdict(int)
    bridges: list[tuple[Spot, Spot, Piece]] = []
    for piece in graph.pieces:
        if piece.carries and piece.cls == "same_household":
            for one, other in _pairs(graph, piece, persons):
                _both(steps, one, other, piece)
        elif piece.carries and piece.cls == "uses":
            for one, other in _uses(graph, piece, persons):
                used[other[0], one[1]] += piece.n
                bridges.append((one, other, piece))
    for one, other, piece in bridges:
        if used[other[0], one[1]] >= device_uses:
            _both(steps, one, other, piece)
    return steps


def _pairs(graph: Graph, piece: Piece, persons: Collection[int]) -> Iterator[tuple[Spot, Spot]]:
    for p in graph.owners(piece.a):
        for q in graph.owners(piece.b):
            if p != q and p in persons and q in persons:
                yield (piece.a, p), (piece.b, q)


def _uses(graph: Graph, piece: Piece, persons: Collection[int]) -> Iterator[tuple[Spot, Spot]]:
    """A device is a bridge whoever has it: the persons on its banks are what counts."""
    for node_id in (piece.a, piece.b):
        for p in graph.owners(node_id):
            if p in persons:
                yield (node_id, p), (piece.other(node_id), 0)


def _both(steps: dict[Spot, list[tuple[Spot, Piece]]], a: Spot, b: Spot, piece: Piece) -> None:
    steps[a].append((b, piece))
    steps[b].append((a, piece))


def tree(steps: Steps, roots: Iterable[Spot]) -> dict[Spot, tuple[Spot, Piece] | None]:
    """The way back from each spot that can be reached: fewest steps, then the surer, then the older."""
    back: dict[Spot, tuple[Spot, Piece] | None] = {}
    queue: list[tuple[_Cost, Spot, tuple[int, int, int], Spot | None, Piece | None]] = []
    for root in sorted(roots):
        heappush(queue, ((0, 0, 0), root, (0, 0, 0), None, None))
    while queue:
        cost, spot, _, parent, piece = heappop(queue)
        if spot in back:
            continue
        back[spot] = (parent, piece) if parent is not None and piece is not None else None
        for other, by in steps.get(spot, ()):
            if other not in back:
                more = (cost[0] + 1, cost[1] + (by.standing != "accepted"), cost[2] - by.strength)
                heappush(queue, (more, other, _age(by), spot, by))
    return back


def _age(piece: Piece) -> tuple[int, int, int]:
    return (int(piece.first_at.timestamp()), piece.evidence_id, 0)


def path(steps: Steps, roots: Collection[Spot], goals: Collection[Spot]) -> list[Piece] | None:
    """The shortest chain of evidence from one of the roots to one of the goals; None = there is none."""
    back = tree(steps, roots)
    found = [chain for goal in sorted(goals) if goal in back for chain in [_chain(back, goal)]]
    return min(found, key=len) if found else None


def _chain(back: Mapping[Spot, tuple[Spot, Piece] | None], goal: Spot) -> list[Piece]:
    chain: list[Piece] = []
    at = back[goal]
    while at is not None:
        chain.append(at[1])
        at = back[at[0]]
    return chain[::-1]


def reached(steps: Steps, root: Spot) -> list[Piece]:
    """Every piece of evidence that the shortest ways from the root stand on, nearest first."""
    found: dict[int, Piece] = {}
    back = tree(steps, [root])
    for goal in sorted(back, key=lambda s: (len(_chain(back, s)), s)):
        found |= {p.evidence_id: p for p in _chain(back, goal)}
    return list(found.values())


# -- why not -----------------------------------------------------------------------------------------------
def blocks(
    graph: Graph,
    left: frozenset[int],
    right: frozenset[int],
    *,
    exclusive: Collection[str],
    apart: str = "not_same_person",
) -> list[Block]:
    """Why identifiers of two persons are not one person (or family), what decides first."""
    found = _said_apart(graph, left, right, apart)
    if apart == "not_same_household":
        found += _one_word(graph, left, right)
        found += _withdrawn(graph, left, right, {"same_household"})
        return found or [Block(reason="nothing")]
    # One identifier of two persons: it changed hands in between.
    found += [Block(reason="recycled", nodes=(n,)) for n in sorted(left & right)]
    found += _in_the_way(graph, left, right)
    found += _shared(graph, left, right)
    found += _withdrawn(graph, left, right, {"same_person"})
    conflict = _exclusive(graph, left, right, exclusive)
    if not any(b.reason == "conflict" for b in found):
        # Without any evidence the difference alone decides nothing, yet is worth saying.
        found += conflict
    if not any(b.reason not in ("exclusive", "weak") for b in found):
        found.insert(0, Block(reason="nothing"))
    # The same thing said by another chain is not said twice.
    once = {(b.reason, b.nodes, b.kind, b.reason == "said_apart" and b.piece): b for b in found[::-1]}
    return list(once.values())[::-1]


def _said_apart(graph: Graph, left: frozenset[int], right: frozenset[int], apart: str) -> list[Block]:
    said = [p for p in graph.pieces if p.cls == apart and p.active and _between(p, left, right)]
    newest = sorted(said, key=lambda p: (p.last_at, p.evidence_id), reverse=True)
    return [Block(reason="said_apart", piece=p, nodes=(p.a, p.b)) for p in newest[:3]]


def _withdrawn(
    graph: Graph, left: frozenset[int], right: frozenset[int], classes: Collection[str]
) -> list[Block]:
    gone = [p for p in graph.pieces if p.cls in classes and not p.active and _between(p, left, right)]
    newest = sorted(gone, key=lambda p: (p.retracted_at or p.last_at, p.evidence_id), reverse=True)
    return [Block(reason="withdrawn", piece=p, nodes=(p.a, p.b)) for p in newest[:3]]


def _one_word(graph: Graph, left: frozenset[int], right: frozenset[int]) -> list[Block]:
    """Heard once of two who are families by themselves."""
    held = [p for p in graph.pieces if p.cls == "same_household" and p.active and p.standing == "held"]
    said = sorted((p for p in held if _between(p, left, right)), key=lambda p: (p.last_at, p.evidence_id))
    return [Block(reason="one_word", piece=p, nodes=(p.a, p.b)) for p in said[:-4:-1]]


def _between(piece: Piece, left: frozenset[int], right: frozenset[int]) -> bool:
    return (piece.a in left and piece.b in right) or (piece.b in left and piece.a in right)


def _in_the_way(graph: Graph, left: frozenset[int], right: frozenset[int]) -> list[Block]:
    """On the shortest chain of any evidence between the two: what was not believed, and why."""
    steps: dict[Spot, list[tuple[Spot, Piece]]] = defaultdict(list)
    for piece in graph.pieces:
        if piece.cls == "same_person" and piece.active:
            _both(steps, (piece.a, 0), (piece.b, 0), piece)
    chain = path(steps, {(n, 0) for n in left - right}, {(n, 0) for n in right - left})
    made = [b for p in chain or () if not p.carries and (b := _stopped(graph, p)) is not None]
    return list({(b.reason, b.nodes, b.kind): b for b in made}.values())


def _stopped(graph: Graph, piece: Piece) -> Block | None:
    if piece.standing == "generic":
        shared = [n for n in (piece.a, piece.b) if (v := graph.nodes.get(n)) and v.state == "generic"]
        return Block(reason="generic", piece=piece, nodes=tuple(shared or (piece.a,)))
    if piece.standing == "capped" or piece.blocked_why == "cap":
        return Block(reason="capped", piece=piece)
    if piece.standing == "overruled" or piece.blocked_why == "not_same":
        return Block(reason="overruled", piece=piece, nodes=(piece.a, piece.b))
    if piece.standing == "held":
        return Block(reason="conflict", piece=piece, nodes=piece.blocked_by[:2], kind=piece.blocked_why)
    return None


def _shared(graph: Graph, left: frozenset[int], right: frozenset[int]) -> list[Block]:
    """Both used the same device, or the same generic value: seen together is not the same."""
    seen: dict[int, set[str]] = defaultdict(set)
    by: dict[int, Piece] = {}
    for piece in graph.pieces:
        if not piece.active or piece.cls not in ("uses", "same_person"):
            continue
        for node_id in (piece.a, piece.b):
            shared = piece.other(node_id)
            if piece.cls == "same_person" and piece.carries:
                continue
            for side, nodes in (("left", left), ("right", right)):
                if node_id in nodes:
                    seen[shared].add(side)
                    by[shared] = piece
    found = []
    for node_id in sorted(n for n, sides in seen.items() if len(sides) == 2):
        generic = (v := graph.nodes.get(node_id)) is not None and v.state == "generic"
        found.append(Block(reason="generic" if generic else "weak", piece=by[node_id], nodes=(node_id,)))
    return found[:3]


def _exclusive(
    graph: Graph, left: frozenset[int], right: frozenset[int], kinds: Collection[str]
) -> list[Block]:
    """Two values of which one person has only one."""
    theirs = {(v.kind, v.scope): n for n in sorted(right) if (v := graph.nodes.get(n))}
    for n in sorted(left):
        v = graph.nodes.get(n)
        other = theirs.get((v.kind, v.scope)) if v else None
        if v and v.kind in kinds and other is not None and other != n:
            return [Block(reason="exclusive", nodes=(n, other), kind=v.kind)]
    return []


# -- how ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One step of a person's story."""

    at: datetime
    #: seen: an identifier shows up; joined: two parts become one; confirmed: said again by other evidence;
    #: apart, not_joined: somebody or a rule kept it out; withdrawn: evidence was taken back.
    what: Literal["seen", "joined", "confirmed", "apart", "not_joined", "withdrawn"]
    node_id: int | None = None
    piece: Piece | None = None
    #: How many identifiers hang together once this is known.
    size: int = 1


def story(graph: Graph, person_id: int) -> list[Moment]:
    """How the person came to be what it is, in order of time: the same for every order of arrival."""
    mine = graph.persons.get(person_id, frozenset())
    told: list[tuple[tuple[datetime, int, int], Moment]] = [
        ((v.first_at, 0, n), Moment(at=v.first_at, what="seen", node_id=n))
        for n in mine
        if (v := graph.nodes.get(n))
    ]
    group = {n: {n} for n in mine}
    touching = [p for p in graph.pieces if p.cls in _STORIED and _touches(p, mine)]
    for piece in sorted(touching, key=lambda p: (p.first_at, p.evidence_id)):
        moment = _moment(piece, group)
        told.append(((moment.at, 1, piece.evidence_id), moment))
        if piece.retracted_at is not None:
            gone = Moment(at=piece.retracted_at, what="withdrawn", piece=piece)
            told.append(((gone.at, 2, piece.evidence_id), gone))
    return [moment for _, moment in sorted(told, key=lambda t: t[0])]


_STORIED = frozenset({"same_person", "not_same_person", "uses"})


def _touches(piece: Piece, mine: frozenset[int]) -> bool:
    ends = mine & {piece.a, piece.b}
    # A device that others have too is theirs to tell.
    return len(ends) == 2 if piece.cls == "uses" else bool(ends)


def _moment(piece: Piece, group: dict[int, set[int]]) -> Moment:
    if piece.cls == "not_same_person":
        return Moment(at=piece.first_at, what="apart", piece=piece)
    inside = piece.a in group and piece.b in group
    if not inside or not piece.carries:
        return Moment(at=piece.first_at, what="not_joined", piece=piece)
    a, b = group[piece.a], group[piece.b]
    if a is b:
        return Moment(at=piece.first_at, what="confirmed", piece=piece, size=len(a))
    a |= b
    group |= dict.fromkeys(b, a)
    return Moment(at=piece.first_at, what="joined", piece=piece, size=len(a))
