"""An open database: `begin` writes, `read` reads a snapshot; both are bound to one tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, TypeVar

import sqlalchemy as sa

from scrm import schema
from scrm.db.bulk import Visit
from scrm.db.conn import Conn, Keys, Run
from scrm.db.postgres import EVERYTHING, Postgres
from scrm.db.sqlite import Sqlite
from scrm.db.url import url_of
from scrm.errors import BadConfig
from scrm.seal import DataKey, Vault

T = TypeVar("T")


class Engine(Protocol):
    """What a database system must do for us; `tenant` is what its row-level security is told."""

    many: bool

    async def open(self) -> None: ...
    async def create_all(self, metadata: sa.MetaData) -> None: ...
    async def close(self) -> None: ...
    def writing(self, tenant: str) -> AbstractAsyncContextManager[Run]: ...
    def reading(self, tenant: str) -> AbstractAsyncContextManager[Run]: ...
    def watching(self, tenant: str) -> AbstractAsyncContextManager[Run]: ...
    async def at_once(self, tenant: str, work: Callable[[Visit], T]) -> T: ...


class Database:
    """One database with the keys that open what is sealed in it."""

    def __init__(self, engine: Engine, vault: Vault) -> None:
        self.vault = vault
        self._engine = engine
        self._keys = Keys()

    @classmethod
    async def open(cls, url: str, vault: Vault) -> Database:
        """Open a migrated database. Raises `BadConfig` for an engine we do not speak."""
        db = cls(engine_of(url), vault)
        await db._engine.open()
        return db

    @property
    def many(self) -> bool:
        """Whether other processes may write at the same time."""
        return self._engine.many

    async def create_all(self) -> None:
        """Every table at once; for tests, benches and the spool. Services use `migrate`."""
        await self._engine.create_all(schema.metadata)

    async def close(self) -> None:
        await self._engine.close()

    @asynccontextmanager
    async def begin(self, tenant_id: int) -> AsyncIterator[Conn]:
        """One write transaction: committed on the way out, rolled back on any error."""
        async with self._engine.writing(str(tenant_id)) as run:
            conn = self._conn(tenant_id, run)
            yield conn
        conn.committed()

    @asynccontextmanager
    async def read(self, tenant_id: int) -> AsyncIterator[Conn]:
        """A read-only snapshot; never waits for a writer."""
        async with self._engine.reading(str(tenant_id)) as run:
            yield self._conn(tenant_id, run)

    @asynccontextmanager
    async def watch(self, tenant_id: int) -> AsyncIterator[Conn]:
        """Reading where each statement sees what was committed before it: for those who take locks."""
        async with self._engine.watching(str(tenant_id)) as run:
            yield self._conn(tenant_id, run)

    @asynccontextmanager
    async def begin_all(self) -> AsyncIterator[Conn]:
        """A write transaction over every tenant's rows: restore and key rotation."""
        async with self._engine.writing(EVERYTHING) as run:
            conn = self._conn(0, run)
            yield conn
        conn.committed()

    @asynccontextmanager
    async def read_all(self) -> AsyncIterator[Conn]:
        """A snapshot of every tenant's rows: backup."""
        async with self._engine.reading(EVERYTHING) as run:
            yield self._conn(0, run)

    async def at_once(self, tenant_id: int, work: Callable[[Visit], T]) -> T:
        """A whole write transaction in one go where the connection lives.

        Each statement of `begin` waits for a turn of the event loop; under load that is what takes long.
        """
        return await self._engine.at_once(str(tenant_id), work)

    async def key(self, tenant_id: int, owner: str) -> DataKey:
        """One data key outside any transaction, made and committed when missing."""
        if kept := self._keys.get(tenant_id, owner):
            return kept
        async with self.begin(tenant_id) as conn:
            return (await conn.keys_for([owner]))[owner]

    async def notify(self, texts: Sequence[str]) -> None:
        """Tell every process that listens, this one too; each text below 8,000 bytes. PostgreSQL only."""
        await self._postgres().notify(texts)

    async def listen(self, heard: Callable[[str], None], connected: Callable[[], None]) -> None:
        """Hand every text to `heard` until cancelled; `connected` is called once listening. PostgreSQL only.

        Raises `Unavailable` when the connection is lost: texts may have been missed.
        """
        await self._postgres().listen(heard, connected)

    def _postgres(self) -> Postgres:
        if not isinstance(self._engine, Postgres):
            raise BadConfig("内嵌数据库只有一个进程，没有谁需要通知。")
        return self._engine

    def _conn(self, tenant_id: int, run: Run) -> Conn:
        return Conn(tenant_id, run, vault=self.vault, keys=self._keys, many=self._engine.many)


def engine_of(url: str) -> Engine:
    """Raises `BadConfig` for an engine we do not speak."""
    made = url_of(url)
    match made.get_backend_name():
        case "sqlite":
            return Sqlite(made)
        case "postgresql":
            return Postgres(made)
        case other:
            raise BadConfig(
                f"不支持的数据库 {other}：database_url 请留空（内嵌 SQLite）或写 postgresql://…。"
            )
