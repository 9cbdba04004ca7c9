"""Every row of every table, on either engine: as that database has it, not as the code would."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa

from scrm import shapes
from scrm.backups.rules import SEALED, Adding, Tally
from scrm.db import Visit
from scrm.errors import Unsealable
from scrm.schema.search import is_declared
from scrm.seal import Vault, key_id_of, open_sealed

Sync: TypeAlias = sa.Connection
#: What is done, how much of it, out of how much; may raise to stop the work.
Progress = Callable[[str, int, int], None]

#: Tables that are about the database, not of it.
_APART = {"alembic_version", "backup_info"}
_BATCH, _BATCH_HEAVY = 1000, 50
#: Tables whose rows may be megabytes each.
_HEAVY = {"media"}
_SAMPLE = 20


def tables(sync: Sync, only: Collection[str] | None = None) -> list[sa.Table]:
    """The tables that are there, by name; columns by name, of types that both engines have."""
    found, made = sa.MetaData(), sa.MetaData()
    found.reflect(sync, only=lambda name, _: is_declared(name, "table") and (only is None or name in only))
    return [_plain(t, made) for t in found.sorted_tables if t.name not in _APART]


def _plain(table: sa.Table, made: sa.MetaData) -> sa.Table:
    key = {c.name for c in table.primary_key}
    columns = [
        sa.Column(c.name, c.type.as_generic(), primary_key=c.name in key, autoincrement=False)
        for c in sorted(table.c, key=lambda c: c.name)
    ]
    return sa.Table(table.name, made, *columns)


def hold(sync: Sync) -> None:
    """From here on one moment is read, whatever others commit; the embedded engine does it page by page."""
    if sync.dialect.name == "postgresql":
        sync.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def revision(sync: Sync) -> str | None:
    """The schema revision inside this very snapshot."""
    if not sa.inspect(sync).has_table("alembic_version"):
        return None
    found = sync.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def filled(sync: Sync) -> list[str]:
    """Tables with a row that the schema itself did not bring."""
    wanted = [t for t in tables(sync) if t.name != "schema_info"]
    return [t.name for t in wanted if sync.execute(sa.select(sa.literal(1)).select_from(t).limit(1)).first()]


def count(sync: Sync, table: sa.Table) -> int:
    return int(sync.execute(sa.select(sa.func.count()).select_from(table)).scalar() or 0)


def batches(sync: Sync, table: sa.Table) -> Iterator[Sequence[sa.Row[Any]]]:
    """All rows in no particular order, a bounded number in memory."""
    size = _BATCH_HEAVY if table.name in _HEAVY else _BATCH
    result = sync.execute(sa.select(table).execution_options(yield_per=size))
    try:
        yield from result.partitions(size)
    finally:
        result.close()


def tallies(sync: Sync, wanted: Sequence[sa.Table], progress: Progress) -> dict[str, Tally]:
    """What each table adds up to. Reads every row, so that each can be read is known afterwards."""
    found = {}
    for table in wanted:
        rows, adding = count(sync, table), Adding()
        for part in batches(sync, table):
            adding.add(shapes.to_json(tuple(row)) for row in part)
            progress(f"核对 {table.name}", adding.rows, rows)
        found[table.name] = adding.tally()
    return found


def copied(source: Sync, target: Sync, wanted: Sequence[sa.Table], progress: Progress) -> None:
    """Put every row of the source into the tables of the same name; what a migration wrote there goes."""
    for table in wanted:
        rows, done = count(source, table), 0
        if table.name == "schema_info":
            target.execute(sa.delete(table))
        for part in batches(source, table):
            Visit(target).insert(table, [dict(row._mapping) for row in part])
            done += len(part)
            progress(f"复制 {table.name}", done, rows)


def demand_openable(sync: Sync, wanted: Sequence[sa.Table], vault: Vault, progress: Progress) -> int:
    """Unwrap every data key and open a sample of each sealed column; how many values were opened.

    Raises `Unsealable`: with this master key nobody will read the backup. Values of an erased customer,
    whose key was destroyed, stay closed and are no fault.
    """
    named = {t.name: t for t in wanted}
    if "data_key" not in named:
        return 0
    _demand_keys(sync, named["data_key"], vault, progress)
    return sum(
        _sample(sync, named, (table, column), names, vault)
        for table, (names, columns) in SEALED.items()
        if table in named
        for column in columns
        if column in named[table].c  # an older release has not all of them
    )


def _demand_keys(sync: Sync, table: sa.Table, vault: Vault, progress: Progress) -> None:
    done, rows = 0, count(sync, table)
    for part in batches(sync, table):
        for row in part:
            vault.unwrap(row.key_id, row.owner, row.wrapped)
        done += len(part)
        progress("打开数据密钥", done, rows)


def _sample(
    sync: Sync, named: Mapping[str, sa.Table], where: tuple[str, str], names: Sequence[str], vault: Vault
) -> int:
    """The first and the last values of one column, opened where they stand; how many."""
    (table, column), opened = where, 0
    t, keys = named[table], named["data_key"]
    idents = [t.c[name] for name in names]
    stmt = sa.select(t.c.tenant_id, t.c[column].label("sealed"), *idents).where(t.c[column].is_not(None))
    for order in (idents, [ident.desc() for ident in idents]):
        for row in sync.execute(stmt.order_by(*order).limit(_SAMPLE)).all():
            which = sa.and_(keys.c.tenant_id == row.tenant_id, keys.c.key_id == key_id_of(row.sealed))
            key = sync.execute(sa.select(keys.c.key_id, keys.c.owner, keys.c.wrapped).where(which)).first()
            if key is None:
                continue
            data_key = vault.unwrap(key.key_id, key.owner, key.wrapped)
            try:
                open_sealed(data_key, row.sealed, table, *map(_word, row[2:]), column)
            except Unsealable:
                raise Unsealable(f"表 {table} 的 {column} 打不开：数据被改动过。") from None
            opened += 1
    return opened


def _word(ident: object) -> object:
    return ident.hex() if isinstance(ident, bytes) else ident
