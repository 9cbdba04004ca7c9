"""What comes with an event besides itself: files to fetch, facts that hold now, things only counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scrm import facts
from scrm.contract import Fact
from scrm.db import Conn
from scrm.identity.rules import Address, address
from scrm.timeline import rules
from scrm.timeline.service import Appended, Entry
from scrm.timeline.store import pieces, tallies
from scrm.timeline.store.pieces import Expected
from scrm.timeline.store.tallies import Counted


async def keep(
    conn: Conn, entries: Sequence[Entry], nodes: Mapping[Address, int], appended: Appended
) -> list[Expected]:
    """The files that are to be fetched now. A new reading of an event is not counted a second time."""
    await facts.put_all(conn, [_said(e, f, nodes) for e in entries for f in e.envelope.facts])
    fresh = [e for e in entries if e.event_id in appended.events]
    counted = [_counted(e, nodes) for e in fresh if e.event_id in appended.first]
    await tallies.add(conn, [c for c in counted if c is not None])
    expected = [
        Expected(
            event_id=e.event_id,
            n=n,
            account_id=e.account_id,
            node_id=rules.partner_node(e.envelope, nodes),
            piece=piece,
        )
        for e in fresh
        for n, piece in enumerate(e.envelope.pieces)
    ]
    return await pieces.expect(conn, expected) if expected else []


def _said(entry: Entry, one: Fact, nodes: Mapping[Address, int]) -> facts.Said:
    at = entry.envelope.at
    return facts.Said(
        account_id=entry.account_id,
        kind=one.kind,
        key=one.key,
        body=one.body,
        rank=one.rank if one.rank is not None else int(at.timestamp() * 1_000_000),
        at=at,
        gone=one.gone,
        node_id=nodes[address(one.handle)] if one.handle else None,
    )


def _counted(entry: Entry, nodes: Mapping[Address, int]) -> Counted | None:
    e = entry.envelope
    node_id = rules.partner_node(e, nodes) if e.counts else None
    if node_id is None:
        return None
    return Counted(node_id=node_id, account_id=entry.account_id, name=e.counts, at=e.at)
