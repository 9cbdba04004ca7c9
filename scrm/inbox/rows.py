"""What an inbox row is: ranks, stages, a claimed row, and when a row that waits for nothing is due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Stage = Literal["translate", "settle", "react"]
URGENT, NORMAL, BULK = 0, 1, 2
#: Of an account that is paused: out of the way of those that run.
HELD = 3

#: Before any clock: a row that waits for nothing must not wait for a clock that ran ahead and was mended.
AT_ONCE = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One claimed row. The payload is opened for settling only; None = its key is gone or it was altered."""

    inbox_id: int
    account_id: int
    source_key: str
    lane: bytes
    rank: int
    attempts: int
    payload: bytes | None
    received_at: datetime
