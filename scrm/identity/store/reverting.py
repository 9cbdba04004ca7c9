"""SQL of what is taken back in bulk: how much it is, and what one work took back."""

from __future__ import annotations

from collections import Counter

import sqlalchemy as sa

from scrm.db import Conn
from scrm.identity.rules.sayings import rule_of, words
from scrm.identity.store.evidence import Which
from scrm.schema import evidence, node

_e = evidence.c


def _fits(conn: Conn, which: Which) -> list[sa.ColumnElement[bool]]:
    fits = [_e.tenant_id == conn.tenant_id, _e.retracted_at.is_(None)]
    if which.rule:
        fits.append(_e.rule.in_(words(which.rule)))
    if which.rule_version is not None:
        fits.append(_e.rule_version == which.rule_version)
    if which.batch:
        fits.append(_e.batch == which.batch)
    if which.actor_id is not None:
        fits.append(_e.actor_id == which.actor_id)
    if which.since is not None:
        fits.append(_e.first_at >= which.since)
    if which.until is not None:
        fits.append(_e.first_at < which.until)
    return fits


async def counted(conn: Conn, which: Which, *, limit: int) -> dict[str, int]:
    """Standing evidence that fits, by rule; looks at no more than `limit` rows."""
    some = sa.select(_e.rule).where(*_fits(conn, which)).limit(limit).subquery()
    stmt = sa.select(some.c.rule, sa.func.count().label("n")).group_by(some.c.rule).order_by(some.c.rule)
    found: Counter[str] = Counter()
    for r in await conn.rows(stmt):
        found[rule_of(r.rule)] += r.n
    return dict(found)


async def rules(conn: Conn) -> list[str]:
    """Every rule that ever said something."""
    stmt = sa.select(_e.rule).where(_e.tenant_id == conn.tenant_id).distinct().order_by(_e.rule).limit(500)
    return sorted({rule_of(r.rule) for r in await conn.rows(stmt)})


async def taken_back(conn: Conn, mark: str, *, limit: int) -> list[int]:
    """Evidence whose reason ends with this mark, oldest first."""
    stmt = sa.select(_e.evidence_id).where(
        _e.tenant_id == conn.tenant_id,
        _e.retracted_at.is_not(None),
        _e.retracted_why.like(f"% {mark}"),
    )
    return [r.evidence_id for r in await conn.rows(stmt.order_by(_e.evidence_id).limit(limit))]


async def nodes(conn: Conn) -> int:
    """How many identifiers there are."""
    stmt = sa.select(sa.func.count()).select_from(node).where(node.c.tenant_id == conn.tenant_id)
    return int(await conn.scalar(stmt) or 0)
