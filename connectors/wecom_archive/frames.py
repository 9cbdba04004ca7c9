"""What goes through the pipes between us and the child: a JSON head and bytes, each with its length."""

from __future__ import annotations

import json
import struct
from typing import Any

SIZES = struct.Struct(">II")
#: More than any answer: a chunk of media is 512 KiB, a page of 1,000 messages a few MiB.
LONGEST = 64 * 1024 * 1024

Head = dict[str, Any]


def packed(head: Head, blob: bytes = b"") -> bytes:
    written = json.dumps(head).encode()
    return SIZES.pack(len(written), len(blob)) + written + blob


def sizes(start: bytes) -> tuple[int, int]:
    """Raises `ValueError` for lengths nobody means."""
    head, blob = SIZES.unpack(start)
    if head > LONGEST or blob > LONGEST:
        raise ValueError("frame too long")
    return head, blob


def head_of(written: bytes) -> Head:
    """Raises `ValueError` when it is no JSON object."""
    found = json.loads(written)
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found
