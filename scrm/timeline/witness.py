"""Sent twice or told twice? What a rep noted as sent from the chat app, found again in the vendor's record.

The record confirms the note and stays off the timeline: the family sees one message, as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scrm import outbox
from scrm.db import Conn
from scrm.identity.rules import Address
from scrm.timeline import rules
from scrm.timeline.service import Entry
from scrm.timeline.store import search, witnesses

#: The note is written when the app has answered: clocks differ, and a slow telephone answers late.
EARLY, LATE = timedelta(minutes=2), timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """One message of one of us to one customer, noted or recorded."""

    event_id: int
    node_id: int
    #: Of a note, None: the API said it in somebody's name.
    staff_id: int | None
    kind: str
    text: str
    at: datetime
    #: Of a record: its name. Of a note: the record that confirmed it before.
    source_key: str = ""
    #: Of a note: its push.
    outbox_id: int = 0


def paired(records: Iterable[Words], notes: Iterable[Words]) -> list[tuple[Words, Words]]:
    """Which record confirms which note: the same words of the same member to the same customer, each once.

    The note it confirmed before comes first (a replay), then the one nearest in time.
    """
    free = {note.event_id: note for note in notes}
    found = []
    for record in sorted(records, key=lambda r: (r.at, r.event_id)):
        fitting = [note for note in free.values() if _same(record, note)]
        if fitting:
            best = min(fitting, key=lambda note: _distance(record, note))
            found.append((record, free.pop(best.event_id)))
    return found


def _same(record: Words, note: Words) -> bool:
    if note.source_key:
        return note.source_key == record.source_key
    said = (record.node_id, record.kind, record.text.strip())
    if said != (note.node_id, note.kind, note.text.strip()) or note.staff_id not in (None, record.staff_id):
        return False
    return -EARLY <= record.at - note.at <= LATE


def _distance(record: Words, note: Words) -> tuple[bool, timedelta, int]:
    return (note.source_key != record.source_key, abs(record.at - note.at), note.event_id)


async def confirm(
    conn: Conn, entries: Sequence[Entry], nodes: Mapping[Address, int], new: frozenset[int], *, now: datetime
) -> list[tuple[int, int]]:
    """Records that have just come in confirm what was noted; (node, event) of each confirmed note."""
    records = [
        Words(
            event_id=e.event_id,
            node_id=node_id,
            staff_id=e.staff_id,
            kind=e.envelope.kind,
            text=e.envelope.text,
            at=e.envelope.at,
            source_key=e.source_key,
        )
        for e in entries
        if e.envelope.witness and e.event_id in new
        if (node_id := rules.partner_node(e.envelope, nodes)) is not None
    ]
    if not records:
        return []
    return await _confirmed(conn, records, await _notes(conn, records), now=now)


async def found(conn: Conn, event_id: int, *, now: datetime) -> bool:
    """The other way round: this note was written after its record had come in."""
    notes = [Words(**one) for one in await witnesses.note(conn, event_id)]
    if not notes:
        return False
    since, until = notes[0].at - EARLY, notes[0].at + LATE
    rows = await witnesses.records(conn, notes[0].node_id, since=since, until=until)
    return bool(await _confirmed(conn, [Words(**one) for one in rows], notes, now=now))


async def _notes(conn: Conn, records: Sequence[Words]) -> list[Words]:
    times = [r.at for r in records]
    found = await witnesses.notes(
        conn,
        {r.node_id for r in records},
        {r.source_key for r in records},
        since=min(times) - LATE,
        until=max(times) + EARLY,
    )
    return [Words(**one) for one in found]


async def _confirmed(
    conn: Conn, records: Sequence[Words], notes: Sequence[Words], *, now: datetime
) -> list[tuple[int, int]]:
    changed = []
    for record, note in sorted(paired(records, notes), key=lambda pair: pair[1].outbox_id):
        await outbox.finish(conn, note.outbox_id, "sent", now=now, external_id=record.source_key)
        await witnesses.stand_behind(conn, record.event_id, note.event_id)
        await search.forget(conn, [record.event_id])
        changed.append((note.node_id, note.event_id))
    return changed
