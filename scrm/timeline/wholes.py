"""Several reports of one thing (legs and stages of a call) make one event, in whatever order they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from scrm.contract import Envelope, Handle, Piece
from scrm.db import Conn
from scrm.timeline.service import Entry
from scrm.timeline.store import events

#: Where an event of several reports keeps each of them, by its source key: `_` keeps it out of the API.
PARTS = "_parts"
#: Reports one thing may have: more are no call but a mistaken name.
_MOST = 64

_Parts = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Whole:
    """A thing as it is known: under which key it is stored, and by which reports."""

    source_key: str
    parts: _Parts
    staff_id: int | None
    said: tuple[Any, ...] = ()


async def joined(conn: Conn, entries: Sequence[Entry]) -> list[Entry]:
    """The entries with all reports of one thing folded into one; others stay as they are.

    Deterministic: the same reports give the same event, whichever came first. Reports of one thing share a
    lane, so nobody else adds to it meanwhile.
    """
    made: dict[str, Entry] = {}
    known: dict[tuple[int, str], _Whole] = {}
    kept = []
    for entry in entries:
        if not entry.envelope.whole:
            kept.append(entry)
            continue
        whole = await _known(conn, entry, known)
        folded = _folded(entry, whole)
        for name in {*entry.envelope.whole, folded.source_key}:
            known[entry.account_id, name] = _Whole(
                source_key=folded.source_key,
                parts=folded.envelope.body[PARTS],
                staff_id=folded.staff_id,
                said=whole.said,
            )
        made[f"{entry.account_id}|{folded.source_key}"] = folded
    return kept + list(made.values())


async def _known(conn: Conn, entry: Entry, known: Mapping[tuple[int, str], _Whole]) -> _Whole:
    names = entry.envelope.whole
    for name in names:
        if (entry.account_id, name) in known:
            return known[entry.account_id, name]
    for name in names:
        stored = await events.latest(conn, entry.account_id, name)
        if stored is not None:
            body = (await events.bodies(conn, [stored]))[stored.event_id]
            said = (stored.kind, stored.direction, stored.at, stored.text)
            parts = dict(body.get(PARTS, {}))
            return _Whole(source_key=name, parts=parts, staff_id=stored.staff_id, said=said)
    return _Whole(source_key=names[0], parts={}, staff_id=None)


def _folded(entry: Entry, whole: _Whole) -> Entry:
    parts = dict(whole.parts)
    if entry.source_key in parts or len(parts) < _MOST:
        parts[entry.source_key] = _part(entry.envelope)
    ordered = sorted(parts.items(), key=lambda part: (part[1]["rank"], part[0]))
    top = ordered[-1][1]
    staffed = next((key for key, part in reversed(ordered) if part["staff"]), "")
    staff_id = entry.staff_id if staffed == entry.source_key else whole.staff_id
    body: dict[str, Any] = {}
    for _, part in ordered:
        body = _filled(body, part["body"])
    at = datetime.fromisoformat(top["at"])
    envelope = replace(
        entry.envelope,
        kind=top["kind"],
        direction=top["direction"],
        at=at,
        text=top["text"],
        body={**body, PARTS: parts},
        handles=_handles([part for _, part in reversed(ordered)]),
        pieces=_pieces([part for _, part in sorted(parts.items())]),
    )
    still = whole.said == (envelope.kind, envelope.direction, envelope.at, envelope.text)
    return replace(
        entry,
        source_key=whole.source_key,
        envelope=envelope,
        staff_id=staff_id,
        still=still and staffed != entry.source_key,
    )


def _part(said: Envelope) -> dict[str, Any]:
    """A report, JSON-ready, as far as the whole is made of it."""
    return {
        "rank": said.rank,
        "kind": said.kind,
        "direction": said.direction,
        "at": said.at.isoformat(),
        "text": said.text,
        "staff": said.staff,
        "body": dict(said.body),
        "handles": [asdict(h) for h in said.handles],
        "pieces": [asdict(p) for p in said.pieces],
    }


def _filled(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """`high` over `low`, except where `high` says nothing."""
    merged = dict(low)
    for name, value in high.items():
        below = merged.get(name)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[name] = _filled(below, value)
        elif value not in (None, "") or name not in merged:
            merged[name] = value
    return merged


def _handles(parts: Sequence[Mapping[str, Any]]) -> tuple[Handle, ...]:
    """Each address once, as the highest report has it."""
    found = [Handle(**h) for part in parts for h in part["handles"]]
    return tuple({(h.kind, h.scope, h.value): h for h in reversed(found)}.values())[::-1]


def _pieces(parts: Sequence[Mapping[str, Any]]) -> tuple[Piece, ...]:
    found = [Piece(**p) for part in parts for p in part["pieces"]]
    return tuple({p.ref: p for p in reversed(found)}.values())[::-1]
