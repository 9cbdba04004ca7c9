"""Files as people attach them, small and of every kind that may go out."""

from __future__ import annotations

import struct
import zlib

PNG = b"\x89PNG\r\n\x1a\n" + b"." * 40
JPG = b"\xff\xd8\xff" + b"." * 40
PDF = b"%PDF-1.7\n" + b"." * 40
MP4 = b"\x00\x00\x00\x18ftypmp42" + b"." * 40
AMR = b"#!AMR\n" + b"." * 40
ZIP = b"PK\x03\x04" + b"." * 40


def picture(width: int = 320, height: int = 180) -> bytes:
    """A PNG that browsers show: one colour."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    lines = (b"\x00" + b"\x2f\x6f\xd6" * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
