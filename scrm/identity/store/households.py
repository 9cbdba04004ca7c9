"""SQL of households as projected; who is not here is a household alone, under their own id."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.schema import household_member

_h = household_member.c
_tenant: sa.BindParameter[int] = sa.bindparam("tenant")
_OF = sa.select(_h.person_id, _h.household_id).where(
    _h.tenant_id == _tenant, _h.person_id.in_(sa.bindparam("persons", expanding=True))
)
_mine = household_member.alias("mine")
_HOMES = sa.select(_mine.c.household_id).where(
    _mine.c.tenant_id == _tenant, _mine.c.person_id.in_(sa.bindparam("persons", expanding=True))
)
#: No join: SQLite, which has no statistics, would begin with all households of the tenant.
_AROUND = sa.select(_h.person_id, _h.household_id).where(_h.tenant_id == _tenant, _h.household_id.in_(_HOMES))
_GONE = sa.delete(household_member).where(
    _h.tenant_id == _tenant, _h.person_id.in_(sa.bindparam("persons", expanding=True))
)
_MEMBERS = (
    sa.select(_h.person_id, _h.household_id)
    .where(_h.tenant_id == _tenant, _h.household_id.in_(sa.bindparam("households", expanding=True)))
    .order_by(_h.household_id, _h.person_id)
)


async def around(conn: Conn, person_ids: Collection[int]) -> dict[int, int]:
    """Household by person, for these and whoever lives with them."""
    if not person_ids:
        return {}
    rows = await conn.rows(_AROUND, {"tenant": conn.tenant_id, "persons": sorted(set(person_ids))})
    return {r.person_id: r.household_id for r in rows}


async def households_of(conn: Conn, person_ids: Collection[int]) -> dict[int, int]:
    """Household by person, for those of more than one."""
    if not person_ids:
        return {}
    rows = await conn.rows(_OF, {"tenant": conn.tenant_id, "persons": sorted(set(person_ids))})
    return {r.person_id: r.household_id for r in rows}


async def members(conn: Conn, household_ids: Collection[int]) -> dict[int, list[int]]:
    """Persons by household, in order of id; a household of one is left out."""
    if not household_ids:
        return {}
    rows = await conn.rows(_MEMBERS, {"tenant": conn.tenant_id, "households": sorted(set(household_ids))})
    found: dict[int, list[int]] = defaultdict(list)
    for r in rows:
        found[r.household_id].append(r.person_id)
    return found


async def set_members(conn: Conn, now: Mapping[int, int], *, gone: Collection[int]) -> None:
    """Household by person; `gone` are alone again, or no more."""
    if gone:
        await conn.run(_GONE, {"tenant": conn.tenant_id, "persons": sorted(gone)})
    rows = [{"tenant_id": conn.tenant_id, "person_id": p, "household_id": h} for p, h in sorted(now.items())]
    await conn.upsert(household_member, rows, key=["tenant_id", "person_id"], change=_moved)


def _moved(new: Any) -> dict[str, Any]:
    return {"household_id": new.household_id}
