"""Events and truth as JSON lines, and what was decided written the same way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from scrm.bench.identity.values import Assignment, Event, Ident, Relation, Slot, Stream, Truth
from scrm.errors import BadInput

T = TypeVar("T")


def read_events(path: Path) -> tuple[Event, ...]:
    """Unknown types, kinds, classes and fields are carried. Raises `BadInput` naming the line."""
    return tuple(_lines(path, _event))


def read_truth(path: Path) -> dict[str, Truth]:
    return {one.id: one for one in _lines(path, _truth)}


def write_stream(stream: Stream, events: Path, truth: Path) -> None:
    """A generated stream, so that others can be measured by it."""
    _write(events, map(_event_line, stream.events))
    rows = (stream.truth[e.id] for e in stream.events)
    lines = ({"id": t.id, "person": t.person, "household": t.household, "role": t.role} for t in rows)
    _write(truth, lines)


def write_decided(folder: Path, assigned: Assignment, slots: Iterable[Slot]) -> None:
    """`events.jsonl` and `roles.jsonl` in the folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ({"id": key, "person": p, "household": h} for key, (p, h) in assigned.items())
    _write(folder / "events.jsonl", rows)
    _write(folder / "roles.jsonl", ({"household": h, "role": r, "person": p} for h, r, p in slots))


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _lines(path: Path, read: Callable[[dict[str, Any]], T]) -> Iterator[T]:
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: 读不了（{error}）。") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            if not isinstance(data, dict):
                raise ValueError("应是一个 JSON 对象")
            one = read(data)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{path} 第 {number} 行：{error}") from None
        yield one


def _event(data: dict[str, Any]) -> Event:
    slot = _text(data, "slot")
    return Event(
        id=_text(data, "id", needed=True),
        at=_instant(_text(data, "at", needed=True)),
        type=_text(data, "type", needed=True),
        slot=slot if slot in ("holder", "learner") else "unknown",
        ids=tuple(_ident(i) for i in _list(data, "ids")),
        relations=tuple(Relation(_text(r, "class"), _ident(r)) for r in _list(data, "relations")),
        name=_text(data, "name"),
        rep=_text(data, "rep"),
    )


def _truth(data: dict[str, Any]) -> Truth:
    return Truth(
        id=_text(data, "id", needed=True),
        person=_text(data, "person", needed=True),
        household=_text(data, "household", needed=True),
        role=_text(data, "role") or None,
    )


def _ident(data: dict[str, Any]) -> Ident:
    return Ident(_text(data, "kind", needed=True), _text(data, "scope"), _text(data, "value"))


def _list(data: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = data.get(name) or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ValueError(f"{name} 应是对象的列表")
    return found


def _text(data: dict[str, Any], name: str, *, needed: bool = False) -> str:
    """Numbers are taken as they are written; nothing at all is "" where it may be missing."""
    value = data.get(name)
    if isinstance(value, bool | list | dict):
        raise ValueError(f"{name} 应是文字")
    if value is None or value == "":
        if needed:
            raise ValueError(f"缺少 {name}")
        return ""
    return str(value)


def _instant(text: str) -> datetime:
    """RFC 3339; a time without a zone is UTC."""
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"at 应是 RFC 3339 时间，实际是 {text[:40]}") from None


def _event_line(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "at": event.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "type": event.type,
        "slot": event.slot,
        "ids": [i._asdict() for i in event.ids],
        "relations": [{"class": r.cls, **r.ident._asdict()} for r in event.relations],
        "name": event.name,
        "rep": event.rep,
    }
