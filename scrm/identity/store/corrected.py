"""SQL of what colleagues corrected: it stands before whatever a channel says of somebody."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from scrm import facts
from scrm.db import Conn
from scrm.schema import fact, node_person

#: A correction is a fact of ours: sealed with the identifier's key, and gone with it.
KIND, OURS = "correction", 0


async def names(conn: Conn, person_ids: Collection[int]) -> dict[int, str]:
    """By person, the newest corrected name; whoever has none is left out."""
    found = await fields(conn, person_ids, ("name",))
    return {person: said["name"] for person, said in found.items()}


async def fields(
    conn: Conn, person_ids: Collection[int], wanted: Collection[str]
) -> dict[int, dict[str, str]]:
    """By person, the newest correction of each of these fields; whoever has none is left out."""
    c, np = fact.c, node_person.c
    stmt = (
        sa.select(c.node_id, np.person_id, np.from_at, np.until_at)
        .join(node_person, sa.and_(np.tenant_id == c.tenant_id, np.node_id == c.node_id))
        .where(
            c.tenant_id == conn.tenant_id,
            c.kind == KIND,
            c.gone_at.is_(None),
            np.tenant_id == conn.tenant_id,
            np.person_id.in_(person_ids),
        )
        .distinct()
    )
    spans = await conn.rows(stmt) if person_ids else []
    found: dict[int, dict[str, str]] = {}
    if not spans:
        return found
    told = await facts.of_nodes(conn, {s.node_id for s in spans}, [KIND])
    for one in sorted(told, key=lambda k: (-k.at.timestamp(), str(k.body["value"]), k.node_id or 0)):
        for s in spans:
            theirs = s.from_at <= one.at and (s.until_at is None or one.at < s.until_at)
            if one.body["field"] in wanted and s.node_id == one.node_id and theirs:
                said = found.setdefault(s.person_id, {})
                said.setdefault(str(one.body["field"]), str(one.body["value"]))
    return found
