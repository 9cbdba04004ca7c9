"""That persons turned out to be others: noted where it happened, so that whoever needs it hears of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scrm import jobs
from scrm.db import Conn
from scrm.seal import new_id

#: The kind of the due row, and how many ids one of them names.
KIND, EACH = "aftermath", 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """Who changed: persons with other identifiers, households with other members, nodes with a new owner."""

    persons: frozenset[int] = frozenset()
    households: frozenset[int] = frozenset()
    recycled: frozenset[int] = frozenset()


async def due(conn: Conn, told: Turned, *, now: datetime) -> None:
    """Written in the transaction that changed them: nobody who decides can forget to say so."""
    every = [
        (name, ident)
        for name, ids in (
            ("persons", told.persons),
            ("households", told.households),
            ("recycled", told.recycled),
        )
        for ident in sorted(ids)
    ]
    rows = []
    for begin in range(0, len(every), EACH):
        told_of: dict[str, list[int]] = {}
        for name, ident in every[begin : begin + EACH]:
            told_of.setdefault(name, []).append(ident)
        rows.append((KIND, str(new_id()), 0, told_of))
    await jobs.put_all(conn, rows, at=now)


def read(payload: Mapping[str, Collection[Any]]) -> Turned:
    """What a due row says."""
    return Turned(**{name: frozenset(ids) for name, ids in payload.items()})
