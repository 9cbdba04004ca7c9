"""What works about who is who are called, are asked for and leave behind; pages show it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from scrm.identity.decisions import Which
from scrm.identity.store.log import Deed

DRY_RUN, RESOLVE, COUNT, REVERT, REINSTATE = (
    "identity_dry_run", "identity_resolve", "identity_stats", "identity_revert", "identity_reinstate",
)  # fmt: skip
#: What becomes of households; examples of it name persons.
HOMES = ("home_merge", "home_split", "home_move")
#: A change that two pieces tell is counted once, as long as so many are remembered.
_REMEMBERED, _EXAMPLES = 2000, 12
#: What a policy changes for people; the rest is bookkeeping.
_TELLING = ("merge", "split", *HOMES, "recycled", "generic_on", "generic_off")


@dataclass(slots=True, kw_only=True)
class Found:
    """What a dry run has found so far: kept in the work's place, so that it survives a stop."""

    after: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    #: (op, identifiers of each side) of the first few.
    examples: list[tuple[str, list[list[int]]]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, place: str) -> Found:
        kept: dict[str, Any] = json.loads(place or "{}")
        return cls(
            after=int(kept.get("after", 0)),
            counts=Counter(kept.get("counts", {})),
            examples=[(op, sides) for op, sides in kept.get("examples", [])],
            seen=list(kept.get("seen", [])),
        )

    @property
    def place(self) -> str:
        kept = {"after": self.after, "counts": self.counts, "examples": self.examples, "seen": self.seen}
        return json.dumps(kept)

    def take(self, deeds: Iterable[Deed]) -> None:
        for deed in deeds:
            mark = hashlib.blake2s(_marked(deed).encode(), digest_size=6).hexdigest()
            op = kind_of(deed)
            if mark in self.seen or not op:
                continue
            self.seen = [*self.seen, mark][-_REMEMBERED:]
            self.counts[op] += 1
            told = sum(other == op for other, _ in self.examples)
            if op in _TELLING and told < _EXAMPLES // 3:
                self.examples.append((op, _sides(deed, op)))


def kind_of(deed: Deed) -> str:
    """What a change does to people; "" = nothing: a family of the same people under another number."""
    return deed.op if deed.op != "household" else _home_kind(deed.body["before"], deed.body["after"])


def _home_kind(before: Mapping[str, list[int]], after: Mapping[str, list[int]]) -> str:
    """Of those who are there before and after: a merge of persons is told as that."""
    was = {p: h for h, people in before.items() for p in people}
    now = {p: h for h, people in after.items() for p in people if p in was}
    pairs = {(was[p], h) for p, h in now.items()}
    joined = len(pairs) > len({h for _, h in pairs})
    parted = len(pairs) > len({h for h, _ in pairs})
    if joined and parted:
        return "home_move"
    return "home_merge" if joined else "home_split" if parted else ""


def _marked(deed: Deed) -> str:
    body = deed.body["before"] if deed.op == "household" else deed.body
    return json.dumps([deed.op, deed.evidence_id, body], sort_keys=True, default=str)


def _sides(deed: Deed, op: str) -> list[list[int]]:
    """Identifiers (of a household: persons) of each side before it, or the one it is about."""
    if "node" in deed.body:
        return [[int(deed.body["node"])]]
    which = "after" if op in ("split", "home_split") else "before"
    return [[int(n) for n in mine][:4] for mine in list(deed.body.get(which, {}).values())[:4]]


# -- taking back in bulk -----------------------------------------------------------------------------------
def mark(job_id: int) -> str:
    """Stands behind the reason of what a work took back, so that exactly this can be given back."""
    return f"#{job_id:x}"


def which_of(payload: Mapping[str, Any]) -> Which:
    """What a work was asked to take back, as its payload says it."""
    said = dict(payload["which"])
    for name in ("since", "until"):
        if said.get(name):
            said[name] = datetime.fromisoformat(said[name])
    return Which(**said)
