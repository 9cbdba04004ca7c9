"""What a ruling earns, in fen: shares that always add up, and the entries that lead there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scrm.ownership.rules.values import WHOLE, Share

#: The other side of every award, and of every payment.
EXPENSE, CASH = "expense", "cash"
Sort = Literal["award", "reversal", "payout"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the ledger. Lines of one posting add up to nothing; credit is negative."""

    entry_id: int
    #: `expense`, `cash`, or whom we owe: a claimant's label.
    account: str
    amount: int
    sort: Sort
    posting_id: int
    reverses_entry_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An entry to be."""

    account: str
    amount: int
    sort: Sort
    reverses_entry_id: int | None = None


def commission(amount: int, bp: int) -> int:
    """Half a fen and more counts as one."""
    return (max(amount, 0) * bp + WHOLE // 2) // WHOLE


def divide(total: int, shares: Sequence[Share]) -> dict[str, int]:
    """Fen by claimant: rounded down, what is left goes fen by fen to the largest remainders, then the first.

    The company's own share is nobody's commission and left out.
    """
    exact = [(total * s.bp // WHOLE, total * s.bp % WHOLE) for s in shares]
    left = total - sum(whole for whole, _ in exact)
    lucky = set(sorted(range(len(shares)), key=lambda n: (-exact[n][1], n))[:left])
    owed: dict[str, int] = {}
    for n, share in enumerate(shares):
        if share.by.kind != "own":
            owed[share.by.label] = owed.get(share.by.label, 0) + exact[n][0] + (n in lucky)
    return {who: fen for who, fen in owed.items() if fen}


def standing(entries: Iterable[Entry]) -> list[Entry]:
    """Awards that nothing has reversed."""
    known = list(entries)
    undone = {e.reverses_entry_id for e in known if e.reverses_entry_id is not None}
    return [e for e in known if e.sort == "award" and e.entry_id not in undone]


def awarded(entries: Iterable[Entry]) -> dict[str, int]:
    """Fen by claimant that the ledger awards now."""
    owed: dict[str, int] = {}
    for e in standing(entries):
        if e.account != EXPENSE:
            owed[e.account] = owed.get(e.account, 0) - e.amount
    return owed


def rebook(entries: Sequence[Entry], owed: Mapping[str, int]) -> list[Line]:
    """What to add so that exactly this is awarded: everything back, then all anew; nothing if it is so."""
    if awarded(entries) == dict(owed):
        return []
    back = [
        Line(account=e.account, amount=-e.amount, sort="reversal", reverses_entry_id=e.entry_id)
        for e in standing(entries)
    ]
    return back + award(owed)


def award(owed: Mapping[str, int]) -> list[Line]:
    total = sum(owed.values())
    if not total:
        return []
    mine = [Line(account=who, amount=-fen, sort="award") for who, fen in owed.items()]
    return [Line(account=EXPENSE, amount=total, sort="award"), *mine]


def payable(entries: Iterable[Entry]) -> dict[str, int]:
    """Fen by claimant that are awarded and not paid; negative = paid too much."""
    open_: dict[str, int] = {}
    for e in entries:
        if e.account not in (EXPENSE, CASH):
            open_[e.account] = open_.get(e.account, 0) - e.amount
    return {who: fen for who, fen in open_.items() if fen}


def pay(entries: Iterable[Entry]) -> list[Line]:
    """Pay what is open."""
    lines = []
    for who, fen in payable(entries).items():
        lines += [
            Line(account=who, amount=fen, sort="payout"),
            Line(account=CASH, amount=-fen, sort="payout"),
        ]
    return lines


def is_paid(entries: Iterable[Entry]) -> bool:
    """Money has left the house for this deal."""
    return any(e.sort == "payout" for e in entries)
