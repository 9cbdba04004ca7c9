"""The database: one writer, snapshot readers, keys that live and die with their transaction."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from time import sleep

import pytest
import sqlalchemy as sa

from scrm import schema
from scrm.db import Conn, Database
from scrm.db.bulk import natural
from scrm.errors import BadConfig, Unavailable, Unsealable
from scrm.schema import consent_entry, cursor, data_key, seen
from scrm.seal import Vault
from tests.ground import NOW

KEY = ["tenant_id", "account_id", "stream"]


def _cursor(stream: str, at: str = "1", *, tenant_id: int = 1) -> dict[str, object]:
    return {"tenant_id": tenant_id, "account_id": 1, "stream": stream, "cursor": at, "moved_at": NOW}


async def _streams(conn: Conn) -> dict[str, str]:
    rows = await conn.rows(sa.select(cursor.c.stream, cursor.c.cursor).order_by(cursor.c.stream))
    return {r.stream: r.cursor for r in rows}


async def _add(database: Database, stream: str) -> None:
    async with database.begin(1) as conn:
        await conn.run(sa.insert(cursor), [_cursor(stream)])


# -- transactions ------------------------------------------------------------------------------------------
async def test_a_transaction_commits_on_the_way_out(database: Database) -> None:
    await _add(database, "a")

    async with database.read(1) as conn:
        assert await _streams(conn) == {"a": "1"}


async def test_an_error_rolls_everything_back_and_the_next_transaction_works(database: Database) -> None:
    async def fail() -> None:
        async with database.begin(1) as conn:
            await conn.run(sa.insert(cursor), [_cursor("a")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await _add(database, "b")

    async with database.read(1) as conn:
        assert await _streams(conn) == {"b": "1"}


async def test_after_commit_acts_run_in_order_after_the_commit_only(database: Database) -> None:
    told: list[str] = []
    async with database.begin(1) as conn:
        conn.after_commit(lambda: told.append("first"))
        conn.after_commit(lambda: told.append("second"))
        assert told == []
    assert told == ["first", "second"]

    async def fail() -> None:
        async with database.begin(1) as conn:
            conn.after_commit(lambda: told.append("never"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert told == ["first", "second"]


async def test_writers_that_ask_for_the_same_lock_take_turns(database: Database) -> None:
    async def count_up() -> None:
        async with database.begin(1) as conn:
            await conn.lock("counter")
            held = int((await _streams(conn)).get("n", "0"))
            await asyncio.sleep(0)  # another writer would read the same number here
            await conn.upsert(
                cursor, [_cursor("n", str(held + 1))], key=KEY, change=lambda new: {"cursor": new.cursor}
            )

    await asyncio.gather(*(count_up() for _ in range(25)))

    async with database.read(1) as conn:
        assert await _streams(conn) == {"n": "25"}


async def test_a_reader_neither_waits_for_the_writer_nor_sees_its_half_done_work(database: Database) -> None:
    await _add(database, "a")

    async with database.begin(1) as writer:
        await writer.run(sa.insert(cursor), [_cursor("b")])
        async with asyncio.timeout(30), database.read(1) as reader:
            assert await _streams(reader) == {"a": "1"}


async def test_the_writer_does_not_wait_for_a_reader_and_its_snapshot_stands_still(
    database: Database,
) -> None:
    await _add(database, "a")

    async with database.read(1) as reader:
        assert await _streams(reader) == {"a": "1"}
        async with asyncio.timeout(30):
            await _add(database, "b")
        assert await _streams(reader) == {"a": "1"}

    async with database.read(1) as later:
        assert await _streams(later) == {"a": "1", "b": "1"}


async def test_readers_cannot_write(database: Database) -> None:
    with pytest.raises((Unavailable, sa.exc.DBAPIError)):
        async with database.read(1) as conn:
            await conn.run(sa.insert(cursor), [_cursor("a")])


async def test_many_more_readers_than_connections_get_their_turn(database: Database) -> None:
    async def look() -> int:
        async with database.read(1) as conn:
            await conn.scalar(sa.select(sa.func.count()).select_from(cursor))
            await asyncio.sleep(0)
            return int(await conn.scalar(sa.select(sa.func.count()).select_from(cursor)))

    async with asyncio.timeout(20):  # the pool's own patience is 30 s
        assert await asyncio.gather(*(look() for _ in range(60))) == [0] * 60


# -- cancellation ------------------------------------------------------------------------------------------
async def test_a_cancelled_transaction_is_rolled_back_and_the_writer_goes_on(database: Database) -> None:
    written = asyncio.Event()

    async def write() -> None:
        async with database.begin(1) as conn:
            await conn.run(sa.insert(cursor), [_cursor("lost")])
            written.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await written.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async with asyncio.timeout(30):
        await _add(database, "next")
    async with database.read(1) as conn:
        assert await _streams(conn) == {"next": "1"}


async def test_cancelled_at_any_step_the_writer_goes_on(database: Database) -> None:
    async def write(n: int) -> None:
        async with database.begin(1) as conn:
            await conn.run(sa.insert(cursor), [_cursor(f"s{n}")])
            await conn.rows(sa.select(cursor.c.stream))
            await conn.run(sa.insert(cursor), [_cursor(f"t{n}")])

    for steps in range(60):
        task = asyncio.create_task(write(steps))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    async with asyncio.timeout(30):
        await _add(database, "next")
    async with database.read(1) as conn:
        found = await _streams(conn)
    assert "next" in found
    assert {n[1:] for n in found if n[0] == "s"} == {
        n[1:] for n in found if n[0] == "t"
    }  # whole or not at all


@pytest.fixture
async def on_file(tmp_path: Path, vault: Vault) -> AsyncIterator[tuple[Database, Path]]:
    """The embedded engine, whose file another process can lock."""
    path = tmp_path / "own.db"
    db = await Database.open(f"sqlite:///{path}", vault)
    await db.create_all()
    yield db, path
    await db.close()


async def test_cancelled_while_beginning_the_writer_goes_on(on_file: tuple[Database, Path]) -> None:
    db, path = on_file
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    task = asyncio.create_task(_add(db, "lost"))
    for _ in range(50):
        await asyncio.sleep(0)  # BEGIN waits for the other process now
    task.cancel()
    await asyncio.sleep(0)
    other.execute("ROLLBACK")
    other.close()
    with pytest.raises(asyncio.CancelledError):
        await task

    await _add(db, "next")
    async with db.read(1) as conn:
        assert await _streams(conn) == {"next": "1"}


async def test_a_cancelled_reader_lets_go_of_its_connection_only_when_the_statement_ended(
    on_file: tuple[Database, Path],
) -> None:
    """Two threads on one connection of SQLite end the process."""
    database, _ = on_file
    begun, ended = threading.Event(), threading.Event()

    def slowly(_sync: sa.Connection) -> None:
        begun.set()
        sleep(0.2)
        ended.set()

    async def look() -> None:
        async with database.read(1) as conn:
            await conn._do(slowly)  # noqa: SLF001 - no statement says when its thread is done with it

    looking = asyncio.create_task(look())
    await asyncio.to_thread(begun.wait)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking

    assert ended.is_set()


async def test_readers_cancelled_at_any_moment_cost_no_connection(on_file: tuple[Database, Path]) -> None:
    database, _ = on_file

    async def look() -> int:
        async with database.read(1) as conn:
            return int(await conn.scalar(sa.text(_COUNTED)))

    for _ in range(8):
        looking = [asyncio.create_task(look()) for _ in range(24)]
        for n, one in enumerate(looking):
            await asyncio.sleep(0.001 * (n % 3))
            one.cancel()
        await asyncio.gather(*looking, return_exceptions=True)

    assert await asyncio.gather(*(look() for _ in range(24))) == [20_000] * 24


_COUNTED = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT max(i) FROM n"
)


async def test_a_database_that_is_locked_is_unavailable_not_broken(on_file: tuple[Database, Path]) -> None:
    db, path = on_file
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(Unavailable) as refused:
        await _add(db, "a")

    other.execute("ROLLBACK")
    other.close()
    assert (refused.value.status, refused.value.retryable) == (503, True)
    await _add(db, "b")  # and comes back by itself


async def test_a_full_disk_is_unavailable_and_heals(on_file: tuple[Database, Path]) -> None:
    db, _ = on_file
    async with db.begin(1) as conn:
        pages = int(await conn.scalar(sa.text("PRAGMA page_count")))
        await conn.rows(sa.text(f"PRAGMA max_page_count={pages + 2}"))

    with pytest.raises(Unavailable):
        async with db.begin(1) as conn:
            await conn.run(sa.insert(cursor), [_cursor(f"{n}", "x" * 4000) for n in range(50)])

    async with db.begin(1) as conn:
        await conn.rows(sa.text("PRAGMA max_page_count=1000000"))
        await conn.run(sa.insert(cursor), [_cursor("after")])
    async with db.read(1) as conn:
        assert await _streams(conn) == {"after": "1"}


async def test_what_is_committed_survives_a_power_cut(on_file: tuple[Database, Path]) -> None:
    db, _ = on_file

    async with db.begin(1) as conn:
        modes = [await conn.scalar(sa.text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous")]

    assert modes == ["wal", 2]  # 2 = FULL; NORMAL loses acknowledged commits


async def test_a_fault_of_a_statement_is_not_mistaken_for_an_outage(database: Database) -> None:
    await _add(database, "a")

    with pytest.raises(sa.exc.IntegrityError):
        await _add(database, "a")


async def test_a_closed_database_says_so(database: Database) -> None:
    await database.close()

    with pytest.raises(BadConfig):
        async with database.begin(1):
            pass


async def test_an_engine_we_do_not_speak_is_refused(vault: Vault) -> None:
    with pytest.raises(BadConfig, match="mysql"):
        await Database.open("mysql://localhost/x", vault)


# -- insert_new, upsert ------------------------------------------------------------------------------------
async def test_insert_new_returns_only_what_was_not_there(database: Database) -> None:
    def row(key: str, ident: int) -> dict[str, object]:
        return {"tenant_id": 1, "account_id": 1, "source_key": key, "inbox_id": ident}

    async with database.begin(1) as conn:
        await conn.insert_new(seen, [row("a", 1)])
        won = await conn.insert_new(seen, [row("a", 2), row("b", 3), row("b", 4)], seen.c.inbox_id)
        kept = await conn.rows(sa.select(seen.c.source_key, seen.c.inbox_id).order_by(seen.c.source_key))

    assert [r.inbox_id for r in won] == [3]
    assert [tuple(r) for r in kept] == [("a", 1), ("b", 3)]


async def test_a_drawn_number_that_is_taken_fails_loudly_and_never_drops_the_row(database: Database) -> None:
    def row(key: str) -> dict[str, object]:
        return {"tenant_id": 1, "entry_id": 7, "node_id": 1, "key": key, "at": NOW, "stored_at": NOW}

    async with database.begin(1) as conn:
        await conn.insert_new(consent_entry, [row("yes")])
        assert await conn.insert_new(consent_entry, [row("yes")], consent_entry.c.entry_id) == []

    with pytest.raises(sa.exc.IntegrityError):
        async with database.begin(1) as conn:
            await conn.insert_new(consent_entry, [row("something else, of another process")])


@pytest.mark.parametrize("table", schema.metadata.sorted_tables, ids=str)
def test_every_table_says_by_one_key_what_a_row_is_about(table: sa.Table) -> None:
    assert set(natural(table).columns) <= set(table.columns.keys())


async def test_insert_new_takes_more_rows_than_a_statement_has_parameters(database: Database) -> None:
    rows = [{"tenant_id": 1, "account_id": 1, "source_key": str(n), "inbox_id": n} for n in range(20_000)]

    async with database.begin(1) as conn:
        assert len(await conn.insert_new(seen, rows, seen.c.inbox_id)) == 20_000


async def test_nothing_to_write_is_no_statement(database: Database) -> None:
    async with database.begin(1) as conn:
        assert await conn.run(sa.insert(cursor), []) == 0
        assert await conn.insert_new(seen, [], seen.c.inbox_id) == []
        await conn.upsert(cursor, [], key=KEY, change=lambda new: {"cursor": new.cursor})


async def test_times_come_back_as_they_went_in(database: Database) -> None:
    moment = NOW.replace(microsecond=123_456)
    async with database.begin(1) as conn:
        await conn.run(sa.insert(cursor), [_cursor("a") | {"moved_at": moment}])
        assert await conn.scalar(sa.select(cursor.c.moved_at)) == moment


# -- keys --------------------------------------------------------------------------------------------------
async def test_an_owner_has_one_key_for_ever(database: Database, database_url: str, vault: Vault) -> None:
    async with database.begin(1) as conn:
        sealed = await conn.seal("node:1", b"13800001234", "node", 1, "value")
        again = await conn.keys_for(["node:1", "node:1", "node:2"])
    reopened = await Database.open(database_url, vault)
    try:
        async with reopened.read(1) as conn:
            assert await conn.unseal(sealed, "node", 1, "value") == b"13800001234"
            assert (await conn.keys_for(["node:1"]))["node:1"].key_id == again["node:1"].key_id
    finally:
        await reopened.close()
    async with database.read(1) as conn:
        assert await conn.scalar(sa.select(sa.func.count()).select_from(data_key)) == 2


async def test_a_sealed_value_swapped_to_another_row_does_not_open(database: Database) -> None:
    async with database.begin(1) as conn:
        one = await conn.seal("tenant", b"secret of 1", "account", 1, "secrets")

        with pytest.raises(Unsealable):
            await conn.unseal(one, "account", 2, "secrets")


async def test_a_key_that_rolled_back_is_forgotten(database: Database) -> None:
    lost: list[bytes] = []

    async def fail() -> None:
        async with database.begin(1) as conn:
            lost.append(await conn.seal("node:1", b"x", "t"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    async with database.begin(1) as conn:
        kept = await conn.seal("node:1", b"y", "t")
        with pytest.raises(Unsealable):
            await conn.unseal(lost[0], "t")
    async with database.read(1) as conn:
        assert await conn.unseal(kept, "t") == b"y"


async def test_a_destroyed_key_opens_nothing_any_more(
    database: Database, database_url: str, vault: Vault
) -> None:
    async with database.begin(1) as conn:
        sealed = await conn.seal("node:1", b"x", "t")
        await conn.run(sa.delete(data_key).where(data_key.c.owner == "node:1"))
    reopened = await Database.open(database_url, vault)
    try:
        async with reopened.read(1) as conn:
            with pytest.raises(Unsealable):
                await conn.unseal(sealed, "t")
    finally:
        await reopened.close()


async def test_tenants_do_not_share_keys(database: Database) -> None:
    async with database.begin(1) as conn:
        sealed = await conn.seal("tenant", b"x", "t")

    async with database.begin(2) as conn:
        with pytest.raises(Unsealable):
            await conn.unseal(sealed, "t")


async def test_a_key_made_outside_is_committed(database: Database) -> None:
    key = await database.key(1, "day:1:2026-03-02")

    async with database.read(1) as conn:
        assert await conn.scalar(sa.select(data_key.c.key_id)) == key.key_id
    assert await database.key(1, "day:1:2026-03-02") is key


# -- the schema --------------------------------------------------------------------------------------------
def test_every_key_leads_with_the_tenant() -> None:
    for table in schema.metadata.sorted_tables:
        if table.name == "schema_info":
            continue
        assert next(iter(table.primary_key)).name == "tenant_id", table.name
        indexed = [c for c in table.indexes] + [
            c for c in table.constraints if isinstance(c, sa.UniqueConstraint)
        ]
        for one in indexed:
            # A slug is in a URL before anybody knows whose it is.
            assert next(iter(one.columns)).name in ({"tenant_id"} | {"slug"}), (table.name, one.name)
