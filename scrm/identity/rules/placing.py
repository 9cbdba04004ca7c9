"""Where each event belongs: to who showed an identifier, else to whoever alone could have done it. Pure.

Devices and accounts attach at the time of looking: nothing here makes two identifiers one person.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from scrm.identity.rules import names
from scrm.identity.rules.weak import Use

#: So often seen with a device, it is theirs and not their brother's or sister's.
_SURE = 3
#: What others of a family use too, and give another name with.
LENT = frozenset({"phone", "app_user", "id_card"})
#: A family deals with few of us; a device whose events came to more stands in a shop.
_REPS = 3


@dataclass(slots=True)
class Event:
    """What is kept of an event: who acted, by node, and what to fall back on."""

    id: str
    at: datetime
    type: str
    slot: str
    actors: tuple[int, ...]
    weak: tuple[int, ...]
    account: int | None
    name: str = ""
    #: Which of us it came to.
    rep: str = ""
    #: With a device that says nothing.
    blind: bool = False
    #: By nothing but what others of the family may use too: a telephone, an account.
    lent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an event belongs."""

    person: str
    household: str
    #: By an identifier of its own; False = an anonymous one that nobody can be named for.
    named: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is known by now, as the engine answers it."""

    #: (identifier, when) -> person.
    person: Callable[[int, datetime], int]
    #: Household of every person.
    homes: Mapping[int, int]
    #: Who was seen with each device that says anything; an unknown one is missing.
    uses: Mapping[int, Sequence[Use]]
    #: Identifiers that prove nothing (shared by many) and devices of shops.
    generic: Collection[int]
    public: Callable[[int], bool]
    #: Persons with a learner's number.
    children: Set[int]


class Placer:
    """Places events of one world."""

    def __init__(self, world: World, events: Sequence[Event]) -> None:
        self._world = world
        #: Names each person was shown with, and the learners of each household.
        self._named: dict[int, dict[str, int]] = {}
        self._learners: dict[int, list[int]] = {}
        for child in sorted(world.children):
            self._learners.setdefault(world.homes[child], []).append(child)
        #: Names and households that strangers showed with a device.
        self._shown: dict[int, set[str]] = {}
        self._met: dict[int, set[int]] = {}
        #: Devices that a learner was seen with, and those of us whom a device's events came to.
        self._schooled: set[int] = set()
        self._reps: dict[int, set[str]] = {}
        #: How often each person came to each of us, and was seen with the device they use most.
        self._served: dict[int, dict[str, int]] = {}
        self._most: dict[int, int] = {}
        for used in world.uses.values():
            for use in used:
                self._most[use.person_id] = max(use.n, self._most.get(use.person_id, 0))
        for event in events:
            if event.weak:
                self._watch(event)
            if (person := self._actor(event)) is None:
                self._note(event)
            else:
                self._meet(event, person)
        #: (household, name) -> persons.
        self._called: dict[tuple[int, str], set[int]] = {}
        for person, known in self._named.items():
            for name in known:
                self._called.setdefault((world.homes[person], name), set()).add(person)

    def _watch(self, event: Event) -> None:
        if for_learner(event):
            self._schooled.update(event.weak)
        for n in event.weak if event.rep else ():
            self._reps.setdefault(n, set()).add(event.rep)

    def _meet(self, event: Event, person: int) -> None:
        if event.name:
            known = self._named.setdefault(person, {})
            known[event.name] = known.get(event.name, 0) + 1
        if event.rep:
            served = self._served.setdefault(person, {})
            served[event.rep] = served.get(event.rep, 0) + 1

    def _note(self, event: Event) -> None:
        holder = self._account(event)
        for n in event.weak:
            if event.name:
                self._shown.setdefault(n, set()).add(event.name)
            if holder is not None:
                self._met.setdefault(n, set()).add(self._world.homes[holder])

    def place(self, event: Event) -> Place:
        person = self._actor(event)
        if person is not None:
            return self._spoken(event, person)
        home = self._home(event)
        person = self._learner(event, home) if for_learner(event) else self._adult(event, home)
        if person is not None:
            return self._of(person, named=False)
        facet = self._facet(event)
        return Place(person=facet, household=facet if home is None else f"h{home}", named=False)

    def _of(self, person: int, *, named: bool) -> Place:
        return Place(person=f"p{person}", household=f"h{self._world.homes[person]}", named=named)

    def _actor(self, event: Event) -> int | None:
        for n in event.actors:
            if n not in self._world.generic:
                return self._world.person(n, event.at)
        return None

    def _spoken(self, event: Event, owner: int) -> Place:
        """Where it belongs; if another name was given with a telephone, to whoever of the family bears it."""
        own = self._named.get(owner, {})
        if not event.name or not event.lent or own.get(event.name, 0) * 2 > max(own.values()):
            return self._of(owner, named=True)
        usual = max(own, key=lambda name: (own[name], name))
        home = self._world.homes[owner]
        same = self._called.get((home, event.name), set()) - {owner}
        if not names.differ(event.name, usual) or same & self._world.children or len(same) > 1:
            return self._of(owner, named=True)
        if same:
            return self._of(same.pop(), named=True)
        if names.strangers(event.name, usual):
            return Place(person=f"n{home}|{event.name}", household=f"h{home}")
        return self._of(owner, named=True)

    def _account(self, event: Event) -> int | None:
        if event.account is None or event.account in self._world.generic:
            return None
        return self._world.person(event.account, event.at)

    def _home(self, event: Event) -> int | None:
        """The household it happened in, where that much is known."""
        holder = self._account(event)
        if holder is not None:
            return self._world.homes[holder]
        found = {self._world.homes[u.person_id] for n in event.weak for u in self._world.uses.get(n, ())}
        return found.pop() if len(found) == 1 else None

    def _learner(self, event: Event, home: int | None) -> int | None:
        """The child it was for: by name, by a device no other child has, as the only one of the account."""
        learners = self._learners.get(home, []) if home is not None else []
        if event.name:
            same = [c for c in learners if event.name in self._named.get(c, ())]
            if len(same) == 1:
                return same[0]
            learners = [c for c in learners if not self._differs(event, c)]
        for n in event.weak:
            children: dict[int, int] = {}
            for use in self._world.uses.get(n, ()):
                if use.learner:
                    children[use.person_id] = children.get(use.person_id, 0) + use.n
            if len(children) == 1 and (home is None or children.keys() <= set(learners)):
                # Where there are brothers and sisters once is chance.
                child, times = children.popitem()
                if self._is_not(event, child, times):
                    return None
                return child if len(learners) < 2 or times >= _SURE else None
        # A device that does not tell may be a brother's or a sister's.
        if event.account is None or event.weak or event.blind:
            return None
        return learners[0] if len(learners) == 1 else None

    def _adult(self, event: Event, home: int | None) -> int | None:
        """Whoever alone uses the device; without a device, whose account it is."""
        for n in event.weak:
            # Where a child learns the whole family taps, unless it is said who; a shop's names nobody.
            users = self._world.uses.get(n, ())
            if self._is_shops(n) or (n in self._schooled and not _is_hers(event, users)):
                continue
            alone = {u.person_id for u in users if event.slot != "holder" or not u.learner}
            if len(alone) != 1:
                continue
            person = alone.pop()
            if person not in self._world.children and home in (None, self._world.homes[person]):
                times = sum(u.n for u in users if u.person_id == person)
                return None if self._differs(event, person) or self._is_not(event, person, times) else person
        holder = self._account(event)
        if holder is None or self._differs(event, holder):
            return None
        # A device that does not tell: anybody of the family may have held it.
        return None if event.weak or event.blind else holder

    def _is_not(self, event: Event, person: int, times: int) -> bool:
        """Whether they borrowed the device, or never came to the one of us that this came to."""
        if event.account is not None and event.slot == "unknown" and times < self._most.get(person, 0):
            return True
        served = self._served.get(person, {})
        return (
            bool(event.rep) and len(served) == 1 and event.rep not in served and sum(served.values()) >= _SURE
        )

    def _is_shops(self, n: int) -> bool:
        """Whether it stands in a shop; where everybody deals with anybody of us, that tells nothing."""
        if len(self._reps.get(n, ())) <= _REPS:
            return False
        return all(len(self._served.get(u.person_id, ())) <= _REPS for u in self._world.uses.get(n, ()))

    def _is_new(self, n: int) -> bool:
        return n not in self._world.uses and not self._world.public(n)

    def _differs(self, event: Event, person: int) -> bool:
        return bool(event.name) and names.all_differ((event.name,), self._named.get(person, ()))

    def _facet(self, event: Event) -> str:
        """Somebody without a name: one for each device of one adult with children or of nobody known."""
        for n in event.weak:
            if self._is_shops(n) or len(self._met.get(n, ())) > 1:
                continue
            if names.distinct(self._shown.get(n, ())) > 1:
                continue
            if self._is_new(n):
                return f"d{n}l" if for_learner(event) else f"d{n}"
            adults = {u.person_id for u in self._world.uses.get(n, ()) if not u.learner}
            if len(adults) == 1 and not for_learner(event) and self._home(event) is not None:
                return f"d{n}"
        if event.account is not None and event.name and for_learner(event):
            return f"a{event.account}|{event.name}"
        return f"e{event.id}"


def _is_hers(event: Event, users: Sequence[Use]) -> bool:
    """Whether the holder of the account is at home on a device that a child uses too."""
    return event.slot == "holder" and sum(u.n for u in users if not u.learner) >= _SURE


def for_learner(event: Event) -> bool:
    """Whether a learner did it; a class is for one unless somebody says that the holder sat in it."""
    return event.slot == "learner" or (event.slot == "unknown" and event.type == "class")
