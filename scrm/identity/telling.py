"""What the log says was done: merges and splits, households, values that turned generic or changed hands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scrm.identity.rules.values import Span, Verdict
from scrm.identity.store.log import Deed

_Spans = Mapping[int, Sequence[Span]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Who had it done; nobody = an event said so."""

    origin: str = "auto"
    actor_id: int | None = None
    evidence_id: int | None = None

    def deed(self, op: str, body: Mapping[str, Any], evidence_id: int | None = None) -> Deed:
        return Deed(
            op=op,
            body=body,
            origin=self.origin,
            actor_id=self.actor_id,
            evidence_id=evidence_id or self.evidence_id,
        )


def persons(before: _Spans, after: _Spans, cause: Cause) -> list[Deed]:
    """Merges and splits, each with all the identifiers of whoever has part in it."""
    moved = {n for n in before if tuple(before[n]) != tuple(after.get(n, before[n]))}
    joined = {n for n in after if n not in before} - _alone(before, after)
    deeds = []
    for group in _groups(before, after, moved | joined):
        was, now = _by_person(before, group), _by_person(after, group)
        body = {"before": was, "after": now}
        merges = any(len({p for n in mine for p in _owners(before, n)}) > 1 for mine in now.values())
        splits = any(len({p for n in mine for p in _owners(after, n)}) > 1 for mine in was.values())
        ops = [op for op, so in (("merge", merges), ("split", splits)) if so]
        deeds += [cause.deed(op, body) for op in ops or ["join" if group & joined else "rename"]]
    return deeds


def _alone(before: _Spans, after: _Spans) -> set[int]:
    """Identifiers that nobody knew and that are all their person has: nothing was done."""
    mine: dict[int, list[int]] = defaultdict(list)
    for n, spans in after.items():
        for s in spans:
            mine[s.person_id].append(n)
    old = {s.person_id for spans in before.values() for s in spans}
    return {found[0] for p, found in mine.items() if len(found) == 1 and p not in old} - before.keys()


def _owners(spans: _Spans, n: int) -> set[int]:
    return {s.person_id for s in spans.get(n, ())}


def _groups(before: _Spans, after: _Spans, moved: set[int]) -> list[set[int]]:
    """Nodes of all persons who have part in the same change."""
    nodes_of: dict[int, set[int]] = defaultdict(set)
    for spans in (before, after):
        for n in spans:
            for p in _owners(spans, n):
                nodes_of[p].add(n)
    found, left = [], set(moved)
    while left:
        group, edge = set[int](), {left.pop()}
        while edge:
            group |= edge
            people = {p for n in edge for p in _owners(before, n) | _owners(after, n)}
            edge = {n for p in people for n in nodes_of[p]} - group
        left -= group
        found.append(group)
    return sorted(found, key=min)


def _by_person(spans: _Spans, group: Iterable[int]) -> dict[str, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for n in sorted(group):
        for p in _owners(spans, n):
            found[p].append(n)
    return {str(p): mine for p, mine in sorted(found.items())}


def states(changed: Mapping[int, str], cause: Cause) -> list[Deed]:
    """Values that more people stand behind than one family, and those of which that is no longer so."""
    ops = {"generic": "generic_on", "active": "generic_off"}
    return [cause.deed(ops[s], {"node": n}) for n, s in sorted(changed.items()) if s in ops]


def recycled(found: Iterable[int], after: _Spans, cause: Cause) -> list[Deed]:
    """Identifiers with another owner."""
    return [
        cause.deed(
            "recycled",
            {
                "node": n,
                "owners": [
                    {"person": s.person_id, "from": s.from_at.isoformat() if s.from_at else None}
                    for s in after[n]
                ],
            },
        )
        for n in sorted(found)
    ]


def holds(
    was: Mapping[int, Verdict], now: Mapping[int, Verdict], gone: Iterable[int], cause: Cause
) -> list[Deed]:
    """Evidence that is held since now, and what is no more."""
    deeds = []
    for i, v in sorted(now.items()):
        before = was.get(i)
        if v.standing == "held" and (before is None or before.standing != "held"):
            deeds.append(cause.deed("hold", {"why": v.why, "by": list(v.by)}, i))
        elif v.standing != "held" and before is not None and before.standing == "held":
            deeds.append(cause.deed("release", {"standing": v.standing}, i))
    deeds += [
        cause.deed("release", {"standing": "accepted"}, i) for i in sorted(gone) if was[i].standing == "held"
    ]
    return deeds


def households(before: Mapping[int, int], after: Mapping[int, int], cause: Cause) -> list[Deed]:
    """Who lives with whom, before and after; a person alone is a household under their own id."""
    if not before and not after:
        return []
    touched: dict[int, set[int]] = defaultdict(set)
    for p in {*before, *after}:
        for h in {before.get(p, p), after.get(p, p)}:
            touched[h].add(p)
    deeds, left = [], set(touched)
    for first in sorted(touched):
        if first not in left:
            continue
        homes, edge = set[int](), {first}
        while edge:
            homes |= edge
            people = {p for h in edge for p in touched[h]}
            edge = {h for p in people for h in (before.get(p, p), after.get(p, p))} - homes
        left -= homes
        people = {p for h in homes for p in touched[h]}
        body = {
            "before": _homes({p: before[p] for p in people if p in before}),
            "after": _homes({p: after[p] for p in people if p in after}),
        }
        deeds.append(cause.deed("household", body))
    return deeds


def _homes(of: Mapping[int, int]) -> dict[str, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for p, h in sorted(of.items()):
        found[h].append(p)
    return {str(h): people for h, people in sorted(found.items())}
