"""A day of talk as the vendor has it, the disorder in which it arrives, and the timeline it must become."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from scrm.contract import Envelope
from scrm.db import Database
from scrm.identity.store import Interval
from scrm.timeline.store import events
from tests.ground import NOW, House, handle, node_of, raw

#: Arrivals overtake each other by so many places.
WINDOW = 100
#: Part of them that come late, up to an hour; twice; and that are taken back.
LATE, TWICE, RECALLED = 0.03, 0.05, 0.05
HOUR = timedelta(hours=1)
#: Vendor's seconds carry a few events each, so that only its sequence says which was first.
APART = timedelta(seconds=0.36)
_PAGE = 200
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One thing that happened: its source key and what the connector reads in it."""

    key: str
    customer: str
    envelope: Envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a timeline as somebody reads it."""

    at: datetime
    seq: int
    key: str
    kind: str
    text: str
    recalled: bool


def happened(rng: random.Random, count: int, customers: int) -> list[Told]:
    """In the vendor's order; a recall names an earlier message of the same customer."""
    made: list[Told] = []
    said: dict[str, list[str]] = defaultdict(list)
    for number in range(count):
        customer = f"c{rng.randrange(customers):04d}"
        at = (NOW + number * APART).replace(microsecond=0)
        kind, text, recalls = "message.text", f"第 {number} 句", ""
        if said[customer] and rng.random() < RECALLED:
            kind, text = "event.recalled", "客户撤回了一条消息"
            recalls = said[customer].pop(rng.randrange(len(said[customer])))
        else:
            said[customer].append(f"m{number}")
        direction = "in" if kind == "event.recalled" or rng.random() < 0.6 else "out"
        part = "actor" if direction == "in" else "other"
        envelope = Envelope(
            kind=kind,
            direction="out" if direction == "out" else "in",
            at=at,
            seq=number,
            text=text,
            recalls=recalls,
            handles=(handle(customer, part=part),),
        )
        made.append(Told(key=f"m{number}", customer=customer, envelope=envelope))
    return made


def arrivals(rng: random.Random, told: Sequence[Told]) -> list[Told]:
    """The same, shuffled, late and doubled; some messages come after their own recall."""
    hour = HOUR / APART
    placed: list[tuple[float, int]] = []
    taken_back = {one.envelope.recalls for one in told if one.envelope.recalls}
    for place, one in enumerate(told):
        late = rng.random() < (0.3 if one.key in taken_back else LATE)
        when = place + rng.uniform(0, WINDOW) + (rng.uniform(0, hour) if late else 0)
        placed.append((when, place))
        if rng.random() < TWICE:
            placed.append((when + rng.uniform(0, hour), place))
    return [told[place] for _, place in sorted(placed)]


def recalled_before_it_came(arrived: Sequence[Told]) -> int:
    """How many recalls arrive before their message."""
    first: dict[str, int] = {}
    for place, one in enumerate(arrived):
        first.setdefault(one.key, place)
    return sum(
        first[one.envelope.recalls] > place for place, one in enumerate(arrived) if one.envelope.recalls
    )


def expected(told: Sequence[Told]) -> dict[str, list[Line]]:
    """Each customer's timeline, newest first."""
    taken_back = {one.envelope.recalls for one in told if one.envelope.recalls}
    found: dict[str, list[Line]] = defaultdict(list)
    for one in sorted(told, key=lambda one: (one.envelope.at, one.envelope.seq or 0), reverse=True):
        e = one.envelope
        found[one.customer].append(
            Line(
                at=e.at,
                seq=e.seq or 0,
                key=one.key,
                kind=e.kind,
                text=e.text,
                recalled=one.key in taken_back,
            )
        )
    return found


Clock = Callable[[int, Envelope], Envelope]


def vendors_clock(_place: int, envelope: Envelope) -> Envelope:
    return envelope


def our_own_clock(place: int, envelope: Envelope) -> Envelope:
    """Wrong on purpose: an event counts from when it arrived."""
    return replace(envelope, at=NOW + place * APART, seq=place)


async def pour(house: House, arrived: Sequence[Told], *, clock: Clock = vendors_clock) -> None:
    """Everything through inbox and settle, a few hundred at a time."""
    for start in range(0, len(arrived), 500):
        raws = []
        for place, one in enumerate(arrived[start : start + 500], start):
            house.channel.says.setdefault(one.key.encode(), [clock(place, one.envelope)])
            raws.append(raw(one.key, lane=one.customer))
        await house.inbox.accept(house.account, raws, received_at=NOW)
        while await house.pipeline.settle(house.account.tenant_id):
            pass


async def timelines(db: Database, house: House, customers: Sequence[str]) -> dict[str, list[Line]]:
    """As a page of each customer shows it, newest first."""
    found = {}
    async with db.read(house.account.tenant_id) as conn:
        for customer in customers:
            node = Interval(node_id=await node_of(conn, customer), from_at=_LONG_AGO, until_at=None)
            page = await events.page(conn, [node], before=None, limit=_PAGE)
            whole = list(page)
            while len(page) == _PAGE:
                page = await events.page(conn, [node], before=page[-1].place, limit=_PAGE)
                whole += page
            found[customer] = [
                Line(
                    at=e.at,
                    seq=e.seq,
                    key=e.source_key,
                    kind=e.kind,
                    text=e.text,
                    recalled=e.recalled_at is not None,
                )
                for e in whole
            ]
    return found
