"""The scaled engine: PostgreSQL by asyncpg, small pools, time-outs on everything, the tenant named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from time import monotonic
from typing import Any, TypeVar

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import operators

from scrm.db.bulk import Visit
from scrm.db.conn import Run
from scrm.db.nodes import Node
from scrm.db.outages import passing, translated
from scrm.errors import BadConfig, Unavailable

T = TypeVar("T")

#: Connections of one process, for each of the two pools: writers wait for writers, readers for readers.
_POOL = 6
_CONNECT_S, _POOL_S, _COMMAND_S, _CLOSE_S = 5.0, 5.0, 10.0, 2.0
#: The server's own limits, in case nobody on this side is left to enforce ours.
_SERVER = {
    "application_name": "scrm",
    "statement_timeout": "8000",
    "lock_timeout": "3000",
    "idle_in_transaction_session_timeout": "30000",
    "jit": "off",  # compiling a plan takes longer than any statement of ours
}
#: A plan kept from when a table was nearly empty reads all of a tenant's rows until the next ANALYZE. Readers
#: make theirs again so often; writers make few statements for many rows and plan each by today's size.
_PLANS_S = 10.0
_WRITER = {"plan_cache_mode": "force_custom_plan"}
#: Every row of every tenant: migrations, backups and key rotation.
EVERYTHING = "*"
_CHANNEL = "scrm"
_NOTIFY = f"SELECT pg_notify('{_CHANNEL}', text) FROM unnest($1::text[]) AS text"
_LISTEN_CHECK_S = 5.0


@compiles(sa.BinaryExpression, "postgresql")
def _in_is_any(element: Any, compiler: Any, **kw: Any) -> str:
    """`IN (list)` as `= ANY(array)`: one text, so one plan by the index, however long the list."""
    wanted = element.right
    if element.operator is operators.in_op and isinstance(wanted, sa.BindParameter) and wanted.expanding:
        kind = element.left.type
        array = wanted._clone(maintain_key=True)  # noqa: SLF001 - what SQLAlchemy's own rewrites do
        array.expanding, array.type, array.expand_op = False, sa.ARRAY(kind), None
        return f"{compiler.process(element.left, **kw)} = ANY ({compiler.process(array, **kw)})"
    text: str = compiler.visit_binary(element, **kw)
    return text


class Postgres:
    """Pools of one process on one PostgreSQL database."""

    many = True

    def __init__(self, url: sa.URL) -> None:
        self._url = url
        self._writers, self._readers = _pool(url, _WRITER), _pool(url)
        self._node = Node(_dsn(url), **_connecting())
        self._open = False

    async def open(self) -> None:
        """Raises `Unavailable` when nobody answers there."""
        self._open = True
        async with self.reading(EVERYTHING):
            pass
        await self._node.open()

    async def create_all(self, metadata: sa.MetaData) -> None:
        engine = once(self._url)
        try:
            async with engine.begin() as conn:
                await conn.run_sync(metadata.create_all)
        finally:
            await engine.dispose()

    async def close(self) -> None:
        self._open = False
        await self._node.close()
        for pool in (self._writers, self._readers):
            with suppress(OSError, asyncpg.PostgresError, TimeoutError):
                await pool.dispose()

    @asynccontextmanager
    async def writing(self, tenant: str) -> AsyncIterator[Run]:
        async with self._transaction(self._writers, "BEGIN", tenant) as conn:
            yield partial(_on, conn)

    @asynccontextmanager
    async def reading(self, tenant: str) -> AsyncIterator[Run]:
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        async with self._transaction(self._readers, begin, tenant) as conn:
            yield partial(_on, conn)

    @asynccontextmanager
    async def watching(self, tenant: str) -> AsyncIterator[Run]:
        # Those who claim walk indexes in their order. The planner believes that next to nothing waits, as at
        # its last look, and would read a backlog of thousands to sort it, once for each lane.
        begin = "BEGIN READ ONLY; SET LOCAL enable_sort = off"
        async with self._transaction(self._readers, begin, tenant) as conn:
            yield partial(_on, conn)

    async def at_once(self, tenant: str, work: Callable[[Visit], T]) -> T:
        with translated():
            async with self._transaction(self._writers, "BEGIN", tenant) as conn:
                return await conn.run_sync(lambda sync: work(Visit(sync)))

    @asynccontextmanager
    async def _transaction(
        self, pool: AsyncEngine, begin: str, tenant: str
    ) -> AsyncIterator[AsyncConnection]:
        """Committed on the way out, rolled back on any error; a connection in doubt is thrown away."""
        with translated():
            conn = await self._begun(pool, f"{begin}; SET LOCAL scrm.tenant = '{tenant}'")
        try:
            try:
                yield conn
                with translated():
                    await _certainly(_committed(conn) if pool is self._writers else _say(conn, "COMMIT"))
            except BaseException:
                await _certainly(_undone(conn))
                raise
        finally:
            await _certainly(conn.close())

    async def _begun(self, pool: AsyncEngine, sql: str) -> AsyncConnection:
        """A connection with an open transaction. Those that died in the pool are replaced, not reported."""
        if not self._open:
            raise BadConfig("数据库已经关闭。")
        for left in range(_POOL, -1, -1):
            conn = await pool.connect()
            try:
                await _say(conn, sql + _planning_anew(conn))
            except (
                OSError,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                asyncpg.InternalClientError,
            ) as error:
                await _certainly(_dropped(conn))
                if not left or isinstance(error, TimeoutError) or not _died(error):
                    raise
            except BaseException:
                await _certainly(_dropped(conn))
                raise
            else:
                return conn
        raise Unavailable

    async def notify(self, texts: Sequence[str]) -> None:
        """Tell every listener, this process too; each text below 8,000 bytes."""
        with translated():
            async with self._writers.connect() as conn:
                raw = (await conn.get_raw_connection()).driver_connection
                await raw.execute(_NOTIFY, list(texts))  # type: ignore[union-attr]

    async def listen(self, heard: Callable[[str], None], connected: Callable[[], None]) -> None:
        """Hand every text to `heard` until cancelled; `connected` is called once listening.

        Raises `Unavailable` when the connection is lost: texts may have been missed.
        """
        with translated():
            raw: Any = await asyncpg.connect(_dsn(self._url), **_connecting())
            try:
                gone = asyncio.Event()
                raw.add_termination_listener(lambda _conn: gone.set())
                await raw.add_listener(_CHANNEL, lambda _conn, _pid, _channel, text: heard(text))
                connected()
                while True:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(gone.wait(), _LISTEN_CHECK_S)
                    await raw.fetchval("SELECT 1")
            finally:
                raw.terminate()


def _pool(url: sa.URL, more: Mapping[str, str] | None = None) -> AsyncEngine:
    return create_async_engine(
        url.set(drivername="postgresql+asyncpg"),
        isolation_level="AUTOCOMMIT",  # BEGIN and COMMIT are ours: one round trip with the tenant
        pool_size=_POOL,
        max_overflow=0,
        pool_timeout=_POOL_S,
        query_cache_size=1000,
        connect_args=_connecting(_SERVER | dict(more or {})),
    )


def _connecting(settings: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What asyncpg is told of one connection."""
    return {"timeout": _CONNECT_S, "command_timeout": _COMMAND_S, "server_settings": settings or _SERVER}


def once(url: sa.URL) -> AsyncEngine:
    """Connections for long work of a command (migrations): every tenant's rows, no statement time-out."""
    settings = {"application_name": "scrm", "lock_timeout": "3000", "scrm.tenant": EVERYTHING}
    return create_async_engine(
        url.set(drivername="postgresql+asyncpg"),
        poolclass=sa.NullPool,
        connect_args={"timeout": _CONNECT_S, "server_settings": settings},
    )


def _dsn(url: sa.URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _died(error: BaseException) -> bool:
    return isinstance(error, OSError) or passing(error)


async def _on(conn: AsyncConnection, job: Callable[[sa.Connection], T]) -> T:
    return await conn.run_sync(job)


def _planning_anew(conn: AsyncConnection) -> str:
    """Now and then the plans a connection keeps are made again, by the size its tables have by then."""
    kept, now = conn.sync_connection.info if conn.sync_connection else {}, monotonic()
    if now - kept.setdefault("planned", now) < _PLANS_S:
        return ""
    kept["planned"] = now
    return "; DISCARD PLANS"


async def _say(conn: AsyncConnection, sql: str) -> str:
    """What the server calls what it did."""
    raw = (await conn.get_raw_connection()).driver_connection
    return str(await raw.execute(sql))  # type: ignore[union-attr]


async def _committed(conn: AsyncConnection) -> None:
    """After a failed statement that somebody passed over, COMMIT rolls back and reports no error."""
    if await _say(conn, "COMMIT") != "COMMIT":
        raise asyncpg.InFailedSQLTransactionError("a statement had failed: nothing was committed")


async def _undone(conn: AsyncConnection) -> None:
    try:
        await asyncio.wait_for(_say(conn, "ROLLBACK"), _CLOSE_S)
    except Exception:
        await _dropped(conn)


async def _dropped(conn: AsyncConnection) -> None:
    """Out of the pool, whatever state it is in."""
    with suppress(Exception):
        raw = (await conn.get_raw_connection()).driver_connection
        raw.terminate()  # type: ignore[union-attr]
    with suppress(Exception):
        await conn.invalidate()
    with suppress(Exception):
        await conn.close()


async def _certainly(work: Awaitable[T]) -> T:
    """Finish even when the caller is cancelled: a connection half-way is of no use to anybody."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
