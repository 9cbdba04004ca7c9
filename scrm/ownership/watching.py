"""What looks wrong about a report, with everything around it read for the rules."""

from __future__ import annotations

from scrm.db import Conn
from scrm.ownership import household, versions
from scrm.ownership.rules.fraud import Around, Signal, signals
from scrm.ownership.store import claims
from scrm.ownership.store.claims import Kept


async def signals_of(conn: Conn, one: Kept) -> list[Signal]:
    """Empty for nearly every claim; only reports can look wrong. Reads only."""
    if one.claim.kind != "report":
        return []
    policy = await versions.current(conn)
    known = await household.evidence(conn, [one.claim.node_id])
    around = Around(
        household=known.claims,
        own_phone=one.own_phone,
        masks=await claims.masks_within_a_day(conn, one.claim),
        from_device=await claims.from_device_within_a_day(conn, one),
    )
    return signals(one.claim, around, policy.fraud)
