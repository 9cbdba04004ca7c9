"""SQL of what became of evidence: a row for each piece that is not plainly accepted."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.identity.rules.values import Verdict
from scrm.schema import evidence_state

_s = evidence_state.c
_OF = sa.select(_s.evidence_id, _s.standing, _s.why, _s.by).where(
    _s.tenant_id == sa.bindparam("tenant"), _s.evidence_id.in_(sa.bindparam("ids", expanding=True))
)
_GONE = sa.delete(evidence_state).where(
    _s.tenant_id == sa.bindparam("tenant"), _s.evidence_id.in_(sa.bindparam("ids", expanding=True))
)
_AT_ONCE = 5000


async def standings(conn: Conn, evidence_ids: Collection[int]) -> dict[int, Verdict]:
    """By evidence; what is not here is accepted."""
    found: dict[int, Verdict] = {}
    wanted = sorted(evidence_ids)
    for start in range(0, len(wanted), _AT_ONCE):
        rows = await conn.rows(_OF, {"tenant": conn.tenant_id, "ids": wanted[start : start + _AT_ONCE]})
        for r in rows:
            found[r.evidence_id] = Verdict(standing=r.standing, why=r.why, by=tuple(json.loads(r.by)))
    return found


async def set_standings(conn: Conn, now: Mapping[int, Verdict], *, gone: Collection[int]) -> None:
    """`gone` are accepted again, or retracted."""
    if gone:
        await conn.run(_GONE, {"tenant": conn.tenant_id, "ids": sorted(gone)})
    rows = [
        {
            "tenant_id": conn.tenant_id,
            "evidence_id": i,
            "standing": v.standing,
            "why": v.why,
            "by": json.dumps(sorted(v.by)),
        }
        for i, v in sorted(now.items())
    ]
    await conn.upsert(evidence_state, rows, key=["tenant_id", "evidence_id"], change=_changed)


def _changed(new: Any) -> dict[str, Any]:
    return {"standing": new.standing, "why": new.why, "by": new.by}
