"""What a platform's fields mean, as data: preset files and a JSON of one's own, checked with clear words."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from scrm.contract import Account
from scrm.errors import BadConfig

_FOLDER = Path(__file__).parent / "presets"
#: `a.b.0` in the report, `?name` in the query, `@Name` a header.
_PATH = re.compile(r"[?@]?[A-Za-z0-9_\u4e00-\u9fff（）() \-]+(\.[A-Za-z0-9_\-]+)*")
FIELDS = (
    "call_id", "state", "direction", "caller", "callee", "line", "agent", "agent_name", "at", "started_at",
    "answered_at", "ended_at", "answered", "talk_s", "duration_s", "result", "recording", "recording_s",
)  # fmt: skip
#: Headings people use in call lists; and how rows of lists are told apart from what was pushed.
LISTS, LISTED = "list", "list:"
STATES = ("ringing", "answered", "ended", "recording", "ignored")


class Lookup(
    msgspec.Struct, frozen=True, kw_only=True, rename={"source": "from"}, forbid_unknown_fields=True
):
    """Where a value is found, and what it means."""

    source: str | list[str] = []
    #: What the platform writes -> our word; anything else keeps its own.
    values: dict[str, str] = {}
    #: Our word when the named field is there at all.
    has: dict[str, str] = {}
    default: str = ""


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping as it is written."""

    title: str
    fields: dict[str, str | list[str] | Lookup]
    about: str = ""
    auth: Literal["hmac", "basic", "path", "sources"] = "hmac"
    body: Literal["json", "form"] = "json"
    #: Reports come as a list; with a name, as the list of that field.
    many: bool | str = False
    answer: dict[str, Any] = {}
    #: Headers or fields that name a push: the same name is the same push. Empty = by content.
    push_id: list[str] = []
    #: Kept with the call beside what we understand.
    more: list[str] = []
    zone: str = "Asia/Shanghai"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    title: str
    auth: str
    body: str
    many: bool | str
    answer: bytes
    push_id: tuple[str, ...]
    more: tuple[str, ...]
    zone: ZoneInfo
    fields: MappingProxyType[str, Lookup] = field(default_factory=lambda: MappingProxyType({}))


def mapping_of(account: Account) -> Mapping:
    """The account's mapping. Raises `BadConfig` naming the place."""
    return read(account.get("mapping").strip() or "generic")


@lru_cache(maxsize=64)
def read(text: str) -> Mapping:
    """A preset by name, or a mapping as JSON. Raises `BadConfig`."""
    if not text.startswith("{"):
        if text not in (*PRESETS, LISTS):
            raise BadConfig(
                f"mapping：没有叫 {text[:40]} 的格式，可用的有 {'、'.join(PRESETS)}，或写一段 JSON。"
            )
        text = (_FOLDER / f"{text}.json").read_text("utf-8")
    try:
        written = msgspec.json.decode(text.encode(), type=_File)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as wrong:
        what, _, where = str(wrong).partition(" - at ")
        raise BadConfig(f"mapping 不符合格式：{where.strip('`') or '$'}：{what.replace('`', '')}") from None
    return _checked(written)


def _checked(written: _File) -> Mapping:
    fields = {}
    for name, said in written.fields.items():
        if name not in FIELDS:
            raise BadConfig(f"mapping：fields 里不认识 {name}，可用的有 {'、'.join(FIELDS)}。")
        fields[name] = lookup = said if isinstance(said, Lookup) else Lookup(source=said)
        for path in (*_paths(lookup), *lookup.has):
            if not _PATH.fullmatch(path):
                raise BadConfig(
                    f"mapping：fields.{name} 里的路径“{path}”写得不对，应像 a.b、?参数 或 @请求头。"
                )
    if "call_id" not in fields:
        raise BadConfig("mapping：fields 里要有 call_id，同一通电话的几份报告靠它认出来。")
    state = fields.get("state", Lookup(default="ended"))
    for word in (*state.values.values(), *state.has.values(), state.default):
        if word and word not in STATES:
            raise BadConfig(f"mapping：fields.state 的“{word}”不对，应是 {'、'.join(STATES)} 之一。")
    try:
        zone = ZoneInfo(written.zone)
    except (KeyError, ValueError, OSError):
        raise BadConfig(f"mapping：没有 {written.zone} 这个时区。") from None
    return Mapping(
        title=written.title,
        auth=written.auth,
        body=written.body,
        many=written.many,
        answer=json.dumps(written.answer, ensure_ascii=False, separators=(",", ":")).encode(),
        push_id=tuple(written.push_id),
        more=tuple(written.more),
        zone=zone,
        fields=MappingProxyType({"state": state, **fields}),
    )


def _paths(lookup: Lookup) -> list[str]:
    return [lookup.source] if isinstance(lookup.source, str) else list(lookup.source)


def sources(lookup: Lookup) -> list[str]:
    """The paths to try, first come first served."""
    return _paths(lookup)


PRESETS = tuple(sorted(p.stem for p in _FOLDER.glob("*.json") if p.stem != LISTS))
