"""What happened does what was to be done: tasks end by themselves, for any member of the household."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from scrm import jobs
from scrm.db import Conn
from scrm.desk.tasks import service as tasks
from scrm.desk.tasks import store
from scrm.desk.tasks.rules import DoneBy, Happened, Task
from scrm.identity import service as identity
from scrm.identity import store as nodes
from scrm.live import Change
from scrm.playbook.sops import service as sops
from scrm.timeline.store import events
from scrm.timeline.store.events import Stored

#: How kinds of events begin that do a task. What people say to each other is looked at by itself.
_KINDS: Mapping[str, DoneBy] = {
    "event.visit": "visit",
    "event.trial": "visit",
    "event.lesson.attended": "visit",
    "event.order.": "order",
    "event.coupon": "coupon",
    "event.stage": "stage",
}
_CALLS = ("message.call", "message.meeting_voice_call", "message.voiptext")
_MESSAGE, _TEXT = "message.", "message.text"


def what(event: Stored) -> DoneBy:
    """What this does; "" = nothing that is on anybody's board.

    A message counts when somebody of ours wrote it: what is sent by itself does nobody's work.
    """
    if event.kind.startswith(_CALLS):
        return "call"
    if event.kind.startswith(_MESSAGE):
        if event.direction == "in":
            return "in"
        return "out" if event.direction == "out" and event.staff_id is not None else ""
    return next((done for start, done in _KINDS.items() if event.kind.startswith(start)), "")


async def heed(conn: Conn, told: Sequence[Stored], *, now: datetime) -> list[Change]:
    """Ends the tasks these events did; who must look again. A replay does nothing."""
    kinds = {e.event_id: kind for e in told if e.node_id is not None and (kind := what(e))}
    if not await store.any_open(conn, set(kinds.values())):
        return []
    doing = [e for e in told if e.event_id in kinds]
    homes = await households(conn, {e.node_id for e in doing if e.node_id is not None})
    lengths = await _lengths(conn, [e for e in doing if kinds[e.event_id] == "call"])
    happened = [
        Happened(
            kind=kinds[e.event_id],
            nodes=homes[e.node_id or 0],
            event_id=e.event_id,
            at=e.at,
            staff_id=e.staff_id,
            seconds=lengths.get(e.event_id, 0),
            words=e.text if e.kind == _TEXT else None,
        )
        for e in doing
    ]
    return await ended(conn, await tasks.heed(conn, happened, now=now), now=now)


async def ended(conn: Conn, over: Iterable[Task], *, now: datetime) -> list[Change]:
    """After tasks ended, by whatever: SOPs that waited for them go on; who must look again."""
    known = list(over)
    for run_id in sorted({t.run_id for t in known if t.run_id}):
        await jobs.put(conn, sops.DUE, str(run_id), 0, {}, at=now)
    return tasks.changes(known)


async def households(conn: Conn, node_ids: Collection[int]) -> dict[int, frozenset[int]]:
    """The addresses of everybody in the household of each of these."""
    persons = await nodes.persons_of(conn, sorted(node_ids))
    owned = {p: frozenset((await identity.household(conn, p)).owners) for p in sorted(set(persons.values()))}
    return {node: owned.get(persons.get(node, 0), frozenset()) | {node} for node in node_ids}


async def _lengths(conn: Conn, calls: Sequence[Stored]) -> dict[int, int]:
    """How many seconds was talked in each; what nobody measured was no call."""
    bodies = await events.bodies(conn, calls) if calls else {}
    found = {}
    for ident, body in bodies.items():
        call = body.get("call")
        seconds = call.get("talk_s") if isinstance(call, Mapping) else None
        found[ident] = seconds if isinstance(seconds, int) else 0
    return found
