"""A seeded world of households as one stream of events with its truth. Knows nothing of how we decide."""

from __future__ import annotations

import random
from collections.abc import Sequence

from scrm.bench.identity.chances import Dirt, Shape
from scrm.bench.identity.lives import Life
from scrm.bench.identity.names import Words
from scrm.bench.identity.people import Household, Town
from scrm.bench.identity.told import Draft, Pen, bound
from scrm.bench.identity.values import Stream

#: As many events as the figures in the documentation: about thirty thousand.
HOUSEHOLDS = 2_000
#: A dropped number comes back to the market after so many days.
_MARKET_DAYS = 90


def generate(seed: int, *, households: int = HOUSEHOLDS, dirt: float = 1.0, shape: Shape) -> Stream:
    """The same seed, size, dirt and shape make the same stream."""
    rng = random.Random(f"{seed}/{shape.name}/{dirt}")
    shares = Dirt().times(dirt)
    town = Town(rng, shares, shape).households(households)
    pen = Pen(rng, shares, shape, town, Words(rng))
    handed = _recycle(town, shares, rng)
    for home in town:
        Life(pen, home).live()
    _mark(pen.drafts, handed)
    return bound(pen.drafts, rng)


def _recycle(town: Sequence[Household], dirt: Dirt, rng: random.Random) -> set[str]:
    """Some adults get a number that somebody gave up; the one who gave it up has a new one, or left us."""
    order = sorted(town, key=lambda h: h.start)
    handed: set[str] = set()
    for home in rng.sample(order, round(len(order) * dirt.recycled)):
        before = [h for h in order if h is not home and h.start < 200]
        old = rng.choice(before)
        giver, taker = rng.choice(old.adults), rng.choice(home.adults)
        number = giver.phones[0]
        if number in handed or taker.phones[0] in handed:
            continue
        # Both lives move apart: the silence between them is what the market wants, and a little.
        old.days = min(old.days, 60.0)
        home.start = max(home.start, old.start + old.days + _MARKET_DAYS + rng.uniform(2, 120))
        taker.phones[0] = number
        handed.add(number)
    return handed


def _mark(drafts: Sequence[Draft], handed: set[str]) -> None:
    for one in drafts:
        if not one.dirt and any(i.kind == "phone" and i.value in handed for i in one.ids):
            one.dirt = "recycled"
