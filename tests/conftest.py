"""Every test: no network but loopback, no settings from the environment, one clock; stores on each engine."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from scrm.db import Database
from scrm.seal import Vault
from tests import services
from tests.services import Cluster, Fill, Missing, Redis

#: The engines every test of stores, flows and the API runs on. A module about one of them sets its own.
ENGINES = ["sqlite", "postgresql"]
#: The URL of a new database of the engine under test, filled or empty.
NewUrl = Callable[[Fill | None], str]


class OutsideNetwork(AssertionError):
    """A test tried to reach another machine. No `OSError`, so that no retry or fallback hides it."""


def is_local(address: object) -> bool:
    """Whether a socket address stays on this machine: a unix path, or a loopback IP."""
    if isinstance(address, (str, bytes)):
        return True
    if not isinstance(address, tuple) or not address:
        return False
    host = str(address[0]).partition("%")[0]
    if host in {"localhost", ""}:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_local_name(host: str | bytes | None) -> bool:
    """Whether looking the host up asks no name server: it is loopback, nothing, or already an address."""
    text = host.decode() if isinstance(host, bytes) else host
    if not text or text == "localhost":
        return True
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


@pytest.fixture(autouse=True)
def closed_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets reach 127.0.0.1, ::1 and unix paths; everything else fails the test."""
    connect, connect_ex, lookup = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded_connect(sock: socket.socket, address: Any) -> None:
        _demand(is_local(address), address)
        connect(sock, address)

    def guarded_connect_ex(sock: socket.socket, address: Any) -> int:
        _demand(is_local(address), address)
        return connect_ex(sock, address)

    def guarded_lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        _demand(is_local_name(host), host)
        return lookup(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_lookup)


def _demand(local: bool, what: object) -> None:
    if not local:
        raise OutsideNetwork(f"{what!r} is not on this machine")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own `SCRM_*` settings never change a result."""
    for name in [name for name in os.environ if name.startswith("SCRM_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def now() -> datetime:
    """A Monday morning in Shanghai."""
    return datetime(2026, 3, 2, 1, 30, tzinfo=UTC)


@pytest.fixture
def vault() -> Vault:
    return Vault(bytes(range(32)))


# -- databases ---------------------------------------------------------------------------------------------
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine_name" in metafunc.fixturenames:
        metafunc.parametrize("engine_name", getattr(metafunc.module, "ENGINES", ENGINES))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The PostgreSQL of this run, started by the first test that needs it; in a hurry, so no power cuts."""
    try:
        made = services.cluster()
    except Missing as why:
        pytest.skip(str(why))
    with made as one:
        yield one


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """The Redis of this run. Tests that break it start one of their own: `services.redis()`."""
    try:
        made = services.redis()
    except Missing as why:
        pytest.skip(str(why))
    with made:
        yield made


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> str:
    """An empty Redis: the one that was named, else the one of this run."""
    url = services.REDIS_URL or request.getfixturevalue("redis_server").url
    services.forget(url)
    return str(url)


@pytest.fixture
def new_url(engine_name: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewUrl]:
    if engine_name == "sqlite":
        numbers = count()
        yield lambda fill: _embedded(tmp_path, fill, next(numbers))
        return
    cluster: Cluster = request.getfixturevalue("cluster")
    made: list[str] = []

    def new(fill: Fill | None) -> str:
        made.append(cluster.new_database(fill))
        return made[-1]

    yield new
    for url in made:
        cluster.drop(url)


def _embedded(folder: Path, fill: Fill | None = None, number: int = 0) -> str:
    url = f"sqlite:///{folder / (f'scrm-{number}.db' if number else 'scrm.db')}"
    if fill is not None:
        fill(url)
    return url


@pytest.fixture
def empty_url(new_url: NewUrl) -> str:
    """A database of each engine with nothing in it."""
    return new_url(None)


@pytest.fixture
def database_url(new_url: NewUrl) -> str:
    """A database of each engine with every table and no row; `database` is open on it."""
    return new_url(services.tables)


@pytest.fixture
def service_url(engine_name: str, new_url: NewUrl) -> str:
    """For a whole service: empty, so that it makes its own file, or the URL of a migrated database."""
    return "" if engine_name == "sqlite" else new_url(services.migrated)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """For what only the embedded engine does: an empty database, whatever the other tests run on."""
    return _embedded(tmp_path)


@pytest.fixture
def postgresql_url(cluster: Cluster) -> Iterator[str]:
    """For what only the scaled engine does: every table and no row."""
    url = cluster.new_database(services.tables)
    yield url
    cluster.drop(url)


@pytest.fixture
async def database(database_url: str, vault: Vault) -> AsyncIterator[Database]:
    """An open database with every table and no row."""
    db = await Database.open(database_url, vault)
    try:
        yield db
    finally:
        await db.close()
