"""What a new look at a deal changes: nothing, a ruling in force with its money, or one that waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from scrm.ownership.rules.money import Entry, Line, commission, divide, is_paid, rebook
from scrm.ownership.rules.values import OWN, WHOLE, Reason, Rejected, Ruling, Share

State = Literal["final", "pending"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruled:
    """A ruling as it was written down. With `by_id` or a note a human decided it."""

    ruling_id: int
    deal_id: int
    at: datetime
    trigger: str
    state: State
    shares: tuple[Share, ...]
    reasons: tuple[Reason, ...]
    rejected: tuple[Rejected, ...] = ()
    inputs: str = ""
    policy_version: int = 1
    by_id: int | None = None
    note: str = ""

    @property
    def human(self) -> bool:
        return self.trigger in ("decide", "appeal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to write: rulings in this order (none = the one in force stays) and lines of the ledger."""

    rulings: tuple[tuple[Ruling, State], ...] = ()
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a deal stands before the look: its newest ruling, the one in force, its ledger."""

    last: Ruled | None = None
    final: Ruled | None = None
    entries: Sequence[Entry] = ()
    #: An appeal is open: no money moves.
    frozen: bool = False


def step(ruling: Ruling, amount: int, commission_bp: int, before: Standing) -> Step | None:
    """None = all is as it was. `amount` is what was paid for the deal, less what was given back."""
    said = _said(ruling, before)
    force = next((one.shares for one, state in reversed(said) if state == "final"), None)
    if force is None:
        force = before.final.shares if before.final else ()
    lines = [] if before.frozen else decided(force, amount, commission_bp, before.entries)
    return Step(rulings=tuple(said), lines=tuple(lines)) if said or lines else None


def _said(ruling: Ruling, before: Standing) -> list[tuple[Ruling, State]]:
    last, final = before.last, before.final
    if last is not None and last.inputs == ruling.inputs:
        return []
    if final is not None and _back_to(final, ruling):
        # What made us doubt is gone again: what was in force is so once more, whoever decided it.
        return [] if last is not None and last.state == "final" else [(_again(final), "final")]
    if _needs_a_human(before) and not _alike(final, ruling):
        return [(ruling, "pending")]
    if ruling.approval:  # until somebody agrees it is nobody's
        nobody = replace(ruling, shares=(Share(by=OWN, bp=WHOLE),))
        return [(nobody, "final"), (ruling, "pending")]
    return [(ruling, "final")]


def _back_to(final: Ruled, ruling: Ruling) -> bool:
    return final.inputs == ruling.inputs or (final.human and _alike(final, ruling))


def _alike(final: Ruled | None, ruling: Ruling) -> bool:
    """Nobody would earn more or less, and nobody has to agree."""
    return final is not None and not ruling.approval and _parts(final.shares) == _parts(ruling.shares)


def _again(final: Ruled) -> Ruling:
    return Ruling(shares=final.shares, reasons=final.reasons, rejected=final.rejected, inputs=final.inputs)


def decided(
    shares: tuple[Share, ...], amount: int, commission_bp: int, entries: Sequence[Entry]
) -> list[Line]:
    """What has to be booked so that exactly these shares are awarded."""
    return rebook(entries, divide(commission(amount, commission_bp), shares))


def _needs_a_human(before: Standing) -> bool:
    """Money has left the house, somebody has decided already, or an appeal is open."""
    overruled = before.final is not None and before.final.human
    return overruled or before.frozen or is_paid(before.entries)


def _parts(shares: Sequence[Share]) -> dict[str, int]:
    found: dict[str, int] = {}
    for share in shares:
        found[share.by.label] = found.get(share.by.label, 0) + share.bp
    return found
