"""What must hold whatever the stream: order, repeats, undoing, and a reason for every link."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from scrm.bench.identity.ours import BATCH, fed, partition
from scrm.bench.identity.values import Assignment, Event
from scrm.identity.rules.memory import Engine
from scrm.identity.rules.policy import Policy


def assigned(engine: Engine) -> Assignment:
    return {key: (place.person, place.household) for key, place in engine.assign().items()}


def same_in_any_order(policy: Policy, events: Sequence[Event], *, shuffles: int, seed: int = 1) -> int:
    """In how many of so many shuffles everything comes out the same, in batches of other sizes too."""
    rng = random.Random(seed)
    first = partition(assigned(fed(policy, events)))
    same = 0
    for _ in range(shuffles):
        mixed = rng.sample(events, len(events))
        engine = fed(policy, mixed, batch=rng.choice((1, 50, BATCH, 2_000)))
        same += partition(assigned(engine)) == first
    return same


def undone(policy: Policy, events: Sequence[Event], *, links: int, seed: int = 1) -> int:
    """How many of so many wrong links by hand, taken back after half of the stream came upon them, leave
    nothing behind.
    """
    rng = random.Random(seed)
    plain = partition(assigned(fed(policy, events)))
    half = len(events) // 2
    engine = fed(policy, events[:half])
    nodes = sorted(engine.vertices)
    made: list[int] = []
    while len(made) < links and len(nodes) > 1:
        a, b = rng.sample(nodes, 2)
        made.append(engine.decide(a, b, "same_person", events[half].at, rule=f"human.{len(made)}"))
    for start in range(half, len(events), BATCH):
        engine.see(events[start : start + BATCH])
    left = 0
    for evidence_id in rng.sample(made, len(made)):
        engine.retract(evidence_id)
        left += 1
    return left if partition(assigned(engine)) == plain else 0


def explained(engine: Engine) -> float:
    """Share of identifiers that a path of standing evidence, each row citing its event, ties to the rest of
    their person.
    """
    up: dict[int, int] = {}

    def root(n: int) -> int:
        while up.setdefault(n, n) != n:
            up[n] = up[up[n]]
            n = up[n]
        return n

    for edge in engine.edges.values():
        verdict = engine.verdicts.get(edge.evidence_id)
        stands = verdict is None or verdict.standing in ("accepted", "implied")
        if edge.cls == "same_person" and edge.key and stands:
            up[root(edge.a)] = root(edge.b)
    persons: dict[int, list[int]] = defaultdict(list)
    for node, spans in engine.spans.items():
        if len(spans) == 1:
            persons[spans[0].person_id].append(node)
    several = [nodes for nodes in persons.values() if len(nodes) > 1]
    ties = sum(len(nodes) - 1 for nodes in several)
    # A person of k pieces lacks k - 1 of its ties.
    missing = sum(len({root(n) for n in nodes}) - 1 for nodes in several)
    return 1.0 if not ties else 1 - missing / ties
