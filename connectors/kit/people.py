"""Addresses that several channels know: the user of our customer's own app, a telephone number."""

from __future__ import annotations

import re

from scrm.contract import Account, Handle, Part

_LOOKS = re.compile(r"\(?\+?[0-9() .\-–—]{5,32}")
#: As a Chinese keyboard writes them.
_WIDE = str.maketrans("０１２３４５６７８９＋（）－\u3000", "0123456789+()- ")
_MOBILE = re.compile(r"1[3-9][0-9]{9}")
#: 010-87654321, 0571-12345678; 400 and 800 numbers are nobody's own.
_LANDLINE = re.compile(r"0[1-9][0-9]{1,2}[0-9]{7,8}")
_E164 = re.compile(r"[1-9][0-9]{6,14}")


def users_of(account: Account) -> str:
    """Whose user ids these are: sites and apps that share their members name the same."""
    return account.get("users") or account.slug


def app_user(account: Account, value: str, *, part: Part = "actor", name: str = "") -> Handle:
    """A registered user of the customer's own app or site."""
    return Handle(kind="app_user", scope=users_of(account), value=value, part=part, name=name)


def e164(text: str) -> str:
    """A telephone number as `+8613800138000`; "" for anything that is not one.

    Without a country it is Chinese: a mobile, or a landline with its area code.
    """
    written = text.translate(_WIDE).strip()
    if not _LOOKS.fullmatch(written):
        return ""
    digits, named = "".join(c for c in written if c.isdecimal()), "+" in written
    for code in ("86", "0086"):
        if digits.startswith(f"{code}0") and (code == "0086" or named):
            digits = code + digits[len(code) + 1 :]  # the area code's own nought stays at home
    if named:
        return f"+{digits}" if _E164.fullmatch(digits) else ""
    if digits.startswith("00"):
        return f"+{digits[2:]}" if _E164.fullmatch(digits[2:]) else ""
    if _MOBILE.fullmatch(digits.removeprefix("86")) and len(digits) in (11, 13):
        return f"+86{digits.removeprefix('86')}"
    if _LANDLINE.fullmatch(digits):
        return f"+86{digits[1:]}"
    return ""


def phone(text: str, *, part: Part = "actor", name: str = "") -> Handle | None:
    """Somebody's telephone; None when the text is no number."""
    number = e164(text)
    return Handle(kind="phone", scope="e164", value=number, part=part, name=name) if number else None
