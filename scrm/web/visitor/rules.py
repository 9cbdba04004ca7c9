"""What an upload is, by its bytes, and what it may be called. Pure."""

from __future__ import annotations

#: Pictures a browser shows without running anything: the only uploads ever served inline.
INLINE = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    # Office documents are archives too.
    (b"PK\x03\x04", "application/zip"),
)
_OPAQUE, _PLAIN = "application/octet-stream", "text/plain"
_NAME_MAX = 80


def sniffed(content: bytes) -> str:
    """The type by content alone; what the sender calls it counts for nothing."""
    for magic, mime in _MAGIC:
        if content.startswith(magic):
            return mime
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return _PLAIN if _is_plain(content) else _OPAQUE


def _is_plain(content: bytes) -> bool:
    """Readable text without markup: HTML and SVG are text too, but theirs runs."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not any(c < " " and c not in "\t\n\r\f" for c in text) and "<" not in text


def safe_name(name: str) -> str:
    """A file name as it may be shown and saved: no path, no control or direction characters."""
    last = name.replace("\\", "/").rpartition("/")[2]
    shown = "".join(c for c in last if c.isprintable()).strip(" .")
    if len(shown) > _NAME_MAX:
        stem, dot, tail = shown.rpartition(".")
        keep = f".{tail}" if dot and len(tail) <= 10 else ""
        shown = (stem if keep else shown)[: _NAME_MAX - len(keep)] + keep
    return shown or "file"
