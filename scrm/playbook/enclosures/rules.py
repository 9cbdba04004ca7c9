"""What may go out with a talk-track, by its bytes; when a vendor's copy is to be renewed. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta

from scrm.contract import Media
from scrm.errors import BadInput
from scrm.push.words import MEDIA_MAX, SPARE, Form
from scrm.timeline.files import sniffed

#: With the words that makes five messages: what the strictest window takes.
MOST = 4
#: What the bytes are -> as what it goes out, and how its name ends.
_KINDS: Mapping[str, tuple[Form, tuple[str, ...]]] = {
    "image/jpeg": ("image", ("jpg", "jpeg")),
    "image/png": ("image", ("png",)),
    "audio/amr": ("voice", ("amr",)),
    "audio/mpeg": ("voice", ("mp3",)),
    "video/mp4": ("video", ("mp4",)),
    "application/pdf": ("file", ("pdf",)),
    # Office documents are archives too.
    "application/zip": ("file", ("docx", "xlsx", "pptx", "zip")),
}
#: What a rep can send from a page inside the vendor's app.
IN_APP: frozenset[str] = frozenset({"image", "video", "file"})
#: So long before its end a vendor's copy is made anew; longer than any outage should be.
_AHEAD = timedelta(hours=24)
#: After a refusal the next try.
_AGAIN = timedelta(hours=6)
_MB = 1024 * 1024

EMPTY = "附件“{name}”是空的。"
STRANGE = "附件“{name}”不能发：只支持 JPG、PNG、MP3、AMR、MP4、PDF、Office 文档和 ZIP。"
NAMED = "附件“{name}”的内容是 {mime}，文件名要以 .{end} 结尾。"
LARGE = "附件“{name}”太大，最多 {most} MB。"
MANY = "一条话术最多带 {most} 个附件。"
SENTENCES = (EMPTY, STRANGE, NAMED, LARGE, MANY)


def admitted(name: str, content: bytes) -> Media:
    """An upload by what it is; its name must say the same. Raises `BadInput`."""
    if not content:
        raise BadInput(EMPTY.format(name=name))
    mime = sniffed(content, "voice" if name.lower().endswith(".mp3") else "file")
    if mime not in _KINDS:
        raise BadInput(STRANGE.format(name=name))
    form, ends = _KINDS[mime]
    if name.rpartition(".")[2].lower() not in ends:
        raise BadInput(NAMED.format(name=name, mime=mime, end=ends[0]))
    if len(content) > MEDIA_MAX[form]:
        raise BadInput(LARGE.format(name=name, most=MEDIA_MAX[form] // _MB))
    return Media(name=name, mime=mime, content=content)


def usable(until: datetime | None, now: datetime) -> bool:
    """A vendor's copy can be sent by its id now."""
    return until is not None and until - now > SPARE


def form_of(mime: str) -> Form:
    """As what it goes out."""
    return _KINDS[mime][0] if mime in _KINDS else "file"


def digest(one: Media) -> str:
    """The same name and bytes are the same enclosure, and a version that names it means these bytes."""
    return hashlib.sha256(one.name.encode() + b"\0" + one.content).hexdigest()[:32]


def stale(until: datetime | None, tried: datetime | None, now: datetime) -> bool:
    """A vendor must be given it: it has none, or its copy ends soon; not at once after a refusal."""
    if until is not None and until - now > _AHEAD:
        return False
    return tried is None or until is not None or now - tried >= _AGAIN
