"""Many rows in one INSERT: compiled once, `VALUES (?, ...)` on SQLite, arrays on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as lite_insert

Row = sa.Row[Any]
Values = Sequence[Mapping[str, Any]]
Bind = Callable[[Any], Any] | None
#: SQLite takes 32,766 parameters in one statement.
_PARAMETERS = 30_000
#: In the place of a key: whichever it meets.
_ANY = ("*",)


@dataclass(frozen=True, slots=True)
class Visit:
    """Inserts made where the connection lives; `Conn` has the same as coroutines."""

    _sync: sa.Connection

    def insert_new(
        self, table: sa.Table, values: Values, *returning: sa.Column[Any], any_key: bool = False
    ) -> list[Row]:
        """Insert what is not there yet: a row whose natural key is there leaves that one as it is.

        One that meets a drawn number only fails the transaction: it says something that nobody has said.
        With `any_key` it is left out as well, and who asks looks at what was made.
        """
        return self._many(table, values, _ANY if any_key else (), None, returning)

    def insert(self, table: sa.Table, values: Values) -> None:
        """Insert rows of equal columns; a row that meets a unique key fails the transaction."""
        self._many(table, values, None, None, ())

    def upsert(
        self,
        table: sa.Table,
        values: Values,
        *returning: sa.ColumnElement[Any],
        key: Sequence[str],
        change: Callable[[Any], Any],
    ) -> list[Row]:
        """Insert, or apply `change(excluded)` (column -> value) to the row that holds `key`."""
        found: list[Row] = []
        for some in _rounds(values, key):
            found += self._many(table, some, tuple(key), change, returning)
        return found

    def _many(
        self,
        table: sa.Table,
        values: Values,
        key: tuple[str, ...] | None,
        change: Callable[[Any], Any] | None,
        returning: tuple[sa.ColumnElement[Any], ...],
    ) -> list[Row]:
        found: list[Row] = []
        if values:
            make = _arrays if self._sync.dialect.name == "postgresql" else _values
            bulk = make(self._sync.dialect, table, tuple(values[0]), key, change, returning)
            for sql, params in bulk.statements(values):
                result = self._sync.exec_driver_sql(sql, params)
                found += result.all() if returning else ()
        return found


def _rounds(values: Values, key: Sequence[str]) -> Iterator[Values]:
    """Rows of one key go one after another: PostgreSQL changes a row only once in a statement."""
    left = list(values)
    while left:
        first: dict[tuple[Any, ...], Mapping[str, Any]] = {}
        again = []
        for row in left:
            ident = tuple(row[name] for name in key)
            if ident in first:
                again.append(row)
            else:
                first[ident] = row
        yield list(first.values())
        left = again


@dataclass(frozen=True, slots=True, kw_only=True)
class _Values:
    """One statement for SQLite: SQLAlchemy's own way costs more than the insert itself."""

    sql: str
    #: `(?, ?, ...)` of one row inside `sql`.
    one: str
    columns: tuple[tuple[str, Bind], ...]
    #: Literals of `change`, after the rows.
    fixed: tuple[Any, ...]

    def statements(self, rows: Values) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """All rows in one statement: `executemany` would let go of the interpreter's lock at each row."""
        step = _PARAMETERS // len(self.columns)
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            flat = [row[c] if bind is None else bind(row[c]) for row in part for c, bind in self.columns]
            yield self.sql.replace(self.one, ", ".join([self.one] * len(part)), 1), (*flat, *self.fixed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrays:
    """One statement for PostgreSQL, the same text for any number of rows: parsed and planned once."""

    sql: str
    #: In the order of the statement's parameters: a column's name with its converter, or a literal.
    params: tuple[tuple[str, Bind] | tuple[None, Any], ...]
    #: Rows go in this order, so that two processes that write the same ones never wait in a circle.
    order: tuple[str, ...]

    def statements(self, rows: Values) -> Iterator[tuple[str, tuple[Any, ...]]]:
        ordered = sorted(rows, key=lambda row: tuple(row[name] for name in self.order))
        yield self.sql, tuple(_column(ordered, name, extra) for name, extra in self.params)


def _column(rows: Values, name: str | None, extra: Any) -> Any:
    if name is None:
        return extra
    return [row[name] for row in rows] if extra is None else [extra(row[name]) for row in rows]


def _finished(
    stmt: Any, key: tuple[str, ...] | None, change: Callable[[Any], Any] | None, returning: tuple[Any, ...]
) -> Any:
    """`key` None: a plain insert; with `change` an upsert on `key`; else a row that is there stays."""
    if change is not None:
        stmt = stmt.on_conflict_do_update(index_elements=list(key or ()), set_=change(stmt.excluded))
    elif key == _ANY:
        stmt = stmt.on_conflict_do_nothing()
    elif key is not None:
        own = natural(stmt.table)
        stmt = stmt.on_conflict_do_nothing(index_elements=own.columns, index_where=own.where)
    return stmt.returning(*returning) if returning else stmt


@lru_cache(maxsize=256)
def _values(
    dialect: sa.Dialect,
    table: sa.Table,
    columns: tuple[str, ...],
    key: tuple[str, ...] | None,
    change: Callable[[Any], Any] | None,
    returning: tuple[sa.ColumnElement[Any], ...],
) -> _Values:
    stmt = _finished(lite_insert(table), key, change, returning)
    compiled = stmt.compile(dialect=dialect, column_keys=list(columns))
    order = tuple(compiled.positiontup or columns)
    types = {name: bind.type.dialect_impl(dialect) for name, bind in compiled.binds.items()}
    own, fixed = order[: len(columns)], order[len(columns) :]
    return _Values(
        sql=str(compiled),
        one=f"({', '.join('?' * len(columns))})",
        columns=tuple((name, types[name].bind_processor(dialect)) for name in own),
        fixed=tuple(compiled.params[name] for name in fixed),
    )


@lru_cache(maxsize=256)
def _arrays(
    dialect: sa.Dialect,
    table: sa.Table,
    columns: tuple[str, ...],
    key: tuple[str, ...] | None,
    change: Callable[[Any], Any] | None,
    returning: tuple[sa.ColumnElement[Any], ...],
) -> _Arrays:
    kinds = {name: table.c[name].type.dialect_impl(dialect) for name in columns}
    # JSON travels as text: an array of documents is nothing the driver knows how to write.
    sent = {name: sa.Text() if isinstance(kind, sa.JSON) else kind for name, kind in kinds.items()}
    arrays = [sa.bindparam(f"rows_{name}", type_=sa.ARRAY(_plain(sent[name]))) for name in columns]
    given = sa.func.unnest(*arrays).table_valued(*(sa.column(n, _plain(sent[n])) for n in columns))
    given = given.render_derived(name="given")
    picked = [sa.cast(given.c[n], sa.JSON) if sent[n] is not kinds[n] else given.c[n] for n in columns]
    stmt = _finished(pg_insert(table).from_select(list(columns), sa.select(*picked)), key, change, returning)
    compiled = stmt.compile(dialect=dialect)
    binds = {f"rows_{n}": (n, kinds[n].bind_processor(dialect)) for n in columns}
    fixed = {name: (None, value) for name, value in compiled.params.items() if name not in binds}
    return _Arrays(
        sql=str(compiled),
        params=tuple(binds.get(name) or fixed[name] for name in compiled.positiontup or ()),
        order=_order(table, columns),
    )


def _plain(kind: Any) -> Any:
    """The stored type of one of ours: an array is bound by us, value by value."""
    return kind.impl_instance if isinstance(kind, sa.types.TypeDecorator) else kind


@dataclass(frozen=True, slots=True)
class Natural:
    """The columns that say what a row is about, and of which rows they are unique (None = of all)."""

    columns: tuple[str, ...]
    where: Any = None


@cache
def natural(table: sa.Table) -> Natural:
    """A table's only unique key beside the primary one, else the primary one."""
    primary = Natural(_names(table.primary_key))
    # A number that each process draws for itself says nothing to the others.
    keys = [c for c in table.constraints if isinstance(c, sa.UniqueConstraint) and not c.info.get("drawn")]
    some = [i for i in table.indexes if i.unique]
    found = [Natural(_names(key)) for key in keys]
    found += [Natural(_names(index), index.dialect_options["postgresql"]["where"]) for index in some]
    (own,) = found or [primary]
    return own


def _names(key: sa.PrimaryKeyConstraint | sa.UniqueConstraint | sa.Index) -> tuple[str, ...]:
    return tuple(column.name for column in key.columns)


def _order(table: sa.Table, columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns by which other processes know the same row."""
    own = natural(table)
    key = own.columns if own.where is None else _names(table.primary_key)
    return tuple(name for name in key if name in columns)
