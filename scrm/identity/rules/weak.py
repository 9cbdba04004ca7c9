"""Devices and other weak identifiers: they belong to whoever alone uses them, and join nobody. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scrm.identity.rules.policy import Policy
from scrm.identity.rules.solving import is_crowded
from scrm.identity.rules.values import Vertex


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Somebody was seen with it `n` times."""

    person_id: int
    n: int = 1
    #: Whom it is about: a learner, who does not answer for the household.
    learner: bool = False


def owner(policy: Policy, vertex: Vertex, uses: Iterable[Use]) -> int | None:
    """The one person who uses it; None = nobody known, or several."""
    if is_crowded(policy, vertex):
        return None
    persons = {u.person_id for u in uses}
    return persons.pop() if len(persons) == 1 else None


def shared(policy: Policy, vertex: Vertex, uses: Sequence[Use]) -> list[int]:
    """The two or three persons a device of the home ties; [] = it ties nobody."""
    if not policy.device_uses or is_crowded(policy, vertex):
        return []
    counted: dict[int, int] = {}
    for use in uses:
        counted[use.person_id] = counted.get(use.person_id, 0) + use.n
    # One stray use by a stranger makes it no home device.
    if not 2 <= len(counted) <= policy.device_persons:
        return []
    return sorted(p for p, n in counted.items() if n >= policy.device_uses)
