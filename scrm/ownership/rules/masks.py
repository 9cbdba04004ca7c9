"""Telephone numbers of which only the ends were given: what fits what."""

from __future__ import annotations

import re

_FULL = re.compile(r"(?:\+?86)?(1[3-9][0-9]{9})")
#: 138****1234 and 1381***234: first three and last four, or first four and last three.
_MASKED = re.compile(r"(1[3-9][0-9])[*xX•＊]{3,8}([0-9]{4})|(1[3-9][0-9]{2})[*xX•＊]{3,8}([0-9]{3})")
_NOISE = re.compile(r"[\s()（）-]")


def full(text: str) -> str:
    """The number in full, E.164; "" = it is not one."""
    found = _FULL.fullmatch(_NOISE.sub("", text))
    return f"+86{found[1]}" if found else ""


def masked(text: str) -> str:
    """The mask in one form for all ways of writing it; "" = it is not one."""
    found = _MASKED.fullmatch(_NOISE.sub("", text))
    if not found:
        return ""
    head, tail = (found[1], found[2]) if found[1] else (found[3], found[4])
    return f"{head}****{tail}" if len(head) == 3 else f"{head}***{tail}"


def masks_of(number: str) -> tuple[str, str]:
    """Both masks that a full number (E.164) may be given by."""
    plain = number.removeprefix("+86")
    return f"{plain[:3]}****{plain[-4:]}", f"{plain[:4]}***{plain[-3:]}"
