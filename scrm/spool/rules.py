"""When callbacks go to the spool, and what is said about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True, kw_only=True)
class Breaker:
    """Closed: a commit is tried. Open: nobody waits for a database that just failed, until a try succeeds."""

    #: A commit that takes longer is not waited for.
    patience_s: float
    is_open: bool = False
    trips: int = 0

    def trip(self) -> bool:
        """True when it was closed until now."""
        first = not self.is_open
        self.is_open = True
        self.trips += first
        return first

    def mend(self, took_s: float) -> bool:
        """A try succeeded; True when calls may go to the database again. Slow success does not count."""
        if not self.is_open or took_s >= self.patience_s:
            return False
        self.is_open = False
        return True

    def left_s(self, waited_s: float) -> float:
        """How long a commit may take for those who have waited already: never nothing at all."""
        return max(self.patience_s - waited_s, self.patience_s / 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """What lies in a spool."""

    waiting: int = 0
    #: Rows the database does not take though it is well; tried again at each start.
    stuck: int = 0
    oldest_at: datetime | None = None

    @property
    def rows(self) -> int:
        return self.waiting + self.stuck


def total(depths: Iterable[Depth]) -> Depth:
    found = list(depths)
    return Depth(
        waiting=sum(d.waiting for d in found),
        stuck=sum(d.stuck for d in found),
        oldest_at=min((d.oldest_at for d in found if d.oldest_at), default=None),
    )
