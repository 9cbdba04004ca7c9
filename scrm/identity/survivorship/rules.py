"""Which of several values shows: whoever said it weighs first, then how new it is. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from scrm.identity.rules import names
from scrm.identity.survivorship.words import FIELDS

#: Who said it, whose word counts most first.
Said = Literal["human", "contract", "api", "order", "note", "nickname"]
RANK: Mapping[str, int] = {
    s: n for n, s in enumerate(("human", "contract", "api", "order", "note", "nickname"))
}
#: Of these somebody may have several; two values are no contradiction.
MANY = frozenset({"phone", "tags", "child"})
#: What apps call a field, in small letters without signs.
_TRAITS: Mapping[str, str] = {
    "name": "name", "realname": "name", "username": "name", "nickname": "nickname",
    "gender": "gender", "sex": "gender",
    "city": "city", "phone": "phone", "mobile": "phone",
    "grade": "grade", "birthday": "birthday", "birthdate": "birthday",
    "child": "child", "childname": "child", "kid": "child", "kidname": "child", "studentname": "child",
}  # fmt: skip
SEXES: Mapping[str, str] = {
    "m": "m", "male": "m", "男": "m", "1": "m", "f": "f", "female": "f", "女": "f", "2": "f",
}  # fmt: skip
_WOMAN, _MAN = re.compile(r"妈|奶奶|姥姥|外婆|母"), re.compile(r"爸|爷爷|姥爷|外公|父")
_SIGNS = re.compile(r"[^a-z]+")
_LONGEST = 80
#: So many values of a field are shown.
_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One word on one field."""

    field: str
    value: str
    said: Said
    at: datetime
    #: The identifier it hangs on: it goes where that goes.
    node_id: int
    account_id: int = 0
    #: The event that said so, where it stands on the timeline.
    event_id: int | None = None
    #: Of a colleague's correction: its id, who, and why.
    correction_id: int | None = None
    staff_id: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    name: str
    shown: Value
    #: Other values, the next best first; of a field that has many they are all true.
    others: tuple[Value, ...] = ()

    @property
    def conflicting(self) -> bool:
        return bool(self.others) and self.name not in MANY


def survive(values: Iterable[Value]) -> list[Field]:
    """Each field with the value that shows; the same words said twice count once, by whose word is best."""
    by_field: dict[str, dict[str, Value]] = defaultdict(dict)
    for value in sorted(values, key=_best):
        by_field[value.field].setdefault(_same(value), value)
    return [
        Field(name=name, shown=found[0], others=tuple(found[1:_SHOWN]))
        for name in FIELDS
        if (found := list(by_field.get(name, {}).values()))
    ]


def _best(value: Value) -> tuple[Any, ...]:
    return (RANK[value.said], -value.at.timestamp(), value.value, value.node_id)


def _same(value: Value) -> str:
    return names.normal(value.value) if value.field in ("name", "child") else value.value


# -- what sources say --------------------------------------------------------------------------------------
def of_trait(name: str, value: object) -> tuple[str, str, Said] | None:
    """(field, value, whose word) of a trait an app told; None = it says nothing we show."""
    field = _TRAITS.get(_SIGNS.sub("", name.lower()))
    text = str(value).strip()[:_LONGEST] if isinstance(value, str | int) else ""
    if not field or not text:
        return None
    if field == "gender":
        sex = SEXES.get(text.lower())
        return ("gender", sex, "api") if sex else None
    return ("name", text, "nickname") if field == "nickname" else (field, text, "api")


def of_kind(kind: str) -> Said:
    """Whose word a name is that came with an identifier of this kind."""
    if kind == "id_card":
        return "contract"
    return "order" if kind in ("phone", "app_user", "learner") else "nickname"


def sex_of(name: str) -> str:
    """m | f | "": what a name hints at."""
    plain = names.normal(name)
    if sex := names.parts(plain)[2]:
        return sex
    woman, man = bool(_WOMAN.search(plain)), bool(_MAN.search(plain))
    return "" if woman == man else "f" if woman else "m"


def of_follow(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a colleague noted of a customer on the platform: (field, value)."""
    found = [("name", str(body.get("remark") or "").strip()[:_LONGEST])]
    found += [("phone", str(m)) for m in body.get("mobiles") or () if m]
    tags = [t for t in body.get("tags") or () if isinstance(t, dict)]
    found += [("tags", str(t.get("name"))[:_LONGEST]) for t in tags if t.get("name")]
    return [(field, value) for field, value in found if value]


def hints(values: Sequence[Value]) -> list[Value]:
    """What names hint at, as weak as the weakest word."""
    return [
        Value(field="gender", value=sex, said="nickname", at=v.at, node_id=v.node_id,
              account_id=v.account_id, event_id=v.event_id)
        for v in values
        if v.field == "name" and (sex := sex_of(v.value))
    ]  # fmt: skip
