"""SQL of where things happen to a family: the accounts of its newest events, however long its history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from scrm.db import Conn
from scrm.identity.store import Interval
from scrm.schema import event_node

#: Of each identifier so many of the newest events are looked at, and so many of what is rare by itself.
_NEWEST, _NEWEST_RARE, _RARE = 200, 20, ("order", "call")
#: Identifiers in one statement: SQLite joins no more than 500 parts.
_AT_ONCE = 40
_NEVER = datetime.max.replace(tzinfo=UTC)
_n = event_node.c


async def accounts(conn: Conn, spans: Sequence[Interval]) -> set[int]:
    """Bounded by how many identifiers there are: what was long ago, under much else, may be left out."""
    found: set[int] = set()
    for begin in range(0, len(spans), _AT_ONCE):
        some = spans[begin : begin + _AT_ONCE]
        asked: dict[str, Any] = {"tenant": conn.tenant_id}
        for number, span in enumerate(some):
            asked |= {
                f"node{number}": span.node_id,
                f"from{number}": span.from_at,
                f"until{number}": span.until_at or _NEVER,
            }
        found |= {r.account_id for r in await conn.rows(_looking(len(some)), asked)}
    return found


@lru_cache(maxsize=_AT_ONCE)
def _looking(spans: int) -> sa.CompoundSelect[Any]:
    """Built once per shape: building it costs several times more than running it."""
    return sa.union(*(_newest(number) for number in range(spans)), *_rarest(spans))


def _newest(number: int) -> sa.Select[Any]:
    newest = _within(number, [_n.account_id], _NEWEST).subquery()
    return sa.select(newest.c.account_id)


def _rarest(spans: int) -> Iterator[sa.Select[Any]]:
    """Only what its index holds is read to find them: asked for more, SQLite walks the whole history."""
    key = [_n.tenant_id, _n.node_id, _n.at, _n.seq, _n.event_id]
    for number in range(spans):
        for genre in _RARE:
            few = _within(number, key, _NEWEST_RARE, _n.genre == genre).subquery()
            same = sa.and_(*(column == few.c[column.name] for column in key))
            yield sa.select(_n.account_id).join_from(few, event_node, same)


def _within(
    number: int, columns: Sequence[sa.Column[Any]], limit: int, *more: sa.ColumnElement[bool]
) -> sa.Select[Any]:
    """The newest events of one identifier while it was theirs."""
    stmt = sa.select(*columns).where(
        _n.tenant_id == sa.bindparam("tenant"),
        _n.node_id == sa.bindparam(f"node{number}"),
        _n.at >= sa.bindparam(f"from{number}", type_=_n.at.type),
        _n.at < sa.bindparam(f"until{number}", type_=_n.at.type),
        *more,
    )
    return stmt.order_by(_n.at.desc(), _n.seq.desc(), _n.event_id.desc()).limit(limit)
