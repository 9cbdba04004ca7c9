"""What a colleague writes into a field, as the field keeps it. Pure."""

from __future__ import annotations

import re
from datetime import date

from scrm.errors import BadInput
from scrm.identity.rules import reading
from scrm.identity.survivorship.rules import SEXES
from scrm.identity.survivorship.words import FIELDS

_LONGEST, _NUMBER = 80, re.compile(r"\+[0-9]{7,15}")


def clean(field: str, written: str) -> str:
    """Raises `BadInput` for a field we do not have, and for what it cannot be."""
    text = written.strip()
    if field not in FIELDS:
        raise BadInput("没有这个字段。")
    if not text or len(text) > _LONGEST:
        raise BadInput("内容不能为空，最多 80 个字。")
    if field == "gender":
        return _sex(text)
    if field == "phone":
        return _phone(text)
    return _day(text) if field == "birthday" else text


def _sex(text: str) -> str:
    sex = SEXES.get(text.lower())
    if sex is None:
        raise BadInput("性别请填男或女。")
    return sex


def _phone(text: str) -> str:
    number = reading.phone(text)
    if number.kind != "phone" or not _NUMBER.fullmatch(number.value):
        raise BadInput("请填完整的电话号码。")
    return number.value


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise BadInput("生日请写成 2016-05-01 这样。") from None
