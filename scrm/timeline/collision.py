"""Two of us answering the same customer: what a page has seen, and whether more has been said since.

A mark is a time and a count, not an id: ids and clocks of several processes do not say who committed first,
but what is counted while the conversation is held has.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from scrm.db import Conn
from scrm.errors import Answered, BadInput
from scrm.timeline.rules import Talk
from scrm.timeline.store import replies

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Replies dated up to so long before they reached us still count as new.
_SLACK = timedelta(hours=1)
#: A page this old has seen nothing of today.
_OLDEST = timedelta(days=7)
_SHOWN = 5


async def marks(conn: Conn, talks: Sequence[Talk], *, me: int | None, now: datetime) -> dict[int, str]:
    """What a page that shows these conversations now has seen, by conversation."""
    seconds = int((now - _SLACK - _EPOCH).total_seconds())
    since = _EPOCH + timedelta(seconds=seconds)
    found = await replies.counts(conn, [t.node_id for t in talks], but=me, since=since)
    return {t.conversation_id: f"{seconds:x}.{found.get(t.conversation_id, 0)}" for t in talks}


async def demand_seen(conn: Conn, talk: Talk, mark: str, *, me: int | None, now: datetime) -> None:
    """Raises `Answered` when a colleague said more than the page showed. It is held meanwhile."""
    since, seen = _read(mark, now)
    found = await replies.counts(conn, [talk.node_id], but=me, since=since)
    new = found.get(talk.conversation_id, 0) - seen
    if new <= 0:
        return
    ids = await replies.latest(
        conn, talk.conversation_id, talk.node_id, but=me, since=since, limit=min(new, _SHOWN)
    )
    raise Answered(tuple(reversed(ids)))


def _read(mark: str, now: datetime) -> tuple[datetime, int]:
    seconds, _, count = mark.partition(".")
    try:
        since, seen = _EPOCH + timedelta(seconds=int(seconds, 16)), int(count)
    except (ValueError, OverflowError):
        raise BadInput("页面已经过期，请刷新后再发。") from None
    return max(since, now - _OLDEST), max(seen, 0)
