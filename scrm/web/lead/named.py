"""Claimants as people know them and as forms name them, looked up once for a page."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from scrm.db import Conn
from scrm.ownership.rules.booking import Ruled
from scrm.ownership.rules.values import CUSTOMER, WHOLE, Claimant, Reason, Share, claimant
from scrm.seal import Vault
from scrm.staff import store as staff
from scrm.staff.store import Member


class Named:
    """Names in the reader's language. `say` translates a sentence of ours."""

    def __init__(self, vault: Vault, known: Mapping[int, Member], say: Callable[[str], str]) -> None:
        self._vault, self._known, self._say = vault, known, say

    @classmethod
    async def of(cls, conn: Conn, labels: Iterable[str], say: Callable[[str], str]) -> Named:
        ids = {staff_of(label) for label in labels} - {0}
        return cls(conn.vault, await staff.members(conn, sorted(ids)) if ids else {}, say)

    def name(self, label: str) -> str:
        who = claimant(label)
        if who.kind == "own":
            return self._say("公司（自然到访）")
        if who.ident.startswith(CUSTOMER):
            return self._say("老客户（介绍人）")
        if not staff_of(label):
            return who.ident
        member = self._known.get(staff_of(label))
        return member.name if member else self._say("已离开的同事")

    def teams(self, labels: Iterable[str]) -> set[int]:
        found = {self._known[i].team_id for label in labels if (i := staff_of(label)) in self._known}
        return {team for team in found if team is not None}

    def key(self, label: str) -> str:
        """What a form calls them: no id of ours is shown."""
        who, ident = claimant(label), staff_of(label)
        if who.ident.startswith(CUSTOMER):
            node_id = int(who.ident.removeprefix(CUSTOMER))
            return f"{who.kind}:{CUSTOMER}{self._vault.public('node', node_id)}"
        return f"rep:{self._vault.public('staff', ident)}" if ident else label

    def reason(self, why: Reason) -> str:
        return why.sentence(self.name, self._say)

    def shares(self, shares: Collection[Share]) -> str:
        """`李敏 70%、王强 30%`"""
        if len(shares) == 1:
            return "、".join(self.name(s.by.label) for s in shares)
        return "、".join(f"{self.name(s.by.label)} {percent(s.bp)}%" for s in shares)


def staff_of(label: str) -> int:
    """The id of a colleague of ours; 0 = somebody else."""
    kind, _, ident = label.partition(":")
    return int(ident) if kind == "rep" and ident.isdigit() else 0


def labels_of(one: Ruled) -> set[str]:
    """Everybody a ruling speaks of."""
    facts = {f for why in (*one.reasons, *(r.why for r in one.rejected)) for f in why.facts.values()}
    named = {f for f in facts if f.startswith("rep:")}
    return named | {s.by.label for s in one.shares} | {r.by.label for r in one.rejected}


def percent(bp: int) -> str:
    """Basis points as percent without idle zeros."""
    return f"{bp * 100 / WHOLE:g}"


def known_as(key: str, named: Named, labels: Iterable[str]) -> Claimant | None:
    """Whom a form means, among those of this deal."""
    return next((claimant(label) for label in labels if named.key(label) == key), None)
