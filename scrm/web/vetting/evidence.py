"""The words something is about, with a few before and after them; numbers are never shown whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from scrm.identity.rules.reasons import kept
from scrm.identity.store import Interval
from scrm.staff.rules import sees_identifiers
from scrm.timeline.store import events
from scrm.timeline.store.events import Stored
from scrm.web.cards import Utterance
from scrm.web.reading import Reading

#: They are looked for within so much time, nearest first, among so many.
_WITHIN, _MOST = (timedelta(hours=1), timedelta(days=1)), 200
_TICK = timedelta(microseconds=1)


async def around(desk: Reading, event_id: int, reach: int) -> tuple[Utterance, ...]:
    """The message and `reach` on either side of it in the same conversation; () = it is gone."""
    told = await events.by_ids(desk.conn, [event_id])
    if not told or told[0].node_id is None:
        return ()
    one = told[0]
    near = [*await _before(desk, one, reach), one, *await _after(desk, one, reach)]
    items = await desk.items(near)
    said = tuple(
        Utterance(at=i.at, who=i.who, text=i.text, current=e.event_id == event_id)
        for e, i in zip(near, items, strict=True)
        if i.text
    )
    return said if sees_identifiers(desk.actor) else tuple(replace(u, text=kept(u.text)) for u in said)


async def _before(desk: Reading, one: Stored, reach: int) -> list[Stored]:
    span = Interval(node_id=one.node_id or 0, from_at=one.at - _WITHIN[-1], until_at=one.at + _TICK)
    found = await events.page(desk.conn, [span], before=one.place, limit=reach, account_ids=[one.account_id])
    return list(reversed(found))


async def _after(desk: Reading, one: Stored, reach: int) -> list[Stored]:
    later: list[Stored] = []
    for within in _WITHIN:
        span = Interval(node_id=one.node_id or 0, from_at=one.at, until_at=one.at + within)
        found = await events.page(desk.conn, [span], before=None, limit=_MOST, account_ids=[one.account_id])
        later = [e for e in reversed(found) if e.place > one.place]
        if len(later) >= reach:
            break
    return later[:reach]
