"""What is compared about a person: names, telephones, devices, reps, family - one flat record each. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from scrm.identity.rules import names as naming

_KIN = r"妈妈?|爸爸?|奶奶?|爷爷|姥姥|姥爷|外婆|外公|家长|母亲?|父亲?"
_NICKNAME = re.compile(rf"([\u4e00-\u9fff]{{1,3}}?)(?:的)?({_KIN})")
_HANZI = re.compile(r"[\u4e00-\u9fff]{2}")
_MOBILE = re.compile(r"1[3-9]\d{9}")
_NOBODY = frozenset(
    {"宝", "宝宝", "孩子", "小孩", "学生", "你", "他", "她", "我", "老", "大", "二", "干", "新", "准"}
)
_WOMEN, _MEN = ("妈", "奶", "姥姥", "外婆", "母"), ("爸", "爷", "姥爷", "外公", "父")
#: More telephones or names than this are no person's own.
_MANY = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One person as the model sees them. Everything is plain and comparable; "" and () = nobody said."""

    person_id: int
    #: The identifier a decision will hang on, and the others (bounded).
    node_id: int
    nodes: tuple[int, ...] = ()
    #: Full names, the usual one first.
    names: tuple[str, ...] = ()
    surname: str = ""
    #: m | f
    gender: str = ""
    #: What a channel calls them where that is no full name: 子涵妈妈, 阳光.
    nicknames: tuple[str, ...] = ()
    #: Children they are named after, or that were mentioned.
    children: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    reps: tuple[str, ...] = ()
    household: str = ""
    #: (kind, scope, value) of identifiers a person has only so many of.
    exclusive: tuple[tuple[str, str, str], ...] = ()
    #: How many identifiers.
    size: int = 1
    #: A child that learns rather than an adult who buys.
    learner: bool = False
    #: What is to gain by knowing more: talks, orders, how lately.
    value: int = 0


@dataclass(slots=True)
class Said:
    """Names of one person, told apart."""

    full: list[str] = field(default_factory=list)
    surname: str = ""
    gender: str = ""
    nicknames: list[str] = field(default_factory=list)
    children: list[str] = field(default_factory=list)


def of_names(names: Iterable[str]) -> Said:
    """What the names of a person say: the usual one first."""
    said = Said()
    for name in dict.fromkeys(naming.normal(n) for n in names):
        _hear(said, name)
    if said.full and not said.surname:
        said.surname = naming.parts(said.full[0])[0]
    for found in (said.full, said.nicknames, said.children):
        del found[_MANY:]
    return said


def _hear(said: Said, name: str) -> None:
    surname, given, sex = naming.parts(name)
    said.gender = said.gender or sex
    if surname and given:
        said.full.append(name[: len(surname) + len(given)])
        return
    if surname:
        said.surname = said.surname or surname
        return
    if found := _NICKNAME.fullmatch(name):
        child, kin = found.groups()
        if child not in _NOBODY:
            said.children.append(child)
        said.gender = said.gender or kin_gender(kin)
    if len(name) > 1:
        said.nicknames.append(name)


def kin_gender(kin: str) -> str:
    return "f" if kin.startswith(_WOMEN) else "m" if kin.startswith(_MEN) else ""


def given(names: Iterable[str]) -> list[str]:
    """Given names as a nickname might play on them: 国勇 and 勇勇 of 王国勇."""
    found = [g for n in names if (g := naming.parts(n)[1])]
    return list(dict.fromkeys([*(g for g in found if len(g) > 1), *(g[-1] * 2 for g in found)]))


def alludes(nicknames: Iterable[str]) -> list[str]:
    """Every two neighbouring characters of a nickname that could be a given name."""
    pairs = (n[i : i + 2] for n in nicknames for i in range(len(n) - 1))
    return [p for p in dict.fromkeys(pairs) if _HANZI.fullmatch(p)][:_MANY]


def near(phone: str) -> list[str]:
    """Keys of which two telephones share one when a single digit differs, or two neighbours are swapped."""
    spots = [f"{phone[:i]}?{phone[i + 1 :]}" for i in range(len(phone))]
    swaps = [
        f"{phone[:i]}{min(pair)}{max(pair)}~{phone[i + 2 :]}"
        for i in range(len(phone) - 1)
        if (pair := phone[i : i + 2])[0] != pair[1]
    ]
    return spots + swaps


def digits(phone: str) -> str:
    """The number as Chinese people write it: without the country code."""
    return phone.removeprefix("+86")


def masks(phone: str) -> tuple[str, ...]:
    """How reports hide digits of a mobile number: first three and last four, first four and last three."""
    number = digits(phone)
    if not _MOBILE.fullmatch(number):
        return ()
    return (f"{number[:3]}****{number[-4:]}", f"{number[:4]}****{number[-3:]}")


def mask_of(value: str) -> str:
    """A masked number in our spelling, whatever stands for the hidden digits; "" when it is none."""
    found = re.fullmatch(r"(\d{3,4})[*xX·•-]{3,5}(\d{3,4})", value.strip())
    if found is None or len(found[1]) + len(found[2]) != 7:
        return ""
    return f"{found[1]}****{found[2]}"
