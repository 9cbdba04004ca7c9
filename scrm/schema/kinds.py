"""What tables are made of: one metadata, times that both engines order alike, columns with defaults."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """An aware UTC time, stored as microseconds since 1970 so that both engines order and index it alike."""

    impl = sa.BigInteger
    cache_ok = True

    # Both drivers speak plain integers: what is asked for each value of each row goes straight to it.
    def bind_processor(self, dialect: Dialect) -> Any:  # noqa: ARG002
        return _number

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:  # noqa: ARG002
        return _time


def _number(value: datetime | None) -> int | None:
    return None if value is None else (value - _EPOCH) // _MICRO


def _time(value: int | None) -> datetime | None:
    return None if value is None else _EPOCH + value * _MICRO


def table(name: str, *columns: Any, key: Sequence[str], rowid: bool = True) -> sa.Table:
    """A table of one tenant's rows; narrow tables that are only looked up by key need no rowid on SQLite."""
    return sa.Table(
        name,
        metadata,
        sa.Column("tenant_id", sa.BigInteger, nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("tenant_id", *key),
        sqlite_with_rowid=rowid,
    )


def ident(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def instant(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, Instant, nullable=nullable)


def text(name: str, *, nullable: bool = False, default: str = "") -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable, server_default=None if nullable else default)


def integer(name: str, default: int = 0) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default=str(default))


def octets(name: str, *, nullable: bool = False) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary, nullable=nullable)
