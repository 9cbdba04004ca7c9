"""What makes a callback the same one again, and whose conversation it belongs to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from connectors.kit.callback import lane
from connectors.kit.xml import clean, shallow
from connectors.tim.people import ident, pair
from scrm.contract import Account, Raw
from scrm.errors import Untranslatable

#: Merged records nest; anything deeper is nobody's message.
DEEPEST = 40
SENT = frozenset({"C2C.CallbackAfterSendMsg", "Group.CallbackAfterSendMsg"})


def raw_of(account: Account, body: bytes, at: int) -> Raw:
    """The callback as it came, with when it was asked: not every one says when it happened."""
    told = body.decode("utf-8", "replace")
    fields = fields_of(told)
    command = ident(fields, "CallbackCommand")
    sent = command in SENT
    return Raw(
        source_key=(message_key(fields) if sent else "") or _digest(told, fields, at),
        lane=_lane(account, fields),
        payload=json.dumps({"at": at, "told": told}, ensure_ascii=False).encode("utf-8", "replace"),
        urgent=sent,
    )


def stored(payload: bytes) -> tuple[int, dict[str, Any]]:
    """When it was asked and what it said. Raises `Untranslatable`."""
    try:
        kept = json.loads(payload)
        at, fields = int(kept["at"]), fields_of(str(kept["told"]))
    except (KeyError, TypeError, ValueError, RecursionError) as broken:
        raise Untranslatable("即时通信的回调无法读取。") from broken
    if not fields:
        raise Untranslatable("即时通信的回调不是 JSON 对象。")
    return at, fields


def fields_of(told: str) -> dict[str, Any]:
    """The body's fields; {} when it is no JSON object."""
    try:
        found = clean(json.loads(told, parse_float=str, parse_constant=str, strict=False))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and shallow(found, DEEPEST) else {}


def message_key(fields: Mapping[str, Any], seq: object = None) -> str:
    """The source key of a message, from the message or from what is told about it later; "" without one."""
    known = dict(fields)
    if group := ident(known, "GroupId"):
        number = known.get("MsgSeq") if seq is None else seq
        topic = ident(known, "TopicId")
        return f"group:{group}:{topic}:{number}" if isinstance(number, int) else ""
    ends, key = (ident(known, "From_Account"), ident(known, "To_Account")), ident(known, "MsgKey")
    # Sequence and random number are the sending client's: two conversations may well have the same.
    if not all(ends) or not key:
        return ""
    # Keys are kept in the clear: a hash tells nobody who talks with whom.
    named = "\n".join([*ends, key]).encode()
    return f"c2c:{hashlib.sha256(named).hexdigest()[:40]}"


def _lane(account: Account, fields: dict[str, Any]) -> str:
    if group := ident(fields, "GroupId"):
        return lane("group", group)
    info = fields.get("Info")
    named = ident(info, "To_Account") if isinstance(info, dict) else ident(fields, "Report_Account")
    return lane(named or pair(account, fields).customer)


def _digest(told: str, fields: dict[str, Any], at: int) -> str:
    # What says itself when it happened repeats itself exactly; else a second one is another one.
    moment = "" if "EventTime" in fields or "MsgTime" in fields else str(at)
    content = f"{moment}\n{told}".encode("utf-8", "replace")
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
