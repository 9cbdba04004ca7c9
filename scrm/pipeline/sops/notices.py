"""React, SOPs: what an errand follows up on afterwards, in transactions of its own, one household each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scrm import jobs
from scrm.db import Conn
from scrm.playbook.sops import versions
from scrm.playbook.sops.rules import Happened
from scrm.playbook.sops.store import runs
from scrm.playbook.sops.values import Plan
from scrm.sales.opportunities.service import KIND as STAGE
from scrm.sales.tags.service import KIND as TAG
from scrm.shapes import bounded
from scrm.situations import homes
from scrm.timeline.store import events
from scrm.timeline.store.events import Stored

#: The errand's kind; wake the `due` loop after the commit.
DUE = "notice"
_SAID = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing that happened to a customer, once per `key`."""

    key: str
    #: The address it happened to.
    node_id: int
    at: datetime
    stage: str = ""
    #: Tags that were not there before.
    tags: tuple[str, ...] = ()
    #: The kind of the event.
    kind: str = ""
    spoke: bool = False
    #: In words, for whoever asks why.
    words: str = ""
    event_id: int | None = None
    conversation_id: int | None = None
    #: A date or a silence: it concerns this SOP alone; and since when nobody has spoken.
    code: str = ""
    silent_since: datetime | None = None


async def tell(conn: Conn, notices: Iterable[Notice], *, now: datetime) -> int:
    """How many; the same key again, before it was followed up, changes nothing."""
    wanted = [(DUE, one.key, 0, _payload(one)) for one in notices]
    await jobs.put_all(conn, wanted, at=now)
    return len(wanted)


def _payload(one: Notice) -> dict[str, Any]:
    plain = {name: value for name in Notice.__slots__ if (value := getattr(one, name))}
    times = {name: value.isoformat() for name, value in plain.items() if isinstance(value, datetime)}
    return plain | times | {"tags": list(one.tags)}


def read(payload: Mapping[str, Any]) -> Notice:
    """What a due row says."""
    given = {name: value for name, value in payload.items() if name in Notice.__slots__}
    times = {n: datetime.fromisoformat(given[n]) for n in ("at", "silent_since") if n in given}
    return Notice(**given | times | {"tags": tuple(given.get("tags", ()))})


def happened(one: Notice) -> Happened:
    """As the rules see it."""
    return Happened(
        at=one.at,
        stage=one.stage,
        tags=frozenset(one.tags),
        kind=one.kind,
        spoke=one.spoke,
        words=one.words,
        code=one.code,
        silent_since=one.silent_since,
    )


# -- react -------------------------------------------------------------------------------------------------
async def heed(conn: Conn, told: Sequence[Stored], *, now: datetime) -> int:
    """What of this may begin, end or hurry a run; nothing where nobody uses SOPs. How many."""
    # What we say ourselves is nobody's reason to follow up.
    told = [e for e in told if e.node_id is not None and e.recalled_at is None and e.direction != "out"]
    if not told:
        return 0
    begins = _begins(await versions.in_force(conn))
    theirs = await _under_way(conn, told) if await runs.any_running(conn) else {}
    concerns = [e for e in told if e.kind.startswith(begins) or _matters(e, theirs.get(e.node_id or 0, ()))]
    if not concerns:
        return 0
    bodies = await events.bodies(conn, [e for e in concerns if e.kind in (STAGE, TAG)])
    return await tell(conn, [_notice(e, bodies.get(e.event_id, {})) for e in concerns], now=now)


def _begins(plans: Iterable[Plan]) -> tuple[str, ...]:
    """How the kinds of events begin that may begin a run."""
    return tuple(
        {
            STAGE if start.stage else TAG if start.tag else start.event
            for plan in plans
            for start in plan.starts
            if start.stage or start.tag or start.event
        }
    )


async def _under_way(conn: Conn, told: Sequence[Stored]) -> dict[int, list[Plan]]:
    """By address, the plans of the runs its household is on."""
    found = await homes(conn, {e.node_id for e in told if e.node_id is not None})
    rows = await runs.beside(conn, {node for home in found.values() for node in home.nodes})
    plans = await versions.of(conn, {(r.code, r.version) for r in rows})
    return {
        node: [p for r in rows if r.node_id in home.nodes and (p := plans.get((r.code, r.version)))]
        for node, home in found.items()
    }


def _matters(event: Stored, plans: Collection[Plan]) -> bool:
    """To somebody who is on one of these."""
    if event.kind in (STAGE, TAG) or _spoke(event):
        return bool(plans)
    return any(m.event and event.kind.startswith(m.event) for p in plans for m in (*p.goal, *p.stop))


def _spoke(event: Stored) -> bool:
    return event.direction == "in" and event.kind.startswith("message.")


def _notice(event: Stored, body: Mapping[str, Any]) -> Notice:
    moved = event.kind == STAGE and body.get("stage") != body.get("from")
    return Notice(
        key=bounded(f"{event.account_id}:{event.source_key}"),
        node_id=event.node_id or 0,
        at=event.at,
        stage=str(body.get("stage", "")) if moved else "",
        tags=tuple(body.get("added", ())) if event.kind == TAG else (),
        kind=event.kind,
        spoke=_spoke(event),
        words="" if _spoke(event) else event.text[:_SAID],
        event_id=event.event_id,
        conversation_id=event.conversation_id,
    )
