"""Households of many addresses at once: a handful of statements, however many there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from scrm.db import Conn
from scrm.identity import roles
from scrm.identity import store as nodes
from scrm.identity.kin import store as kin
from scrm.identity.kin.rules import Assigned

#: Of the parts a person plays the one that says most about how to speak to them.
_FIRST = ("buyer", "payer", "registrant", "user")
_PARTS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """One address with the family around it. An address of nobody yet is a family of its own."""

    node_id: int
    person_id: int | None = None
    household_id: int | None = None
    #: This person first, then the others in order of id.
    members: tuple[int, ...] = ()
    #: The person of every address of theirs.
    owners: Mapping[int, int]

    @property
    def nodes(self) -> tuple[int, ...]:
        return tuple(sorted({self.node_id, *self.owners}))


async def homes(conn: Conn, node_ids: Collection[int]) -> dict[int, Home]:
    """By address."""
    persons = await nodes.persons_of(conn, node_ids)
    houses = await nodes.households_of(conn, set(persons.values()))
    lived = await nodes.members(conn, set(houses.values()))
    every = {*persons.values(), *(p for members in lived.values() for p in members)}
    owned: dict[int, list[int]] = defaultdict(list)
    for node, owner in sorted((await nodes.nodes_of(conn, sorted(every))).items()):
        owned[owner].append(node)
    made = {node: Home(node_id=node, owners={}) for node in node_ids}
    for node, person in persons.items():
        house = houses.get(person, person)
        members = (person, *(p for p in lived.get(house, ()) if p != person))
        owners = {n: member for member in members for n in owned[member]}
        made[node] = Home(node_id=node, person_id=person, household_id=house, members=members, owners=owners)
    return made


async def parts(conn: Conn, known: Collection[Home], at: datetime) -> dict[int, str]:
    """By person, the part that says most; who decides is reckoned from talk, and not looked up here."""
    theirs = sorted({n for home in known for n in home.owners})
    assigned = await kin.assigned(conn, theirs, limit=_PARTS)
    accounts = await kin.kind_of(conn, theirs, "app_user")
    found: dict[int, str] = {}
    for home in {h.household_id: h for h in known if h.household_id is not None}.values():
        held: dict[int, set[str]] = defaultdict(set)
        for row in roles.holding(_of(home, assigned), at):
            if row.node_id in home.owners:
                held[home.owners[row.node_id]].add(row.role)
        if not any("registrant" in mine for mine in held.values()):
            oldest = next((n for n, _ in accounts if n in home.owners), None)
            if oldest is not None:
                held[home.owners[oldest]].add("registrant")
        found |= {person: _most(mine) for person, mine in held.items()}
    return found


def _of(home: Home, assigned: Collection[Assigned]) -> list[Assigned]:
    """What is said of these, and what a human said of a context in which they have a part."""
    mine = [r for r in assigned if r.node_id in home.owners]
    contexts = {r.context_id for r in mine if r.context_id}
    return [*mine, *(r for r in assigned if r.node_id not in home.owners and r.context_id in contexts)]


def _most(held: Collection[str]) -> str:
    return next((role for role in _FIRST if role in held), next(iter(sorted(held)), ""))
