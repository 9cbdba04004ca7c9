"""From records to proposals: both models scored, contradictions dropped, no chains, reasons in words."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from scrm.identity.match import choosing
from scrm.identity.match.model import LEAST_BITS, Cls, Model, columns, fitted
from scrm.identity.match.records import Record
from scrm.identity.match.scoring import Scored, score
from scrm.identity.match.sentences import Reason, reasons
from scrm.identity.rules.policy import Policy

#: Pairs of persons, smaller id first, that evidence keeps apart.
Apart = Mapping[Cls, Collection[choosing.Pair]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """Two persons and everything to say about them."""

    cls: Cls
    a: Record
    b: Record
    bits: float
    probability: float
    reasons: tuple[Reason, ...]
    model_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a run made of its records."""

    proposed: tuple[Proposed, ...] = ()
    models: tuple[Model, ...] = ()
    #: Pairs that were likely enough, by question, before contradictions and chains were taken out.
    likely: Mapping[str, int] = field(default_factory=dict)


def find(
    records: Sequence[Record],
    policy: Policy,
    *,
    apart: Apart,
    classes: Sequence[Cls] = ("same_person", "same_household"),
    threads: int = 4,
    step: Callable[[str], None] = lambda _: None,
) -> Found:
    """All of it at once and in memory; blocking, for a thread. The same records give the same proposals."""
    if len(records) < 2:
        return Found()
    by_id = {r.person_id: r for r in sorted(records, key=lambda r: r.person_id)}
    table = columns(list(by_id.values()))
    proposed: list[Proposed] = []
    models: list[Model] = []
    likely: dict[str, int] = {}
    for cls in classes:
        step(cls)
        model = fitted(cls, table)
        scored = score(table, model, least_bits=LEAST_BITS[cls], threads=threads)
        choose = choosing.choose if cls == "same_person" else choosing.homes
        chosen = choose(scored, by_id, policy, apart=apart.get(cls, ()), least_bits=LEAST_BITS[cls])
        proposed += [_proposed(one, model, by_id) for one in _fresh(chosen, proposed)]
        models.append(model)
        likely[cls] = len(scored)
    return Found(proposed=tuple(proposed), models=tuple(models), likely=likely)


def _fresh(chosen: Sequence[Scored], proposed: Sequence[Proposed]) -> list[Scored]:
    """Who may be one person is not asked about as a family too."""
    asked = {(p.a.person_id, p.b.person_id) for p in proposed}
    return [one for one in chosen if (one.a, one.b) not in asked]


def _proposed(one: Scored, model: Model, records: Mapping[int, Record]) -> Proposed:
    a, b = records[one.a], records[one.b]
    return Proposed(
        cls=model.cls,
        a=a,
        b=b,
        bits=one.bits,
        probability=one.probability,
        reasons=tuple(reasons(one, a, b)),
        model_version=model.version,
    )
