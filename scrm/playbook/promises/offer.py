"""A candidate: something offered at a place of the text, before it is known whether it stands."""

from __future__ import annotations

from dataclasses import dataclass

from scrm.playbook.promises.values import Kind


@dataclass(frozen=True, slots=True)
class Offer:
    """Its kind, its place, and the one value that goes with the kind."""

    kind: Kind
    start: int
    end: int
    value: float | None = None
    fen: int | None = None
    min_fen: int | None = None
    text: str = ""
    #: Said to be the price now, not just a price.
    strong: bool = False
