"""Telephone calls as far as screens must know at once: whose telephone rings, or rings no longer."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from scrm.live import Change
from scrm.timeline.service import Entry

_CALLS = ("event.call.", "message.call")


def rings(entries: Sequence[Entry], new: Collection[int]) -> list[Change]:
    """Tell the colleague who is called and their team: a banner comes, or goes."""
    return [
        Change(topic=topic, ident=e.event_id, version=1)
        for e in entries
        if e.event_id in new and e.envelope.kind.startswith(_CALLS)
        for topic in (
            f"ring:team:{e.team_id or 0}",
            *([f"ring:rep:{e.staff_id}"] if e.staff_id else []),
        )
    ]
