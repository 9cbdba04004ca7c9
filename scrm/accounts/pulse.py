"""How busy each account is: counted in memory, written every few seconds, never on a customer's way in."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

SLOT = timedelta(minutes=5)
#: What is older is swept away.
KEPT = timedelta(days=2)
Name = Literal["received", "sent", "failed", "refused", "checked"]
NAMES: tuple[Name, ...] = ("received", "sent", "failed", "refused", "checked")


@dataclass(slots=True, kw_only=True)
class Beat:
    """One account in five minutes."""

    tenant_id: int
    account_id: int
    slot: datetime
    received: int = 0
    sent: int = 0
    failed: int = 0
    refused: int = 0
    checked: int = 0
    last_at: datetime


def slot_of(at: datetime) -> datetime:
    width = int(SLOT.total_seconds())
    return datetime.fromtimestamp(int(at.timestamp()) // width * width, UTC)


class Pulse:
    """What this process has counted since it last wrote it down; a crash loses a few seconds of counts."""

    def __init__(self) -> None:
        self._beats: dict[tuple[int, int, datetime], Beat] = {}
        #: Tokens of platforms fetched since then: by tenant, account and the token's key, until when.
        self._tokens: dict[tuple[int, int, str], datetime] = {}

    def count(self, tenant_id: int, account_id: int, name: Name, at: datetime, number: int = 1) -> None:
        """`number` more; received and checked also say that the channel reaches us."""
        place = (tenant_id, account_id, slot_of(at))
        beat = self._beats.get(place)
        if beat is None:
            beat = self._beats[place] = Beat(
                tenant_id=tenant_id, account_id=account_id, slot=place[2], last_at=at
            )
        setattr(beat, name, getattr(beat, name) + number)
        beat.last_at = max(beat.last_at, at)

    def token(self, tenant_id: int, account_id: int, key: str, until: datetime) -> None:
        """A token of the platform was fetched that runs out then."""
        self._tokens[tenant_id, account_id, key] = until

    def take_tokens(self) -> dict[int, dict[tuple[int, str], datetime]]:
        """By tenant: account and key of each, until when."""
        taken, self._tokens = self._tokens, {}
        found: dict[int, dict[tuple[int, str], datetime]] = defaultdict(dict)
        for (tenant_id, account_id, key), until in taken.items():
            found[tenant_id][account_id, key] = until
        return found

    def take(self) -> dict[int, list[Beat]]:
        """Everything counted so far, by tenant; the counting starts anew."""
        taken, self._beats = self._beats, {}
        found: dict[int, list[Beat]] = defaultdict(list)
        for place in sorted(taken):
            found[place[0]].append(taken[place])
        return found

    def give_back(self, beats: list[Beat]) -> None:
        """They could not be written: with the next ones then."""
        for beat in beats:
            for name in NAMES:
                if number := getattr(beat, name):
                    self.count(beat.tenant_id, beat.account_id, name, beat.last_at, number)
