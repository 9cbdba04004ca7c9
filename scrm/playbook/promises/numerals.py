"""Numbers as people write and say them: 5,780, 1.2w, 5k8, 一万二, 叁仟, 八五, 三九八零."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DIGITS = dict(zip("零〇一二三四五六七八九", (0, 0, *range(1, 10)), strict=True))
_DIGITS |= dict(zip("壹贰叁肆伍陆柒捌玖两俩幺", (*range(1, 10), 2, 2, 1), strict=True))
_UNITS = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000, "k": 1000}
_BIG = {"万": 10_000, "w": 10_000, "亿": 100_000_000}
_HAN = "".join(_DIGITS) + "十拾百佰千仟万亿几"
_SPELLED = "".join(_DIGITS)
#: 2万3一平 is 23,000 and then one: the two ways of writing digits do not mix side by side.
_RUN = re.compile(
    rf"[0-9{_SPELLED}十拾百佰千仟几](?:(?<![{_SPELLED}])[0-9]|(?<![0-9wk])[{_SPELLED}]|[十拾百佰千仟万亿几]"
    rf"|,(?<!\d{{4}},)(?=\d{{3}}(?!\d))|\.(?=\d)|点(?=[0-9{_SPELLED}])|[wk](?![a-z]))*"
)
_ATOM = re.compile(rf"\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?|[{_HAN}wk点]")
#: Longer ones are telephone numbers and ids.
_LONGEST = 14


@dataclass(frozen=True, slots=True)
class Number:
    start: int
    end: int
    value: float
    #: Not said exactly: 两三千, 几百, 十几万.
    vague: bool = False
    #: Digits only, in order, when said one by one or written plain: "85", "3980".
    digits: str = ""
    #: A unit of at least a hundred was said or written: 三千八, 1.2w.
    scaled: bool = False


def numbers(text: str) -> list[Number]:
    """Every number of the text, in order."""
    found = []
    for run in _RUN.finditer(text):
        start, end = run.span()
        if end - start <= _LONGEST and not _lettered(text, start, end) and (one := _read(run[0], start)):
            found.append(one)
    return found


def _lettered(text: str, start: int, end: int) -> bool:
    """Part of a name: A380, 5g."""
    before, after = text[start - 1 : start], text[end : end + 1]
    if before.isascii() and before.isalpha():
        return text[max(0, start - 3) : start] not in ("rmb", "cny", "off")
    return (
        after.isascii() and after.isalpha() and text[end : end + 3] not in ("off", "rmb", "yua", "per", "cny")
    )


def _read(run: str, start: int) -> Number | None:
    atoms = _ATOM.findall(run)
    if len(atoms) == 1 and atoms[0][0].isdigit():
        plain = atoms[0].replace(",", "")
        return Number(start, start + len(run), float(plain), digits=plain)
    if "几" in atoms:
        return Number(start, start + len(run), 0.0, vague=True)
    if "点" in atoms:
        return _pointed(run, start)
    if all(atom in _DIGITS for atom in atoms):
        return _spelled(atoms, start)
    return _counted(atoms, start, len(run))


def _spelled(atoms: list[str], start: int) -> Number:
    """八五, 三九八零; 七八 is about seven."""
    digits = "".join(str(_DIGITS[atom]) for atom in atoms)
    vague = len(digits) == 2 and int(digits[1]) - int(digits[0]) == 1 and digits[0] != "0"
    return Number(start, start + len(atoms), float(digits), vague=vague, digits=digits)


def _pointed(run: str, start: int) -> Number | None:
    """八点五, 一点二万."""
    whole, _, part = run.partition("点")
    head = _read(whole, start)
    scale = _BIG.get(part[-1:], 1)
    rest = "".join(str(_DIGITS.get(one, one)) for one in (part[:-1] if scale > 1 else part))
    if head is None or not rest.isdigit():
        return None
    value = float(f"{head.value:.0f}.{rest}")
    return Number(start, start + len(run), value * scale, digits=f"{value}", scaled=scale > 1)


def _counted(atoms: list[str], start: int, length: int) -> Number:
    """Units and digits: 一万二 is 12,000, 一万零二百 is 10,200."""
    total = section = 0.0
    pending: list[str] = []
    last, vague, biggest, zero = 1, False, 1, False
    for atom in atoms:
        if unit := _UNITS.get(atom) or _BIG.get(atom):
            amount, loose = _amount(pending)
            # 三百五百: either, not both.
            vague = vague or loose or (bool(pending) and unit == last)
            if atom in _BIG:
                total, section = (
                    (total + section + amount) * unit if section or pending else total * unit,
                    0.0,
                )
            else:
                section += (amount if pending else 1.0) * unit
            pending, last, biggest, zero = [], unit, max(biggest, unit), False
        elif atom in "零〇":
            zero = True
        else:
            pending.append(atom)
    rest, loose = _amount(pending)
    if pending and last > 10 and not zero and rest < 100 and "." not in pending[0]:
        rest *= last / 10 ** len("".join(pending))
    return Number(start, start + length, total + section + rest, vague=vague or loose, scaled=biggest >= 100)


def _amount(pending: list[str]) -> tuple[float, bool]:
    """The digits before a unit, and whether they are two guesses (两三千)."""
    if not pending:
        return 0.0, False
    values = [_DIGITS[one] if one in _DIGITS else float(one.replace(",", "")) for one in pending]
    return values[0], len(values) > 1
