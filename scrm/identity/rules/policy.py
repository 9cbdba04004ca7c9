"""The policy of identity as values: how far each kind of identifier and each rule is trusted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

Normaliser = Literal["plain", "phone", "email", "digits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What one kind of identifier proves."""

    name: str
    #: What it is called in sentences.
    title: str = ""
    #: 0..100: the identifier of an event that weighs most names its actor.
    strength: int = 0
    #: Whether it may make two identifiers one person; a weak one (device, address) is only counted.
    merge: bool = True
    #: A place or a list of ours (chat, hotline, tag): founds no person.
    place: bool = False
    #: Most values of this kind one person has per scope; 0 = any number.
    exclusive: int = 0
    #: More different persons than this on one value make it generic; 0 = never.
    max_persons: int = 0
    #: More different names than this on one value make it generic; 0 = names are not counted.
    max_names: int = 0
    #: More of our own people than this saw it, and nothing else says whose it is: generic; 0 = not counted.
    max_reps: int = 0
    #: Silence, in days, after which a contradiction means a new owner; 0 = never changes hands.
    epoch_gap_days: int = 0
    #: Regular expressions of values that say nothing; each must match the whole normalised value.
    blocked: tuple[str, ...] = ()
    normalise: Normaliser = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All of it. Equal versions decide equally."""

    version: int
    kinds: Mapping[str, Kind]
    #: Strength by rule where it differs from what the channel says; 0 = the rule is not believed.
    rules: Mapping[str, int] = field(default_factory=dict)
    #: Identifiers one person may have.
    person_cap: int = 64
    #: Persons one household may have.
    household_cap: int = 8
    #: A device ties two or three persons after so many uses by each pair; 0 = never.
    device_uses: int = 3
    device_persons: int = 3

    def kind(self, name: str) -> Kind:
        """An unknown kind is carried, and proves nothing."""
        return self.kinds.get(name) or Kind(name=name, merge=False)

    def strength(self, rule: str, said: int) -> int:
        return self.rules.get(rule, said)


def is_blocked(kind: Kind, value: str) -> bool:
    """Whether this value names nobody, whoever shows it."""
    for matches in _matchers(kind.blocked) if kind.blocked else ():
        if matches(value):
            return True
    return False


@lru_cache(maxsize=256)
def _matchers(patterns: tuple[str, ...]) -> tuple[Callable[[str], object], ...]:
    return tuple(re.compile(pattern).fullmatch for pattern in patterns)
