"""The ways `mod_json_cdr` wraps a record: raw JSON, a form, a base64 form.

Source: signalwire/freeswitch src/mod/event_handlers/mod_json_cdr (`encode`, `encode-values`).
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any
from urllib.parse import unquote

from scrm.contract import Call
from scrm.errors import Untranslatable

_FIELD = b"cdr="
_DEEPEST = 12


def packed(call: Call) -> bytes:
    """The record as JSON, whichever way the body says it is wrapped; the body itself where it is none."""
    body = call.body.strip()
    if body.startswith(b"{"):
        return body
    value = body[len(_FIELD) :] if body.startswith(_FIELD) else body
    for way in (_base64, _form) if "base64" in call.headers.get("Content-Type", "") else (_form, _base64):
        plain = way(value)
        if plain.startswith(b"{"):
            return plain
    return call.body


def _form(value: bytes) -> bytes:
    # FreeSWITCH leaves `+` as it is: it encodes a blank as %20.
    return unquote(value.decode("utf-8", "replace")).strip().encode("utf-8", "replace")


def _base64(value: bytes) -> bytes:
    text = unquote(value.decode("ascii", "replace")).replace("\n", "").replace(" ", "+")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True).strip()
    except (binascii.Error, ValueError):
        return b""


def opened(payload: bytes) -> dict[str, Any]:
    """The record's fields. Raises `Untranslatable`."""
    try:
        found = json.loads(payload.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError) as broken:
        raise Untranslatable("话单不是 JSON：请检查 mod_json_cdr 的 encode 设置。") from broken
    if not isinstance(found, dict) or _depth(found) > _DEEPEST:
        raise Untranslatable("话单的结构不对：应是一个 JSON 对象。")
    return found


def _depth(value: Any, level: int = 1) -> int:
    if level > _DEEPEST:
        return level
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return max((_depth(one, level + 1) for one in inner), default=level)


def plain(value: object) -> str:
    """A variable as text: with `encode-values` it is URL-encoded once more."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    text = str(value)
    return unquote(text) if "%" in text else text
