"""The best a deterministic method could do: the same stream, in which no identifier leaves its owner."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from scrm.bench.identity.values import Event, Ident, Relation, Stream, Truth

Whole = Literal["person", "household"]


@dataclass(slots=True)
class _Splitter:
    whole: Whole
    owners: Mapping[tuple[Ident, str], str]
    #: Telephones stay telephones: each part has a number of its own.
    numbers: dict[tuple[str, str], str] = field(default_factory=dict)

    def event(self, event: Event, t: Truth) -> Event:
        mark = t.person if self.whole == "person" else t.household
        ids = tuple(self._mine(i, mark) for i in event.ids)
        return replace(event, ids=ids, relations=tuple(self._tied(r, t) for r in event.relations))

    def _mine(self, ident: Ident, mark: str) -> Ident:
        if "*" in ident.value:
            return ident
        if ident.kind == "phone":
            number = 10_000_019 + 7_919 * len(self.numbers)
            value = self.numbers.setdefault((ident.value, mark), f"190{number % 10**8:08d}")
            return Ident(ident.kind, ident.scope, value)
        return Ident(ident.kind, f"{ident.scope}|{mark}", ident.value)

    def _tied(self, relation: Relation, t: Truth) -> Relation:
        """Towards whoever of the same household has it; a stranger's identifier becomes nobody's."""
        to = t.household
        if self.whole == "person":
            to = self.owners.get((relation.ident, t.household), t.household)
        return Relation(relation.cls, self._mine(relation.ident, to))


def split(stream: Stream, whole: Whole) -> Sequence[Event]:
    """Identifiers split by true person or household: they bridge only inside the truth."""
    splitter = _Splitter(whole, _owners(stream))
    return [splitter.event(event, stream.truth[event.id]) for event in stream.events]


def _owners(stream: Stream) -> Mapping[tuple[Ident, str], str]:
    """Who of each household shows an identifier most."""
    uses: dict[tuple[Ident, str], Counter[str]] = defaultdict(Counter)
    for event in stream.events:
        t = stream.truth[event.id]
        for ident in event.ids:
            uses[ident, t.household][t.person] += 1
    return {key: min(shown.items(), key=lambda i: (-i[1], i[0]))[0] for key, shown in uses.items()}
