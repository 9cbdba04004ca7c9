"""What a tag may be called. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from scrm.errors import BadInput

BAD = "标签要有 1 到 20 个字，一次最多 10 个。"
SENTENCES = (BAD,)
_LENGTH, _AT_ONCE = 20, 10


def names(wanted: Iterable[str]) -> list[str]:
    """As they are kept: without spaces around and inside, each once, in order. Raises `BadInput`."""
    found = sorted({"".join(one.split()) for one in wanted})
    if len(found) > _AT_ONCE or any(not one or len(one) > _LENGTH or not one.isprintable() for one in found):
        raise BadInput(BAD)
    return found
