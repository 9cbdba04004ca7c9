"""The seam of identity: `resolve` turns a batch of sightings into nodes and keeps persons up to date."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from scrm.contract import Handle
from scrm.db import Conn
from scrm.identity import gathering, store, versions
from scrm.identity.closure import Fresh
from scrm.identity.gathering import Gathered, Met, Sighting
from scrm.identity.projecting import Changed, Dirty, project
from scrm.identity.rules import Address, address, families
from scrm.identity.rules.epochs import seen_at
from scrm.identity.rules.policy import Policy
from scrm.identity.rules.solving import crowds
from scrm.identity.store import evidence, nodes, spoken
from scrm.identity.store.evidence import Kept, Saw
from scrm.identity.store.nodes import Known, New

__all__ = [
    "Household",
    "Resolved",
    "Sighting",
    "address",
    "family",
    "find",
    "household",
    "household_now",
    "resolve",
]

#: Silence that is worth remembering even before a policy asks for it.
_SILENCE = timedelta(days=30)
#: An identifier that changes hands and was seen so lately needs no closer look.
_LATELY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Node of every address in the batch; which are new; which persons changed by a join or a name."""

    nodes: dict[Address, int]
    new: frozenset[int] = frozenset()
    changed: frozenset[int] = field(default=frozenset())
    #: Households with other members since now.
    households: frozenset[int] = frozenset()
    #: Nodes (telephones) that have another owner since now.
    recycled: frozenset[int] = frozenset()


async def resolve(conn: Conn, batch: Sequence[Sighting], now: datetime) -> Resolved:
    """Find or make every node, record the evidence, derive whose they are. Order does not matter."""
    return await conn.together(lambda: _resolved(conn, batch, now))


async def _resolved(conn: Conn, batch: Sequence[Sighting], now: datetime) -> Resolved:
    policy = await versions.current(conn)
    found = gathering.gather(policy, batch, now=now)
    work = _Work(conn=conn, policy=policy, found=found)
    await work.meet()
    await work.record()
    changed = await work.settle(now)
    return Resolved(
        nodes={a: k.node_id for a, k in work.known.items()},
        new=frozenset(work.fresh.nodes),
        changed=changed.persons | work.renamed,
        households=changed.households,
        recycled=changed.recycled,
    )


@dataclass(slots=True, kw_only=True)
class _Work:
    """One batch on its way."""

    conn: Conn
    policy: Policy
    found: Gathered
    known: dict[Address, Known] = field(default_factory=dict)
    fresh: Fresh = field(default_factory=Fresh)
    dirty: Dirty = field(default_factory=Dirty)
    #: Pieces of evidence that are new, by node that is not.
    degree: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    kin: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    #: Nodes of which more than the last sight may be another.
    careful: dict[int, Met] = field(default_factory=dict)
    renamed: frozenset[int] = frozenset()
    #: There is evidence that was never there before.
    grown: bool = False

    # -- nodes ---------------------------------------------------------------------------------------------
    async def meet(self) -> None:
        """Find or make every node."""
        conn, met = self.conn, self.found.met
        keys = {a: store.value_key(conn, one.handle) for a, one in met.items()}
        known = await nodes.by_value_key(conn, keys.values())
        missing = [a for a, key in keys.items() if key not in known]
        if missing:
            degree, kin = self._counts()
            made = await nodes.add(conn, [self._new(met[a], keys[a], degree[a], kin[a]) for a in missing])
            self.fresh.nodes = {k.node_id: k for k in made.values()}
            # Another process may have made one first.
            others = [keys[a] for a in missing if keys[a] not in made]
            known |= made | await nodes.by_value_key(conn, others)
        self.known = {a: known[key] for a, key in keys.items()}

    def _counts(self) -> tuple[dict[Address, int], dict[Address, int]]:
        """Evidence by identifier, as if all of it were new: about persons, and about families."""
        ties = {(min(t.a, t.b), max(t.a, t.b), t.cls, t.rule) for t in self.found.ties}
        degree, kin = defaultdict[Address, int](int), defaultdict[Address, int](int)
        for a, b, cls, _ in ties:
            for one in (a, b):
                counts = degree if crowds(cls, self.found.met[one].kind.merge) else kin
                counts[one] += 1
        return degree, kin

    def _new(self, one: Met, key: bytes, degree: int, kin: int) -> New:
        first, last, gaps = self._seen(one, None)
        return New(
            handle=one.handle,
            value_key=key,
            at=one.at,
            key=one.key,
            last_at=max(first, last),
            gaps=gaps,
            degree=degree,
            kin=kin,
            state="blocked" if one.is_blocked else "active",
            named=(one.called[0], one.called[2]) if one.called else None,
        )

    def _seen(
        self, one: Met, known: Known | None
    ) -> tuple[datetime, datetime, tuple[tuple[datetime, datetime], ...]]:
        """First, last and silences between, with what this batch saw."""
        times = sorted(one.times)
        first, last = times[0], times[0]
        gaps: tuple[tuple[datetime, datetime], ...] = ()
        if known is not None:
            first, last, gaps = known.vertex.first_at, known.vertex.last_at, known.vertex.gaps
        days = one.kind.epoch_gap_days
        silence = min(_SILENCE, timedelta(days=days)) if days else timedelta.max
        for at in times:
            first, last, gaps = seen_at(first, last, gaps, at, silence)
        return first, last, gaps

    # -- evidence ------------------------------------------------------------------------------------------
    async def record(self) -> None:
        """Write down what was said, and find out whether anything is new."""
        rows = []
        for t in self.found.ties:
            ends = (self.known[t.a].node_id, self.known[t.b].node_id)
            rows.append(
                Saw(
                    a=min(ends),
                    b=max(ends),
                    cls=t.cls,
                    rule=t.rule,
                    strength=t.strength,
                    event_id=t.event_id,
                    at=t.at,
                    key=t.key,
                )
            )
        by_id = {k.node_id: k for k in self.known.values()}
        for kept in await evidence.add(self.conn, rows):
            self._weigh(kept, by_id)
        await self._listen()
        for a, one in self.found.met.items():
            known = self.known[a]
            if known.node_id not in self.fresh.nodes and self._is_remarkable(one, known):
                self.careful[known.node_id] = one

    def _weigh(self, kept: Kept, by_id: Mapping[int, Known]) -> None:
        edge = kept.edge
        if not kept.standing:
            return
        self.fresh.edges.append(edge)
        if kept.new:
            self.grown = True
            for n in {edge.a, edge.b} - self.fresh.nodes.keys():
                counts = self.degree if crowds(edge.cls, self.policy.kind(by_id[n].kind).merge) else self.kin
                counts[n] += 1
        enough = {"uses": self.policy.device_uses, "same_household": families.REPEATED}
        few = edge.n - kept.added < enough.get(edge.cls, 0)
        gaps = edge.cls == "same_person" and any(by_id[n].vertex.gaps for n in (edge.a, edge.b))
        if kept.older or few or gaps:
            self.dirty.touch([edge])

    def _is_remarkable(self, one: Met, known: Known) -> bool:
        v = known.vertex
        if (one.at, one.key) < (v.first_at, v.first_key):
            return True
        if not one.kind.epoch_gap_days:
            return False
        times = (min(one.times), max(one.times))
        return times[0] < v.first_at or times[1] > v.last_at + _LATELY or bool(v.gaps)

    async def _listen(self) -> None:
        """Names an identifier was shown with, of kinds that several people may share."""
        said = {self.known[a].node_id: one.words for a, one in self.found.met.items() if one.words}
        old = await spoken.of(self.conn, said.keys() - self.fresh.nodes.keys())
        silent = {k.node_id for k in self.known.values() if k.vertex.gaps}
        told = {}
        for n, words in said.items():
            before = old.get(n, ())
            fresh = [w for w in words if not spoken.covered(before, w)]
            if fresh:
                told[n] = fresh
            known = {w.name for w in before}
            if any(w.name not in known for w in fresh) or (fresh and n in silent):
                self.dirty.persons.add(n)
        await spoken.say(self.conn, told)

    # -- persons -------------------------------------------------------------------------------------------
    async def settle(self, now: datetime) -> Changed:
        """Names and times, and whatever follows from what is new."""
        await self._call()
        counted = self.degree.keys() | self.kin.keys()
        older = (self.dirty.nodes | counted | self.careful.keys()) - self.fresh.nodes.keys()
        locked = bool(older) or self.grown
        if locked:
            # Two processes that change overlapping persons must do it one after the other; so with the log.
            await self.conn.lock("identity")
            await self._look_again(older)
        seen = self._last_seen()
        changed = Changed()
        if self.dirty.nodes or self.fresh.nodes or self.fresh.changed:
            changed = await project(
                self.conn, self.policy, self.dirty, fresh=self.fresh, seen=seen, now=now, locked=locked
            )
        elif self.fresh.names:
            await nodes.hold(self.conn, seen)
            await nodes.set_names(self.conn, self.fresh.names)
        places = {k.node_id for a, k in self.known.items() if self.found.met[a].kind.place}
        await nodes.touch(self.conn, seen, places)
        return changed

    def _last_seen(self) -> dict[int, datetime]:
        """Of nodes that nothing else is written of."""
        return {
            k.node_id: max(self.found.met[a].times)
            for a, k in self.known.items()
            if k.node_id not in self.fresh.nodes and k.node_id not in self.fresh.changed
        }

    async def _look_again(self, older: Iterable[int]) -> None:
        """As they are now that nobody else changes them."""
        by_id = {k.node_id: self.found.met[a] for a, k in self.known.items()}
        for n, known in (await self._as_they_are(set(older))).items():
            one, v = by_id[n], known.vertex
            _, last, gaps = self._seen(one, known)
            order = min((v.first_at, v.first_key), (one.at, one.key))
            if not one.kind.place and (order != (v.first_at, v.first_key) or gaps != v.gaps):
                self.dirty.persons.add(n)
            vertex = replace(
                v,
                first_at=order[0],
                first_key=order[1],
                last_at=max(last, v.last_at),
                gaps=gaps,
                degree=v.degree + self.degree.get(n, 0),
                kin=v.kin + self.kin.get(n, 0),
            )
            self.fresh.change(known, vertex)

    async def _as_they_are(self, older: set[int]) -> dict[int, Known]:
        if self.conn.many:
            return await nodes.by_id(self.conn, older)
        # There is one writer: nobody can have changed them since they were met.
        return {k.node_id: k for k in self.known.values() if k.node_id in older}

    async def _call(self) -> None:
        """What channels call people: the latest word wins, whichever arrives first."""
        said = {
            self.known[a].node_id: (one.called[0], one.called[2])
            for a, one in self.found.met.items()
            if one.called and self.known[a].node_id not in self.fresh.nodes
        }
        since = {k.node_id: k.named_at for k in self.known.values() if k.named_at}
        newer = {n: (at, h) for n, (at, h) in said.items() if n not in since or at > since[n]}
        before = await nodes.called(self.conn, newer)
        other = {n for n, (_, h) in newer.items() if before[n] != (h.name, h.avatar)}
        self.fresh.names = newer
        self.dirty.named |= newer.keys() - since.keys()
        if other:
            self.renamed = frozenset((await store.persons_of(self.conn, other)).values())


# -- asking ------------------------------------------------------------------------------------------------
async def find(conn: Conn, handle: Handle) -> int | None:
    """The node of an address we have met before."""
    key = store.value_key(conn, handle)
    found = (await store.by_value_key(conn, [key])).get(key)
    return found.node_id if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Household:
    #: The person asked about first, then the others in order of id.
    members: list[int]
    #: The person of every node these have today.
    owners: Mapping[int, int]
    household_id: int = 0


async def family(conn: Conn, person_id: int) -> list[int]:
    """This person first, then the others of their household, in order of id."""
    home = (await store.households_of(conn, [person_id])).get(person_id)
    if home is None:
        return [person_id]
    members = (await store.members(conn, [home]))[home]
    return [person_id, *(p for p in members if p != person_id)]


async def household(conn: Conn, person_id: int) -> Household:
    """The family with its addresses."""
    home = (await store.households_of(conn, [person_id])).get(person_id, person_id)
    members = (await store.members(conn, [home])).get(home, [])
    known = [person_id, *(p for p in members if p != person_id)]
    return Household(members=known, owners=await store.nodes_of(conn, known), household_id=home)


async def household_now(conn: Conn, any_id: int) -> int | None:
    """The household an id stands for today: of a household, or of a person."""
    person = await store.person_now(conn, any_id)
    if person is None:
        return None
    return (await store.households_of(conn, [person])).get(person, person)
