"""The people of a generated world: families of every size, with their telephones, accounts and devices."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from scrm.bench.identity.chances import Dirt, Shape
from scrm.bench.identity.names import Words

CHANNELS = ("oa", "mp", "wecom")
#: Devices that tell every maker's default instead of a number of their own.
_DEFAULT_DEVICES = (
    "9774d56d682e549c",
    "02:00:00:00:00:00",
    "00000000-0000-0000-0000-000000000000",
    "unknown",
)


@dataclass(slots=True, kw_only=True)
class Person:
    """Somebody, and what they could be recognised by."""

    id: str
    part: str
    name: str
    phones: list[str]
    unionid: str
    external: str
    openids: dict[str, str]
    #: Channels that never learn their UnionID.
    nameless_on: frozenset[str]
    device: str
    card: str
    learner: str

    @property
    def adult(self) -> bool:
        return self.part != "child"


@dataclass(slots=True, kw_only=True)
class Household:
    """People who decide together."""

    id: str
    members: list[Person]
    account: str
    home_device: str
    registrar: Person
    payers: list[Person]
    decider: Person
    rep: str
    broker: str
    address: str
    #: Days after the beginning of the world, and how long they are with us.
    start: float
    days: float
    #: Someone they know; only those who do.
    friend: Household | None = field(default=None, repr=False)

    @property
    def adults(self) -> list[Person]:
        return [p for p in self.members if p.adult]

    @property
    def children(self) -> list[Person]:
        return [p for p in self.members if not p.adult]


class Town:
    """Makes the households of one world."""

    def __init__(self, rng: random.Random, dirt: Dirt, shape: Shape) -> None:
        self._rng, self._dirt, self._shape = rng, dirt, shape
        self._words = Words(rng)
        self._people = 0

    def households(self, count: int) -> list[Household]:
        made = [self._household(number) for number in range(count)]
        for one in made:
            if self._rng.random() < self._dirt.friends:
                one.friend = self._rng.choice(made)
        return made

    def _household(self, number: int) -> Household:
        rng = self._rng
        members = [self._person(part, surname) for part, surname in self._parts()]
        parents = [p for p in members if p.part in ("father", "mother")]
        mothers = [p for p in parents if p.part == "mother"]
        registrar = (
            mothers[0] if mothers and rng.random() < self._shape.mother_registers else rng.choice(parents)
        )
        payer = registrar if rng.random() < 0.5 else rng.choice(parents)
        both = len(parents) == 2 and rng.random() < 0.15
        return Household(
            id=f"h{number}",
            members=members,
            account=self._words.token("u", 8),
            home_device=self._words.token("pad-"),
            registrar=registrar,
            payers=parents if both else [payer],
            decider=payer if rng.random() < 0.65 else rng.choice(parents),
            rep=f"rep{number % 40}",
            broker=f"b{rng.randrange(16)}",
            address=f"{rng.randrange(1, 400)}号{rng.randrange(1, 30)}栋{rng.randrange(101, 3200)}",
            start=rng.uniform(0, 330),
            days=rng.choice((10, 30, 60, 120, 200)),
        )

    def _parts(self) -> list[tuple[str, str]]:
        """Who lives there, each with a surname: children bear the father's."""
        rng, words = self._rng, self._words
        his, hers = words.surname(), words.surname()
        draw = rng.random()
        if draw < 0.15:
            return [(rng.choice(("father", "mother")), his)]
        if draw < 0.30:
            return [("father", his), ("mother", hers)]
        children = 2 if rng.random() < 0.28 else 1
        parts = [("father", his), ("mother", hers), *[("child", his)] * children]
        return [*parts, ("grandma", words.surname())] if rng.random() < 0.12 else parts

    def _person(self, part: str, surname: str) -> Person:
        rng, words, dirt = self._rng, self._words, self._dirt
        self._people += 1
        adult = part != "child"
        device = words.token("dev-")
        if rng.random() < dirt.default_device:
            device = rng.choice(_DEFAULT_DEVICES)
        return Person(
            id=f"p{self._people}",
            part=part,
            name=surname + words.given(part),
            phones=[words.phone() for _ in range(1 + (rng.random() < 0.08))] if adult else [],
            unionid=words.token("o6_") if adult else "",
            external=words.token("wm") if adult else "",
            openids={"oa": words.token("oa_"), "mp": words.token("mp_")} if adult else {},
            nameless_on=frozenset(c for c in CHANNELS if rng.random() < dirt.no_unionid),
            device=device,
            card=words.card(part) if adult else "",
            learner="" if adult else words.token("L", 6),
        )
