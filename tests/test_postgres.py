"""The scaled engine: row-level security behind our predicates, one plan for any list, dead connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from scrm.db import Conn, Database, migrate, nodes
from scrm.db.outages import translated
from scrm.errors import Unavailable
from scrm.schema import OPEN_TABLES, cursor, due, evidence, metadata
from scrm.seal import IDS, Vault
from tests.ground import NOW
from tests.services import Cluster

KEY = ["tenant_id", "account_id", "stream"]


def row(stream: str, *, tenant_id: int = 1, at: str = "1") -> dict[str, object]:
    return {"tenant_id": tenant_id, "account_id": 1, "stream": stream, "cursor": at, "moved_at": NOW}


@pytest.fixture
async def db(postgresql_url: str, vault: Vault) -> AsyncIterator[Database]:
    opened = await Database.open(postgresql_url, vault)
    yield opened
    await opened.close()


@pytest.fixture
async def raw(postgresql_url: str) -> AsyncIterator[Any]:
    """What somebody holds who found a way round our stores: the service's own role, no predicate."""
    made = await asyncpg.connect(postgresql_url)
    yield made
    await made.close()


# -- the second wall ---------------------------------------------------------------------------------------
async def two_tenants(db: Database) -> None:
    for tenant_id in (1, 2):
        async with db.begin(tenant_id) as conn:
            await conn.insert(cursor, [row("a", tenant_id=tenant_id)])


async def test_a_connection_that_names_no_tenant_sees_no_row(db: Database, raw: Any) -> None:
    await two_tenants(db)

    assert await raw.fetch("SELECT * FROM cursor") == []


async def test_a_statement_without_a_predicate_sees_the_named_tenant_alone(db: Database, raw: Any) -> None:
    await two_tenants(db)
    async with raw.transaction():
        await raw.execute("SET LOCAL scrm.tenant = '2'")

        assert [r["tenant_id"] for r in await raw.fetch("SELECT tenant_id FROM cursor")] == [2]
        assert await raw.execute("UPDATE cursor SET cursor = 'x'") == "UPDATE 1"
        assert await raw.execute("DELETE FROM cursor WHERE tenant_id = 1") == "DELETE 0"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with raw.transaction():
                await raw.execute("INSERT INTO cursor VALUES (1, 1, 'b', '', 0)")


async def test_our_own_statement_that_forgot_the_tenant_is_stopped_by_the_wall(db: Database) -> None:
    await two_tenants(db)
    async with db.read(1) as conn:
        assert [r.tenant_id for r in await conn.rows(sa.select(cursor.c.tenant_id))] == [1]
    async with db.read_all() as conn:
        found = await conn.rows(sa.select(cursor.c.tenant_id).order_by(cursor.c.tenant_id))
    assert [r.tenant_id for r in found] == [1, 2]


async def test_every_table_of_tenants_has_the_wall_and_its_owner_does_not_pass(cluster: Cluster) -> None:
    url = cluster.new_database(None)
    try:
        await asyncio.to_thread(migrate, url)
        look = await asyncpg.connect(url)
        walled = await look.fetch(
            "SELECT relname FROM pg_class JOIN pg_policy ON polrelid = pg_class.oid "
            "WHERE relrowsecurity AND relforcerowsecurity"
        )
        await look.close()
    finally:
        cluster.drop(url)
    assert {r["relname"] for r in walled} == set(metadata.tables) - OPEN_TABLES


# -- statements --------------------------------------------------------------------------------------------
async def test_a_list_of_any_length_is_one_statement_and_its_values_are_its_own(db: Database) -> None:
    async with db.begin(1) as conn:
        await conn.insert(cursor, [row(s) for s in "abcd"])
        found = [await _streams(conn, wanted) for wanted in (["a"], ["b", "c", "zz"], [], list("abcd"))]
        prepared = await conn.scalar(
            sa.text(
                "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT cursor.stream%ANY%'"
            )
        )
    assert found == [["a"], ["b", "c"], [], ["a", "b", "c", "d"]]
    assert prepared <= 1


async def _streams(conn: Conn, wanted: list[str]) -> list[str]:
    stmt = sa.select(cursor.c.stream).where(cursor.c.tenant_id == 1, cursor.c.stream.in_(wanted))
    return [r.stream for r in await conn.rows(stmt.order_by(cursor.c.stream))]


async def test_rows_of_one_key_in_one_upsert_go_one_after_another(db: Database) -> None:
    async with db.begin(1) as conn:
        rows = [row("a", at="1"), row("b", at="2"), row("a", at="3"), row("a", at="4")]
        await conn.upsert(cursor, rows, key=KEY, change=_latest)
        found = await conn.rows(sa.select(cursor.c.stream, cursor.c.cursor).order_by(cursor.c.stream))
    assert [tuple(r) for r in found] == [("a", "4"), ("b", "2")]


def _latest(new: Any) -> dict[str, Any]:
    return {"cursor": new.cursor}


async def test_documents_times_and_nothing_come_back_as_they_went_in(db: Database) -> None:
    one = {"tenant_id": 1, "due_id": 7, "kind": "poll", "key": "k", "account_id": 1}
    async with db.begin(1) as conn:
        await conn.insert(due, [one | {"payload": {"流": [1, None]}, "at": NOW, "lease_until": None}])
        found = await conn.row(sa.select(due.c.payload, due.c.at, due.c.lease_until))
    assert found is not None
    assert tuple(found) == ({"流": [1, None]}, NOW, None)


async def test_two_processes_that_write_the_same_rows_in_any_order_do_not_deadlock(
    db: Database, postgresql_url: str, vault: Vault
) -> None:
    other = await Database.open(postgresql_url, vault)
    streams = [f"s{n}" for n in range(300)]

    async def write(which: Database, order: int) -> None:
        for _ in range(10):
            async with which.begin(1) as conn:
                await conn.upsert(cursor, [row(s) for s in streams[::order]], key=KEY, change=_latest)

    try:
        await asyncio.gather(write(db, 1), write(other, -1), write(db, -1), write(other, 1))
    finally:
        await other.close()


# -- ids -----------------------------------------------------------------------------------------------------
async def test_each_process_marks_its_ids_with_a_number_that_no_other_holds(
    postgresql_url: str, vault: Vault
) -> None:
    one = await Database.open(postgresql_url, vault)
    mine = IDS.node

    other = await Database.open(postgresql_url, vault)  # would have taken the same one, if it could

    assert IDS.node != mine
    await other.close()
    await one.close()


async def test_a_number_is_free_again_when_its_process_is_gone(
    postgresql_url: str, cluster: Cluster, vault: Vault
) -> None:
    few = await asyncpg.connect(cluster.superuser(postgresql_url))
    first = await Database.open(postgresql_url, vault)
    mine = IDS.node
    await few.execute("SELECT pg_try_advisory_lock($1, n) FROM generate_series(0, 255) AS n", nodes.CLASS)

    await first.close()
    second = await Database.open(postgresql_url, vault)

    assert IDS.node == mine
    await second.close()
    await few.close()


async def test_when_every_number_is_held_a_process_says_so_and_serves(
    postgresql_url: str, cluster: Cluster, vault: Vault
) -> None:
    all_of_them = await asyncpg.connect(cluster.superuser(postgresql_url))
    await all_of_them.execute(
        "SELECT pg_try_advisory_lock($1, n) FROM generate_series(0, 255) AS n", nodes.CLASS
    )

    with capture_logs() as logs:
        one_more = await Database.open(postgresql_url, vault)

    assert [entry["event"] for entry in logs] == ["more processes than ids can tell apart"]
    async with one_more.read(1) as conn:
        assert await _streams(conn, ["a"]) == []
    await one_more.close()
    await all_of_them.close()


async def test_a_number_lost_with_its_connection_is_taken_again(
    postgresql_url: str, cluster: Cluster, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "CHECK_S", 0.02)
    db = await Database.open(postgresql_url, vault)
    mine = IDS.node
    faster = await asyncpg.connect(cluster.superuser(postgresql_url))

    await faster.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks "
        "WHERE locktype = 'advisory' AND classid = $1::int AND pid <> pg_backend_pid()",
        nodes.CLASS,
    )
    async with asyncio.timeout(10):
        while not await _holds(faster, mine):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert IDS.node == mine

    await db.close()
    await faster.close()


async def _holds(admin: Any, node: int) -> bool:
    found = await admin.fetchval(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = $1::int AND objid = $2::int",
        nodes.CLASS,
        node,
    )
    return bool(found)


# -- a server that goes away -------------------------------------------------------------------------------
async def test_connections_that_died_in_the_pool_are_replaced_and_nobody_notices(
    db: Database, postgresql_url: str, cluster: Cluster
) -> None:
    async with db.begin(1) as one, db.begin(1) as two, db.read(1) as three:
        for conn in (one, two, three):
            await conn.scalar(sa.select(sa.func.count()).select_from(evidence))
    admin = await asyncpg.connect(cluster.superuser(postgresql_url))
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await admin.close()

    async with db.begin(1) as conn:
        await conn.insert(cursor, [row("after")])
    async with db.read(1) as conn:
        assert await _streams(conn, ["after"]) == ["after"]


async def test_a_transaction_whose_connection_is_cut_is_unavailable_and_rolled_back(
    db: Database, postgresql_url: str, cluster: Cluster
) -> None:
    admin = await asyncpg.connect(cluster.superuser(postgresql_url))

    async def cut() -> None:
        async with db.begin(1) as conn:
            await conn.insert(cursor, [row("lost")])
            pid = await conn.scalar(sa.text("SELECT pg_backend_pid()"))
            await admin.execute("SELECT pg_terminate_backend($1)", pid)
            await conn.insert(cursor, [row("lost too")])

    with pytest.raises(Unavailable):
        await cut()
    await admin.close()
    async with db.read(1) as conn:
        assert await _streams(conn, ["lost", "lost too"]) == []


async def test_who_goes_on_after_the_connection_was_cut_is_told_the_same_again(
    db: Database, postgresql_url: str, cluster: Cluster
) -> None:
    admin = await asyncpg.connect(cluster.superuser(postgresql_url))
    told: list[Exception | None] = []

    async def go_on() -> None:
        async with db.read(1) as conn:
            pid = await conn.scalar(sa.text("SELECT pg_backend_pid()"))
            await admin.execute("SELECT pg_terminate_backend($1)", pid)
            told.extend([await _failed(conn), await _failed(conn)])

    with pytest.raises(Unavailable):
        await go_on()
    await admin.close()
    assert [type(error) for error in told] == [Unavailable, Unavailable]


async def _failed(conn: Conn, sql: str = "SELECT 1") -> Exception | None:
    try:
        await conn.scalar(sa.text(sql))
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("error", [asyncpg.InternalClientError, asyncpg.InterfaceError, OSError])
def test_the_drivers_words_for_a_connection_that_died_are_no_faults_of_ours(error: type[Exception]) -> None:
    with pytest.raises(Unavailable), translated():
        raise error("gone")


async def test_a_failed_statement_that_was_passed_over_does_not_look_like_a_commit(db: Database) -> None:
    told: list[str] = []

    async def passed_over() -> None:
        async with db.begin(1) as conn:
            await conn.insert(cursor, [row("a")])
            conn.after_commit(lambda: told.append("committed"))
            assert await _failed(conn, "SELECT 1 / 0") is not None

    with pytest.raises(asyncpg.InFailedSQLTransactionError):
        await passed_over()
    async with db.read(1) as conn:
        assert await _streams(conn, ["a"]) == []
    assert told == []


async def test_a_server_that_is_not_there_is_unavailable(vault: Vault, unused_tcp_port: int) -> None:
    with pytest.raises(Unavailable):
        await Database.open(f"postgresql://scrm@127.0.0.1:{unused_tcp_port}/scrm", vault)


async def test_no_statement_lock_or_idle_transaction_lasts_for_ever(db: Database) -> None:
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    async with db.read(1) as conn:
        limits = [await conn.scalar(sa.text(f"SHOW {name}")) for name in names]
    assert limits == ["8s", "3s", "30s"]


# -- locks -------------------------------------------------------------------------------------------------
async def test_a_lock_is_held_until_the_transaction_ends_and_belongs_to_one_tenant(db: Database) -> None:
    async with db.begin(1) as first:
        await first.lock("a")
        async with db.begin(1) as second:
            assert await second.try_locks(["a", "b"]) == ["b"]
        async with db.begin(2) as other:
            assert await other.try_locks(["a"]) == ["a"]
    async with db.begin(1) as later:
        assert await later.try_locks(["a"]) == ["a"]


async def test_who_waits_too_long_for_a_lock_is_told_to_come_back(db: Database) -> None:
    async with db.begin(1) as first:
        await first.lock("a")
        with pytest.raises(Unavailable):
            async with db.begin(1) as second:
                await second.lock("a")


# -- notices -----------------------------------------------------------------------------------------------
async def test_what_one_process_notifies_every_listener_hears(
    db: Database, postgresql_url: str, vault: Vault
) -> None:
    other, ready = await Database.open(postgresql_url, vault), asyncio.Event()
    texts: asyncio.Queue[str] = asyncio.Queue()
    listening = asyncio.create_task(other.listen(texts.put_nowait, ready.set))
    async with asyncio.timeout(20):
        await ready.wait()
        await db.notify(["一", "two"])
        heard = [await texts.get(), await texts.get()]
    listening.cancel()
    await asyncio.wait([listening])
    await other.close()
    assert heard == ["一", "two"]
