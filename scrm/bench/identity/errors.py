"""Where an assignment errs: the events in somebody else's cluster, by what made them hard."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from scrm.bench.identity.values import Assignment, Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Counts by type and dirt. A cluster belongs to whom most of its events belong to."""

    wrong: Mapping[str, int]
    #: Wrong ones that are strangers even to the household.
    strange: Mapping[str, int]
    #: Impure clusters by everything hard about their events.
    causes: Mapping[str, int]


def errors(stream: Stream, assigned: Assignment) -> Errors:
    members: dict[str, list[str]] = defaultdict(list)
    for key, (person, _) in assigned.items():
        if key in stream.truth:
            members[person].append(key)
    types = {e.id: e.type for e in stream.events}
    wrong: Counter[str] = Counter()
    strange: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    for keys in members.values():
        owners = Counter(stream.truth[k].person for k in keys)
        if len(owners) == 1:
            continue
        owner = min(owners, key=lambda p: (-owners[p], p))
        home = next(stream.truth[k].household for k in keys if stream.truth[k].person == owner)
        causes[" + ".join(sorted({stream.dirt.get(k, "-") for k in keys} - {"-"})) or "clean"] += 1
        for k in keys:
            if stream.truth[k].person != owner:
                what = f"{types[k]}/{stream.dirt.get(k, 'clean')}"
                wrong[what] += 1
                strange[what] += stream.truth[k].household != home
    return Errors(wrong=_most(wrong), strange=_most(strange), causes=_most(causes))


def _most(counts: Counter[str]) -> dict[str, int]:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {what: n for what, n in ranked[:20] if n}
