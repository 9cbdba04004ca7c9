"""What events say about families and parts, handed to identity: words, cards, names, documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from scrm.db import Conn
from scrm.identity import relations, roles
from scrm.identity.rules import Address, address, is_person
from scrm.timeline.service import Entry
from scrm.timeline.store import conversations, events
from scrm.timeline.store.events import Stored


def tells(event: Stored) -> bool:
    return relations.tells(event.kind, event.direction, event.text) or roles.tells(event.kind, event.text)


async def heard(conn: Conn, event: Stored) -> relations.Heard:
    """The event opened, with the rep whose conversation it is."""
    talk = await conversations.of_id(conn, event.conversation_id) if event.conversation_id else None
    return relations.Heard(
        event_id=event.event_id,
        account_id=event.account_id,
        source_key=event.source_key,
        at=event.at,
        kind=event.kind,
        direction=event.direction,
        node_id=event.node_id,
        staff_id=event.staff_id or (talk.rep_id if talk else None),
        text=event.text,
        body=(await events.bodies(conn, [event]))[event.event_id],
    )


def names(entries: Sequence[Entry], nodes: Mapping[Address, int]) -> list[relations.Named]:
    """What channels call people; a learner's own name says nothing about their parents."""
    return [
        relations.Named(
            event_id=e.event_id,
            account_id=e.account_id,
            at=e.envelope.at,
            node_id=nodes[address(handle)],
            name=handle.name,
            staff_id=e.staff_id,
        )
        for e in entries
        for handle in e.envelope.handles
        if handle.name and is_person(handle.kind) and handle.kind != "learner"
    ]


async def learn(
    conn: Conn, told: Sequence[relations.Heard], event_ids: Sequence[int], *, now: datetime
) -> relations.Learned:
    """Parts first: a learner's name may be what the words of the same batch mean."""
    if told:
        await relations.hold(conn)
    learned = await relations.heed_names(conn, event_ids, now=now)
    for one in told:
        if roles.tells(one.kind, one.text):
            learned |= await roles.record(conn, one, now=now)
    said = [one for one in told if relations.tells(one.kind, one.direction, one.text)]
    return learned | await relations.learn(conn, said, now=now) if said else learned
