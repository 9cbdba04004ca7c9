"""Fields of a message or event, and the words the timeline shows for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from connectors.kit import xml

Fields = dict[str, Any]
Words = Callable[[Fields], str]
#: The platform names the customer in one of these when the sender is an account of its own.
_NAMED = ("OpenID", "OpenId", "openid", "open_id")
_SENDER = "FromUserName"
_QR_PREFIX = "qrscene_"


def said(fields: Mapping[str, Any], name: str) -> str:
    """One scalar, "" when absent. Raises `Unreadable` when it is repeated."""
    return xml.text(fields, name, "")


def part(fields: Mapping[str, Any], name: str) -> Fields:
    """A nested element; {} when it is something else."""
    found = fields.get(name)
    return found if isinstance(found, dict) else {}


def inner(fields: Mapping[str, Any], name: str) -> str:
    """A scalar of a nested element, however odd the rest of it is."""
    found = fields.get(name)
    return found if isinstance(found, str) else ""


def many(value: object) -> list[Any]:
    """An element that may come once, repeated, or not at all."""
    if value in (None, ""):
        return []
    return value if isinstance(value, list) else [value]


def customer(fields: Mapping[str, Any]) -> str:
    """The openid it is about; "" when nobody is named. Raises `Unreadable` for something else than an id."""
    named = (xml.ident(fields, name, "") for name in _NAMED if name in fields)
    return next((openid for openid in named if openid), "") or xml.ident(fields, _SENDER, "")


def scene(fields: Fields) -> str:
    """The channel code a customer came by; "" without one."""
    return said(fields, "EventKey").removeprefix(_QR_PREFIX)


def notices(fields: Fields) -> list[Fields]:
    """Entries of a subscription event."""
    # XML wraps `List` in an element named after the event, JSON does not; one entry may come without a list.
    wrapped = next((v for k, v in fields.items() if k.startswith("SubscribeMsg")), fields)
    found = many(wrapped.get("List")) if isinstance(wrapped, dict) else []
    return [one for one in found if isinstance(one, dict)]


def tagged(tag: str, *names: str) -> Words:
    """`[tag]` followed by the first of the fields that is filled."""

    def words(fields: Fields) -> str:
        detail = next((found for found in (said(fields, name) for name in names) if found), "")
        return f"[{tag}] {detail}".rstrip()

    return words


def always(sentence: str) -> Words:
    return lambda _fields: sentence


def keyed(before: str, after: str = "", *, name: str = "EventKey") -> Words:
    """A sentence around one field."""
    return lambda fields: f"{before}{said(fields, name)}{after}"


def detailed(sentence: str, where: str, name: str) -> Words:
    """A sentence, and after a colon what the nested element says, if it does."""

    def words(fields: Fields) -> str:
        detail = inner(part(fields, where), name)
        return f"{sentence}：{detail}" if detail else sentence

    return words
