"""Appending to the timeline: each thing once, in its place, and the conversations it moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from scrm.contract import Envelope
from scrm.db import Conn
from scrm.desk.tasks import service as tasks
from scrm.identity.rules import Address, address
from scrm.seal import new_id
from scrm.timeline import edits, rules
from scrm.timeline.genres import genre
from scrm.timeline.rules import Step, Talk
from scrm.timeline.store import conversations, events, search
from scrm.timeline.store.carrying import carry


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One envelope on its way to the timeline."""

    event_id: int
    account_id: int
    team_id: int | None
    source_key: str
    envelope: Envelope
    inbox_id: int | None
    staff_id: int | None = None
    #: Says nothing new to its conversation: a report that only fills in.
    still: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """What a batch changed: event ids by node, and the conversations as they are now."""

    by_node: Mapping[int, Sequence[int]]
    talks: Sequence[Talk]
    #: The ids events really have: a replayed row that says nothing new keeps its event.
    events: frozenset[int]
    #: Of those, what nobody had heard of before; the others are new readings of what was there.
    first: frozenset[int]


async def append(
    conn: Conn, entries: Sequence[Entry], nodes: Mapping[Address, int], *, now: datetime
) -> Appended:
    """Insert what is new, supersede what reads differently on replay, leave the rest. Idempotent."""
    owners = {e.event_id: rules.partner_node(e.envelope, nodes) for e in entries}
    talks = await _conversations(conn, entries, owners, now=now)
    rows = [_row(e, owners[e.event_id], talks.get(e.event_id), now) for e in entries]
    new = await events.insert(conn, rows)
    first = frozenset(new)
    for e, row in zip(entries, rows, strict=True):
        if e.event_id not in new and await _supersede(conn, e, row, nodes):
            new.add(e.event_id)
    kept = [e for e in entries if e.event_id in new]
    by_node = await _link(conn, kept, nodes)
    await _recalls(conn, kept, now=now)
    changed = await _edits(conn, kept, now=now)
    for node_id, event_id in changed:
        by_node.setdefault(node_id, []).append(event_id)
    moved = _advance(kept, talks)
    await conversations.save(conn, moved, now=now)
    await tasks.follow(conn, _handed(talks, moved))
    return Appended(by_node=by_node, talks=moved, events=frozenset(new), first=first)


def _row(entry: Entry, node_id: int | None, talk: Talk | None, now: datetime) -> dict[str, object]:
    e = entry.envelope
    body = dict(e.body)
    if e.welcome:
        body["_welcome"] = {"code": e.welcome, "seconds": e.welcome_s}
    if e.witness:
        body["_witness"] = True
    return {
        "event_id": entry.event_id,
        "account_id": entry.account_id,
        "source_key": entry.source_key,
        "version": 1,
        "kind": e.kind,
        "direction": e.direction,
        "at": e.at,
        "seq": rules.seq(e, entry.source_key),
        "text": e.text,
        "body": body,
        "node_id": node_id,
        "conversation_id": talk.conversation_id if talk else None,
        "staff_id": entry.staff_id,
        "inbox_id": entry.inbox_id,
        "recalls": e.recalls or None,
        "edits": e.edits or None,
        "stored_at": now,
    }


async def _conversations(
    conn: Conn, entries: Sequence[Entry], owners: Mapping[int, int | None], *, now: datetime
) -> dict[int, Talk]:
    """The conversation of each talking event, as it was before the batch."""
    talking = [
        e
        for e in entries
        if owners[e.event_id] and rules.opens_conversation(e.envelope) and not e.envelope.edits
    ]
    known = await conversations.hold(conn, {n for e in talking if (n := owners[e.event_id])})
    talks = {(t.account_id, t.node_id, t.thread): t for t in known}
    fresh = {}
    for e in talking:
        key = (e.account_id, owners[e.event_id] or 0, e.envelope.thread)
        if key not in talks and key not in fresh:
            fresh[key] = rules.begin(
                _step(e), new_id(), account_id=key[0], node_id=key[1], thread=key[2], team_id=e.team_id
            )
    begun = await conversations.start(conn, list(fresh.values()), now=now)
    talks |= {(t.account_id, t.node_id, t.thread): t for t in begun}
    return {e.event_id: talks[e.account_id, owners[e.event_id] or 0, e.envelope.thread] for e in talking}


def _advance(entries: Sequence[Entry], before: Mapping[int, Talk]) -> list[Talk]:
    """Fold new events into their conversations; each conversation that moved, as it is now."""
    talks: dict[int, Talk] = {}
    for e in entries:
        if (talk := before.get(e.event_id)) and not e.still:
            ident = talk.conversation_id
            talks[ident] = rules.advance(talks.get(ident, talk), _step(e))
    return list(talks.values())


def _handed(before: Mapping[int, Talk], moved: Sequence[Talk]) -> list[tasks.Handed]:
    """Those that somebody else looks after since."""
    was = {t.conversation_id: t.rep_id for t in before.values()}
    return [
        tasks.Handed(conversation_id=t.conversation_id, was=was[t.conversation_id], is_now=t.rep_id)
        for t in moved
        if was[t.conversation_id] != t.rep_id
    ]


def _step(entry: Entry) -> Step:
    e = entry.envelope
    return Step(
        kind=e.kind,
        direction=e.direction,
        at=e.at,
        text=e.text,
        staff_id=entry.staff_id,
        follows=e.follows,
        session=e.session,
    )


async def _supersede(conn: Conn, entry: Entry, row: dict[str, object], nodes: Mapping[Address, int]) -> bool:
    """After a parser fix the same source key may read differently: the new reading replaces the old."""
    old = await events.latest(conn, entry.account_id, entry.source_key)
    if old is None:
        return False
    read = await edits.first(conn, old) if old.edited_at else old
    body = (await events.bodies(conn, [read]))[read.event_id]
    same = (read.kind, read.direction, read.at, read.text, body) == (
        row["kind"],
        row["direction"],
        row["at"],
        row["text"],
        row["body"],
    )
    if same:
        return False
    await events.insert(conn, [row | {"version": old.version + 1}])
    theirs = {nodes[address(h)] for h in entry.envelope.handles}
    await events.supersede(conn, old.event_id, entry.event_id, node_ids=theirs)
    node_id = cast("int | None", row["node_id"])
    await carry(conn, old.event_id, entry.event_id, node_id, entry.envelope.pieces)
    await search.forget(conn, [old.event_id])
    return True


async def _link(conn: Conn, entries: Sequence[Entry], nodes: Mapping[Address, int]) -> dict[int, list[int]]:
    by_node: dict[int, list[int]] = {}
    rows = []
    for e in entries:
        for handle in {address(h): h for h in e.envelope.handles}.values():
            node_id = nodes[address(handle)]
            by_node.setdefault(node_id, []).append(e.event_id)
            if e.envelope.quiet or e.envelope.edits:
                continue
            rows.append(
                {
                    "node_id": node_id,
                    "at": e.envelope.at,
                    "seq": rules.seq(e.envelope, e.source_key),
                    "event_id": e.event_id,
                    "account_id": e.account_id,
                    "part": handle.part,
                    "genre": genre(e.envelope),
                }
            )
    await events.link(conn, rows)
    return by_node


async def _recalls(conn: Conn, entries: Sequence[Entry], *, now: datetime) -> None:
    """A recall marks its message, whichever of the two arrives first."""
    for account_id in {e.account_id for e in entries}:
        mine = [e for e in entries if e.account_id == account_id]
        taken_back = {e.envelope.recalls for e in mine if e.envelope.recalls}
        messages = {e.source_key for e in mine if e.envelope.kind.startswith("message.")}
        taken_back |= await events.recalled_before(conn, account_id, messages) if messages else set()
        if taken_back:
            await events.recall(conn, account_id, taken_back, now=now)


async def _edits(conn: Conn, entries: Sequence[Entry], *, now: datetime) -> list[tuple[int, int]]:
    """New words replace the old, whichever arrives first; (node, event) of each message that reads anew."""
    changed: list[tuple[int, int]] = []
    for account_id in sorted({e.account_id for e in entries}):
        mine = [e for e in entries if e.account_id == account_id]
        edited = {e.envelope.edits for e in mine if e.envelope.edits}
        messages = {e.source_key for e in mine if not e.envelope.edits}
        edited |= await edits.waiting(conn, account_id, messages) if messages else set()
        for key in sorted(edited):
            read = await edits.apply(conn, account_id, key, now=now)
            if read is not None and read.node_id is not None:
                changed.append((read.node_id, read.event_id))
    await search.index(conn, [event_id for _, event_id in changed])
    return changed
