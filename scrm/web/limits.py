"""How much one visitor, one address and all of them together may ask; levels are shared by all processes."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Protocol

from scrm.errors import Busy, TooMany

Rate = tuple[float, float]
#: Tenant and account.
Owner = tuple[int, int]

#: What is counted -> (at once, then a second): first for one visitor, then for one address.
RATES: Mapping[str, tuple[Rate, Rate]] = MappingProxyType(
    {
        "session": ((10, 0.2), (60, 1)),
        "identify": ((6, 0.1), (60, 1)),
        "message": ((12, 1), (120, 5)),
        "file": ((6, 0.1), (30, 0.5)),
        "read": ((20, 2), (240, 20)),
        "look": ((40, 4), (400, 40)),
        "stream": ((10, 0.5), (120, 5)),
        "typing": ((4, 0.5), (120, 10)),
        # A password check takes long on purpose; who signs in is nobody yet.
        "sign-in": ((30, 0.5), (30, 0.5)),
        # Megabytes: what they may make us keep, and what they may make us hold in memory.
        "up": ((40, 0.02), (200, 0.1)),
        "down": ((200, 1), (600, 5)),
    }
)
_KEPT = 20_000
_STREAMS_EACH, _STREAMS_PLACE, _STREAMS = 4, 200, 2_000
_UPLOADS_PLACE, _UPLOADS = 4, 12
#: An address belongs to no account: who asks at several doors is still one caller.
NOBODYS: Owner = (0, 0)


class Shared(Protocol):
    """Levels that all processes see. Does not raise, and does not take long."""

    async def take(self, owner: Owner, api: str, *, burst: float, per_s: float) -> float | None:
        """Seconds to wait, 0 = counted; None = nobody answers."""
        ...


class Limits:
    """The shared levels decide; while nobody keeps them, each process allows its `share()`-th part.

    Kept here are the most recent askers; the longest silent are forgotten first, which only favours them.
    `mark` says who it is to those who keep the levels, without saying it.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        shared: Shared | None = None,
        share: Callable[[], int] = lambda: 1,
        mark: Callable[[str], str] = str,
    ) -> None:
        self._clock, self._shared, self._share, self._mark = clock, shared, share, mark
        self._levels: OrderedDict[tuple[str, Owner, str], tuple[float, float]] = OrderedDict()
        self._streams: Counter[str] = Counter()
        self._places: Counter[str] = Counter()
        self._uploads: Counter[str] = Counter()

    async def take(self, what: str, account: Owner, visitor: str, address: str, *, cost: float = 1) -> None:
        """Raises `TooMany`. An unknown visitor counts for the address alone."""
        each, place = RATES[what]
        if visitor and not await self._spend((what, account, visitor), each, cost):
            raise TooMany
        if not await self._spend((what, NOBODYS, f"@{address}"), place, cost):
            raise TooMany

    async def _spend(self, key: tuple[str, Owner, str], rate: Rate, cost: float) -> bool:
        wait_s = None
        if self._shared is not None:
            (burst, per_s), (what, owner, who) = rate, key
            part = min(cost, burst)  # a dear call is one call of a smaller bucket
            name = f"visit-{what}:{self._mark(who)}"
            wait_s = await self._shared.take(owner, name, burst=burst / part, per_s=per_s / part)
        if wait_s:
            return False
        # Counted here too, so that the part we fall back on is not a fresh bucket.
        return self._count(key, rate, cost) or wait_s is not None

    def _count(self, key: tuple[str, Owner, str], rate: Rate, cost: float) -> bool:
        now, parts = self._clock(), max(self._share(), 1)
        most = max(rate[0] / parts, 1.0)
        cost = min(cost, most)
        left, at = self._levels.pop(key, (most, now))
        left = min(most, left + (now - at) * rate[1] / parts)
        self._levels[key] = (left - cost if left >= cost else left, now)
        while len(self._levels) > _KEPT:
            self._levels.popitem(last=False)
        return left >= cost

    @contextmanager
    def streaming(self, visitor: str, each: int = _STREAMS_EACH, *, address: str = "") -> Iterator[None]:
        """One open stream of this process. Raises `Busy` when the house is full.

        Raises `TooMany` beyond `each` of one visitor, or when one address would fill the house by itself.
        """
        if self._streams.total() >= _STREAMS:
            raise Busy
        if self._streams[visitor] >= each or (address and self._places[address] >= _STREAMS_PLACE):
            raise TooMany
        with _one_of(self._streams, visitor), _one_of(self._places, address):
            yield

    @contextmanager
    def uploading(self, address: str = "") -> Iterator[None]:
        """One upload held in memory. Raises `Busy` beyond all that may be, `TooMany` beyond one address'."""
        if self._uploads.total() >= _UPLOADS:
            raise Busy
        if address and self._uploads[address] >= _UPLOADS_PLACE:
            raise TooMany
        with _one_of(self._uploads, address):
            yield


@contextmanager
def _one_of(counted: Counter[str], name: str) -> Iterator[None]:
    counted[name] += 1
    try:
        yield
    finally:
        counted[name] -= 1
        if not counted[name]:
            del counted[name]
