"""What a deed may be asked with, and how it stands. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from scrm.contract import Deed, Field
from scrm.errors import BadInput

#: asked -> calling -> done | waiting -> done; failed and unknown end it too.
ASKED, CALLING, WAITING, DONE, FAILED, UNKNOWN = "asked", "calling", "waiting", "done", "failed", "unknown"
OPEN = frozenset({ASKED, CALLING, WAITING})
#: In a result: why each of these customers was not told, and what could not be asked.
LEFT_OUT, UNCHECKED = "left_out", "unchecked"
#: No outcome is waited for longer.
PATIENCE = timedelta(days=30)
_MOST = 10_000
_LONGEST = 20_000
_PARTS = re.compile(r"[\s,，;；、]+")
_YES = frozenset({"1", "on", "true", "yes"})


def deed_of(deeds: Sequence[Deed], kind: str) -> Deed:
    """Raises `BadInput` for one that this channel does not do."""
    found = next((d for d in deeds if d.kind == kind), None)
    if found is None:
        raise BadInput("这个渠道没有这项操作。")
    return found


def checked(deed: Deed, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as the connector takes them. Raises `BadInput` naming the first one that is wrong."""
    known = {f.name: f for f in deed.fields}
    if unknown := sorted(set(given) - set(known)):
        raise BadInput(f"有不认识的字段：{'、'.join(unknown)[:80]}。")
    made = {name: _value(known[name], value) for name, value in given.items() if value is not None}
    for field in deed.fields:
        if field.required and made.get(field.name) in (None, "", []):
            raise BadInput(f"请填写：{field.title}。")
    return made


def _value(field: Field, value: Any) -> Any:
    if field.kind == "flag" and isinstance(value, bool):
        return value
    if field.kind == "number" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if field.kind == "text" and isinstance(value, str) and len(value) <= _LONGEST:
        if field.limit and len(value.encode()) > field.limit:
            raise BadInput(f"{field.title}：最多 {field.limit} 字节。")
        return value
    if field.kind == "list" and isinstance(value, list) and all(isinstance(v, str) for v in value):
        if len(value) > (field.limit or _MOST):
            raise BadInput(f"{field.title}：最多 {field.limit or _MOST} 项。")
        return value
    raise BadInput(f"{field.title}：内容不正确。")


def of_form(deed: Deed, form: Mapping[str, str]) -> dict[str, Any]:
    """What a form of ours says: everything is text, lists are written with any separator."""
    made: dict[str, Any] = {}
    for field in deed.fields:
        text = form.get(field.name, "").strip()
        if field.kind == "flag":
            made[field.name] = text.lower() in _YES
        elif not text:
            continue
        elif field.kind == "list":
            made[field.name] = [part for part in _PARTS.split(text) if part]
        elif field.kind == "number":
            if not (text.isascii() and text.isdigit() and len(text) < 16):
                raise BadInput(f"{field.title}：请填数字。")
            made[field.name] = int(text)
        else:
            made[field.name] = text.replace("\r\n", "\n")
    return made


def too_late(created_at: datetime, now: datetime) -> bool:
    return now - created_at > PATIENCE


def told(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A result as rows of name and words, whatever its shape; at most 200."""
    rows: list[tuple[str, str]] = []
    for name, value in body.items():
        if isinstance(value, Mapping):
            rows += [(f"{name} {inner}", _words(one)) for inner, one in value.items()]
        elif value not in (None, "", [], ()):
            rows.append((name, _words(value)))
    return rows[:200]


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return "；".join(f"{k}: {_words(v)}" for k, v in value.items())[:500]
    if isinstance(value, list | tuple):
        shown = "、".join(_words(v) for v in value[:20])
        return f"{shown} …（{len(value)}）" if len(value) > 20 else shown
    return str(value)[:500]
