"""A colleague's reason as it is kept: without whole numbers of telephones and identity cards. Pure."""

from __future__ import annotations

import re

#: The mark of a work (`#1f3a`) is none, whatever its digits look like.
_NUMBER = re.compile(
    r"#[0-9a-f]+|(?<![0-9])(?:"
    r"(?:\+?(?:00)?86[ -]?)?1[3-9][0-9][ -]?[0-9]{4}[ -]?[0-9]{4}"
    r"|[0-9]{17}[0-9Xx]"
    r"|0[0-9]{2,3}-[0-9]{7,8}"
    r"|\+[0-9]{8,15}"
    r")(?![0-9])"
)


def kept(written: str) -> str:
    """Of each number the first three and last four."""
    return _NUMBER.sub(_short, written)


def _short(found: re.Match[str]) -> str:
    if found[0].startswith("#"):
        return found[0]
    digits = re.sub(r"[ +-]", "", found[0])
    if len(digits) > 11 and digits.lstrip("0").startswith("861"):
        digits = digits[-11:]
    return f"{digits[:3]}****{digits[-4:]}"
