"""A stored payload as somebody may see it who must not see customers: its structure, and mended values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal
from xml.etree import ElementTree

from scrm.errors import BadInput

Kind = Literal["text", "number", "flag", "empty"]
#: More than any callback has; what is deeper or longer is not listed.
_MOST, _DEEPEST = 400, 40
_NAME = re.compile(r"[A-Za-z_][A-Za-z_.-]*[0-9]{0,2}[A-Za-z_.-]*")
_WORD = re.compile(r"[A-Za-z_][A-Za-z_.$-]{0,39}")
#: Names whose values say what a message is, not who sent it.
_STRUCTURAL = frozenset(
    "msgtype event changetype change_type infotype type action msg_type eventtype event_type kind format "
    "callbackcommand cloudevent jobtype method origin category direction encoding".split()
)
_TIMES = frozenset("createtime create_time timestamp time send_time msgtime eventtime created_at".split())
_LATEST = 10**13


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One value: where it stands and what may be said of it."""

    number: int
    pointer: str
    kind: Kind
    #: Digits or characters.
    size: int
    #: The value itself where it is no customer's; "" = hidden.
    plain: str = ""


@dataclass(frozen=True, slots=True)
class _Leaf:
    path: tuple[str, ...]
    value: Any
    put: Callable[[Any], None]


def shown(payload: bytes) -> list[Shown]:
    """Every value in order; empty when it is neither JSON nor XML."""
    tree = _tree(payload)
    return [_shown(n, leaf) for n, leaf in enumerate(tree[0])] if tree else []


def patched(payload: bytes, number: int, value: str) -> bytes:
    """The payload with one value replaced. A value that was no text is read as JSON. Raises `BadInput`."""
    tree = _tree(payload)
    if tree is None or not 0 <= number < len(tree[0]):
        raise BadInput("这条消息里没有这一项。")
    leaves, written = tree
    leaf = leaves[number]
    leaf.put(value if isinstance(leaf.value, str) else _parsed(value))
    return written()


def _parsed(value: str) -> Any:
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        raise BadInput("这一项不是文字：请填数字、true、false 或 null。") from None
    if isinstance(found, dict | list):
        raise BadInput("这一项不是文字：请填数字、true、false 或 null。")
    return found


def _tree(payload: bytes) -> tuple[list[_Leaf], Callable[[], bytes]] | None:
    text = payload.decode("utf-8", "replace").strip()
    try:
        if text[:1] in "{[" and text:
            whole = json.loads(text)
            # As ASCII: what came in as half a character goes out as one.
            return list(_of_json(whole)), lambda: json.dumps(whole).encode()
        if text[:1] == "<" and "<!DOCTYPE" not in text and "<!ENTITY" not in text:
            root = ElementTree.fromstring(text)
            return list(_of_xml(root)), lambda: ElementTree.tostring(root, encoding="utf-8")
    except (ValueError, ElementTree.ParseError, RecursionError):
        return None
    return None


def _of_json(whole: Any) -> Iterator[_Leaf]:
    waiting: list[tuple[tuple[str, ...], Any]] = [((), whole)]
    left = _MOST
    while waiting and left:
        path, at = waiting.pop()
        pairs = at.items() if isinstance(at, dict) else enumerate(at)
        deeper = []
        for key, value in list(pairs):
            here = (*path, str(key))
            if isinstance(value, dict | list) and value and len(here) < _DEEPEST:
                deeper.append((here, value))
            elif left:
                left -= 1
                yield _Leaf(here, value, partial(at.__setitem__, key))
        waiting += reversed(deeper)


def _of_xml(root: ElementTree.Element) -> Iterator[_Leaf]:
    waiting: list[tuple[tuple[str, ...], ElementTree.Element]] = [((root.tag,), root)]
    left = _MOST
    while waiting and left:
        path, at = waiting.pop()
        if not len(at):
            left -= 1
            yield _Leaf(path, at.text or "", partial(setattr, at, "text"))
        elif len(path) < _DEEPEST:
            waiting += [((*path, child.tag), child) for child in reversed(at)]


def _shown(number: int, leaf: _Leaf) -> Shown:
    name, value = leaf.path[-1], leaf.value
    text = "" if value is None or isinstance(value, dict | list) else str(value)
    if isinstance(value, bool):
        kind: Kind = "flag"
    elif not text:
        kind = "empty"
    else:
        kind = "number" if text.lstrip("-").replace(".", "", 1).isdecimal() else "text"
    pointer = "/" + "/".join(_named(part) for part in leaf.path)
    return Shown(number=number, pointer=pointer, kind=kind, size=len(text), plain=_plain(name, value, text))


def _named(part: str) -> str:
    """A key that may be an id or a name is data too."""
    harmless = _NAME.fullmatch(part) if len(part) <= 40 else None
    return part if harmless or (part.isdecimal() and len(part) < 4) else "…"


def _plain(name: str, value: Any, text: str) -> str:
    low = name.lower()
    if isinstance(value, bool):
        return "true" if value else "false"
    if low in _STRUCTURAL and _WORD.fullmatch(text):
        return text
    if low in _TIMES and text.isdecimal() and int(text[:20]) < _LATEST:
        return text
    return ""
