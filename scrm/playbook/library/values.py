"""Versions of a script, where a script stands, and who edits: values of the library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from scrm.playbook.scripts import Script
from scrm.shapes import from_json, load, to_json

Folder = Literal["company", "team", "personal"]
State = Literal["draft", "review", "live", "refused", "retired"]
#: file: taken over from the folder; page: written there; import: came as YAML; api: a program's.
Source = Literal["file", "page", "import", "api"]

FOLDERS: Mapping[Folder, str] = {"company": "公司", "team": "小组", "personal": "个人"}
STATES: Mapping[State, str] = {
    "draft": "草稿",
    "review": "待审核",
    "live": "已发布",
    "refused": "被退回",
    "retired": "已停用",
}
#: `live_version` of a script that was taken out, file or not.
OUT = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a script stands that somebody here wrote or changed."""

    code: str
    trade: str
    folder: Folder = "company"
    #: Whose folder it is in.
    team_id: int | None = None
    owner_id: int | None = None
    #: The version published last; 0 = none, `OUT` = taken out.
    live_version: int = 0
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version as the database keeps it."""

    code: str
    version: int
    state: State
    content: Mapping[str, Any]
    digest: str
    source: Source
    #: The file's version it was written over; 0 = no file has this script.
    base: int = 0
    author_id: int | None = None
    reviewer_id: int | None = None
    #: Why it was refused, or what the author says of it.
    note: str = ""
    created_at: datetime
    decided_at: datetime | None = None
    #: In force from then on, and until before then.
    starts_at: datetime | None = None
    expires_at: datetime | None = None

    @property
    def script(self) -> Script:
        """Raises `BadInput` for content that an older release let pass and this one does not."""
        return script_of(self.code, self.version, self.content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Editor:
    """Who is at the library; a program has no `staff_id`."""

    role: str
    staff_id: int | None = None
    team_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Whose own and whose team's scripts may be offered besides the company's."""

    staff_id: int | None = None
    team_id: int | None = None


def content_of(script: Script) -> dict[str, Any]:
    """Everything but its name and number, as a file would write it: what is as usual is left out."""
    found = from_json(dict[str, Any], to_json(script), where=script.id)
    plain = {"says": [], "channels": [], "fallback": False, "files": []}
    return {k: v for k, v in found.items() if k not in ("id", "version") and plain.get(k, ...) != v}


def script_of(code: str, version: int, content: Mapping[str, Any]) -> Script:
    """Raises `BadInput` saying what is wrong with the content."""
    return load(Script, {"id": code, "version": version, **content}, where=code)
