"""Every test: no network but loopback, no settings from the environment, one clock; stores on each engine."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scrm.db import Database
from scrm.seal import Vault

#: The engines every store test runs on.
ENGINES = ["sqlite"]


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


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each engine."""
    return f"{request.param}:///{tmp_path / 'scrm.db'}"


@pytest.fixture
async def database(database_url: str, vault: Vault) -> AsyncIterator[Database]:
    """An open database with every table and no row."""
    db = await Database.open(database_url, vault)
    try:
        await db.create_all()
        yield db
    finally:
        await db.close()
