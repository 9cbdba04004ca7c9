"""The platform's limits, checked before it is asked: a sentence instead of an errcode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scrm.errors import Rejected

_LONGEST_ID = 128


def text(fields: Mapping[str, Any], name: str, title: str, *, chars: int = 0, octets: int = 0) -> str:
    """A text within its limit; "" when it is not given."""
    value = str(fields.get(name) or "").strip()
    if chars and len(value) > chars:
        raise Rejected(f"{title}最多 {chars} 个字，现在有 {len(value)} 个。", code="limit")
    if octets and len(value.encode()) > octets:
        raise Rejected(f"{title}最多 {octets} 字节，现在有 {len(value.encode())} 字节。", code="limit")
    return value


def ident(fields: Mapping[str, Any], name: str, title: str) -> str:
    """An id that must be given."""
    value = text(fields, name, title)
    if not value or len(value) > _LONGEST_ID or not value.isprintable():
        raise Rejected(f"请填写{title}。", code="limit")
    return value


def many(fields: Mapping[str, Any], name: str, title: str, *, most: int, least: int = 1) -> list[str]:
    """A list without repeats, within its limits, in the order given."""
    given = fields.get(name) or ()
    listed = [given] if isinstance(given, str) else list(given)
    found = list(dict.fromkeys(str(one).strip() for one in listed if str(one).strip()))
    if len(found) < least:
        raise Rejected(f"请填写{title}。", code="limit")
    if len(found) > most:
        raise Rejected(f"{title}一次最多 {most} 个，现在有 {len(found)} 个。", code="limit")
    return found


def short(values: Sequence[str], title: str, *, chars: int) -> None:
    """Each of these within so many characters."""
    for value in values:
        if len(value) > chars:
            raise Rejected(f"{title}“{value[:10]}…”超过 {chars} 个字。", code="limit")
