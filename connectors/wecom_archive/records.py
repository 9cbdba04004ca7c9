"""Messages made of messages: `mixed`, and merged records, whose items are JSON within JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from connectors.kit.profiles import word
from connectors.kit.xml import clean
from connectors.wecom_archive.names import MESSAGES, RECORD
from connectors.wecom_archive.pieces import pieces_of
from scrm.contract import Piece

_Fields = dict[str, Any]
#: Records may hold records; nobody reads deeper, and hostile ones have no bottom.
_DEEPEST = 5
_LONGEST = 2_000


@dataclass(slots=True, kw_only=True)
class Collected:
    """What all items say together; `records` is ready for the page, `n` names an item's file."""

    lines: list[str] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    left: int = _LONGEST

    def take(self, items: object, level: int = 0) -> list[_Fields]:
        """The items as the page shows them; files and words are collected on the way."""
        if not isinstance(items, list) or level >= _DEEPEST:
            return []
        shown = []
        for item in items:
            if isinstance(item, dict) and self.left > 0:
                self.left -= 1
                shown.append(self._one(item, level))
        return shown

    def _one(self, item: _Fields, level: int) -> _Fields:
        kind, part = kind_of(item), _inner(item.get("content"))
        known = MESSAGES.get(kind)
        text = known(part) if known else f"[{word(item, 'type')}]"
        one: _Fields = {"type": kind, "text": text}
        if isinstance(item.get("msgtime"), int):
            one["at"] = item["msgtime"]
        files = pieces_of(kind, part)
        if files:
            one["n"] = len(self.pieces)
            self.pieces += files
        if text:
            self.lines.append(text)
        if nested := self.take(part.get("item"), level + 1):
            one["records"] = nested
        return one


def kind_of(item: _Fields) -> str:
    """ChatRecordText -> text, ChatRecordMixed -> mixed; a record within a record is a record again."""
    name = word(item, "type")
    lower = name.removeprefix(RECORD).lower()
    return lower or ("chatrecord" if name == RECORD else "")


def _inner(content: object) -> _Fields:
    """Usually a JSON string; an object is taken as it is."""
    if isinstance(content, str):
        try:
            content = clean(json.loads(content, strict=False))
        except (ValueError, RecursionError):
            return {"content": content}
    return content if isinstance(content, dict) else {}
