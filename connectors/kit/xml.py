"""Callback bodies, XML or JSON, as plain dictionaries of text: small, shallow and without surprises."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn
from xml.parsers import expat

from scrm.errors import Unreadable

LONGEST = 64 * 1024
DEEPEST = 8
#: Far above any id a vendor makes; keeps hostile ones out of keys and indexes.
_LONGEST_ID = 256
_BOM = b"\xef\xbb\xbf"
_FORBIDDEN = r"\x00-\x08\x0b-\x1f\ufffe\uffff"
_ONE = rf"\s*<([A-Za-z]\w{{0,63}})>(?:<!\[CDATA\[([^\]{_FORBIDDEN}]*)\]\]>|([^<&>\]{_FORBIDDEN}]*))</\1>"
_FLAT = re.compile(rf"<xml>((?:{_ONE.replace('1>', '2>')})+)\s*</xml>", re.ASCII)
_FIELD = re.compile(_ONE, re.ASCII)


def parse(body: bytes) -> dict[str, Any]:
    """The fields of an XML or JSON body: text, dictionaries, and lists where an element repeats.

    Raises `Unreadable` for a DOCTYPE, more than 64 KiB, more than 8 levels, or anything malformed.
    """
    if len(body) > LONGEST:
        raise Unreadable("回调内容超过 64 KiB。")
    body = body.removeprefix(_BOM).strip()
    fields = parse_json(body) if body.startswith(b"{") else _flat(body) or _Tree().read(body)
    if not isinstance(fields, dict):
        raise Unreadable("回调内容不是键值结构。")
    return fields


def text(fields: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """One scalar; `default` when absent. Raises `Unreadable` if it is absent without default, or repeated."""
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise Unreadable(f"字段 {name} 缺失或重复。")
    return value


def ident(fields: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """A scalar that names something: short and printable."""
    value = text(fields, name, default)
    if len(value) > _LONGEST_ID or not value.isprintable():
        raise Unreadable(f"字段 {name} 不是合法的标识。")
    return value


def moment(fields: Mapping[str, Any], name: str) -> datetime:
    """A time in whole seconds since 1970, aware. Raises `Unreadable` when it is not one."""
    return at_seconds(text(fields, name))


def at_seconds(value: object) -> datetime:
    """Seconds since 1970, as the vendors write them (text or number), as an aware time."""
    digits = str(value)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 11):
        raise Unreadable("时间不是秒数。")
    return datetime.fromtimestamp(int(digits), UTC)


def clean(value: Any) -> Any:
    """The same JSON value without NULs and lone surrogates, which no database column takes."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {clean(k): clean(v) for k, v in value.items()}
    if isinstance(value, list):
        return [clean(v) for v in value]
    return value


def shallow(value: Any, levels: int) -> bool:
    """Whether a JSON value nests at most so deep: a deeper one exhausts whoever walks it."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(shallow(one, levels - 1) for one in inside)


def parse_json(body: bytes) -> Any:
    """A JSON value with every scalar as text. Raises `Unreadable`, also for a key given twice."""
    try:
        value = json.loads(
            body,
            parse_int=str,
            parse_float=str,
            parse_constant=_no_constant,
            object_pairs_hook=_unique,
            strict=False,
        )
    except (ValueError, RecursionError) as broken:
        raise Unreadable("回调内容不是合法的 JSON。") from broken
    return clean(_as_text(value, DEEPEST))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key is given twice")
    return fields


def _as_text(value: Any, levels: int) -> Any:
    if levels < 0:
        raise Unreadable("回调内容嵌套过深。")
    if isinstance(value, dict):
        return {k: _as_text(v, levels - 1) for k, v in value.items()}
    if isinstance(value, list):
        return [_as_text(v, levels - 1) for v in value]
    if value is None or isinstance(value, bool):
        return "1" if value else ""
    return value


def _flat(body: bytes) -> dict[str, str] | None:
    """What nearly every callback is: one level of plain elements, each name once. None = ask expat.

    It takes a third of the time and reads nothing expat would read otherwise: references, attributes,
    comments, carriage returns and forbidden characters do not match. A test holds the two against each other.
    """
    try:
        document = _FLAT.fullmatch(body.decode("utf-8"))
    except UnicodeDecodeError:
        return None
    if document is None:
        return None
    found = _FIELD.findall(document[1])
    fields = {name: cdata or plain.strip() for name, cdata, plain in found}
    return fields if len(fields) == len(found) else None


class _Element:
    __slots__ = ("cdata", "fields", "loose", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.fields: dict[str, Any] = {}
        self.cdata: list[str] | None = None
        self.loose: list[str] = []

    def value(self) -> Any:
        if self.fields:
            return self.fields
        if self.cdata is None:
            return "".join(self.loose).strip()
        # White space around a CDATA section is layout, inside it is content.
        return "".join(self.cdata)

    def add(self, name: str, value: Any) -> None:
        if name not in self.fields:
            self.fields[name] = value
        elif isinstance(self.fields[name], list):
            self.fields[name].append(value)
        else:
            self.fields[name] = [self.fields[name], value]


class _Tree:
    """One pass of expat with nothing switched on but elements and text."""

    def __init__(self) -> None:
        # The vendors send UTF-8; a declaration that says otherwise is ignored.
        self._parser = parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartCdataSectionHandler = self._cdata
        parser.EndCdataSectionHandler = self._cdata_end
        self._open: list[_Element] = [_Element("")]
        self._in_cdata = False

    def read(self, body: bytes) -> Any:
        try:
            self._parser.Parse(body, True)
        except (expat.ExpatError, ValueError) as broken:
            raise Unreadable("回调内容不是合法的 XML。") from broken
        root = next(iter(self._open[0].fields.values()), None)
        return {} if root == "" else root

    def _doctype(self, *_: object) -> None:
        raise Unreadable("回调内容里不允许有 DOCTYPE。")

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        if len(self._open) > DEEPEST:
            raise Unreadable("回调内容嵌套过深。")
        self._open.append(_Element(name))

    def _end(self, _name: str) -> None:
        done = self._open.pop()
        self._open[-1].add(done.name, done.value())

    def _text(self, chunk: str) -> None:
        element = self._open[-1]
        if self._in_cdata and element.cdata is not None:
            element.cdata.append(chunk)
        elif element.cdata is None:
            element.loose.append(chunk)
        elif chunk.strip():
            element.cdata.append(chunk)

    def _cdata(self) -> None:
        element = self._open[-1]
        if element.cdata is None:
            loose = "".join(element.loose)
            element.cdata = [loose] if loose.strip() else []
        self._in_cdata = True

    def _cdata_end(self) -> None:
        self._in_cdata = False
