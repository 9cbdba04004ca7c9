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
#: A change that two pieces tell is counted once, as long as so many are remembered.
_REMEMBERED, _EXAMPLES = 2000, 12
#: What a policy changes for people; the rest is bookkeeping.
_TELLING = ("merge", "split", "household", "recycled", "generic_on", "generic_off")


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
            if mark in self.seen:
                continue
            self.seen = [*self.seen, mark][-_REMEMBERED:]
            self.counts[deed.op] += 1
            told = sum(op == deed.op for op, _ in self.examples)
            if deed.op in _TELLING and told < _EXAMPLES // 3:
                self.examples.append((deed.op, _sides(deed)))


def _marked(deed: Deed) -> str:
    return json.dumps([deed.op, deed.evidence_id, deed.body], sort_keys=True, default=str)


def _sides(deed: Deed) -> list[list[int]]:
    """Identifiers (of a household: persons) of each side before it, or the one it is about."""
    if "node" in deed.body:
        return [[int(deed.body["node"])]]
    which = "after" if deed.op == "split" else "before"
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
