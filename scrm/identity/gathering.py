"""What a batch of sightings says, before anything is looked up: who was met when, and what ties whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from scrm.contract import Handle, Link
from scrm.identity.rules import Address, address
from scrm.identity.rules.names import REP, normal
from scrm.identity.rules.policy import Kind, Policy, is_blocked
from scrm.identity.rules.values import Said

#: A device that acts together with somebody.
SEEN_WITH = "seen.with"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One event as identity sees it."""

    event_id: int
    at: datetime
    key: str
    handles: Sequence[Handle]
    links: Sequence[Link] = ()
    #: Which of us took part; "" = nobody: a number that many of us are called from is nobody's own.
    rep: str = ""


@dataclass(slots=True, kw_only=True)
class Met:
    """An identifier in a batch."""

    handle: Handle
    kind: Kind
    #: Its canonical-first event: its place tells apart what one event shows first.
    at: datetime
    key: str
    times: list[datetime] = field(default_factory=list)
    #: What it was last called, and when.
    called: tuple[datetime, str, Handle] | None = None
    words: list[Said] = field(default_factory=list)

    @property
    def is_blocked(self) -> bool:
        return is_blocked(self.kind, self.handle.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tied:
    """Evidence in a batch."""

    a: Address
    b: Address
    cls: str
    rule: str
    strength: int
    event_id: int
    at: datetime
    key: str


@dataclass(slots=True, kw_only=True)
class Gathered:
    met: dict[Address, Met] = field(default_factory=dict)
    ties: list[Tied] = field(default_factory=list)


def gather(policy: Policy, batch: Iterable[Sighting], *, now: datetime) -> Gathered:
    found = Gathered()
    for s in batch:
        # A vendor's clock that runs ahead must not make an identifier look alive tomorrow.
        at = min(s.at, now)
        shown = (*s.handles, *(h for link in s.links for h in (link.a, link.b)))
        for place, handle in enumerate(shown):
            _meet(policy, found, s, handle, f"{s.key}|{place:03}", at)
        for handle in s.handles:
            _call(found.met[address(handle)], s, handle)
        _listen(found, s)
        _tie(policy, found, s)
    return found


def _meet(policy: Policy, found: Gathered, s: Sighting, handle: Handle, key: str, at: datetime) -> None:
    one = found.met.get(address(handle))
    if one is None:
        kind = policy.kind(handle.kind)
        one = found.met[address(handle)] = Met(handle=handle, kind=kind, at=s.at, key=key)
    elif (s.at, key) < (one.at, one.key):
        one.at, one.key, one.handle = s.at, key, handle
    one.times.append(at)


def _call(one: Met, s: Sighting, handle: Handle) -> None:
    """The latest word wins, whichever arrives first."""
    if handle.name and not one.kind.place and (one.called is None or (s.at, s.key) >= one.called[:2]):
        one.called = (s.at, s.key, handle)


def _listen(found: Gathered, s: Sighting) -> None:
    """Names that whoever shares an identifier was shown with: theirs by this event's own word."""
    named = {address(h): n for h in s.handles if (n := normal(h.name))}
    for h in s.handles if s.rep else ():
        if h.part == "actor":
            _hear(found.met[address(h)], REP + s.rep, s.at)
    for link in s.links:
        for mine, other in ((link.a, link.b), (link.b, link.a)):
            if link.kind == "same_person" and address(mine) not in named and address(other) in named:
                _hear(found.met[address(mine)], named[address(other)], s.at)
    for a, name in named.items():
        _hear(found.met[a], name, s.at)


def _hear(one: Met, name: str, at: datetime) -> None:
    if one.kind.max_names:
        one.words.append(Said(name=name, first_at=at, last_at=at))


def _tie(policy: Policy, found: Gathered, s: Sighting) -> None:
    for link in s.links:
        a, b = address(link.a), address(link.b)
        kinds = found.met[a].kind, found.met[b].kind
        if a == b or any(k.place for k in kinds):
            continue
        if all(k.merge for k in kinds):
            found.ties.append(_said(s, a, b, link.kind, link.rule, link.strength))
        elif link.kind == "same_person" and any(k.merge for k in kinds):  # a device is in nobody's family
            found.ties.append(_said(s, a, b, "uses", link.rule, link.strength))
    actors = [h for h in s.handles if h.part == "actor" and not policy.kind(h.kind).place]
    strong = [h for h in actors if policy.kind(h.kind).merge]
    if strong and len(actors) > len(strong):
        anchor = max(strong, key=lambda h: (policy.kind(h.kind).strength, address(h)))
        for h in actors:
            if not policy.kind(h.kind).merge:
                found.ties.append(_said(s, address(h), address(anchor), "uses", SEEN_WITH, 0))


def _said(s: Sighting, a: Address, b: Address, cls: str, rule: str, strength: int) -> Tied:
    return Tied(a=a, b=b, cls=cls, rule=rule, strength=strength, event_id=s.event_id, at=s.at, key=s.key)
