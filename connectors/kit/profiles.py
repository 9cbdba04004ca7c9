"""What a vendor's API says about a person, as a raw for the inbox: same content, same source key."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from connectors.kit.xml import clean
from scrm.contract import Account, Handle, Link, Raw
from scrm.errors import Untranslatable

PREFIX = "profile:"
#: Evidence by the vendor's own API that two of its ids are one person.
RULE = "vendor_api"
_SUBJECT = "default"


def profile_raw(value: str, lane: str, answer: dict[str, Any], now: datetime) -> Raw:
    """A raw that repeats itself until the vendor's answer about `value` changes."""
    content = _json(answer)
    key = hashlib.sha256(f"{value}\n".encode("utf-8", "replace") + content).hexdigest()
    payload = _json({"at": int(now.timestamp()), "answer": answer})
    return Raw(source_key=f"{PREFIX}{key}", lane=lane, payload=payload)


def read_profile(raw: Raw) -> tuple[datetime, dict[str, Any]]:
    """When the vendor was asked, and its answer. Raises `Untranslatable`."""
    try:
        stored = json.loads(raw.payload)
        return datetime.fromtimestamp(stored["at"], UTC), dict(stored["answer"])
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as broken:
        raise Untranslatable("客户资料无法读取。") from broken


def word(fields: dict[str, Any], name: str) -> str:
    """A text of an API answer, "" when absent."""
    value = fields.get(name)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def union_links(
    account: Account, handle: Handle, unionid: str
) -> tuple[tuple[Handle, ...], tuple[Link, ...]]:
    """`handle` and, when the vendor tells one, the unionid that names the same person across its apps."""
    if not unionid:
        return (handle,), ()
    scope = account.get("open_subject") or _SUBJECT
    union = Handle(kind="wechat_unionid", scope=scope, value=unionid)
    return (handle, union), (Link(a=handle, b=union, rule=RULE),)


def _json(value: Any) -> bytes:
    return json.dumps(clean(value), ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
