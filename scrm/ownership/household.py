"""What a deal is judged from: the claims on its household, and what each of them is to whoever signed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from scrm.db import Conn
from scrm.identity import service as identity
from scrm.identity import store as nodes
from scrm.identity.kin import store as kin
from scrm.identity.store import persons as owners
from scrm.ownership.rules.values import Claim, Relation
from scrm.ownership.store import claims
from scrm.ownership.store.claims import Kept

#: What `a` is to `b` when `b` is the one who signed, seen from the other side.
_INVERSE: Mapping[str, Relation] = {
    "spouse": "spouse",
    "parent": "child",
    "child": "parent",
    "sibling": "sibling",
    "grandparent": "other",
    "grandchild": "grandparent",
    "helper": "other",
    "other": "other",
    "referrer": "other",
}
_SAME: Mapping[str, Relation] = {
    "spouse": "spouse",
    "parent": "parent",
    "child": "child",
    "sibling": "sibling",
    "grandparent": "grandparent",
    "helper": "other",
    "other": "other",
    "referrer": "other",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The claims to be judged, oldest first, and how each identifier is related."""

    claims: tuple[Claim, ...]
    relatives: Mapping[int, Relation]
    persons: frozenset[int]


async def members(conn: Conn, node_ids: Collection[int], *, at: datetime | None = None) -> frozenset[int]:
    """Every person of the households of whoever had these identifiers `at` that time (None = now)."""
    return await around(conn, set((await persons_at(conn, node_ids, at)).values()))


async def persons_at(conn: Conn, node_ids: Collection[int], at: datetime | None) -> dict[int, int]:
    if at is None:
        return await nodes.persons_of(conn, node_ids)
    spans = await owners.spans_of(conn, node_ids)
    return {n: span.person_id for n, mine in spans.items() for span in mine if span.covers(at)}


async def around(conn: Conn, persons: Collection[int]) -> frozenset[int]:
    """These persons, by any id they ever had, with their families."""
    found: set[int] = set()
    for person_id in sorted(persons):
        now = await nodes.person_now(conn, person_id) or person_id
        if now not in found:
            found |= {now, *await identity.family(conn, now)}
    return frozenset(found)


async def nodes_of(conn: Conn, persons: Collection[int]) -> set[int]:
    """Every identifier these persons have or ever had."""
    held = await owners.held_by(conn, persons)
    return {node_id for mine in held.values() for node_id, _ in mine}


async def evidence(
    conn: Conn, node_ids: Sequence[int], *, at: datetime | None = None, together: Collection[int] = ()
) -> Evidence:
    """Around who signed (the first of `node_ids`); `together`: persons counted in as if they were family."""
    persons = (await members(conn, node_ids, at=at)) | frozenset(together)
    owned: dict[int, int] = {}
    found: list[Kept] = []
    for person_id in sorted(persons):
        spans = await nodes.intervals(conn, person_id)
        mine = {s.node_id for s in spans}
        owned |= dict.fromkeys(mine, person_id)
        told = await claims.of_nodes(conn, mine)
        found += [k for k in told if any(_covers(span, k.claim) for span in spans)]
    signer = (await persons_at(conn, node_ids[:1], at)).get(node_ids[0])
    relatives = await _relatives(conn, owned, signer)
    masked = await _masked(conn, owned, persons)
    relatives |= {c.node_id: "self" for c in masked}
    by_id = {c.claim_id: c for c in (*(k.claim for k in found), *masked)}
    ordered = tuple(sorted(by_id.values(), key=lambda c: c.order))
    return Evidence(claims=ordered, relatives=relatives, persons=persons)


def _covers(span: nodes.Interval, claim: Claim) -> bool:
    return (
        span.node_id == claim.node_id
        and span.from_at <= claim.at
        and (span.until_at is None or claim.at < span.until_at)
    )


async def _relatives(conn: Conn, owned: Mapping[int, int], signer: int | None) -> dict[int, Relation]:
    """By identifier. Whoever nobody said anything about is of the family, no more."""
    to: dict[int, Relation] = {}
    said = await kin.of_nodes(conn, list(owned)) if len(set(owned.values())) > 1 else []
    for one in reversed(said):  # newest first: the latest word stays
        a, b = owned.get(one.node_a), owned.get(one.node_b or 0)
        if a is None or b is None or a == b or signer not in (a, b):
            continue
        if b == signer:
            to[a] = _SAME.get(one.type, "family")
        else:
            to[b] = _INVERSE.get(one.type, "family")
    return {n: "self" if p == signer else to.get(p, "family") for n, p in owned.items()}


async def _masked(conn: Conn, owned: Mapping[int, int], persons: Collection[int]) -> list[Claim]:
    """Reports whose mask fits a number of the household; how many customers each may mean."""
    shown = await nodes.handles(conn, list(owned))
    phones = {h.value for h in shown.values() if h.kind == "phone"}
    found = []
    for kept, phone in await claims.masked(conn, phones):
        others = await claims.seen_with(conn, kept.claim.by.label, phone) - set(persons)
        found.append(replace(kept.claim, fits=1 + len(others)))
    return found
