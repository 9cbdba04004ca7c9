"""The seam of identity: `resolve` turns a batch of sightings into nodes and keeps persons up to date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from scrm.contract import Handle, Link
from scrm.db import Conn
from scrm.identity import rules, store
from scrm.identity.rules import Address, address


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One event as identity sees it."""

    event_id: int
    at: datetime
    key: str
    handles: Sequence[Handle]
    links: Sequence[Link] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Node of every address in the batch; which are new; which persons changed by a join or a name."""

    nodes: dict[Address, int]
    new: frozenset[int] = frozenset()
    changed: frozenset[int] = field(default=frozenset())


async def resolve(conn: Conn, batch: Sequence[Sighting], now: datetime) -> Resolved:
    """Find or make every node, record the evidence, join what it proves. Order does not matter."""
    first = _first_sightings(batch)
    keys = {a: store.value_key(conn, new.handle) for a, new in first.items()}
    known = await store.by_value_key(conn, keys.values())
    missing = [a for a, key in keys.items() if key not in known]
    made: set[int] = set()
    if missing:
        made = await store.add(conn, [_with_key(first[a], keys[a]) for a in missing])
        known |= await store.by_value_key(conn, [keys[a] for a in missing])
        # Another process may have made one first, and its person may be somebody else's by now.
        fresh = [n for a in missing if (n := known[keys[a]]).node_id in made]
        await store.found(conn, [n for n in fresh if rules.is_person(n.kind)])
    nodes = {a: known[key].node_id for a, key in keys.items()}
    new = frozenset(made)
    ages = {n.node_id: n for n in known.values()}
    moved = await _settle_times(conn, batch, first, nodes, ages, new, now=now)
    joined = await _record_links(conn, batch, nodes)
    named = await _record_names(conn, batch, nodes)
    apart = await _apart(conn, joined)
    changed = await _project(conn, {*moved, *named, *(n for pair in apart for n in pair)}, apart)
    return Resolved(nodes=nodes, new=new, changed=changed)


def _first_sightings(batch: Sequence[Sighting]) -> dict[Address, store.New]:
    """The canonical-first event of each address within the batch."""
    first: dict[Address, store.New] = {}
    for s in batch:
        shown = (*s.handles, *(h for link in s.links for h in (link.a, link.b)))
        for place, handle in enumerate(shown):
            # Its place tells apart what one event shows first: else arrival would decide who is older.
            new = store.New(handle=handle, value_key=b"", at=s.at, key=f"{s.key}|{place:03}")
            held = first.get(address(handle))
            if held is None or (new.at, new.key) < (held.at, held.key):
                first[address(handle)] = new
    return first


def _with_key(new: store.New, key: bytes) -> store.New:
    return store.New(handle=new.handle, value_key=key, at=new.at, key=new.key)


async def _settle_times(
    conn: Conn,
    batch: Sequence[Sighting],
    first: dict[Address, store.New],
    nodes: dict[Address, int],
    known: dict[int, rules.Node],
    new: frozenset[int],
    *,
    now: datetime,
) -> set[int]:
    """Keep first and last sighting right; the nodes that turned out to be older than we knew."""
    last: dict[int, datetime] = {}
    for s in batch:
        for handle in s.handles:
            node_id = nodes[address(handle)]
            # A vendor's clock that runs ahead must not make an identifier look alive tomorrow.
            at = min(s.at, now)
            last[node_id] = max(last.get(node_id, at), at)
    await store.touch(conn, last, {n for n in last if not rules.is_person(known[n].kind)})
    older = set()
    for a, sighting in first.items():
        node_id = nodes[a]
        if node_id not in new and (sighting.at, sighting.key) < known[node_id].order:
            await store.first_seen(conn, node_id, at=sighting.at, key=sighting.key)
            older.add(node_id)
    return {n for n in older if rules.is_person(known[n].kind)}


async def _record_links(
    conn: Conn, batch: Sequence[Sighting], nodes: dict[Address, int]
) -> list[tuple[int, int]]:
    pairs, rows = [], []
    for s in batch:
        for link in s.links:
            a, b = sorted((nodes[address(link.a)], nodes[address(link.b)]))
            if a == b:
                continue
            if link.kind == "same_person":
                pairs.append((a, b))
            row = {
                "node_a": a,
                "node_b": b,
                "class": link.kind,
                "rule": link.rule,
                "strength": link.strength,
                "first_event_id": s.event_id,
                "first_at": s.at,
                "last_at": s.at,
            }
            rows.append(row)
    await store.add_evidence(conn, rows)
    return pairs


async def _record_names(conn: Conn, batch: Sequence[Sighting], nodes: dict[Address, int]) -> set[int]:
    """What channels call people: the latest word wins, whichever arrives first."""
    said = {
        nodes[address(h)]: (s.at, h)
        for s in sorted(batch, key=lambda s: (s.at, s.key))
        for h in s.handles
        if h.name and rules.is_person(h.kind)
    }
    since = await store.named_at(conn, list(said))
    newer = {n: (at, h) for n, (at, h) in said.items() if n not in since or at > since[n]}
    before = await store.handles(conn, list(newer))
    await store.set_names(conn, newer)
    return {n for n, (_, h) in newer.items() if (before[n].name, before[n].avatar) != (h.name, h.avatar)}


async def _apart(conn: Conn, pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those pairs that are not one person yet: nearly all links say what we know already."""
    persons = await store.persons_of(conn, {n for pair in pairs for n in pair})
    return [(a, b) for a, b in pairs if persons.get(a) != persons.get(b)]


async def _project(conn: Conn, touched: set[int], links: Iterable[tuple[int, int]]) -> frozenset[int]:
    """Re-derive the persons of every component something happened to."""
    if not touched:
        return frozenset()
    # Two processes that join overlapping components must do it one after the other.
    await conn.lock("identity")
    nodes = {n.node_id: n for n in await store.components(conn, touched)}
    by_person: dict[int, list[int]] = {}
    for n in nodes.values():
        by_person.setdefault(n.person_id or n.birth_id, []).append(n.node_id)
    held = [(ids[0], other) for ids in by_person.values() for other in ids[1:]]
    groups = rules.components(nodes, [*held, *links])
    parts = [[nodes[i] for i in sorted(group)] for group in groups]
    persons = {rules.person_of(component): component for component in parts}
    await store.project(conn, persons)
    return frozenset(persons)


async def find(conn: Conn, handle: Handle) -> int | None:
    """The node of an address we have met before."""
    key = store.value_key(conn, handle)
    found = (await store.by_value_key(conn, [key])).get(key)
    return found.node_id if found else None


async def family(conn: Conn, person_id: int) -> list[int]:
    """This person first, then those whom evidence of one household ties to them, in order of id.

    Bounded: two steps away, `rules.FAMILY` persons at the most.
    """
    return (await household(conn, person_id)).members


@dataclass(frozen=True, slots=True, kw_only=True)
class Household:
    #: As `family` lists them.
    members: list[int]
    #: The person of every node these have today.
    owners: Mapping[int, int]


async def household(conn: Conn, person_id: int) -> Household:
    """The family with its addresses, in as few looks as that takes."""
    known, edge = [person_id], {person_id}
    owners: dict[int, int] = {}
    for _ in range(2):
        mine = await store.nodes_of(conn, edge)
        owners |= mine
        tied = await store.household_nodes(conn, mine)
        found = set((await store.persons_of(conn, tied)).values()) - set(known)
        edge = set(sorted(found)[: rules.FAMILY - len(known)])
        known += sorted(edge)
        if not edge:
            break
    else:
        owners |= await store.nodes_of(conn, edge)
    return Household(members=known, owners=owners)
