"""The database: one writer thread, snapshot readers, tenant-bound connections, data keys, migrations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as lite_insert

from scrm import __version__, schema
from scrm.errors import BadConfig, Unavailable, Unsealable
from scrm.seal import DataKey, Vault, close, key_id_of, new_id, open_sealed
from scrm.settings import shipped

T = TypeVar("T")
Row = sa.Row[Any]
Params = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None

_READERS = 4
#: Unwrapped data keys kept in memory, at most (about 300 bytes each).
_KEYS_CACHED = 20_000
#: SQLite takes 32,766 parameters in one statement.
_PARAMETERS = 30_000


def utcnow() -> datetime:
    """The clock, for those who open transactions; rules and services get `now` passed in."""
    return datetime.now(UTC)


class Conn:
    """One transaction of one tenant. Every statement of a store names `conn.tenant_id`."""

    def __init__(self, db: Database, tenant_id: int, sync: sa.Connection, pool: ThreadPoolExecutor) -> None:
        self.tenant_id = tenant_id
        self.vault = db.vault
        self._db = db
        self._sync = sync
        self._visit = Visit(sync)
        self._pool = pool
        self._fresh: dict[str, DataKey] = {}
        self._after: list[Callable[[], None]] = []

    async def rows(self, stmt: sa.Executable, params: Params = None) -> Sequence[Row]:
        return await self._do(lambda: self._sync.execute(stmt, params or {}).all())

    async def row(self, stmt: sa.Executable, params: Params = None) -> Row | None:
        return await self._do(lambda: self._sync.execute(stmt, params or {}).first())

    async def scalar(self, stmt: sa.Executable, params: Params = None) -> Any:
        return await self._do(lambda: self._sync.execute(stmt, params or {}).scalar())

    async def run(self, stmt: sa.Executable, params: Params = None) -> int:
        """Execute for effect; the number of rows touched. An empty list of rows does nothing."""
        if params is not None and not params:
            return 0
        return await self._do(lambda: self._sync.execute(stmt, params or {}).rowcount)

    async def insert_new(
        self, table: sa.Table, values: Sequence[Mapping[str, Any]], *returning: sa.Column[Any]
    ) -> Sequence[Row]:
        """Insert what is not there yet; rows that meet any unique key are left as they are."""
        if not values:
            return []
        return await self._do(lambda: self._visit.insert_new(table, values, *returning))

    async def insert(self, table: sa.Table, values: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows of equal columns; a row that meets a unique key fails the transaction."""
        if values:
            await self._do(lambda: self._visit.insert(table, values))

    async def upsert(
        self, table: sa.Table, values: Sequence[Mapping[str, Any]], *, key: Sequence[str], change: Any
    ) -> None:
        """Insert, or apply `change(excluded)` (column -> value) to the row that holds `key`.

        A `change` that is a function of a module, not a fresh lambda, is compiled only once.
        """
        if values:
            await self._do(lambda: self._visit.upsert(table, values, key=key, change=change))

    def after_commit(self, act: Callable[[], None]) -> None:
        """Run once the transaction has committed; a rollback discards it."""
        self._after.append(act)

    async def seal(self, owner: str, plain: bytes, *where: object) -> bytes:
        return close((await self.keys_for([owner]))[owner], plain, *where)

    async def unseal(self, sealed: bytes, *where: object) -> bytes:
        """Raises `Unsealable` when altered, moved, or its key was destroyed."""
        key_id = key_id_of(sealed)
        return open_sealed((await self.keys([key_id]))[key_id], sealed, *where)

    async def keys_for(self, owners: Iterable[str]) -> dict[str, DataKey]:
        """Each owner's data key, made when missing. Owners: `node:<id>`, `day:<account>:<date>`, `tenant`."""
        wanted = list(dict.fromkeys(owners))
        found = {
            o: key for o in wanted if (key := self._fresh.get(o) or self._db.cached_key(self.tenant_id, o))
        }
        if missing := [o for o in wanted if o not in found]:
            found |= await self._stored_keys(schema.data_key.c.owner.in_(missing))
            found |= await self._make_keys([o for o in missing if o not in found])
        return found

    async def keys(self, key_ids: Iterable[int]) -> dict[int, DataKey]:
        """Unwrapped keys by id. Raises `Unsealable` when one was destroyed."""
        wanted = set(key_ids)
        fresh = {key.key_id: key for key in self._fresh.values()}
        found = {k: key for k in wanted if (key := fresh.get(k) or self._db.cached_key(self.tenant_id, k))}
        if missing := wanted - found.keys():
            stored = await self._stored_keys(schema.data_key.c.key_id.in_(missing))
            found |= {key.key_id: key for key in stored.values()}
        if wanted - found.keys():
            raise Unsealable("这项内容的密钥已销毁，无法再打开。")
        return found

    async def _stored_keys(self, which: sa.ColumnElement[bool]) -> dict[str, DataKey]:
        t = schema.data_key
        stmt = sa.select(t.c.key_id, t.c.owner, t.c.wrapped).where(t.c.tenant_id == self.tenant_id, which)
        found = {r.owner: self.vault.unwrap(r.key_id, r.owner, r.wrapped) for r in await self.rows(stmt)}
        self._db.cache_keys(self.tenant_id, found)
        return found

    async def _make_keys(self, owners: Sequence[str]) -> dict[str, DataKey]:
        made, rows = {}, []
        for owner in owners:
            key, wrapped = self.vault.new_key(new_id(), owner)
            made[owner] = key
            rows.append(
                {
                    "tenant_id": self.tenant_id,
                    "key_id": key.key_id,
                    "owner": owner,
                    "wrapped": wrapped,
                    "created_at": utcnow(),
                }
            )
        won = {r.owner for r in await self.insert_new(schema.data_key, rows, schema.data_key.c.owner)}
        lost = [o for o in owners if o not in won]
        # Cached only after the commit: a key that rolled back must never have sealed anything that stays.
        self._fresh |= {o: made[o] for o in won}
        return {o: made[o] for o in won} | (
            await self._stored_keys(schema.data_key.c.owner.in_(lost)) if lost else {}
        )

    async def _do(self, job: Callable[[], T]) -> T:
        with _translated():
            return await asyncio.get_running_loop().run_in_executor(self._pool, job)

    def committed(self) -> None:
        """Called once by `Database.begin`."""
        self._db.cache_keys(self.tenant_id, self._fresh)
        for act in self._after:
            act()


@dataclass(frozen=True, slots=True)
class Visit:
    """Inserts made on the thread that holds the connection; `Conn` has the same as coroutines."""

    _sync: sa.Connection

    def insert_new(
        self, table: sa.Table, values: Sequence[Mapping[str, Any]], *returning: sa.Column[Any]
    ) -> list[Row]:
        return self._many(table, values, (), None, returning)

    def insert(self, table: sa.Table, values: Sequence[Mapping[str, Any]]) -> None:
        self._many(table, values, None, None, ())

    def upsert(
        self,
        table: sa.Table,
        values: Sequence[Mapping[str, Any]],
        *,
        key: Sequence[str],
        change: Callable[[Any], Any],
    ) -> None:
        self._many(table, values, tuple(key), change, ())

    def _many(
        self,
        table: sa.Table,
        values: Sequence[Mapping[str, Any]],
        key: tuple[str, ...] | None,
        change: Callable[[Any], Any] | None,
        returning: tuple[sa.Column[Any], ...],
    ) -> list[Row]:
        found: list[Row] = []
        if values:
            bulk = _bulk(self._sync.dialect, table, tuple(values[0]), key, change, returning)
            for sql, params in bulk.statements(values):
                result = self._sync.exec_driver_sql(sql, params)
                found += result.all() if returning else ()
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bulk:
    """One INSERT, compiled once for rows of the same columns: SQLAlchemy's way costs more than the insert."""

    sql: str
    #: `(?, ?, ...)` of one row inside `sql`.
    one: str
    columns: tuple[tuple[str, Callable[[Any], Any] | None], ...]
    #: Literals of `change`, after the rows.
    fixed: tuple[Any, ...]

    def statements(self, rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """All rows in one statement: `executemany` would let go of the interpreter's lock at each row."""
        step = _PARAMETERS // len(self.columns)
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            flat = [row[c] if bind is None else bind(row[c]) for row in part for c, bind in self.columns]
            yield self.sql.replace(self.one, ", ".join([self.one] * len(part)), 1), (*flat, *self.fixed)


@lru_cache(maxsize=256)
def _bulk(
    dialect: sa.Dialect,
    table: sa.Table,
    columns: tuple[str, ...],
    key: tuple[str, ...] | None,
    change: Callable[[Any], Any] | None,
    returning: tuple[sa.Column[Any], ...],
) -> _Bulk:
    """`key` None: a plain insert; with `change` an upsert on `key`; else what meets a unique key is left."""
    stmt: Any = pg_insert(table) if dialect.name == "postgresql" else lite_insert(table)
    if change is not None:
        stmt = stmt.on_conflict_do_update(index_elements=list(key or ()), set_=change(stmt.excluded))
    elif key is not None:
        stmt = stmt.on_conflict_do_nothing()
    if returning:
        stmt = stmt.returning(*returning)
    compiled = stmt.compile(dialect=dialect, column_keys=list(columns))
    order = tuple(compiled.positiontup or columns)
    types = {name: bind.type.dialect_impl(dialect) for name, bind in compiled.binds.items()}
    own, fixed = order[: len(columns)], order[len(columns) :]
    return _Bulk(
        sql=str(compiled),
        one=f"({', '.join('?' * len(columns))})",
        columns=tuple((name, types[name].bind_processor(dialect)) for name in own),
        fixed=tuple(compiled.params[name] for name in fixed),
    )


class Database:
    """An open database. `begin` writes, `read` reads a snapshot; both are bound to one tenant."""

    def __init__(self, url: str, vault: Vault) -> None:
        self.vault = vault
        self._keys: dict[tuple[int, str | int], DataKey] = {}
        self._engine = _engine(url)
        self._readers = _engine(url, readonly=True)
        self._pool = ThreadPoolExecutor(1, "scrm-writer")
        self._read_pool = ThreadPoolExecutor(_READERS, "scrm-reader")
        self._lock = asyncio.Lock()
        self._reading = asyncio.Semaphore(2 * _READERS)  # as many as the engine has connections
        self._writer: sa.Connection | None = None

    @classmethod
    async def open(cls, url: str, vault: Vault) -> Database:
        """Open a migrated database. Raises `BadConfig` when its schema is not ours to run on."""
        db = cls(url, vault)
        db._writer = await db._job(db._engine.connect)
        return db

    async def create_all(self) -> None:
        """Every table at once; for tests and benches. Services use `migrate`."""
        await self._job(lambda: schema.metadata.create_all(self._engine))

    async def close(self) -> None:
        async with self._lock:
            if self._writer is not None:
                await self._job(self._writer.close)
            self._writer = None
        self._pool.shutdown(wait=True)
        self._read_pool.shutdown(wait=True)
        self._engine.dispose()
        self._readers.dispose()

    @asynccontextmanager
    async def begin(self, tenant_id: int) -> AsyncIterator[Conn]:
        """One write transaction: committed on the way out, rolled back on any error."""
        async with self._lock:
            writer = self._writer
            if writer is None:
                raise BadConfig("数据库已经关闭。")
            conn = Conn(self, tenant_id, writer, self._pool)
            try:
                await self._certainly(lambda: writer.exec_driver_sql("BEGIN IMMEDIATE"))
                yield conn
                await self._certainly(lambda: writer.exec_driver_sql("COMMIT"))
            except BaseException:
                with suppress(Unavailable):  # SQLite has already rolled back, e.g. on a full disk
                    await self._certainly(lambda: writer.exec_driver_sql("ROLLBACK"))
                raise
        conn.committed()

    async def at_once(self, work: Callable[[Visit], T]) -> T:
        """A whole write transaction in one go on the writer's thread.

        Each statement of `begin` waits for a turn of the event loop; under load that is what takes long.
        """
        async with self._lock:
            writer = self._writer
            if writer is None:
                raise BadConfig("数据库已经关闭。")
            return await self._certainly(lambda: _transacted(writer, work))

    @asynccontextmanager
    async def read(self, tenant_id: int) -> AsyncIterator[Conn]:
        """A read-only snapshot; never waits for the writer."""
        loop = asyncio.get_running_loop()
        # A thread that waited for a connection could not serve those who hold one: wait here instead.
        async with self._reading:
            with _translated():
                sync = await loop.run_in_executor(self._read_pool, self._snapshot)
            try:
                yield Conn(self, tenant_id, sync, self._read_pool)
            finally:
                await asyncio.shield(loop.run_in_executor(self._read_pool, _release, sync))

    async def key(self, tenant_id: int, owner: str) -> DataKey:
        """One data key outside any transaction, made and committed when missing."""
        if cached := self.cached_key(tenant_id, owner):
            return cached
        async with self.begin(tenant_id) as conn:
            return (await conn.keys_for([owner]))[owner]

    def cached_key(self, tenant_id: int, name: str | int) -> DataKey | None:
        return self._keys.get((tenant_id, name))

    def cache_keys(self, tenant_id: int, keys: Mapping[str, DataKey]) -> None:
        while len(self._keys) > _KEYS_CACHED:
            self._keys.pop(next(iter(self._keys)))
        for owner, key in keys.items():
            self._keys[tenant_id, owner] = self._keys[tenant_id, key.key_id] = key

    def _snapshot(self) -> sa.Connection:
        sync = self._readers.connect()
        sync.exec_driver_sql("BEGIN")
        return sync

    async def _job(self, job: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, job)

    async def _certainly(self, job: Callable[[], T]) -> T:
        """Finish the job even when the caller is cancelled: the lock is not released half-way."""
        future = asyncio.ensure_future(self._job(job))
        try:
            with _translated():
                return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise


@contextmanager
def _translated() -> Iterator[None]:
    """A database that is down, locked or full is a state of the world, not a fault of the statement."""
    try:
        yield
    except sa.exc.OperationalError as error:
        raise Unavailable from error


def _transacted(writer: sa.Connection, work: Callable[[Visit], T]) -> T:
    try:
        writer.exec_driver_sql("BEGIN IMMEDIATE")
        result = work(Visit(writer))
        writer.exec_driver_sql("COMMIT")
    except BaseException:
        with suppress(sa.exc.OperationalError):  # SQLite has already rolled back, e.g. on a full disk
            writer.exec_driver_sql("ROLLBACK")
        raise
    return result


def migrate(url: str) -> str:
    """Bring the schema to this release's revision; the revision reached. Blocking.

    A schema of a later release stays as it is. Raises `BadConfig` when it no longer bears this release.
    """
    config = _alembic(url)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    found = revision(url)
    if found is not None and found not in known:
        _demand_borne(url)
        return found
    command.upgrade(config, "head")
    return revision(url) or ""


def _demand_borne(url: str) -> None:
    engine = _engine(url)
    try:
        with engine.connect() as sync:
            which = sa.select(schema.schema_info.c.value).where(schema.schema_info.c.name == "oldest_code")
            oldest = str(sync.execute(which).scalar() or "0")
    finally:
        engine.dispose()
    if _parts(__version__) < _parts(oldest):
        raise BadConfig(f"数据库已升级，需要 scrm {oldest} 或更新的版本，现在是 {__version__}。")


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def revision(url: str) -> str | None:
    """The schema revision a database is at; None = empty."""
    engine = _engine(url)
    try:
        with engine.connect() as sync:
            return MigrationContext.configure(sync).get_current_revision()
    finally:
        engine.dispose()


def head() -> str:
    """The schema revision this release wants."""
    return ScriptDirectory.from_config(_alembic("")).get_current_head() or ""


def _alembic(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(shipped("migrations")))
    config.attributes["url"] = url
    return config


def _release(sync: sa.Connection) -> None:
    try:
        sync.exec_driver_sql("ROLLBACK")
    finally:
        sync.close()


def _engine(url: str, *, readonly: bool = False) -> sa.Engine:
    made = sa.make_url(url)
    if made.get_backend_name() != "sqlite":
        raise BadConfig(f"不支持的数据库 {made.get_backend_name()}：database_url 请留空（内嵌 SQLite）。")
    if made.database:
        Path(made.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = sa.create_engine(
        made,
        isolation_level="AUTOCOMMIT",  # BEGIN IMMEDIATE / COMMIT are written by us, not guessed by the driver
        connect_args={"check_same_thread": False, "timeout": 5.0},
        poolclass=sa.QueuePool,
        pool_size=_READERS,
        max_overflow=_READERS,
        query_cache_size=1000,
    )
    sa.event.listen(engine, "connect", lambda raw, _record: _pragmas(raw, readonly=readonly))
    return engine


def _pragmas(raw: Any, *, readonly: bool) -> None:
    """WAL with a full sync at each commit: what was acknowledged survives a power cut."""
    for line in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "busy_timeout=5000",
        "temp_store=MEMORY",
        "cache_size=-65536",
        "mmap_size=268435456",
        *(["query_only=ON"] if readonly else []),
    ):
        raw.execute(f"PRAGMA {line}")
