"""What a file is, by its bytes: nobody's word on it counts. Pure."""

from __future__ import annotations

from typing import Literal

#: Pictures a browser shows without running anything.
PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
#: What browsers play; AMR and SILK, in which WeChat speaks, they do not.
SOUNDS = frozenset({"audio/mpeg", "audio/wav", "audio/ogg", "audio/mp4", "audio/flac", "audio/webm"})
FILMS = frozenset({"video/mp4", "video/webm"})
#: Shown or played where it stands; everything else is saved.
INLINE = PICTURES | SOUNDS | FILMS
#: Saved under its own type; the rest as bytes without a meaning.
NAMED = frozenset({"application/pdf", "application/zip", "audio/amr", "audio/silk"})

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    # Office documents are archives too.
    (b"PK\x03\x04", "application/zip"),
    (b"#!AMR", "audio/amr"),
    (b"#!SILK_V3", "audio/silk"),
    (b"\x02#!SILK_V3", "audio/silk"),
    (b"ID3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
#: First byte of a frame is 0xFF; of the second these bits say "MPEG layer III".
_FRAME, _LAYER_3 = 0xE6, 0xE2
_OPAQUE = "application/octet-stream"
Kind = Literal["image", "voice", "video", "file"]


def sniffed(content: bytes, kind: str = "file") -> str:
    """The type by content alone; `kind` only tells sound from film in a container that may hold either."""
    for magic, mime in _MAGIC:
        if content.startswith(magic):
            return mime
    if content[:4] == b"RIFF":
        return _RIFF.get(content[8:12], _OPAQUE)
    if content[4:8] == b"ftyp":
        return "audio/mp4" if kind == "voice" or content[8:11] == b"M4A" else "video/mp4"
    if content[:4] == b"\x1aE\xdf\xa3":
        return "audio/webm" if kind == "voice" else "video/webm"
    if len(content) > 2 and content[0] == 0xFF and content[1] & _FRAME == _LAYER_3:
        return "audio/mpeg"
    return _OPAQUE


def shape(mime: str) -> Literal["image", "sound", "film", "file"]:
    """How a page shows it."""
    if mime in PICTURES:
        return "image"
    return "sound" if mime in SOUNDS else "film" if mime in FILMS else "file"
