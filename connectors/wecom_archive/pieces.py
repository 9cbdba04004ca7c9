"""The files of a message: how to ask for them, and what they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from connectors.kit.profiles import word
from scrm.contract import Piece

_Fields = dict[str, Any]
_Kind = Literal["image", "voice", "video", "file"]

#: msgtype -> (kind, extension when the message names none)
_FILES: Mapping[str, tuple[_Kind, str]] = MappingProxyType(
    {
        "image": ("image", "jpg"),
        "emotion": ("image", "gif"),
        "voice": ("voice", "amr"),
        "video": ("video", "mp4"),
        "file": ("file", ""),
        "voip_doc_share": ("file", ""),
        "meeting_voice_call": ("voice", "mp3"),
    }
)
_PNG = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """What a piece's `ref` says."""

    file_id: str
    name: str
    mime: str
    size: int
    md5: str


def pieces_of(msgtype: str, part: _Fields) -> tuple[Piece, ...]:
    """The file of this part, if it has one."""
    if not word(part, "sdkfileid") or msgtype not in _FILES:
        return ()
    ref = _ref(msgtype, part)
    return (
        Piece(
            ref=json.dumps([getattr(ref, n) for n in Ref.__slots__], ensure_ascii=False),
            kind=_FILES[msgtype][0],
            name=ref.name,
            mime=ref.mime,
            size=ref.size,
            seconds=_number(part.get("play_length")),
            md5=ref.md5,
        ),
    )


def _ref(msgtype: str, part: _Fields) -> Ref:
    extension = "png" if msgtype == "emotion" and part.get("type") == _PNG else _FILES[msgtype][1]
    md5 = word(part, "md5sum")
    name = word(part, "filename") or f"{md5 or msgtype}.{extension}"
    named = (name if "." in name else f"{name}.{word(part, 'fileext')}").rstrip(".")
    return Ref(
        file_id=word(part, "sdkfileid"),
        name=named,
        mime=_MIMES.get(named.rpartition(".")[2].lower(), "application/octet-stream"),
        size=max(_number(part.get(name)) for name in _SIZES),
        md5=md5.lower(),
    )


_SIZES = ("filesize", "voice_size", "imagesize")
_OFFICE = "application/vnd.openxmlformats-officedocument"
#: Our own list: what the system knows differs from machine to machine, a translation must not.
_MIMES: Mapping[str, str] = MappingProxyType(
    {
        "jpg": "image/jpeg",
        "jpeg": "image/jpeg",
        "png": "image/png",
        "gif": "image/gif",
        "webp": "image/webp",
        "amr": "audio/amr",
        "mp3": "audio/mpeg",
        "wav": "audio/wav",
        "mp4": "video/mp4",
        "mov": "video/quicktime",
        "pdf": "application/pdf",
        "doc": "application/msword",
        "xls": "application/vnd.ms-excel",
        "ppt": "application/vnd.ms-powerpoint",
        "docx": f"{_OFFICE}.wordprocessingml.document",
        "xlsx": f"{_OFFICE}.spreadsheetml.sheet",
        "pptx": f"{_OFFICE}.presentationml.presentation",
        "zip": "application/zip",
        "txt": "text/plain",
        "csv": "text/csv",
    }
)


def _number(value: object) -> int:
    """A whole number that is not negative, else 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53 else 0


def read_ref(text: str) -> Ref | None:
    """None for anything that is not one of ours."""
    try:
        file_id, name, mime, size, md5 = json.loads(text)
        return Ref(file_id=str(file_id), name=str(name), mime=str(mime), size=int(size), md5=str(md5))
    except (TypeError, ValueError):
        return None
