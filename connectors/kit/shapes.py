"""A connector's door for JSON of the tenant's own systems: typed, with errors that name the place."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from scrm.errors import Untranslatable

T = TypeVar("T")

_WHERE = re.compile(r" - at `(\$(?:\.[A-Za-z_]+|\[(?:[0-9]{1,4}|\.\.\.)\])*)`$")
_SAYS = re.compile(r"Invalid enum value |Invalid value |Object contains unknown field ")
_WORD = re.compile(r"[A-Za-z_][A-Za-z_.-]{0,39}")


def read(kind: type[T], document: bytes | object) -> T:
    """`document` (JSON bytes, or what they decoded to) as a `kind`.

    Raises `Untranslatable` that says where and what: `$.items[0].price: Expected int, got str`.
    """
    try:
        if isinstance(document, bytes):
            return msgspec.json.decode(document, type=kind)
        return msgspec.convert(document, kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        what, where = _told(str(wrong))
        raise Untranslatable(f"内容不符合格式：{where}：{what}") from None


def _told(message: str) -> tuple[str, str]:
    """What is wrong and where. A value may be somebody's name or number, and errors are kept in the clear."""
    found = _WHERE.search(message)
    what, where = (message[: found.start()], found.group(1)) if found else (message, "$")
    if said := _SAYS.match(what):
        value = what[said.end() :].strip("'`\"")
        what = said.group() + (value if _WORD.fullmatch(value) else "…")
    return what.replace("`", ""), where


def schema(kind: Any) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a shape, for the documentation."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(kind)}
