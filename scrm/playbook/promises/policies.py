"""What may be promised without asking, as configured: per role and line of business. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from scrm.errors import BadConfig
from scrm.playbook.promises.conflicts import WHOLE, Policy

#: `7`, `lead:6`, `K12=8`, `K12/lead=7.5`: what holds for whom.
_ENTRY = re.compile(r"(?:(?P<who>[^\s=]+)=)?(?P<value>[\d.]+)")
_ROLES = ("rep", "lead")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A limit for a role and a line; "" = for all of them."""

    role: str = ""
    line: str = ""
    value: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """Nothing said = anything goes."""

    floors: tuple[Bound, ...] = ()
    offs: tuple[Bound, ...] = ()
    gifts: tuple[str, ...] = ()
    guarantees: bool = False

    def of(self, role: str, line: str = "") -> Policy:
        return Policy(
            floor_share=_holds(self.floors, role, line),
            max_off_fen=_holds(self.offs, role, line),
            gifts=self.gifts,
            guarantees=self.guarantees,
        )


def read(floors: str, offs: str, gifts: str, *, guarantees: bool) -> Policies:
    """From settings: discounts in 折, amounts in yuan. Raises `BadConfig`."""
    return Policies(
        floors=_bounds(floors, WHOLE // 10, "promise_floor"),
        offs=_bounds(offs, 100, "promise_max_off"),
        gifts=tuple(word for word in re.split(r"[,，、\s]+", gifts) if word),
        guarantees=guarantees,
    )


def _bounds(text: str, scale: int, name: str) -> tuple[Bound, ...]:
    return tuple(_bound(part, scale, name) for part in text.split())


def _bound(text: str, scale: int, name: str) -> Bound:
    match = _ENTRY.fullmatch(text)
    try:
        value = round(Decimal(match["value"]) * scale) if match else -1
    except InvalidOperation:
        value = -1
    if match is None or value < 0 or (scale == WHOLE // 10 and value > WHOLE):
        raise BadConfig(f"{name} 里的“{text}”看不懂，要写成 7、lead=6 或 K12/lead=7.5 的样子。")
    who = (match["who"] or "").split("/")
    role = next((w for w in who if w in _ROLES), "")
    return Bound(role=role, line=next((w for w in who if w and w not in _ROLES), ""), value=value)


def _holds(bounds: Sequence[Bound], role: str, line: str) -> int:
    """The one that says most about this role and line; of equal ones the last."""
    fitting = [b for b in bounds if b.role in ("", role) and b.line in ("", line)]
    found = max(enumerate(fitting), key=lambda b: (bool(b[1].line), bool(b[1].role), b[0]), default=None)
    return found[1].value if found else 0
