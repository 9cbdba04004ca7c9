"""The embedded engine: one writer thread, snapshot readers, a full sync at each commit."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import operators

from scrm.db.bulk import Visit
from scrm.db.conn import Run
from scrm.db.outages import translated
from scrm.errors import BadConfig, Unavailable

T = TypeVar("T")

_READERS = 4


class _Numbers(sa.types.TypeDecorator[Any]):
    """Integers as one text that the engine takes apart."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str:  # noqa: ARG002
        return f"[{','.join(map(str, value))}]"


@compiles(sa.BinaryExpression, "sqlite")
def _in_is_one_text(element: Any, compiler: Any, **kw: Any) -> str:
    """`IN (:numbers)` of a prepared statement: one text however long the list, so parsed only once."""
    wanted = element.right
    if (
        element.operator is operators.in_op
        and isinstance(wanted, sa.BindParameter)
        and wanted.expanding
        and not wanted.unique
        and isinstance(element.left.type, sa.Integer)
    ):
        array = wanted._clone(maintain_key=True)  # noqa: SLF001 - what SQLAlchemy's own rewrites do
        array.expanding, array.type, array.expand_op = False, _Numbers(), None
        left, right = compiler.process(element.left, **kw), compiler.process(array, **kw)
        return f"{left} IN (SELECT value FROM json_each({right}))"
    text: str = compiler.visit_binary(element, **kw)
    return text


class Sqlite:
    """An open file. Tenants share it: our own predicates are the only wall."""

    many = False

    def __init__(self, url: sa.URL) -> None:
        self._engine = _engine(url)
        self._readers = _engine(url, readonly=True)
        self._pool = ThreadPoolExecutor(1, "scrm-writer")
        self._read_pool = ThreadPoolExecutor(_READERS, "scrm-reader")
        self._lock = asyncio.Lock()
        self._reading = asyncio.Semaphore(2 * _READERS)  # as many as the engine has connections
        self._writer: sa.Connection | None = None

    async def open(self) -> None:
        self._writer = await self._job(self._engine.connect)

    async def create_all(self, metadata: sa.MetaData) -> None:
        await self._job(lambda: metadata.create_all(self._engine))

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
    async def writing(self, _tenant: str) -> AsyncIterator[Run]:
        async with self._lock:
            writer = self._open_writer()
            try:
                await self._certainly(lambda: writer.exec_driver_sql("BEGIN IMMEDIATE"))
                yield partial(self._on, self._pool, writer)
                await self._certainly(lambda: writer.exec_driver_sql("COMMIT"))
            except BaseException:
                with suppress(Unavailable):  # SQLite has already rolled back, e.g. on a full disk
                    await self._certainly(lambda: writer.exec_driver_sql("ROLLBACK"))
                raise

    async def at_once(self, _tenant: str, work: Callable[[Visit], T]) -> T:
        async with self._lock:
            writer = self._open_writer()
            return await self._certainly(lambda: _transacted(writer, work))

    @asynccontextmanager
    async def reading(self, _tenant: str) -> AsyncIterator[Run]:
        # A thread that waited for a connection could not serve those who hold one: wait here instead.
        async with self._reading, AsyncExitStack() as held:
            with translated():
                sync = await _finished(self._read_pool, self._snapshot, lost=_release)
            held.push_async_callback(_finished, self._read_pool, partial(_release, sync))
            yield partial(self._on, self._read_pool, sync)

    watching = reading  # one writer: what was committed does not change under us

    def _open_writer(self) -> sa.Connection:
        if self._writer is None:
            raise BadConfig("数据库已经关闭。")
        return self._writer

    async def _on(
        self, pool: ThreadPoolExecutor, sync: sa.Connection, job: Callable[[sa.Connection], T]
    ) -> T:
        return await _finished(pool, partial(job, sync))

    def _snapshot(self) -> sa.Connection:
        sync = self._readers.connect()
        sync.exec_driver_sql("BEGIN")
        return sync

    async def _job(self, job: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, job)

    async def _certainly(self, job: Callable[[], T]) -> T:
        with translated():
            return await _finished(self._pool, job)


async def _finished(
    pool: ThreadPoolExecutor, job: Callable[[], T], *, lost: Callable[[T], None] | None = None
) -> T:
    """Done with it when this returns, also when the caller is cancelled meanwhile.

    A connection that a thread still works on must not be handed to the next: SQLite ends the process for it.
    `lost` puts away what came of a job whose caller is gone.
    """
    future = asyncio.get_running_loop().run_in_executor(pool, job)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        if lost is not None and future.exception() is None:
            await asyncio.wait([asyncio.get_running_loop().run_in_executor(pool, lost, future.result())])
        raise


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


def _release(sync: sa.Connection) -> None:
    try:
        sync.exec_driver_sql("ROLLBACK")
    finally:
        sync.close()


def once(url: sa.URL) -> sa.Engine:
    """Connections for a command's blocking work (migrations), with the driver's own transactions."""
    _make_file(url)
    return sa.create_engine(url, poolclass=sa.NullPool)


def _make_file(url: sa.URL) -> None:
    """Empty, for its owner's eyes only, whoever may look into the folder; its log takes over the mode."""
    if url.database and url.database != ":memory:":
        path = Path(url.database)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(OSError):  # it is there; or nobody may make it, which SQLite says itself
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _engine(url: sa.URL, *, readonly: bool = False) -> sa.Engine:
    _make_file(url)
    made = sa.create_engine(
        url,
        isolation_level="AUTOCOMMIT",  # BEGIN IMMEDIATE / COMMIT are written by us, not guessed by the driver
        connect_args={"check_same_thread": False, "timeout": 5.0},
        poolclass=sa.QueuePool,
        pool_size=_READERS,
        max_overflow=_READERS,
        query_cache_size=1000,
    )
    sa.event.listen(made, "connect", lambda raw, _record: _pragmas(raw, readonly=readonly))
    return made


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
